"""Malicious checkpoints with correct hashes: each is reported and skipped, and the one before it is
used.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from fixtures_attacks import Tripwire, within
from fixtures_checkpoints import WarningRecorder
from fixtures_mutations import mutated
from fixtures_training import CONFIG, without_keras
from hypothesis import given, settings

from lstm_cli.cli import training
from lstm_cli.config import load as configs
from lstm_cli.data.dataset import SourceFile, UnlabeledTexts
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.training import checkpoint, pipeline, resume_checks
from lstm_cli.training.checkpoint_checks import (
    check_progress,
    fitting_checkpoint,
    newest_checkpoint,
)

TIB = 1 << 40


@pytest.fixture
def halfway(monkeypatch, tmp_path):
    """A run that failed after the second and last epoch: two valid checkpoints."""
    without_keras(monkeypatch)
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path / "runs"))
    with monkeypatch.context() as patch, pytest.raises(LstmError, match="the power went"):
        patch.setattr(pipeline.artifacts, "write_model", _lose_power)
        pipeline.train(CONFIG, name="x")
    (run,) = find.all_runs(tmp_path / "runs")
    assert _names(run) == ["000001.json", "000001.safetensors", "000002.json", "000002.safetensors"]
    return run


def _lose_power(*_):
    raise LstmError("the power went")


def _names(run):
    return sorted(path.name for path in run.file(runs.CHECKPOINTS).iterdir())


def _path(run, suffix):
    return run.file(f"{runs.CHECKPOINTS}/000002.{suffix}")


def _record(run):
    return json.loads(json.loads(_path(run, "json").read_text())["body"])


def sign(run, tensors=None, **changes):
    """Replace tensors and record of the newest checkpoint, with correct hashes."""
    record = _record(run)
    if tensors is not None:
        _path(run, "safetensors").write_bytes(tensors)
        record |= {"bytes": len(tensors), "sha256": hashlib.sha256(tensors).hexdigest()}
    body = json.dumps(record | changes)
    signed = {"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}
    _path(run, "json").write_text(json.dumps(signed))


def skipped(run, *words):
    """Check that the newest is skipped and the one before it is used; return the warning."""
    reporter = WarningRecorder()
    with within(10):
        found = newest_checkpoint(run, reporter)
    assert found is not None
    assert found.progress["epoch"] == 1
    (warning,) = reporter.warnings
    assert any(word in warning for word in words), warning
    assert "Checkpoint 2" in warning
    assert len(warning) < 600
    return warning


def test_valid_checkpoints_pass(halfway):
    reporter = WarningRecorder()
    assert newest_checkpoint(halfway, reporter).progress["epoch"] == 2
    sign(halfway)
    assert newest_checkpoint(halfway, reporter).progress["epoch"] == 2
    assert reporter.warnings == []


# Files


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_link_out_of_the_run_is_refused_with_exit_code_5(suffix, halfway, tmp_path):
    outside = tmp_path / "outside"
    _path(halfway, suffix).rename(outside)
    _path(halfway, suffix).symlink_to(outside)
    with pytest.raises(LstmError, match="symbolic link") as caught:
        newest_checkpoint(halfway, WarningRecorder())
    assert caught.value.exit_code == ExitCode.INTEGRITY
    # A link that is created later is not followed.
    reporter = WarningRecorder()
    assert checkpoint.newest(halfway.file(runs.CHECKPOINTS), reporter).progress["epoch"] == 1
    assert "a symbolic link, not a plain file" in reporter.warnings[0]
    assert outside.exists()


def test_a_folder_of_checkpoints_elsewhere_is_refused(halfway, tmp_path):
    folder = halfway.file(runs.CHECKPOINTS)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    for call in (
        newest_checkpoint,
        lambda run, reporter: checkpoint.newest(folder, reporter),
    ):
        with pytest.raises(LstmError, match="a symbolic link"):
            call(halfway, WarningRecorder())
    with pytest.raises(LstmError, match="a symbolic link"):
        checkpoint.remove_old(folder, 1)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 4


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_named_pipe_is_skipped(suffix, halfway):
    _path(halfway, suffix).unlink()
    os.mkfifo(_path(halfway, suffix))
    reporter = WarningRecorder()
    with within(10):
        assert checkpoint.newest(halfway.file(runs.CHECKPOINTS), reporter).progress["epoch"] == 1
    assert "a named pipe" in reporter.warnings[0]


@pytest.mark.parametrize("name", ["²²²²²².json", "9" * 200 + ".json", "٣٣٣٣٣٣.json", "1e5.json"])
def test_files_with_other_names_are_ignored(name, halfway):
    halfway.file(f"{runs.CHECKPOINTS}/{name}").write_text("{}")
    assert newest_checkpoint(halfway, WarningRecorder()).progress["epoch"] == 2
    checkpoint.save(
        halfway.file(runs.CHECKPOINTS),
        newest_checkpoint(halfway, WarningRecorder()),
    )
    assert "000003.json" in _names(halfway)


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_sparse_file_is_not_read(suffix, halfway):
    if suffix == "safetensors":
        if Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "1":
            pytest.skip("the system gives more memory than it has")
        sign(halfway, bytes=8 * TIB, sha256="0" * 64)
    os.truncate(_path(halfway, suffix), 8 * TIB)
    tracemalloc.start()
    skipped(halfway, "expected", "MemoryError")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("size", [10**30, 0, -1, True, 1.5, "many", None, [1]])
def test_a_wrong_size_in_the_record_is_detected(size, halfway):
    sign(halfway, bytes=size)
    skipped(halfway, "expected", "not valid")


# Tensors


GOOD = {"model/0": np.ones(3, np.float32), "best/x": np.ones(3, np.float32)}


def framed(header, data=b"", length=None):
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(3,), place=(0, 12), **more):
    return {"model/0": {"dtype": dtype, "shape": shape, "data_offsets": place, **more}}


TENSORS = {
    "nothing": (b"", ".safetensors"),
    "no header": (b"\0" * 8, ".safetensors"),
    "a header behind the end": (framed({}, length=2**63), ".safetensors"),
    "a header of 2 MiB": (framed(b" " * (2 << 20)), ".safetensors"),
    "lists in lists": (framed(b"[" * 100_000), ".safetensors"),
    "mappings in mappings": (framed(b'{"a":' * 100_000), ".safetensors"),
    "a list": (framed([]), ".safetensors"),
    "a name twice": (framed(b'{"a": 1, "a": 2}'), "twice"),
    "no description": (framed({"model/0": 3}), ".safetensors"),
    "notes": (framed(entry(note=1), b"\0" * 12), ".safetensors"),
    "metadata": (framed({"__metadata__": {"a": "b"}}), ".safetensors"),
    "a type there is not": (framed(entry("object"), b"\0" * 12), ".safetensors"),
    "a type that is a list": (framed(entry(["F32"]), b"\0" * 12), ".safetensors"),
    "a shape that is none": (framed(entry(shape=3), b"\0" * 12), ".safetensors"),
    "a negative shape": (framed(entry(shape=[-3]), b"\0" * 12), ".safetensors"),
    "a shape with a point": (framed(entry(shape=[3.0]), b"\0" * 12), ".safetensors"),
    "a shape that is true": (framed(entry(shape=[True, 3]), b"\0" * 12), ".safetensors"),
    "dimensions without end": (framed(entry(shape=[1] * 99), b"\0" * 4), ".safetensors"),
    "petabytes": (framed(entry(shape=[2**39, 2**20]), b"\0" * 12), ".safetensors"),
    "a shape that overflows": (framed(entry(shape=[2**62, 4]), b"\0" * 12), ".safetensors"),
    "nothing times all": (framed(entry(shape=[0, 2**70], place=[0, 0])), ".safetensors"),
    "a place behind the end": (framed(entry(place=[0, 2**40]), b"\0" * 12), ".safetensors"),
    "a place before the begin": (framed(entry(place=[-12, 0]), b"\0" * 12), ".safetensors"),
    "a place that is no place": (framed(entry(place="0-12"), b"\0" * 12), ".safetensors"),
    "bytes of no array": (framed(entry(), b"\0" * 99), ".safetensors"),
    "a hole": (framed(entry(place=[12, 24]), b"\0" * 24), ".safetensors"),
    "one place for two": (
        framed(entry() | {"best/x": entry()["model/0"]}, b"\0" * 12),
        ".safetensors",
    ),
    "a zip": (b"PK\x03\x04" + b"\0" * 60, "zip archive"),
    "a gzip": (b"\x1f\x8b\x08" + b"\0" * 60, "gzip archive"),
    "a NumPy file": (b"\x93NUMPY\x01\0" + b"\0" * 60, "NumPy"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_invalid_tensors_are_skipped(name, halfway):
    content, word = TENSORS[name]
    sign(halfway, content)
    skipped(halfway, word)


def test_a_pickle_is_not_loaded(halfway, tmp_path):
    sign(halfway, pickle.dumps(Tripwire(tmp_path / "ran")))
    skipped(halfway, "Python pickle")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["model/0", "best/x"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_non_finite_weights_are_skipped(name, bad, dtype, halfway):
    sign(halfway, safetensors.numpy.save(GOOD | {name: np.array([0, 1, bad], dtype)}))
    assert f"'{name}'" in skipped(halfway, "NaN")


def test_an_infinite_optimizer_slot_is_accepted(halfway):
    slot = {"optimizer/3": np.array([np.inf], np.float32)}
    sign(halfway, safetensors.numpy.save(GOOD | slot))
    reporter = WarningRecorder()
    assert np.isinf(newest_checkpoint(halfway, reporter).tensors["optimizer/3"][0])
    assert reporter.warnings == []


# Progress

FOREIGN = (None, -1, 2**40, "x", [], {}, [{}], 10**400, [[[]]], True, 1.5)
KEYS = ("epoch", "step", "sums", "best_loss", "best_epoch", "stop_requested", "history", "seconds")


@pytest.mark.parametrize("key", [*KEYS, "epoch_seconds", "settings"])
def test_a_progress_value_of_another_type_is_skipped_or_accepted(key, halfway):
    progress = _record(halfway)["progress"]
    good, kept = _path(halfway, "json").read_bytes(), _path(halfway, "safetensors").read_bytes()
    num_refused = 0
    for value in FOREIGN:
        sign(halfway, progress=progress | {key: value})
        with within(10):
            found = newest_checkpoint(halfway, reporter := WarningRecorder())
        assert found.progress["epoch"] == 2 - len(reporter.warnings)
        num_refused += len(reporter.warnings)
        _path(halfway, "json").write_bytes(good)
        _path(halfway, "safetensors").write_bytes(kept)
    assert num_refused >= 7
    sign(halfway, progress={name: progress[name] for name in progress if name != key})
    skipped(halfway, key)


def edited(progress, **values):
    """The history with a changed last line."""
    *others, last = progress["history"]
    return [*others, last | values]


def lines(progress, values):
    """The history with one more line."""
    last = progress["history"][-1]
    return [*progress["history"], last | {"epoch": last["epoch"] + 1, "best": False} | values]


def halfway_through(progress, **values):
    """The position after the first step of the second epoch."""
    first = {"epoch": 1, "history": progress["history"][:1], "best_epoch": 1, "best_loss": 1.0}
    return progress | first | {"step": 1, "sums": [4.0, 1.0, 2.0]} | values


def settings_of(progress, **values):
    settings = progress["settings"]
    return settings | {"train": settings["train"] | values}


CHANGES = {
    "no mapping": lambda p: [],
    "a line of history less": lambda p: p | {"history": p["history"][:1]},
    "a line with more in it": lambda p: p | {"history": [p["history"][0] | {"x": 1}] * 2},
    "a best epoch to come": lambda p: p | {"best_epoch": 3},
    "a best epoch without a loss": lambda p: p | {"best_loss": None},
    "a best loss without an epoch": lambda p: p | {"best_epoch": 0},
    "a step without sums": lambda p: p | {"step": 3},
    "a loss that is none": lambda p: p | {"best_loss": float("nan")},
    "a loss without end": lambda p: p | {"best_loss": float("inf")},
    "no last epoch": lambda p: p | {"settings": p["settings"] | {"train": {}}},
    "a last epoch in words": lambda p: p | {"settings": {"train": {"epochs": "two"}}},
    "an epoch past the last": lambda p: p | {"epoch": 3, "history": lines(p, {})},
    "a step after the last epoch": lambda p: p | {"step": 1, "sums": [4.0, 1.0, 1.0]},
    "epochs counted twice": lambda p: p | {"history": [p["history"][0]] * 2},
    "epochs of other lengths": lambda p: p | {"history": edited(p, steps=2)},
    "a best line that is not": lambda p: p | {"history": edited(p, best=False)},
    "a best epoch before the best": lambda p: p | {"best_epoch": 1, "best_loss": 1.0},
    "another best loss": lambda p: p | {"best_loss": 0.25},
    "a line of a language model": lambda p: p | {"history": edited(p, accuracy=None)},
    "a line that takes for ever": lambda p: p | {"history": edited(p, seconds=1e300)},
    "a rate below zero": lambda p: p | {"history": edited(p, learning_rate=-1.0)},
    "sums of a part": lambda p: p | {"epoch": 0, "step": 1, "sums": [0.5, 1.0, 0.5]},
    "sums below zero": lambda p: p | {"step": 1, "sums": [-4.0, 1.0, 0.0]},
    "more right than seen": lambda p: halfway_through(p, sums=[4.0, 1.0, 5.0]),
    "a last epoch without end": lambda p: p | {"settings": settings_of(p, epochs=10**12)},
    "a last epoch of none": lambda p: p | {"settings": settings_of(p, epochs=0)},
    "a section that is a list": lambda p: p | {"settings": p["settings"] | {"model": []}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_progress_that_contradicts_itself_is_skipped(name, halfway):
    sign(halfway, progress=CHANGES[name](_record(halfway)["progress"]))
    skipped(halfway, "damaged")


def test_a_position_within_the_steps_is_accepted(halfway):
    sign(halfway, progress=halfway_through(_record(halfway)["progress"]))
    reporter = WarningRecorder()
    found = newest_checkpoint(halfway, reporter)
    assert fitting_checkpoint(halfway, found, 1, 4, 0, reporter) is found
    assert reporter.warnings == []


BEYOND = {
    "a step far past the end": {"step": 10**8},
    "a step past the end": {"step": 2},
    "sums of more than was seen": {"sums": [5.0, 1.0, 2.0]},
    "epochs of more steps": {"history": 3},
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_position_beyond_the_steps_is_skipped(name, halfway):
    progress = halfway_through(_record(halfway)["progress"], **BEYOND[name])
    if progress["history"] == 3:
        progress["history"] = [_record(halfway)["progress"]["history"][0] | {"steps": 3}]
    sign(halfway, progress=progress)
    reporter = WarningRecorder()
    reporter.note = reporter.epoch = reporter.step = lambda *_: None
    pipeline.resume(halfway, reporter=reporter)
    assert "Checkpoint 2" in reporter.warnings[0], reporter.warnings
    assert halfway.status == "finished"


def test_an_optimizer_with_another_step_count_is_skipped(halfway):
    taken = {"optimizer/0": np.array(7, np.int64)}
    sign(halfway, safetensors.numpy.save(GOOD | taken))
    reporter = WarningRecorder()
    found = fitting_checkpoint(halfway, newest_checkpoint(halfway, reporter), 1, 4, 0, reporter)
    assert found.progress["epoch"] == 1
    assert "has not done 2 steps" in reporter.warnings[0]


def test_without_a_fitting_position_nothing_is_trained(halfway):
    for number in ("json", "safetensors"):
        halfway.file(f"{runs.CHECKPOINTS}/000001.{number}").unlink()
    sign(halfway, progress=halfway_through(_record(halfway)["progress"], step=10**8))
    with pytest.raises(LstmError, match="within its 1 steps") as caught:
        pipeline.resume(halfway)
    assert caught.value.exit_code == ExitCode.INTEGRITY
    assert _path(halfway, "json").exists()
    assert halfway.status == "failed"


@pytest.mark.parametrize("value", [-0.5, 1.5])
def test_pseudo_labels_that_are_not_probabilities_are_skipped(value, halfway):
    sign(
        halfway, safetensors.numpy.save(GOOD | {"objective/pseudo_labels": np.full((3, 1), value)})
    )
    skipped(halfway, "pseudo-labels")


@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 100_000, "[" + "1," * 5_000_000 + "1]"])
def test_a_record_that_needs_too_much_memory_is_not_parsed(body, halfway):
    signed = {"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}
    _path(halfway, "json").write_text(json.dumps(signed))
    skipped(halfway, "recursion", "values")


def test_any_progress_is_accepted_or_skipped(halfway):
    folder = halfway.file(runs.CHECKPOINTS)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    progress = halfway_through(_record(halfway)["progress"])

    @settings(max_examples=40, deadline=None)
    @given(mutated(progress))
    def hold(value):
        sign(halfway, progress=value)
        reporter = WarningRecorder()
        try:
            with within(10):
                found = newest_checkpoint(halfway, reporter)
                found = fitting_checkpoint(halfway, found, 1, 4, 0, reporter)
            stepped = len(reporter.warnings)
            assert stepped <= 1
            assert found.progress["epoch"] == 1
            assert found.progress["step"] == (0 if stepped else 1)
            assert found.progress["best_epoch"] == 1
        finally:
            for path, content in before.items():
                path.write_bytes(content)

    hold()


def test_training_is_resumed_from_the_checkpoint_before(halfway):
    sign(halfway, progress=[])
    reporter = WarningRecorder()
    reporter.note = reporter.epoch = reporter.step = lambda *_: None
    pipeline.resume(halfway, reporter=reporter)
    assert halfway.status == "finished"
    assert "Checkpoint 2" in reporter.warnings[0]


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": []},
        {"dataset": {}},
        {"dataset": None},
        {"dataset": {"sizes": 3}},
        {"dataset": {"fingerprint": 3, "sizes": {}}},
        {"data": 3},
    ],
)
def test_a_run_json_without_a_valid_dataset_is_refused(change, halfway):
    halfway.write_json(runs.RUN, {**runs.read_run_json(halfway), **change})
    with pytest.raises(LstmError, match=rf"run\.json, .*{next(iter(change))}") as caught:
        pipeline.resume(halfway)
    assert caught.value.exit_code == ExitCode.INTEGRITY


# What training reads binds a resume, and what it does not read does not


def with_files(halfway, monkeypatch, fingerprint="f" * 64, **digests):
    """Let the run have started on files of content "old", and let them have other content now."""
    record = halfway.read_json(runs.RUN)
    record["dataset"]["files"] = {
        name: {"path": f"{name}.csv", "sha256": "old"} for name in digests
    }
    halfway.write_json(runs.RUN, record)
    files = {name: SourceFile(f"{name}.csv", digest) for name, digest in digests.items()}
    dataset = replace(pipeline.load_training_data(), files=files, fingerprint=fingerprint)
    monkeypatch.setattr(pipeline, "load_training_data", lambda *_: dataset)


def resumed(halfway):
    reporter = WarningRecorder()
    notes = []
    reporter.note, reporter.epoch, reporter.step = notes.append, id, id
    pipeline.resume(halfway, reporter=reporter)
    return [note for note in notes if "have changed" in note]


def test_a_mended_test_file_is_no_obstacle_and_is_said(halfway, monkeypatch):
    with_files(halfway, monkeypatch, train="old", test="new")
    (note,) = resumed(halfway)
    assert note.startswith("The test rows in test.csv have changed since run demo/x was started.")
    assert halfway.status == "finished"
    assert halfway.read_json(runs.RUN)["dataset"]["files"]["test"]["sha256"] == "new"


def test_an_unchanged_test_file_brings_no_note(halfway, monkeypatch):
    with_files(halfway, monkeypatch, train="old", test="old")
    assert resumed(halfway) == []


@pytest.mark.parametrize("changed", ["train", "validation"])
def test_the_file_that_has_changed_is_blamed(halfway, monkeypatch, changed):
    digests = {"train": "old", "validation": "old", "test": "new", changed: "newer"}
    with_files(halfway, monkeypatch, fingerprint="e" * 64, **digests)
    with pytest.raises(LstmError, match=f"^{changed}.csv has changed") as caught:
        pipeline.resume(halfway)
    assert "was old and is newer" in caught.value.message


@pytest.mark.parametrize(("sha256", "is_refused"), [("a" * 64, False), ("b" * 64, True)])
def test_unlabeled_texts_bind_the_test_file_whose_copies_they_lack(
    halfway, monkeypatch, sha256, is_refused
):
    with_files(halfway, monkeypatch, test="new")
    record = halfway.read_json(runs.RUN)
    record["dataset"] |= {"unlabeled_files": {"u.txt": "c"}, "unlabeled_sha256": "a" * 64}
    halfway.write_json(runs.RUN, record)
    texts = UnlabeledTexts(["more"], {"u.txt": "c"}, sha256)
    dataset = replace(pipeline.load_training_data(), unlabeled=texts)
    change = resume_checks.data_change(record["dataset"], dataset)
    assert (change is not None) == is_refused
    assert change is None or change.source == "test.csv"


def test_the_test_rows_may_be_in_another_file(halfway):
    def config(**settings):
        halfway.write_text(runs.CONFIG, configs.to_yaml(configs.from_dict(before, settings)))
        return resume_checks.resumed_config(halfway, None, None, "new.csv").data.test_file

    before = configs.to_dict(halfway.config())
    assert config(**{"data.test_file": "old.csv"}) == "new.csv"
    # These test rows were split off train: other test rows would change training.
    assert config() is None


def test_another_test_file_may_be_typed_and_other_settings_may_not(halfway, tmp_path):
    def check(**typed):
        overrides = {key.replace("__", "."): value for key, value in typed.items()}
        request = training.TrainingRequest(
            str(tmp_path / "a.csv"), None, overrides, "x", None, "cpu", None, None, False, False
        )
        training._check_settings(halfway, request)

    for name in "abc":
        (tmp_path / f"{name}.csv").write_text("text,label\n")
    settings = configs.to_dict(halfway.config())
    files = {"data.name": str(tmp_path / "a.csv"), "data.test_file": str(tmp_path / "b.csv")}
    halfway.write_text(runs.CONFIG, configs.to_yaml(configs.from_dict(settings, files)))
    check(data__test_file=str(tmp_path / "c.csv"))
    with pytest.raises(LstmError, match=r"data\.validation_file was None"):
        check(data__validation_file=str(tmp_path / "c.csv"))
    del files["data.test_file"]
    halfway.write_text(runs.CONFIG, configs.to_yaml(configs.from_dict(settings, files)))
    with pytest.raises(LstmError, match=r"data\.test_file was None"):
        check(data__test_file=str(tmp_path / "c.csv"))


# Finished stages


LOGITS = {
    "stage/1/lstm": np.zeros((2, 4, 1), np.float32),
    "stage/1/linear_scales": np.zeros(2, np.float32),
    "stage/1/linear": np.zeros((4, 1), np.float32),
}


def staged(halfway):
    """Progress and tensors of a run in its second stage, whose first one had two epochs."""
    found = newest_checkpoint(halfway, WarningRecorder())
    progress = json.loads(json.dumps(found.progress))
    lines = progress["history"]
    finished = {"best_epoch": 2, "stop_reason": "done", "history": lines}
    second = [line | {"stage": 2} for line in lines]
    return progress | {"stages": [finished], "history": second}, {**found.tensors, **LOGITS}


def test_a_checkpoint_in_a_later_stage_is_accepted(halfway):
    check_progress(checkpoint.Checkpoint(staged(halfway)[1], staged(halfway)[0]))


def _with_stage(**changes):
    return lambda p, t: (p | {"stages": [p["stages"][0] | changes]}, t)


def _without_validation(progress, tensors):
    lines = [
        line | {"val_loss": None, "val_accuracy": None, "best": True}
        for line in progress["stages"][0]["history"]
    ]
    return progress | {"stages": [progress["stages"][0] | {"history": lines}]}, tensors


CONTRADICTIONS = {
    "another best epoch": _with_stage(best_epoch=1),
    "no history": _with_stage(history=[]),
    "a reason that is no text": _with_stage(stop_reason=3),
    "a stage without validation": _without_validation,
    "a history of another stage": lambda p, t: (p | {"stages": []}, t),
    "a stage too many": lambda p, t: (p | {"stages": p["stages"] * 2}, t),
    "no logits": lambda p, t: (p, {n: a for n, a in t.items() if n != "stage/1/lstm"}),
    "no factors": lambda p, t: (p, {n: a for n, a in t.items() if "scales" not in n}),
    "logits of another type": lambda p, t: (p, t | {"stage/1/lstm": np.zeros((4, 1), np.int32)}),
    "logits of fewer epochs": lambda p, t: (
        p,
        t | {"objective/epoch_lstm": np.zeros((1, 4, 1), np.float32)},
    ),
    "linear logits of another type": lambda p, t: (p, t | {"stage/1/linear": np.zeros((4, 1))}),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_finished_stages_that_contradict_the_checkpoint_are_refused(name, halfway):
    progress, tensors = CONTRADICTIONS[name](*staged(halfway))
    with pytest.raises(ValueError, match=r"."):
        check_progress(checkpoint.Checkpoint(tensors, progress))


def test_a_checkpoint_of_another_stage_does_not_fit(halfway):
    found = newest_checkpoint(halfway, WarningRecorder())
    with pytest.raises(LstmError, match="no checkpoint"):
        fitting_checkpoint(halfway, found, 1, 4, 1, WarningRecorder())

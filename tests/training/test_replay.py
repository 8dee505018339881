"""`lstm runs replay`: a run trained again from its settings is bit-identical, or the first
differences and their possible causes are reported.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import tempfile
from dataclasses import replace

import pytest
from fixtures_runs import make_text_run, snapshot, text_config
from fixtures_training import CONFIG, TableLoop, without_keras

from lstm_cli import cli
from lstm_cli.config import load as configs
from lstm_cli.config.load import load_preset
from lstm_cli.data.dataset import SourceFile
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import SilentReporter
from lstm_cli.runs import directory as runs
from lstm_cli.runs.manifest import sha256
from lstm_cli.runs.rename import rename
from lstm_cli.training import artifacts, pipeline, replay
from lstm_cli.training.loop import NonFiniteError, learning_rate
from lstm_cli.training.replay_differences import Change, Difference, _first_difference


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """The folder of temporary folders."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path / "runs"))
    return folder


def left(scratch):
    """Names of temporary folders that were not removed; onnxruntime has a file there, too."""
    return [path.name for path in scratch.glob("*") if path.name.startswith("lstm")]


@pytest.fixture
def tabled(monkeypatch):
    """A finished run with a table in place of the model, also in the replay."""
    without_keras(monkeypatch)
    monkeypatch.setattr(replay, "load_training_data", pipeline.load_training_data)
    return pipeline.train(CONFIG, name="x")


@pytest.fixture
def lstm(monkeypatch, capfd):
    def call(*arguments):
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["lstm", *map(str, arguments)])
        code = cli.run()
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


def edit_history(run, epoch, **values):
    """Change a line of the history."""
    lines = [json.loads(line) for line in run.read_text(runs.HISTORY).splitlines()]
    lines[epoch - 1] |= values
    run.write_text(runs.HISTORY, "".join(map(runs.json_line, lines)))


def edit_metrics(run, accuracy):
    metrics = run.read_json(runs.METRICS)
    metrics["test"]["accuracy"] = accuracy
    run.write_json(runs.METRICS, metrics)


def edit_weights(run):
    """Change the lowest bit of one weight."""
    content = bytearray(run.file(runs.WEIGHTS).read_bytes())
    content[-4] ^= 1
    run.write_bytes(runs.WEIGHTS, bytes(content))


def edit_record(run, **values):
    run.write_json(runs.RUN, run.read_json(runs.RUN) | values)
    run.write_manifest()


def refused(run, code=ExitCode.ERROR):
    with pytest.raises(LstmError) as caught:
        replay.replay(run)
    assert caught.value.exit_code == code
    return caught.value


# Real training

SMALL = {
    "demo": {
        "data.demo_train": 200,
        "data.demo_test": 40,
        "embedding.dim": 8,
        "embedding.word_dropout": 0.1,
        "model.units": 6,
        "text.max_tokens": 20,
        "train.ema_momentum": 0.5,
    },
    "digits": {"data.limit": 100, "model.units": 6, "image.shift": 1},
}


@pytest.mark.parametrize("preset", SMALL)
def test_a_replay_is_bit_identical(preset, scratch):
    settings = {**SMALL[preset], "train.epochs": 2, "train.batch_size": 32}
    run = pipeline.train(load_preset(preset, settings), name="x")
    before = snapshot(run)
    found = replay.replay(run)
    assert found.identical
    assert (found.differences, found.changes, found.modified) == ((), (), ())
    assert found.epochs == 2
    assert snapshot(run) == before
    assert left(scratch) == []


# Comparison, with a table in place of the model


def test_seconds_may_differ(tabled):
    edit_history(tabled, 1, seconds=1e6)
    found = replay.replay(tabled)
    assert found.identical
    assert found.modified == (runs.HISTORY,)


def test_the_first_epoch_that_differs_is_named_with_both_values(tabled):
    edit_history(tabled, 2, val_loss=0.25)
    found = replay.replay(tabled)
    assert found.differences == (Difference(runs.HISTORY, 1, 2, "val_loss", 0.25, 0.5),)
    assert found.causes == ["history.jsonl was changed after training ended."]


def test_an_epoch_too_many_or_too_few_differs(tabled):
    lines = tabled.read_text(runs.HISTORY).splitlines(keepends=True)
    third = json.loads(lines[1]) | {"epoch": 3, "val_loss": 0.1}
    tabled.write_text(runs.HISTORY, lines[0])
    (found,) = replay.replay(tabled).differences
    assert (found.epoch, found.key, found.recorded, found.replayed) == (2, "epoch", None, 2)
    tabled.write_text(runs.HISTORY, "".join([*lines, runs.json_line(third)]))
    (found,) = replay.replay(tabled).differences
    assert (found.epoch, found.key, found.recorded, found.replayed) == (3, "epoch", 3, None)


def test_a_single_bit_of_the_weights_differs(tabled):
    original = sha256(tabled.file(runs.WEIGHTS))
    edit_weights(tabled)
    found = replay.replay(tabled)
    changed = sha256(tabled.file(runs.WEIGHTS))
    assert found.differences == (Difference(runs.WEIGHTS, None, None, "sha256", changed, original),)
    assert found.modified == (runs.WEIGHTS,)


def test_a_metric_that_differs_is_named_by_its_path(tabled):
    edit_metrics(tabled, 0.123)
    (found,) = replay.replay(tabled).differences
    assert (found.file, found.key, found.recorded) == (runs.METRICS, "test.accuracy", 0.123)


@pytest.mark.parametrize(
    ("recorded", "replayed", "expected"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, ("a.1.b", 2, 3)),
        ({"a": 1}, {"a": 1, "b": 2}, ("b", None, 2)),
        ({"a": 1, "b": {}}, {"a": 1}, ("b", "a mapping", None)),
        ([1, 2], [1], ("1", 2, None)),
        (True, 1, ("", True, 1)),
        (1, 1.0, ("", 1, 1.0)),
        (0.1 + 0.2, 0.3, ("", 0.1 + 0.2, 0.3)),
        (math.nan, math.nan, None),
        ({"a": [1, None]}, {"a": [1, None]}, None),
        ([], {}, ("", "a list", "a mapping")),
    ],
)
def test_the_first_difference_of_two_values(recorded, replayed, expected):
    assert _first_difference(recorded, replayed) == expected


@pytest.mark.parametrize("metric", ["loss", "val_loss"])
def test_a_non_finite_loss_of_the_replay_is_a_difference_under_its_own_key(
    metric, tabled, scratch, monkeypatch
):
    edit_history(tabled, 2, loss=0.75)

    def non_finite(self, _callbacks=()):
        raise NonFiniteError(
            "The loss is infinite.", "", {"stage": 1, "epoch": 2, "loss": "inf"}, metric
        )

    monkeypatch.setattr(TableLoop, "run", non_finite)
    found = replay.replay(tabled)
    recorded = {"loss": 0.75, "val_loss": 0.5}[metric]
    assert found.differences == (Difference(runs.HISTORY, 1, 2, metric, recorded, "inf"),)
    assert found.epochs == 1
    assert left(scratch) == []


# Causes of differences


def test_versions_and_devices_that_are_not_those_recorded_are_named(tabled, monkeypatch):
    monkeypatch.setattr(artifacts, "versions", lambda: {"numpy": "2.0", "keras": "3.1"})
    edit_record(tabled, versions={"numpy": "2.0", "keras": "3.0", "jax": "1"}, device="a GPU")
    found = replay.replay(tabled)
    assert found.identical
    assert found.changes == (
        Change("keras", "3.0", "3.1"),
        Change("jax", "1", None),
        Change("device", "a GPU", "cpu"),
    )
    assert "keras was 3.0, and is 3.1." in found.causes


@pytest.mark.parametrize(("recorded", "expected"), [("cpu", "cpu"), ("a GPU", "auto")])
def test_a_run_of_the_cpu_is_replayed_on_the_cpu(tabled, monkeypatch, recorded, expected):
    edit_record(tabled, device=recorded)
    configure, devices = pipeline.configure_backend, []
    monkeypatch.setattr(
        pipeline,
        "configure_backend",
        lambda config, device, reporter: (
            devices.append(device) or configure(config, device, reporter)
        ),
    )
    replay.replay(tabled)
    assert devices == [expected]


def test_a_replay_without_determinism_says_so(monkeypatch):
    without_keras(monkeypatch)
    monkeypatch.setattr(replay, "load_training_data", pipeline.load_training_data)
    settings = configs.from_dict(configs.to_dict(CONFIG), {"train.deterministic": False})
    found = replay.replay(pipeline.train(settings, name="x"))
    assert not found.deterministic
    assert "train.deterministic is false" in found.causes[0]


# Refusals


def test_changed_data_is_refused_with_both_fingerprints_before_training(tabled, monkeypatch):
    edit_record(tabled, dataset={**tabled.read_json(runs.RUN)["dataset"], "fingerprint": "0" * 64})
    monkeypatch.setattr(TableLoop, "run", lambda *_: pytest.fail("trained"))
    message = refused(tabled).message
    assert "000000000000" in message
    assert "ffffffffffff" in message


def test_a_changed_test_file_is_refused(tabled, monkeypatch):
    files = {"test": {"path": "t.csv", "sha256": "old"}}
    edit_record(tabled, dataset={**tabled.read_json(runs.RUN)["dataset"], "files": files})
    dataset = replace(replay.load_training_data(), files={"test": SourceFile("t.csv", "new")})
    monkeypatch.setattr(replay, "load_training_data", lambda *_: dataset)
    assert refused(tabled).message.startswith("t.csv has changed since run")


@pytest.mark.parametrize("name", [runs.CONFIG, runs.RUN])
def test_settings_and_records_that_were_changed_are_not_replayed(tabled, name):
    text = tabled.read_text(name)
    tabled.write_text(name, text.replace("seed: 0", "seed: 1").replace('"seed": 0', '"seed": 1'))
    assert name in refused(tabled, ExitCode.INTEGRITY).message


@pytest.mark.parametrize("line", ["{", "[1]", "[" * 100_000])
def test_an_unreadable_history_fails_the_integrity_check(tabled, line):
    first = tabled.read_text(runs.HISTORY).splitlines()[0]
    tabled.write_text(runs.HISTORY, f"{first}\n{line}\n")
    assert "history.jsonl, line 2" in refused(tabled, ExitCode.INTEGRITY).message


@pytest.mark.parametrize(("decay", "began"), [("none", "1 or 2"), ("linear", "2"), ("cosine", "2")])
def test_an_extended_run_is_refused_with_both_numbers_of_epochs(tabled, decay, began):
    config = configs.from_dict(
        configs.to_dict(CONFIG), {"train.epochs": 5, "train.decay": decay, "train.warmup": 0.5}
    )
    rate = learning_rate(config.train, 9, 2 * 10)
    edit_history(tabled, 1, steps=10, learning_rate=rate)
    edit_history(tabled, 2, steps=10)
    tabled.write_text(runs.CONFIG, configs.to_yaml(config))
    tabled.write_manifest()
    message = refused(tabled).message
    assert f"started with train.epochs={began} and extended to 5" in message


def test_a_modified_history_is_not_mistaken_for_an_extended_run(tabled):
    rate = learning_rate(CONFIG.train, 9, 10)
    edit_history(tabled, 1, steps=10, learning_rate=rate)
    edit_history(tabled, 2, steps=10)
    (found,) = replay.replay(tabled).differences
    assert (found.epoch, found.key) == (1, "steps")
    tabled.write_manifest()
    assert "started with train.epochs=1" in refused(tabled).message


def test_a_run_that_was_not_extended_is_not_refused(tabled):
    for epochs in (1, 2, 5):
        settings = configs.from_dict(configs.to_dict(CONFIG), {"train.epochs": epochs})
        rate = learning_rate(settings.train, 9, 10 * epochs)
        replay._check_epochs(tabled, settings, [{"steps": 10, "learning_rate": rate}])


# Temporary files


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["load_training_data", "save", "write_golden", "rmtree"])
def test_an_interrupted_replay_leaves_nothing(where, signum, tabled, lstm, scratch, monkeypatch):
    owner = {"load_training_data": replay, "save": pipeline.checkpoint, "write_golden": artifacts}
    owner = owner.get(where, replay.shutil)
    original, came = getattr(owner, where), []

    def interrupt(*args, **kwargs):
        if not came:
            came.append(left(scratch))
            os.kill(os.getpid(), signum)
        return original(*args, **kwargs)

    before = snapshot(tabled)
    monkeypatch.setattr(owner, where, interrupt)
    code, out, err = lstm("runs", "replay", "x")
    assert (code, out) == (128 + signum, "")
    # The signal came when there was a temporary folder.
    assert bool(came[0]) == (where != "load_training_data")
    assert "--resume" not in err
    assert left(scratch) == []
    assert snapshot(tabled) == before


def test_an_error_leaves_nothing(tabled, scratch, monkeypatch):
    def fail(*_):
        raise LstmError("No space left.")

    monkeypatch.setattr(pipeline.checkpoint, "save", fail)
    assert refused(tabled).message == "No space left."
    assert left(scratch) == []


def test_an_unwritable_temporary_folder_is_an_error_with_a_hint(tabled, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    error = refused(tabled)
    assert "temporary folder" in error.message
    assert "TMPDIR" in error.hint


def test_the_folder_of_the_replay_is_not_reported(tabled, scratch):
    class WarningRecorder(SilentReporter):
        notes = ()

        def note(self, text):
            self.notes += (text,)

    reporter = WarningRecorder()
    replay.replay(tabled, reporter=reporter)
    assert reporter.notes == ("Replaying run demo/x: 2 epochs at most.",)


# The command


def test_identical_is_one_line_and_exit_code_0(tabled, lstm):
    code, out, _ = lstm("runs", "replay", "demo/x")
    assert code == 0
    assert out == "identical: 2 epochs, weights and metrics\n"


def test_a_difference_is_printed_with_its_cause_and_exit_code_5(tabled, lstm):
    edit_history(tabled, 2, loss=0.75)
    edit_weights(tabled)
    code, out, err = lstm("runs", "replay", "x")
    assert code == 5
    assert "identical" not in out
    rows = [line.split() for line in out.splitlines()]
    (history,) = [row for row in rows if row[:1] == ["history.jsonl"]]
    (weights,) = [row for row in rows if row[:1] == ["weights.safetensors"]]
    assert history == ["history.jsonl", "2", "loss", "0.75", "0.5"]
    assert weights[:3] == ["weights.safetensors", "-", "sha256"]
    assert "demo/x was not repeated: history.jsonl differs at epoch 2, in loss." in err
    assert "history.jsonl was changed after training ended." in err


def test_a_difference_without_a_known_cause_says_so(tabled, lstm):
    edit_history(tabled, 1, loss=0.75)
    tabled.write_manifest()
    code, _, err = lstm("runs", "replay", "x")
    assert code == 5
    assert "Versions and device are those recorded" in err


def test_another_version_is_printed_for_an_identical_replay(tabled, lstm):
    edit_record(tabled, versions={"keras": "3.0"})
    code, out, _ = lstm("runs", "replay", "x")
    assert code == 0
    assert "keras was 3.0, and is None." in out


@pytest.mark.parametrize("tampered", [False, True])
def test_json_is_one_object(tabled, lstm, tampered):
    if tampered:
        edit_metrics(tabled, 0.123)
    code, out, _ = lstm("runs", "replay", "x", "--json")
    found = json.loads(out)
    assert code == (5 if tampered else 0)
    assert found["run"] == "demo/x"
    assert found["identical"] is not tampered
    assert [d["key"] for d in found["differences"]] == ["test.accuracy"] * tampered


def test_an_unfinished_run_is_not_replayed(tabled, lstm):
    tabled.write_json(runs.RUN, {**tabled.read_json(runs.RUN), "status": "failed"})
    code, _, err = lstm("runs", "replay", "x")
    assert code == 1
    assert "did not finish" in err
    assert lstm("runs", "replay", "none")[0] == 1


def test_control_characters_in_a_run_are_not_printed(tabled, lstm):
    edit_history(tabled, 1, loss="\x1b[2J" + "x" * 1000)
    code, out, err = lstm("runs", "replay", "x")
    assert code == 5
    assert "\x1b" not in out + err
    assert "x" * 100 not in out


def test_the_run_that_training_started_from_is_found_after_a_renaming(tmp_path):
    first = make_text_run(tmp_path / "demo" / "one")
    digest = first.with_manifest().manifest[runs.WEIGHTS].sha256
    config = text_config(train__init_from=str(first.path))
    record = {"init_from": {"weights_sha256": digest}}
    assert replay._with_referenced_runs(config, record) == config
    renamed = rename(first, "two")
    found = replay._with_referenced_runs(config, record)
    assert found.train.init_from == str(renamed.path)
    make_text_run(first.path, texts=("another run with the old name",))
    assert replay._with_referenced_runs(config, record) == found
    with pytest.raises(LstmError):
        replay._with_referenced_runs(config, {"init_from": {"weights_sha256": "0" * 64}})

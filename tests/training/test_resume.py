"""Resume: an interrupted run ends with the same bits; changed settings and data are refused; a
finished run stays valid until the extended one is written.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import time

import pytest
import safetensors.numpy
from fixtures_checkpoints import WarningRecorder
from fixtures_errors import refused
from fixtures_processes import python
from fixtures_results import RESULTS, results, whole
from fixtures_training import CONFIG, TableLoop, without_keras

from lstm_cli import cli
from lstm_cli.config import load as configs
from lstm_cli.config.load import load_preset
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.set_thresholds import set_thresholds
from lstm_cli.io.progress import SilentReporter
from lstm_cli.io.signals import Interrupted
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.training import artifacts, checkpoint, pipeline, record_failure
from lstm_cli.training.loop import NonFiniteError

# Messages and refusals, with a table in place of the model


@pytest.fixture
def tabled(monkeypatch, tmp_path):
    """`train` without Keras; the command line finds its runs."""
    without_keras(monkeypatch)
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path))
    return lambda name="x", config=CONFIG: pipeline.train(config, name=name)


class KilledError(BaseException):
    """Stands for SIGKILL: no handler of errors catches it."""


def killed(call, monkeypatch, where, name):
    """Call, with SIGKILL at the first call of `where.name`."""

    def die(*_, **__):
        raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(where, name, die)
        patch.setattr(
            record_failure, "recording_failure", lambda *_, **__: contextlib.nullcontext()
        )
        call()


def lstm(capsys, monkeypatch, *arguments):
    """Run the command line in this process; return exit code and stderr."""
    monkeypatch.setattr(sys, "argv", ["lstm", *map(str, arguments)])
    code = cli.run()
    return code, capsys.readouterr().err


FINISHING = [
    (artifacts, "write_model"),
    (artifacts, "write_golden"),
    (artifacts, "write_results"),
    (runs.RunDir, "write_manifest"),
]


@pytest.mark.parametrize(("where", "name"), FINISHING)
def test_a_run_killed_while_finishing_is_finished_and_not_trained(where, name, tabled, monkeypatch):
    expected = results(tabled("whole"))
    killed(tabled, monkeypatch, where, name)
    run = find.find_unfinished(runs.runs_root(), None, "demo")
    with monkeypatch.context() as patch:
        patch.setattr(TableLoop, "save", lambda self: pytest.fail("trained again"))
        pipeline.resume(run)
    assert whole(run)
    assert results(run) == expected


def test_a_run_killed_before_its_first_checkpoint_starts_again(tabled, monkeypatch):
    expected = results(tabled("whole"))
    killed(tabled, monkeypatch, checkpoint, "save")
    run = find.find_unfinished(runs.runs_root(), None, "demo")
    assert results(pipeline.resume(run)) == expected


def test_a_run_killed_before_training_does_not_block_its_name(tabled, monkeypatch):
    expected = results(tabled("whole"))
    killed(tabled, monkeypatch, artifacts, "write_inputs")
    assert [run.name for run in find.all_runs(runs.runs_root())] == ["demo/whole"]
    assert results(tabled()) == expected


def test_a_command_is_recorded_only_if_there_was_one(tabled):
    assert tabled().read_json(runs.RUN)["command"] is None
    assert "started from Python" in tabled("y").read_text(runs.CARD)
    run = pipeline.train(CONFIG, name="z", command="lstm train 'my data.csv'")
    assert run.read_json(runs.RUN)["command"] == "lstm train 'my data.csv'"
    assert "lstm train 'my data.csv'" in run.read_text(runs.CARD)


def test_an_error_before_training_leaves_no_files(tabled, monkeypatch):
    def fail(*_, **__):
        raise LstmError("The data is odd.")

    monkeypatch.setattr(pipeline, "prepare", fail)
    refused(tabled)
    assert not (runs.runs_root() / "demo" / "x").exists()


def test_an_interruption_before_training_leaves_no_files_and_says_so(tabled, monkeypatch):
    monkeypatch.setattr(pipeline, "prepare", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted) as interrupted:
        tabled()
    assert "nothing is kept" in interrupted.value.message
    assert not (runs.runs_root() / "demo" / "x").exists()


def test_an_interruption_while_finishing_says_how_to_resume(tabled, monkeypatch):
    expected = results(tabled("whole"))
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as interrupted:
        patch.setattr(artifacts, "write_golden", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        tabled()
    assert interrupted.value.message == "Resume: lstm train demo --resume x"
    run = runs.RunDir(runs.runs_root() / "demo" / "x")
    assert run.status == "interrupted"
    assert results(pipeline.resume(run)) == expected
    assert "error" not in run.read_json(runs.RUN)


def test_the_resume_command_names_a_run_in_another_folder_by_its_path(tabled, tmp_path):
    run = runs.RunDir(tmp_path / "other place" / "demo" / "x")
    run.path.mkdir(parents=True)
    run.write_json(runs.RUN, {"status": "interrupted", "data": "/data/my reviews.csv"})
    words = shlex.split(find.resume_command(run, tmp_path))
    assert words == ["lstm", "train", "/data/my reviews.csv", "--resume", str(run.path)]


def test_a_finished_run_is_not_resumed(tabled, capsys, monkeypatch):
    tabled()
    code, output = lstm(capsys, monkeypatch, "train", "demo", "--resume", "x")
    assert code == 1
    assert "nothing to resume" in output
    assert "--epochs 4" in output


def test_resume_without_an_unfinished_run_is_an_error(tabled, capsys, monkeypatch):
    code, output = lstm(capsys, monkeypatch, "train", "demo", "--resume")
    assert code == 1
    assert "nothing to resume" in output
    tabled()
    assert "nothing to resume" in lstm(capsys, monkeypatch, "train", "demo", "--resume")[1]
    code, output = lstm(capsys, monkeypatch, "train", "demo", "--resume", "y")
    assert code == 1
    assert "There is no run 'y'" in output


@pytest.fixture
def halfway(tabled, monkeypatch):
    """A run that was killed after its first epoch of two."""
    killed(tabled, monkeypatch, artifacts, "write_history")
    return find.find_unfinished(runs.runs_root(), None, "demo")


CHANGES = {"model.units": 7, "train.learning_rate": 0.5, "seed": 3, "text.max_tokens": 5}


@pytest.mark.parametrize("key", CHANGES)
def test_another_value_of_a_setting_is_refused_with_both_values(key, halfway, capsys, monkeypatch):
    value = CHANGES[key]
    code, output = lstm(capsys, monkeypatch, "train", "demo", "--resume", "--set", f"{key}={value}")
    assert code == 2
    began = configs.to_dict(CONFIG)
    before = began[key] if key == "seed" else began[key.split(".")[0]][key.split(".")[1]]
    assert f"{key} was {before!r}, now {value!r}" in " ".join(output.split())


@pytest.mark.parametrize("key", CHANGES)
def test_a_setting_edited_in_the_run_is_refused_with_both_values(key, halfway):
    edited = configs.from_dict(configs.to_dict(CONFIG), {key: CHANGES[key]})
    halfway.write_text(runs.CONFIG, configs.to_yaml(edited))
    message = refused(pipeline.resume, halfway, code=ExitCode.USAGE).message
    assert f"{key} was " in message
    assert f", now {CHANGES[key]!r}" in message
    assert str(halfway.file(runs.CONFIG)) in message
    halfway.write_text(runs.CONFIG, configs.to_yaml(CONFIG))
    assert whole(pipeline.resume(halfway))


def test_checkpoint_seconds_may_change(halfway):
    settings = configs.to_dict(CONFIG)
    edited = configs.from_dict(settings, {"train.checkpoint_seconds": 5})
    halfway.write_text(runs.CONFIG, configs.to_yaml(edited))
    assert whole(pipeline.resume(halfway))


def test_changed_data_is_refused_with_both_fingerprints(halfway):
    record = halfway.read_json(runs.RUN)
    record["dataset"]["fingerprint"] = "0" * 64
    halfway.write_json(runs.RUN, record)
    message = refused(pipeline.resume, halfway).message
    assert "000000000000" in message
    assert "ffffffffffff" in message
    assert halfway.status == "interrupted"


def test_another_tokenizer_is_refused(halfway):
    halfway.write_text(runs.TOKENIZER, halfway.read_text(runs.TOKENIZER).replace("film", "movie"))
    assert "tokenizer" in refused(pipeline.resume, halfway).message


def test_another_version_or_device_is_a_warning(halfway, monkeypatch):
    record = halfway.read_json(runs.RUN)
    halfway.write_json(runs.RUN, {**record, "versions": {"keras": "3.0"}, "device": "a GPU"})
    monkeypatch.setattr(artifacts, "versions", lambda: {"keras": "3.1", "jax": "1"})
    reporter = SilentWarningRecorder()
    pipeline.resume(halfway, reporter=reporter)
    assert [w for w in reporter.warnings if "keras 3.0 and is resumed with 3.1" in w]
    assert [w for w in reporter.warnings if "device a GPU and is resumed with cpu" in w]
    assert not [w for w in reporter.warnings if "jax" in w]


class SilentWarningRecorder(WarningRecorder, SilentReporter):
    """A complete reporter that records its warnings."""


def test_fewer_epochs_are_refused(halfway):
    message = refused(pipeline.resume, halfway, epochs=1, code=ExitCode.USAGE).message
    assert "train.epochs=2" in message
    assert "--epochs 1" in message


def test_a_new_number_of_epochs_holds_for_later_resumes(halfway, monkeypatch):
    killed(lambda: pipeline.resume(halfway, epochs=4), monkeypatch, TableLoop, "run")
    assert pipeline.resume(halfway).read_json(runs.METRICS)["best_epoch"] == 4
    assert halfway.config().train.epochs == 4


def test_a_finished_run_can_be_extended_and_stays_valid_until_then(tabled, monkeypatch):
    run = tabled()
    set_thresholds(run, min_probability=0.9)
    before = {path: path.read_bytes() for path in run.path.glob("*.*")}
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as interrupted:
        patch.setattr(TableLoop, "result", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        pipeline.resume(run, epochs=4)
    assert whole(run)
    assert {path: path.read_bytes() for path in run.path.glob("*.*")} == before
    # The new number of epochs is saved, so the printed command does not need it.
    assert interrupted.value.message == "Resume: lstm train demo --resume x"
    pipeline.resume(run)
    assert whole(run)
    assert run.read_json(runs.METRICS)["best_epoch"] == 4
    # They were for the old model.
    assert not run.file(runs.THRESHOLDS).exists()


def test_a_finished_run_without_its_checkpoint_is_not_overwritten(tabled):
    run = tabled()
    shutil.rmtree(run.file(runs.CHECKPOINTS))
    assert "has no checkpoint" in refused(pipeline.resume, run, epochs=4).message
    assert whole(run)


def test_a_run_that_stopped_early_needs_no_more_epochs(tabled, monkeypatch):
    monkeypatch.setattr(TableLoop, "stop_reason", lambda self: "no better" * (self.epoch >= 2))
    run = tabled()
    assert "needs no more epochs: no better" in refused(pipeline.resume, run, epochs=9).message
    assert whole(run)


def test_without_valid_checkpoints_a_run_starts_again(halfway, tabled):
    expected = results(tabled("whole"))
    for path in halfway.file(runs.CHECKPOINTS).glob("*.safetensors"):
        path.write_bytes(b"")
    reporter = SilentWarningRecorder()
    assert results(pipeline.resume(halfway, reporter=reporter)) == expected
    assert "damaged" in reporter.warnings[0]


def test_one_damaged_run_does_not_hide_the_others(halfway):
    broken = runs.RunDir(halfway.path.parent / "zzz")
    shutil.copytree(halfway.path, broken.path)
    broken.file(runs.RUN).write_text("{")
    assert find.find_unfinished(runs.runs_root(), None, "demo") == halfway


def test_of_two_runs_with_one_name_that_of_the_data_set_is_resumed(halfway, tmp_path):
    other = runs.RunDir(tmp_path / "another" / "x")
    shutil.copytree(halfway.path, other.path)
    other.write_json(runs.RUN, {**other.read_json(runs.RUN), "data": "another"})
    for data, run in (("demo", halfway), ("another", other)):
        assert find.find_unfinished(tmp_path, "x", data).path == run.path
    assert find.find_unfinished(tmp_path, str(other.path), "demo").path == other.path


def test_seconds_of_several_processes_are_added(halfway, monkeypatch):
    monkeypatch.setattr(TableLoop, "earlier_seconds", 1000.0)
    monkeypatch.setattr(TableLoop, "seconds", 1001.0)
    seconds = pipeline.resume(halfway).read_json(runs.RUN)["seconds"]
    assert seconds["train"] == 1001
    assert 1000 < seconds["total"] < 1060


# Non-finite loss or weights


def non_finite(self, _callbacks=()):
    if self.epoch == 0:
        self.epoch = 1
        self.save()
    found = {"epoch": 2, "step": 5, "loss": "nan", "examples": list(range(100))}
    raise NonFiniteError("The loss is no finite number.", "Lower the rate.", found)


def test_a_non_finite_loss_keeps_the_best_weights_and_names_their_file(tabled, monkeypatch):
    monkeypatch.setattr(TableLoop, "run", non_finite)
    error = refused(tabled)
    run = runs.RunDir(runs.runs_root() / "demo" / "x")
    assert run.status == "failed"
    record = run.read_json(runs.RUN)
    assert record["error"] == error.message
    assert record["non_finite"]["examples"] == list(range(100))
    assert str(run.file(runs.WEIGHTS)) in error.hint
    assert safetensors.numpy.load_file(run.file(runs.WEIGHTS))
    assert Predictor.from_files(run).predict("a fine film")


def test_a_non_finite_loss_in_the_first_epoch_leaves_no_weights(tabled, monkeypatch):
    def at_once(self, _callbacks=()):
        raise NonFiniteError("The loss is no finite number.", "Lower the rate.", {})

    monkeypatch.setattr(TableLoop, "run", at_once)
    refused(tabled)
    assert not (runs.runs_root() / "demo" / "x" / runs.WEIGHTS).exists()


def test_a_non_finite_loss_leaves_a_finished_run_unchanged(tabled, monkeypatch):
    run = tabled()
    before = results(run)
    monkeypatch.setattr(TableLoop, "run", non_finite)
    assert "finished run is unchanged" in refused(pipeline.resume, run, epochs=4).hint
    assert whole(run)
    assert results(run) == before


# Real processes

SETTINGS = {
    "data.demo_train": 400,
    "data.demo_test": 60,
    "embedding.dim": 8,
    "linear.buckets": 300,
    "model.units": 6,
    "model.regions": [2, 3],
    "model.region_units": 4,
    "model.bidirectional": False,
    "text.max_tokens": 20,
    "train.epochs": 8,
    "train.patience": 0,
    "train.batch_size": 64,
    "train.ema_momentum": 0.5,
    "train.checkpoint_seconds": 0.05,
}


def interrupted_process(run, *arguments):
    """Run `lstm train demo` and send SIGINT after the first checkpoint; return code and stderr."""
    code = "import sys; from lstm_cli.cli import main; sys.argv[0] = 'lstm'; main()"
    with python(code, "train", "demo", *arguments) as process:
        until = time.monotonic() + 120
        while time.monotonic() < until and process.poll() is None:
            if list(run.file(runs.CHECKPOINTS).glob("*.json")):
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, output = process.communicate(timeout=120)
    return process.returncode, output


def interrupt_after(num, monkeypatch):
    """Send SIGTERM after some checkpoints."""
    save, saved = checkpoint.save, []

    def saving(*args):
        saved.append(save(*args))
        if len(saved) == num:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(checkpoint, "save", saving)


def test_training_interrupted_twice_ends_with_the_same_bits(tmp_path, monkeypatch):
    """SIGINT in the first process, SIGTERM in the second; the third finishes the run."""
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path))
    run = runs.RunDir(tmp_path / "demo" / "x")
    options = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    code, output = interrupted_process(run, "--name", "x", *options)
    assert code == 130, output
    assert "Traceback" not in output
    assert "Interrupted. Saved at " in output
    assert "Resume: lstm train demo --resume x" in output
    assert run.status == "interrupted"
    assert not [path for path in run.path.rglob(".*") if path.name != runs.LOCK]

    with monkeypatch.context() as patch, pytest.raises(Interrupted) as again:
        interrupt_after(4, patch)
        pipeline.resume(run)
    assert again.value.exit_code == 143
    assert again.value.message.endswith("Resume: lstm train demo --resume x")

    pipeline.resume(run)
    assert whole(run)
    expected = pipeline.train(load_preset("demo", SETTINGS), name="whole")
    same = set(RESULTS) - {runs.HISTORY}
    assert {n: results(run)[n] for n in same} == {n: results(expected)[n] for n in same}
    assert untimed(run) == untimed(expected)


def untimed(run):
    lines = [json.loads(line) for line in run.read_text(runs.HISTORY).splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.mark.slow
def test_processes_killed_at_random_end_with_the_same_bits():
    """A small `python -m benchmarks.crash`."""
    from benchmarks import crash

    outcome = crash.measure(argparse.Namespace(kills=6, seeds=1))
    assert sum(found["kills"] for found in outcome.measurements["models"]) == 6
    assert [found["losses"] for found in outcome.measurements["models"]] == [0, 0]

"""Resume: a run that was killed ends with the bits it would have ended with; what has changed is
refused; what is finished stays finished until there is something better.
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
from fixtures_checkpoints import Heard
from fixtures_errors import refused
from fixtures_processes import python
from fixtures_results import RESULTS, results, whole
from fixtures_training import CONFIG, TableLoop, without_keras

from lstm_cli import cli
from lstm_cli.config import load as configs
from lstm_cli.config.load import load_preset
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import SilentReporter
from lstm_cli.io.signals import Interrupted
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.training import artifacts, checkpoint, resume_checks, train
from lstm_cli.training.loop import NonFiniteError

# What is told and refused; the network is a table here


@pytest.fixture
def tabled(monkeypatch, tmp_path):
    """`train` without Keras; runs go where the command line finds them."""
    without_keras(monkeypatch)
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path))
    return lambda name="x", config=CONFIG: train.train(config, name=name)


class KilledError(BaseException):
    """What SIGKILL is to code that handles errors."""


def killed(call, monkeypatch, where, name):
    """Call; the process dies where it comes to `where.name`, and does nothing after."""

    def die(*_, **__):
        raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(where, name, die)
        patch.setattr(resume_checks, "recording_failure", lambda *_, **__: contextlib.nullcontext())
        call()


def lstm(capsys, monkeypatch, *arguments):
    """Run the command line here; return exit code and stderr."""
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
        train.resume(run)
    assert whole(run)
    assert results(run) == expected


def test_a_run_killed_before_its_first_checkpoint_begins_again(tabled, monkeypatch):
    expected = results(tabled("whole"))
    killed(tabled, monkeypatch, checkpoint, "save")
    run = find.find_unfinished(runs.runs_root(), None, "demo")
    assert results(train.resume(run)) == expected


def test_a_run_killed_before_training_began_is_no_obstacle(tabled, monkeypatch):
    expected = results(tabled("whole"))
    killed(tabled, monkeypatch, artifacts, "write_inputs")
    assert [run.name for run in find.all_runs(runs.runs_root())] == ["demo/whole"]
    assert results(tabled()) == expected


def test_an_error_before_training_began_leaves_no_trace(tabled, monkeypatch):
    def fail(*_, **__):
        raise LstmError("The data is odd.")

    monkeypatch.setattr(train, "prepare", fail)
    refused(tabled)
    assert not (runs.runs_root() / "demo" / "x").exists()


def test_an_interruption_before_training_began_leaves_no_trace_and_says_so(tabled, monkeypatch):
    monkeypatch.setattr(train, "prepare", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
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
    assert results(train.resume(run)) == expected
    assert "error" not in run.read_json(runs.RUN)


def test_the_way_to_resume_names_a_run_elsewhere_by_its_path(tabled, tmp_path):
    run = runs.RunDir(tmp_path / "other place" / "demo" / "x")
    told = shlex.split(resume_checks.command(run, {"data": "/data/my reviews.csv"}))
    assert told == ["lstm", "train", "/data/my reviews.csv", "--resume", str(run.path)]


def test_a_finished_run_is_not_resumed(tabled, capsys, monkeypatch):
    tabled()
    code, told = lstm(capsys, monkeypatch, "train", "demo", "--resume", "x")
    assert code == 1
    assert "nothing to resume" in told
    assert "--epochs 4" in told


def test_where_there_is_nothing_to_resume_it_is_said(tabled, capsys, monkeypatch):
    code, told = lstm(capsys, monkeypatch, "train", "demo", "--resume")
    assert code == 1
    assert "nothing to resume" in told
    tabled()
    assert "nothing to resume" in lstm(capsys, monkeypatch, "train", "demo", "--resume")[1]
    code, told = lstm(capsys, monkeypatch, "train", "demo", "--resume", "y")
    assert code == 1
    assert "There is no run 'y'" in told


@pytest.fixture
def halfway(tabled, monkeypatch):
    """A run that was killed after its first epoch of two."""
    killed(tabled, monkeypatch, artifacts, "write_history")
    return find.find_unfinished(runs.runs_root(), None, "demo")


CHANGES = {"model.units": 7, "train.learning_rate": 0.5, "seed": 3, "text.max_tokens": 5}


@pytest.mark.parametrize("key", CHANGES)
def test_a_setting_typed_anew_is_refused_with_both_values(key, halfway, capsys, monkeypatch):
    value = CHANGES[key]
    code, told = lstm(capsys, monkeypatch, "train", "demo", "--resume", "--set", f"{key}={value}")
    assert code == 2
    began = configs.to_dict(CONFIG)
    before = began[key] if key == "seed" else began[key.split(".")[0]][key.split(".")[1]]
    assert f"{key} was {before!r}, now {value!r}" in " ".join(told.split())


@pytest.mark.parametrize("key", CHANGES)
def test_a_setting_edited_in_the_run_is_refused_with_both_values(key, halfway):
    edited = configs.from_dict(configs.to_dict(CONFIG), {key: CHANGES[key]})
    halfway.write_text(runs.CONFIG, configs.to_yaml(edited))
    message = refused(train.resume, halfway, code=ExitCode.USAGE).message
    assert f"{key} was " in message
    assert f", now {CHANGES[key]!r}" in message
    assert str(halfway.file(runs.CONFIG)) in message
    halfway.write_text(runs.CONFIG, configs.to_yaml(CONFIG))
    assert whole(train.resume(halfway))


def test_how_often_to_save_may_change(halfway):
    settings = configs.to_dict(CONFIG)
    edited = configs.from_dict(settings, {"train.checkpoint_seconds": 5})
    halfway.write_text(runs.CONFIG, configs.to_yaml(edited))
    assert whole(train.resume(halfway))


def test_changed_data_is_refused_with_both_fingerprints(halfway):
    record = halfway.read_json(runs.RUN)
    record["dataset"]["fingerprint"] = "0" * 64
    halfway.write_json(runs.RUN, record)
    message = refused(train.resume, halfway).message
    assert "000000000000" in message
    assert "ffffffffffff" in message
    assert halfway.status == "interrupted"


def test_another_tokenizer_is_refused(halfway):
    halfway.write_text(runs.TOKENIZER, halfway.read_text(runs.TOKENIZER).replace("film", "movie"))
    assert "tokenizer" in refused(train.resume, halfway).message


def test_another_version_or_device_is_told(halfway, monkeypatch):
    record = halfway.read_json(runs.RUN)
    halfway.write_json(runs.RUN, {**record, "versions": {"keras": "3.0"}, "device": "a GPU"})
    monkeypatch.setattr(artifacts, "versions", lambda: {"keras": "3.1", "jax": "1"})
    heard = HeardAll()
    train.resume(halfway, reporter=heard)
    assert [w for w in heard.warnings if "keras 3.0 and goes on with 3.1" in w]
    assert [w for w in heard.warnings if "device a GPU and goes on with cpu" in w]
    assert not [w for w in heard.warnings if "jax" in w]


class HeardAll(Heard, SilentReporter):
    """A reporter that keeps its warnings, and is silent on all else."""


def test_fewer_epochs_are_refused(halfway):
    message = refused(train.resume, halfway, epochs=1, code=ExitCode.USAGE).message
    assert "train.epochs=2" in message
    assert "--epochs 1" in message


def test_more_epochs_once_asked_for_hold_for_every_later_resume(halfway, monkeypatch):
    killed(lambda: train.resume(halfway, epochs=4), monkeypatch, TableLoop, "run")
    assert train.resume(halfway).read_json(runs.METRICS)["best_epoch"] == 4
    assert halfway.config().train.epochs == 4


def test_a_finished_run_can_be_trained_on_and_is_whole_until_then(tabled, monkeypatch):
    run = tabled()
    before = {path: path.read_bytes() for path in run.path.glob("*.*")}
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as interrupted:
        patch.setattr(TableLoop, "fitted", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        train.resume(run, epochs=4)
    assert whole(run)
    assert {path: path.read_bytes() for path in run.path.glob("*.*")} == before
    # The epochs asked for are remembered, so that the command told needs no more.
    assert interrupted.value.message == "Resume: lstm train demo --resume x"
    train.resume(run)
    assert whole(run)
    assert run.read_json(runs.METRICS)["best_epoch"] == 4


def test_a_finished_run_without_its_checkpoint_is_not_overwritten(tabled):
    run = tabled()
    shutil.rmtree(run.file(runs.CHECKPOINTS))
    assert "holds no checkpoint" in refused(train.resume, run, epochs=4).message
    assert whole(run)


def test_a_run_that_stopped_early_needs_no_more_epochs(tabled, monkeypatch):
    monkeypatch.setattr(TableLoop, "stop_reason", lambda self: "no better" * (self.epoch >= 2))
    run = tabled()
    assert "needs no more epochs: no better" in refused(train.resume, run, epochs=9).message
    assert whole(run)


def test_a_damaged_checkpoint_costs_its_epochs_and_not_the_run(halfway, tabled):
    expected = results(tabled("whole"))
    for path in halfway.file(runs.CHECKPOINTS).glob("*.safetensors"):
        path.write_bytes(b"")
    heard = HeardAll()
    assert results(train.resume(halfway, reporter=heard)) == expected
    assert "damaged" in heard.warnings[0]


def test_one_damaged_run_does_not_hide_the_others(halfway):
    broken = runs.RunDir(halfway.path.parent / "zzz")
    shutil.copytree(halfway.path, broken.path)
    broken.file(runs.RUN).write_text("{")
    assert find.find_unfinished(runs.runs_root(), None, "demo") == halfway


def test_of_two_runs_of_one_name_the_one_on_the_data_is_meant(halfway, tmp_path):
    other = runs.RunDir(tmp_path / "another" / "x")
    shutil.copytree(halfway.path, other.path)
    other.write_json(runs.RUN, {**other.read_json(runs.RUN), "data": "another"})
    for data, run in (("demo", halfway), ("another", other)):
        assert find.find_unfinished(tmp_path, "x", data).path == run.path
    assert find.find_unfinished(tmp_path, str(other.path), "demo").path == other.path


def test_time_adds_up_over_processes(halfway, monkeypatch):
    monkeypatch.setattr(TableLoop, "earlier_seconds", 1000.0)
    monkeypatch.setattr(TableLoop, "seconds", 1001.0)
    seconds = train.resume(halfway).read_json(runs.RUN)["seconds"]
    assert seconds["train"] == 1001
    assert 1000 < seconds["total"] < 1060


# Numbers gone wrong


def non_finite(self, _callbacks=()):
    if self.epoch == 0:
        self.epoch = 1
        self.save()
    found = {"epoch": 2, "step": 5, "loss": "nan", "examples": list(range(100))}
    raise NonFiniteError("The loss is no finite number.", "Lower the rate.", found)


def test_numbers_gone_wrong_keep_the_best_weights_and_say_where(tabled, monkeypatch):
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


def test_numbers_gone_wrong_before_the_first_epoch_leave_no_weights(tabled, monkeypatch):
    def at_once(self, _callbacks=()):
        raise NonFiniteError("The loss is no finite number.", "Lower the rate.", {})

    monkeypatch.setattr(TableLoop, "run", at_once)
    refused(tabled)
    assert not (runs.runs_root() / "demo" / "x" / runs.WEIGHTS).exists()


def test_numbers_gone_wrong_leave_a_finished_run_as_it_was(tabled, monkeypatch):
    run = tabled()
    before = results(run)
    monkeypatch.setattr(TableLoop, "run", non_finite)
    assert "left as it was" in refused(train.resume, run, epochs=4).hint
    assert whole(run)
    assert results(run) == before


# Real processes

SETTINGS = {
    "data.demo_train": 400,
    "data.demo_test": 60,
    "embedding.dim": 8,
    "linear.buckets": 300,
    "model.units": 6,
    "model.bidirectional": False,
    "text.max_tokens": 20,
    "train.epochs": 8,
    "train.patience": 0,
    "train.batch_size": 64,
    "train.ema_momentum": 0.5,
    "train.checkpoint_seconds": 0.05,
}


def interrupted_process(run, *arguments):
    """Run `lstm train demo`, press Ctrl-C once a checkpoint is saved; return code and stderr."""
    code = "import sys; from lstm_cli.cli import main; sys.argv[0] = 'lstm'; main()"
    with python(code, "train", "demo", *arguments) as process:
        until = time.monotonic() + 120
        while time.monotonic() < until and process.poll() is None:
            if list(run.file(runs.CHECKPOINTS).glob("*.json")):
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
    return process.returncode, told


def interrupt_after(num, monkeypatch):
    """Have SIGTERM arrive after some checkpoints."""
    save, saved = checkpoint.save, []

    def saving(*args):
        saved.append(save(*args))
        if len(saved) == num:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(checkpoint, "save", saving)


def test_training_interrupted_twice_ends_with_the_same_bits(tmp_path, monkeypatch):
    """Ctrl-C in one process, SIGTERM in the one that goes on, and a third that ends it."""
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path))
    run = runs.RunDir(tmp_path / "demo" / "x")
    options = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    code, told = interrupted_process(run, "--name", "x", *options)
    assert code == 130, told
    assert "Traceback" not in told
    assert "Interrupted. Saved at " in told
    assert "Resume: lstm train demo --resume x" in told
    assert run.status == "interrupted"
    assert not [path for path in run.path.rglob(".*") if path.name != runs.LOCK]

    monkeypatch.setattr(artifacts, "_draw", lambda *_: [])
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as again:
        interrupt_after(4, patch)
        train.resume(run)
    assert again.value.exit_code == 143
    assert again.value.message.endswith("Resume: lstm train demo --resume x")

    train.resume(run)
    assert whole(run)
    expected = train.train(load_preset("demo", SETTINGS), name="whole")
    same = set(RESULTS) - {runs.HISTORY}
    assert {n: results(run)[n] for n in same} == {n: results(expected)[n] for n in same}
    assert untimed(run) == untimed(expected)


def untimed(run):
    lines = [json.loads(line) for line in run.read_text(runs.HISTORY).splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.mark.slow
def test_processes_killed_at_random_moments_end_with_the_same_bits():
    """`python -m benchmarks.crash`, in small."""
    from benchmarks import crash

    outcome = crash.measure(argparse.Namespace(kills=6, seeds=1))
    assert sum(found["kills"] for found in outcome.measurements["models"]) == 6
    assert [found["losses"] for found in outcome.measurements["models"]] == [0, 0]

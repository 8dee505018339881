"""Searches from their first trial to the winner; `trainer.py` stands for training."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

import pytest
from fixtures_tune import TRAINER, drawn, question, search, trials_of, use_trainer
from optuna.trial import TrialState

from lstm_cli.errors import LstmError
from lstm_cli.io.progress import SilentReporter
from lstm_cli.tune import study
from lstm_cli.tune.folder import StudyFolder, find_study
from lstm_cli.tune.outcomes import is_dead

_PATCHED = """
import sys
from lstm_cli import cli
from lstm_cli.tune import process
process.LSTM = ("-S", sys.argv.pop(1))
sys.exit(cli.run())
"""


@pytest.fixture
def starts(monkeypatch, tmp_path):
    return use_trainer(monkeypatch, tmp_path)


def command(*arguments):
    """Start `lstm tune` as a process."""
    return subprocess.Popen(
        [sys.executable, "-c", _PATCHED, str(TRAINER), "tune", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_first_trial_has_the_default_settings_and_the_winner_is_scored_on_test(
    starts, tmp_path
):
    found = search(tmp_path, trials=6)
    folder = StudyFolder(found.path)
    trials = trials_of(folder)
    assert len(trials) == 6
    assert trials[0].user_attrs["overrides"] == {}
    assert trials[0].params["model.units"] == 48
    values = [trial.value for trial in trials if trial.state == TrialState.COMPLETE]
    assert found.best.value == max(values) >= trials[0].value == found.default
    # Only the winner has results on test.
    results = {
        path.parent.name: json.loads(path.read_text()) for path in tmp_path.rglob("metrics.json")
    }
    assert [name for name, result in results.items() if "test" in result] == [
        found.winner.path.name
    ]
    assert found.winner.path == tmp_path / "runs" / "demo" / f"s-{found.best.number:03d}"
    assert found.to_dict()["winner"]["metrics"]["validation"]["accuracy"] == found.best.value


def test_trials_that_are_worse_after_some_epochs_are_pruned(starts, tmp_path):
    found = search(tmp_path, trials=12)
    pruned = [t for t in trials_of(StudyFolder(found.path)) if t.state == TrialState.PRUNED]
    assert found.trials.pruned == len(pruned) > 0
    assert all(trial.last_step < 9 for trial in pruned)
    assert found.trials.complete > 1


def test_a_trial_that_dies_is_recorded_and_the_search_goes_on(starts, tmp_path):
    space = "model.units: [13, 17, 40]\n"
    found = search(tmp_path, space=space, trials=8)
    trials = trials_of(StudyFolder(found.path))
    errors = {t.params["model.units"]: t.user_attrs["error"] for t in trials if is_dead(t)}
    assert errors == {
        13: "The loss is not finite.",
        17: "the training process was killed by signal 9",
    }
    assert found.trials.ended == 8
    assert found.best.params["model.units"] == 40


def test_a_search_ends_if_all_first_trials_die(starts, tmp_path):
    with pytest.raises(LstmError, match="The loss is not finite"):
        search(tmp_path, overrides={"model.units": 13}, space="train.learning_rate: [0.1, 0.2]\n")


def test_the_same_seed_draws_the_same_trials(starts, tmp_path):
    first = search(tmp_path, trials=3)
    again = search(tmp_path, trials=3, name="again")
    other = search(tmp_path, trials=3, name="other", overrides={"seed": 1})
    same, repeated, different = (
        drawn(trials_of(StudyFolder(f.path))) for f in (first, again, other)
    )
    assert same == repeated
    assert same[0] == different[0]
    assert same[1:] != different[1:]


def test_a_search_that_was_killed_goes_on_with_the_same_trials(starts, tmp_path, monkeypatch):
    expected = drawn(trials_of(StudyFolder(search(tmp_path, trials=4).path)))
    starts.unlink()
    monkeypatch.setenv("TRAINER_SECONDS", "0.08")
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path / "killed"))
    process = command("demo", "--trials", 4, "--space", tmp_path / "space.yaml")
    for _ in range(2):
        before = num_lines(starts)
        wait_for(lambda before=before: num_lines(starts) > before)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        process = command("--resume")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert drawn(trials_of(find_study(tmp_path / "killed", None))) == expected
    trained = [line for line in starts.read_text().splitlines() if line.startswith("train")]
    assert trained == [f"train {number:03d}" for number in range(4)]


def test_ctrl_c_saves_the_trials(starts, tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINER_SECONDS", "0.1")
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path / "runs"))
    question(tmp_path)
    process = command("demo", "--trials", 3, "--space", tmp_path / "space.yaml", "--name", "s")
    wait_for(lambda: list(tmp_path.rglob("history.jsonl")))
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "lstm tune --resume demo/s" in err
    (run,) = tmp_path.rglob("run.json")
    assert json.loads(run.read_text())["status"] == "interrupted"


def test_two_processes_share_the_trials_of_a_study(starts, tmp_path, monkeypatch):
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path / "runs"))
    question(tmp_path)
    arguments = ("--trials", 5, "--space", tmp_path / "space.yaml", "--name", "s", "--json")
    first = command("demo", *arguments)
    wait_for(lambda: starts.exists())
    second = command("--resume", "s")
    results = [process.communicate(timeout=60) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), results
    trials = trials_of(find_study(tmp_path / "runs", "s"))
    assert len(trials) == 5
    trained = [line for line in starts.read_text().splitlines() if line.startswith("train")]
    assert sorted(trained) == [f"train {number:03d}" for number in range(5)]
    # Only one of them scored the winner.
    assert len([line for line in starts.read_text().splitlines() if "s-" in line]) == 1
    assert json.loads(results[0][0])["trials"]["complete"] >= 1


def test_more_trials_after_the_end(starts, tmp_path):
    found = search(tmp_path, trials=2)
    with pytest.raises(LstmError, match="already a study") as caught:
        search(tmp_path, trials=1)
    assert "--resume demo/s" in caught.value.hint
    more = study.resume(StudyFolder(found.path), {"trials": 4}, None, SilentReporter())
    assert (found.trials.ended, more.trials.ended) == (2, 4)
    assert more.seconds > found.seconds


def test_another_run_is_not_taken_for_the_winner(starts, tmp_path):
    found = search(tmp_path, trials=1)
    folder, path = StudyFolder(found.path), found.winner.path
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**info, "started": "2025"}))
    with pytest.raises(LstmError, match="s-000 is another run, not a copy of"):
        study.resume(folder, {}, None, SilentReporter())
    # Neither is a copy that a killed process left unfinished a run.
    path.rename(tmp_path / "mine")
    (folder.path / "winner.part").mkdir()
    again = study.resume(folder, {}, None, SilentReporter())
    assert again.winner.status == "finished"
    assert not (folder.path / "winner.part").exists()


def test_a_study_without_the_runs_of_its_trials_says_so(starts, tmp_path):
    found = search(tmp_path, trials=1)
    shutil.rmtree(found.path / "trials")
    reporter = Mock()
    assert study.resume(StudyFolder(found.path), {}, None, reporter).winner is None
    assert "The run of trial 0, the best one, is missing" in str(reporter.warn.call_args)
    assert found.winner.status == "finished"


def test_a_name_that_winners_had_is_refused(starts, tmp_path):
    (tmp_path / "runs" / "demo" / "s-012").mkdir(parents=True)
    with pytest.raises(LstmError, match="already a run demo/s-012"):
        search(tmp_path, trials=1)
    assert not (tmp_path / "runs" / "demo" / "s.study").exists()


def test_changed_data_ends_trials(starts, tmp_path, monkeypatch):
    found = search(tmp_path, trials=2)
    monkeypatch.setenv("TRAINER_DATA", "b")
    more = study.resume(StudyFolder(found.path), {"trials": 3}, None, SilentReporter())
    assert "the data has changed" in trials_of(StudyFolder(found.path))[2].user_attrs["error"]
    assert more.best.number == found.best.number


def test_time_ends_a_search(starts, tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINER_SECONDS", "0.1")
    found = search(tmp_path, trials=None, seconds=2.5)
    assert 2 <= found.seconds < 8
    assert found.winner is not None


def num_lines(file):
    return len(file.read_text().splitlines()) if file.exists() else 0


def wait_for(condition):
    """Wait until something is true, at most 30 seconds."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)

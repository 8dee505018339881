"""`lstm tune show` on a study whose trials nobody trained."""

from __future__ import annotations

import json

import msgspec
import optuna
import pytest
from fixtures_reports import lstm, parse_page
from fixtures_study import add_trial, make_study

from lstm_cli.config.load import load_preset, to_dict
from lstm_cli.errors import ExitCode
from lstm_cli.tune import claims
from lstm_cli.tune.folder import StudyFolder, StudyRequest
from lstm_cli.tune.show import read_summary
from lstm_cli.tune.storage import SAVED, create_study, load_study, open_storage


@pytest.fixture
def study(tmp_path):
    """The folder of a study with the twelve trials of `make_study`, and two that are running."""
    config = load_preset("imdb", {"model.units": 48})
    request = StudyRequest(
        data="imdb",
        study="imdb/quick",
        metric="macro_f1",
        direction="maximize",
        seed=0,
        settings={"model.units": 48},
        resolved=to_dict(config),
        space={"model.dropout": [0.3, 0.5]},
    )
    folder = StudyFolder(tmp_path / "imdb" / "quick.study")
    folder.path.mkdir(parents=True)
    folder.write(request)
    storage = open_storage(folder, None)
    optuna.create_study(
        storage=storage, study_name=request.study, direction=request.direction
    ).add_trials(make_study().trials)
    loaded = load_study(storage, request)
    for _ in range(2):
        add_trial(loaded, {"model.units": 20}, state=optuna.trial.TrialState.RUNNING)
    loaded.set_user_attr("winner", "../quick-003")
    return folder


def test_a_study_is_read_from_its_folder(study):
    claim = claims.claim(study.path, 13)
    summary = read_summary(study)
    claim.release()
    assert (summary.name, summary.data, summary.metric) == ("imdb/quick", "imdb", "macro_f1")
    assert summary.winner == "imdb/quick-003"
    states = {trial.number: trial.state for trial in summary.trials}
    # No process has the lock of trial 12.
    assert (states[12], states[13]) == ("interrupted", "running")
    units = next(setting for setting in summary.settings if setting.key == "model.units")
    assert units.default == 48


def test_trial_that_another_machine_has_saved_is_interrupted(study, tmp_path):
    url = f"sqlite:///{tmp_path}/studies.db"
    request = msgspec.structs.replace(study.request(), storage=url)
    study.write(request)
    shared = optuna.create_study(storage=open_storage(study, url), study_name=request.study)
    for attributes in ({}, {SAVED: True}, {SAVED: False}):
        add_trial(shared, {}, state=optuna.trial.TrialState.RUNNING, **attributes)
    states = {trial.number: trial.state for trial in read_summary(study).trials}
    assert states == {0: "running", 1: "interrupted", 2: "running"}


def test_the_command_prints_the_best_trials_and_writes_a_page(study, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = lstm("tune", "show", "quick", "--trials", 3, "--runs-dir", tmp_path)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    header = next(i for i, line in enumerate(lines) if line.startswith("trial "))
    scored = [line.split()[:2] for line in lines[header:] if line[:6].strip().isdigit()]
    assert scored == [["3", "0.9000"], ["2", "0.8600"], ["4", "0.8600"]]
    assert "11 further trials" in result.stdout
    assert any(line.split()[:1] == ["train.learning_rate"] for line in lines)
    page = study.path / "report.html"
    assert lines[-1] == f"Page: {page}"
    assert len(parse_page(page).pictures) == 3


def test_json_has_every_trial_and_writes_no_page(study, tmp_path):
    result = lstm("tune", "show", "--json", "--runs-dir", tmp_path)
    found = json.loads(result.stdout)
    assert found["study"] == "imdb/quick"
    assert (found["best"], found["winner"]) == (3, "imdb/quick-003")
    assert len(found["trials"]) == 14
    assert found["path"] == str(study.path)
    assert not (study.path / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["nothing"], ExitCode.ERROR), (["quick", "--out", "page.txt"], ExitCode.USAGE)],
)
def test_what_cannot_be_shown_is_an_error(study, tmp_path, arguments, code):
    result = lstm("tune", "show", *arguments, "--runs-dir", tmp_path)
    assert result.exception.exit_code == code


def test_a_study_that_a_database_has_already_is_joined(study):
    """The process that makes a study queues the default settings, and no other does."""
    request = study.request()
    folder = StudyFolder(study.path.parent / "new.study")
    folder.path.mkdir()
    storage = open_storage(folder, None)
    for _ in range(2):
        create_study(storage, request)
    trials = load_study(storage, request).trials
    assert [trial.user_attrs.get("default") for trial in trials] == [True]

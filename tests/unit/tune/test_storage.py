"""The storage of a study: the journal, a database with heartbeats, and how trials are judged."""

from __future__ import annotations

from datetime import timedelta

import optuna
import pytest
from fixtures_reports import lstm
from fixtures_tune import question, search, trials_of, use_trainer
from msgspec.structs import replace
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.errors import LstmError
from lstm_cli.io.progress import SilentReporter
from lstm_cli.runs.schema import EpochLine
from lstm_cli.tune import ask, claims, study
from lstm_cli.tune import search as searching
from lstm_cli.tune import storage as storages
from lstm_cli.tune.folder import JOURNAL, StudyFolder, find_study, new_folder
from lstm_cli.tune.trial import SearchStopped, Trial, progress_values

FLOATS = (
    "model.dropout", "embedding.dropout", "embedding.word_dropout", "train.learning_rate",
)  # fmt: skip


def line(epoch, val_loss, stage=1, best=True):
    return EpochLine(
        epoch=epoch, steps=1, loss=1.0, val_loss=val_loss, learning_rate=0.1, seconds=1.0,
        best=best, stage=stage, accuracy=0.5,
        val_accuracy=None if val_loss is None else round(1 - val_loss, 6),
    )  # fmt: skip


@pytest.fixture
def request_(tmp_path):
    return ask.make_request(question(tmp_path), tmp_path / "runs")[1]


def test_the_value_of_an_epoch_is_that_of_the_best_so_far(request_):
    lines = [line(1, 0.5), line(2, 0.6, best=False), line(3, 0.4), line(1, None, stage=2)]
    assert progress_values(lines, request_) == [0.5, 0.5, 0.6]
    assert progress_values(lines, replace(request_, metric="loss")) == [0.5, 0.5, 0.4]


def test_folds_are_compared_by_the_mean_of_those_that_ended(request_):
    resolved = {**request_.resolved, "data": {"name": "demo", "folds": 3}}
    asked = replace(request_, resolved=resolved)
    lines = [line(1, 0.5), line(2, 0.3), line(1, 0.5, stage=2)]
    assert progress_values(lines, asked) == [0.7]
    lines += [line(1, 0.4, stage=3), line(1, None, stage=4)]
    assert progress_values(lines, asked) == pytest.approx([0.7, 0.6, 0.6])


def test_a_torn_line_at_the_end_of_the_journal_is_cut(tmp_path, monkeypatch):
    use_trainer(monkeypatch, tmp_path)
    found = search(tmp_path, trials=1)
    with (found.path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 4, "tri')
    more = study.resume(StudyFolder(found.path), {"trials": 2}, None, SilentReporter())
    assert more.trials.ended == 2


def test_the_trial_of_a_lost_worker_is_done_by_another(tmp_path, monkeypatch):
    starts = use_trainer(monkeypatch, tmp_path)
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    folder, request = ask.make_request(question(tmp_path, storage=url), tmp_path / "runs")
    database = storages.open_storage(folder, url)
    storages.create_study(database, request)
    # A worker on another machine, which recorded where it is and then was killed.
    lost = storages.load_study(database, request).ask()
    lost.set_user_attr("place", "elsewhere:/study")
    database.record_heartbeat(lost._trial_id)
    monkeypatch.setattr(database, "grace_period", 1)
    monkeypatch.setattr(searching, "open_storage", lambda *_: database)
    found = study.start(folder, request, url, SilentReporter())
    trials = trials_of(folder, url)
    assert [trial.state for trial in trials].count(TrialState.FAIL) == 1
    assert trials[0].state == TrialState.FAIL
    # The trial with the default settings is not lost, and no other one was done in its place.
    assert trials[0].user_attrs["default"]
    assert found.default is not None
    assert found.trials.ended == 4
    begun = starts.read_text().splitlines()
    assert len(begun) == len(set(begun)) == 5


def test_a_worker_that_died_at_once_is_lost_too(tmp_path, monkeypatch):
    use_trainer(monkeypatch, tmp_path)
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    folder, request = ask.make_request(question(tmp_path, storage=url, trials=1), tmp_path / "runs")
    database = storages.open_storage(folder, url)
    storages.create_study(database, request)
    storages.load_study(database, request).ask()
    monkeypatch.setattr(searching, "_LOST_AFTER", timedelta(seconds=-1))
    found = study.start(folder, request, url, SilentReporter())
    assert found.trials.ended == 1
    assert found.default is not None


def test_a_worker_that_was_silent_goes_on_with_other_trials(tmp_path, monkeypatch):
    use_trainer(monkeypatch, tmp_path)
    url = f"sqlite:///{tmp_path / 'studies.db'}"

    def silent(self):
        # Meanwhile another worker fails the trial, and queues it again.
        monkeypatch.undo()
        use_trainer(monkeypatch, tmp_path)
        self.storage.set_trial_state_values(self.trial._trial_id, TrialState.FAIL)
        storages.retry(self.trial.study, self.storage.get_trial(self.trial._trial_id))
        self.trial.report(0.5, 1)

    monkeypatch.setattr(Trial, "train", silent)
    found = search(tmp_path, storage=url, trials=1)
    assert [t.state for t in trials_of(StudyFolder(found.path), url)] == [
        TrialState.FAIL, TrialState.COMPLETE,
    ]  # fmt: skip


def test_a_storage_that_fails_ends_the_search_with_a_reason(tmp_path, monkeypatch):
    def fail(self):
        raise OperationalError("SELECT 1", {}, Exception("me:se/cret@host is gone.\nMore."))

    monkeypatch.setattr(searching.Search, "_fail_lost", fail)
    monkeypatch.setattr(searching, "open_storage", lambda *_: None)
    folder, request = ask.make_request(question(tmp_path), tmp_path / "runs")
    folder.path.mkdir(parents=True)
    url = "postgresql+psycopg://me:se/cret@host/db"
    with pytest.raises(LstmError, match=r"^The storage failed: .*is gone") as caught:
        searching.Search(folder, request, url, SilentReporter()).run()
    assert "lstm tune --resume" in caught.value.hint
    assert "cret" not in caught.value.message


def test_no_trial_is_drawn_if_no_time_is_left(tmp_path, monkeypatch):
    use_trainer(monkeypatch, tmp_path)
    found = search(tmp_path, trials=1)
    more = study.resume(
        StudyFolder(found.path), {"trials": 9, "seconds": 0.1}, None, SilentReporter()
    )
    assert len(trials_of(StudyFolder(found.path))) == more.trials.ended == 1


def test_a_trial_that_is_saved_elsewhere_does_not_delay_the_winner(tmp_path, monkeypatch):
    use_trainer(monkeypatch, tmp_path)
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    folder = StudyFolder(search(tmp_path, storage=url, trials=1).path)
    database = storages.open_storage(folder, url)
    other = storages.load_study(database, folder.request()).ask()
    other.set_user_attr("place", "elsewhere:/study")
    database.record_heartbeat(other._trial_id)

    def resume():
        return study.resume(folder, {"seconds": 0.1}, url, SilentReporter()).winner

    assert resume() is None
    other.set_user_attr("saved", True)
    assert resume() is not None
    other.set_user_attr("saved", False)
    assert resume() is None
    # It is silent.
    monkeypatch.setattr(database, "grace_period", -1)
    monkeypatch.setattr(searching, "open_storage", lambda *_: database)
    assert resume() is not None


def test_a_trial_is_saved_until_it_is_taken_up(tmp_path, monkeypatch):
    use_trainer(monkeypatch, tmp_path)
    states = []

    def stopped(self):
        states.append(self.trial.user_attrs.get("saved"))
        if len(states) == 1:
            raise SearchStopped
        return 0.5

    monkeypatch.setattr(Trial, "train", stopped)
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    folder, request = ask.make_request(question(tmp_path, storage=url, trials=1), tmp_path / "runs")
    folder.path.mkdir(parents=True)
    storages.create_study(storages.open_storage(folder, url), request)
    searching.Search(folder, request, url, SilentReporter()).run()
    assert states == [None, False]


def test_a_study_that_asks_something_else_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    for changes in ({}, {"metric": "loss"}):
        asked = question(tmp_path, storage=url, **changes)
        folder, request = ask.make_request(asked, tmp_path / "runs")
        database = storages.open_storage(folder, url)
        if not changes:
            storages.create_study(database, request)
            continue
        with pytest.raises(LstmError, match="with other metric"):
            storages.create_study(database, request)


def test_passwords_are_not_written(tmp_path):
    url = "postgresql+psycopg://me:secret@host:5432/db"
    assert storages.without_password(url) == "postgresql+psycopg://me@host:5432/db"
    assert storages.without_password("x://me@it:a/b@host/db") == "x://me@it@host/db"
    assert storages.without_password("x://me:a/b@host/db") == "x://me@host/db"
    assert storages.without_password("x://h/db?user=me&Password=a@b&c=1") == (
        "x://h/db?user=me&Password=&c=1"
    )
    assert storages.without_password("sqlite:///a.db") == "sqlite:///a.db"
    assert storages.first_line(Exception("for a/b.\nand"), "x://h/?passwd=a%2Fb") == "for ***"
    request = ask.make_request(question(tmp_path, storage=url), tmp_path / "runs")[1]
    assert "secret" not in str(request)
    with pytest.raises(LstmError) as caught:
        storages.open_storage(StudyFolder(tmp_path), "nonsense://me:secret@host/db")
    assert "secret" not in caught.value.message


def test_a_trial_is_claimed_once(tmp_path):
    claim = claims.claim(tmp_path, 3)
    assert claims.is_claimed(tmp_path, 3)
    assert claims.claim(tmp_path, 3) is None
    claim.release()
    assert not claims.is_claimed(tmp_path, 3)


def test_the_sampler_learns_from_all_brackets(tmp_path, monkeypatch):
    pruners = []
    suggest = Trial.suggest

    def drawn(self):
        pruners.append(type(self.trial.study.pruner))
        return suggest(self)

    def trained(self):
        pruners.append(type(self.trial.study.pruner))
        return 0.5

    monkeypatch.setattr(Trial, "suggest", drawn)
    monkeypatch.setattr(Trial, "train", trained)
    folder, request = ask.make_request(question(tmp_path, trials=1), tmp_path / "runs")
    folder.path.mkdir(parents=True)
    storages.create_study(storages.open_storage(folder, None), request)
    searching.Search(folder, request, None, SilentReporter()).run()
    # With Hyperband, Optuna gives a sampler only the trials of one bracket.
    assert pruners == [optuna.pruners.NopPruner, optuna.pruners.HyperbandPruner]


def test_the_first_trials_change_few_settings(tmp_path):
    space = "".join(f"{key}: {{low: 0.001, high: 0.7}}\n" for key in FLOATS)
    asked = ask.make_request(question(tmp_path, space=space), tmp_path / "runs")[1]
    database = storages.open_storage(StudyFolder(tmp_path), "sqlite://")
    storages.create_study(database, asked)
    defaults = asked.load_space().default_params(asked.config)
    changed = []
    for number in range(11):
        drawing = storages.load_study(database, asked, storages.make_sampler(asked, number))
        trial = drawing.ask()
        asked.load_space().suggest(trial)
        changed.append({key for key in defaults if trial.params[key] != defaults[key]})
        drawing.tell(trial, 0.5)
    assert not changed[0]
    assert [len(keys) for keys in changed[1:]] == [2] * 9 + [len(FLOATS)]
    # Not the same two in all trials.
    assert set().union(*changed[1:-1]) == set(FLOATS)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("0.5h", 1800), ("1d", 86400)],
)
def test_times(text, seconds):
    assert ask.parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "3x", "0m", "30 m", "m30"])
def test_wrong_times(text):
    with pytest.raises(LstmError) as caught:
        ask.parse_time(text)
    assert caught.value.exit_code == 2


def test_runs_in_settings_are_absolute_paths(tmp_path, monkeypatch):
    use_trainer(monkeypatch, tmp_path)
    run = search(tmp_path, trials=1, space="model.units: [40]\n").winner.path
    file = tmp_path / "config.yaml"
    file.write_text("linear: {}\ntrain: {init_from: s-000}\n")
    overrides = {"train.teacher": "demo/s-000", "train.self_training": True}
    asked = question(
        tmp_path, space="train.epochs: [3]\n", name="t", config=file, overrides=overrides,
    )  # fmt: skip
    request = ask.make_request(asked, tmp_path / "runs")[1]
    assert request.settings["train.init_from"] == request.settings["train.teacher"] == str(run)
    assert request.resolved["train"]["init_from"] == str(run)


def test_a_storage_without_the_study_is_refused(tmp_path, request_):
    url = f"sqlite:///{tmp_path / 'typo.db'}"
    with pytest.raises(LstmError, match="no study 'demo'") as caught:
        storages.load_study(storages.open_storage(StudyFolder(tmp_path), url), request_)
    assert "journal.log" in caught.value.hint
    asked = replace(request_, storage=url)
    with pytest.raises(LstmError) as caught:
        storages.load_study(storages.open_storage(StudyFolder(tmp_path), None), asked)
    assert "--storage" in caught.value.hint


def test_a_wrong_url_leaves_no_folder(tmp_path):
    with pytest.raises(LstmError, match="Cannot open the storage"):
        search(tmp_path, storage="nonsense://host/db")
    assert not (tmp_path / "runs").exists()


def test_resume_finds_the_newest_study_of_a_data_set(tmp_path):
    table = tmp_path / "demo.csv"
    table.write_text("text,label\ngood,1\nbad,0\n")
    folder = new_folder(tmp_path / "runs", dataset_settings(str(table)), "s")
    request = ask.make_request(question(tmp_path), tmp_path / "runs")[1]
    folder.path.mkdir(parents=True)
    folder.write(request)
    assert find_study(tmp_path / "runs", str(table)) == folder

    def error(*arguments):
        return lstm("tune", *arguments, "--runs-dir", tmp_path / "runs").exception.message

    # Its journal is missing: the study was found.
    assert "no study 'demo'" in error(table, "--resume")
    assert "no study 'demo'" in error("--resume", "s")
    assert "has no effect with --resume s" in error(table, "--resume", "s")
    assert "There is no study 'imdb'" in error("imdb", "--resume")


def test_studies_are_found_by_name(tmp_path, monkeypatch):
    for name in ("a", "b"):
        folder, request = ask.make_request(question(tmp_path, name=name), tmp_path / "runs")
        folder.write(request)
    root = tmp_path / "runs"
    assert find_study(root, "a").name == find_study(root, "demo/a").name == "a"
    assert find_study(root, None).name == find_study(root, "demo").name == "b"
    assert find_study(root, str(folder.path)).name == "b"
    with pytest.raises(LstmError) as caught:
        find_study(root, "aa")
    assert "'a'" in caught.value.hint

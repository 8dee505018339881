"""Labeled rows of other files in the training split."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fixtures_errors import refused
from fixtures_runs import text_config

from lstm_cli.config import load as configs
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.errors import ExitCode
from lstm_cli.training import stages
from lstm_cli.training.auto_settings import with_auto_settings
from lstm_cli.training.folds import check_folds
from lstm_cli.training.prepare import load_training_data
from lstm_cli.training.resume_checks import data_change
from lstm_cli.training.task import with_language_model


def write(path, rows, columns=("text", "label")):
    path.write_text("\n".join([",".join(columns), *(f"{a},{b}" for a, b in rows)]) + "\n")
    return str(path)


@pytest.fixture
def table(tmp_path):
    rows = [(f"film {i}", ("good", "bad")[i % 2]) for i in range(40)]
    return write(tmp_path / "films.csv", rows)


def config_for(table, *files, **settings):
    changes = {"data.name": table, "data.replay_files": files}
    changes |= {key.replace("__", "."): value for key, value in settings.items()}
    return configs.from_dict(configs.to_dict(text_config()), changes)


def loaded(table, *files, **settings):
    return load_training_data(config_for(table, *files, **settings), None)


def rows_of(dataset, split="train"):
    part = dataset.splits[split]
    return [(text, dataset.labels[i]) for text, i in zip(part.inputs, part.labels, strict=True)]


def test_rows_join_train_and_no_other_split(table, tmp_path):
    old = write(tmp_path / "old.csv", [("a plot", "plot"), ("old film", "bad")])
    plain, dataset = loaded(table), loaded(table, old)
    assert dataset.labels == ("bad", "good", "plot")
    assert rows_of(dataset) == [*rows_of(plain), ("a plot", "plot"), ("old film", "bad")]
    assert rows_of(dataset, "validation") == rows_of(plain, "validation")
    assert dataset.num_replayed == 2
    # Where they are in their own file.
    assert dataset.splits["train"].row_numbers[-2:].tolist() == [2, 3]
    assert dataset.fingerprint == plain.fingerprint
    assert "2 of 2 rows to replay join the training split" in dataset.notes[-1]
    assert "lack: 'plot'" in dataset.notes[-1]


def test_copies_of_other_rows_are_dropped_and_counted(table, tmp_path):
    plain = loaded(table)
    train, held_out = rows_of(plain)[0][0], rows_of(plain, "validation")[0][0]
    known = {text for name in ("train", "validation") for text, _ in rows_of(plain, name)}
    test = next(text for text in (f"film {i}" for i in range(40)) if text not in known)
    copies = [(train, "bad"), (f" {held_out} ", "bad"), (test, "bad"), ("new", "bad")]
    copies += [("new", "good"), (" ", "bad")]
    dataset = loaded(table, write(tmp_path / "old.csv", copies))
    assert rows_of(dataset)[-1] == ("new", "bad")
    assert dataset.num_replayed == 1
    for reason in ("1 in test", "1 in validation", "1 in train", "1 repeated", "1 empty"):
        assert reason in dataset.notes[-1]


def test_several_files_are_read_by_the_columns_of_the_data_or_their_own(tmp_path):
    rows = [(f"film {i}", ("good", "bad")[i % 2]) for i in range(40)]
    table = write(tmp_path / "films.csv", rows, ("body", "target"))
    same = tmp_path / "same.csv"
    same.write_text("text,body,label,target\nwrong,right,no,good\n")
    other = write(tmp_path / "other.csv", [("another", "bad")])
    (tmp_path / "folder" / "fine").mkdir(parents=True)
    (tmp_path / "folder" / "fine" / "1.txt").write_text("from a folder")
    files = (str(same), other, str(tmp_path / "folder"))
    dataset = loaded(table, *files)
    expected = [("right", "good"), ("another", "bad"), ("from a folder", "fine")]
    assert rows_of(dataset)[-3:] == expected
    assert list(dataset.replayed.files) == list(files)


def test_several_labels_a_text(tmp_path):
    rows = [(f"film {i}", ("joy|love", "joy")[i % 2]) for i in range(40)]
    table = write(tmp_path / "films.csv", rows)
    old = write(tmp_path / "old.csv", [("a", "joy|anger"), ("b", "love")])
    dataset = loaded(table, old, data__multi_label="|")
    assert dataset.labels == ("anger", "joy", "love")
    assert dataset.splits["train"].labels[-2:].tolist() == [[1, 1, 0], [0, 0, 1]]


def test_columns_of_labels(tmp_path):
    table = tmp_path / "films.csv"
    rows = [f"film {i},{i % 2},{(i + 1) % 2}" for i in range(40)]
    table.write_text("\n".join(["text,joy,love", *rows]) + "\n")
    old = tmp_path / "old.csv"
    old.write_text("text,joy\nold,1\n")
    dataset = loaded(str(table), str(old), data__label_columns=["joy", "love"])
    assert dataset.splits["train"].labels[-1].tolist() == [1, 0]


def test_a_test_split_may_have_a_class_of_these_rows_only(table, tmp_path):
    test = write(tmp_path / "test.csv", [("t", "plot")])
    old = write(tmp_path / "old.csv", [("a plot", "plot")])
    assert loaded(table, old, data__test_file=test).num_replayed == 1


def test_no_row_left_is_refused(table, tmp_path):
    error = refused(loaded, table, write(tmp_path / "old.csv", [("film 1", "bad"), (" ", "bad")]))
    assert "1 empty" in error.message
    assert "--replay-data" in error.hint


def test_a_missing_file_is_refused_before_training(table, tmp_path):
    files = {"data.replay_files": [str(tmp_path / "none.csv")]}
    error = refused(dataset_settings, table, None, files, code=ExitCode.DATA)
    assert "--replay-data" in error.hint


def test_paths_are_absolute_in_the_settings(table, tmp_path, monkeypatch):
    old = write(tmp_path / "old.csv", [("a", "bad")])
    monkeypatch.chdir(tmp_path)
    config = dataset_settings(table, None, {"data.replay_files": ["old.csv"]})
    assert config.data.replay_files == (old,)


def test_a_language_model_and_images_have_no_rows_to_replay(table):
    error = refused(with_language_model, config_for(table, "x.csv"), code=ExitCode.USAGE)
    assert "--unlabeled" in error.hint
    refused(configs.load_preset, "digits", {"data.replay_files": ["x.csv"]}, code=ExitCode.USAGE)


def test_the_limit_is_for_these_rows_too(table, tmp_path):
    old = write(tmp_path / "old.csv", [(f"old {i}", ("x", "y")[i % 2]) for i in range(30)])
    dataset = loaded(table, old, data__limit=10)
    assert dataset.num_replayed == 10
    assert {label for _, label in rows_of(dataset)[-10:]} == {"x", "y"}


def test_a_changed_file_is_a_change_of_the_data(table, tmp_path):
    old = write(tmp_path / "old.csv", [("a", "bad")])
    before = loaded(table, old)
    record = {"fingerprint": before.fingerprint, "replay_files": dict(before.replayed.files)}
    assert data_change(json.loads(json.dumps(record)), before) is None
    write(tmp_path / "old.csv", [("a", "good")])
    source, was, now = data_change(record, loaded(table, old))
    assert source == old
    assert was != now


def test_folds_hold_out_rows_of_the_data_only(table, tmp_path):
    old = write(tmp_path / "old.csv", [(f"old {i}", ("bad", "plot")[i % 2]) for i in range(9)])
    dataset = loaded(table, old)
    train, validation = (dataset.splits[name].labels for name in ("train", "validation"))
    replayed = np.arange(len(train) - 9, len(train))
    config = config_for(table, old, data__folds=3)
    *folds, refit = stages.plan_stages(config, train, validation, dataset.num_replayed)
    for fold in folds:
        assert np.isin(replayed, fold.train_rows).all()
        assert not np.isin(replayed, fold.validation_rows).any()
    held_out = np.concatenate([fold.validation_rows for fold in folds])
    assert sorted([*held_out, *replayed]) == list(range(len(train) + len(validation)))
    assert len(refit.train_rows) == len(train) + len(validation)
    num_own = len(train) + len(validation) - 9
    check_folds(config_for(table, data__folds=num_own), dataset)
    refused(check_folds, config_for(table, data__folds=num_own + 1), dataset, code=2)


class Silent:
    def note(self, _):
        pass


def test_settings_of_the_split_are_chosen_for_the_rows_of_the_data(table, tmp_path):
    old = write(tmp_path / "old.csv", [(f"old {i}", ("x", "y")[i % 2]) for i in range(600)])
    config = dataset_settings(table, None, {"data.replay_files": [old]})
    chosen, dataset = with_auto_settings(config, load_training_data(config, None), None, Silent())
    # As for 32 texts; the batches are as for 632.
    assert chosen.data.folds == 5
    assert chosen.train.batch_size == 32
    assert dataset.num_replayed == 600


def test_labels_that_are_only_written_differently_are_those_of_the_model(tmp_path):
    rows = [(f"film {i}", ("1", "2")[i % 2]) for i in range(40)]
    table = write(tmp_path / "films.csv", rows)
    config = config_for(table, write(tmp_path / "old.csv", [("a", "01"), ("b", "3.0")]))
    dataset = load_training_data(config, None, ("02", "4"))
    # The names of the model first, then those of the data, then those of the rows to replay.
    assert dataset.labels == ("1", "02", "3", "4")
    assert rows_of(dataset)[-2:] == [("a", "1"), ("b", "3")]
    assert {label for _, label in rows_of(dataset)[:-2]} == {"1", "02"}

"""Evaluation knows the run's own data by content, and counts what the run has learned from."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from fixtures_runs import make_text_run, text_config

from lstm_cli import cli
from lstm_cli.checks import quick_check
from lstm_cli.checks.keys import input_keys
from lstm_cli.data import DataSource, load
from lstm_cli.data.source import from_config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation import evaluate as module
from lstm_cli.evaluation.evaluate import evaluate
from lstm_cli.evaluation.load_split import load_split
from lstm_cli.io.progress import SilentReporter
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import learned
from lstm_cli.training import artifacts


class Notes(SilentReporter):
    """Keeps notes and warnings."""

    def __init__(self):
        self.notes, self.warnings = [], []
        self.note, self.warn = self.notes.append, self.warnings.append


ROWS = [(f"film number {i}", ("negative", "positive")[i % 2]) for i in range(40)]


def write(path, rows, columns=("text", "label")):
    lines = [",".join(row) for row in (columns, *rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run on films.csv, of which its record says what it learned from."""
    monkeypatch.setattr(module, "draw_results", lambda *_: [])
    path = write(tmp_path / "films.csv", ROWS)
    settings = {
        "data__text_columns": ("text",), "data__label_column": "label", "linear__buckets": 7,
    }  # fmt: skip
    config = text_config(data__name=str(path), **settings)
    run = make_text_run(tmp_path / "runs" / "films" / "it", config=config)
    source = from_config(config)
    dataset = load(source)
    found = quick_check(dataset, source).learned
    learned.write(run, found.inputs, found.labeled)
    record = run.read_json(runs.RUN)
    record["dataset"] |= artifacts.describe(dataset)
    run.write_json(runs.RUN, record)
    run.write_manifest()
    return run


def test_the_runs_own_test_split_is_new_to_it(run):
    found = evaluate(run)
    assert found.report.num_examples == 8
    assert (found.seen.num, found.seen.num_examples) == (0, 8)
    assert found.seen.cell() == "0 of 8"


def test_the_linear_part_is_not_scored_on_what_it_was_fitted_to(run, tmp_path):
    assert evaluate(run).report.linear is not None
    assert evaluate(run, split="train").report.linear is None
    other = DataSource(str(write(tmp_path / "other.csv", ROWS[:7])))
    assert evaluate(run, other, split="train").report.linear is not None


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_copy_of_the_training_file_is_split_as_in_training(run, tmp_path, is_moved):
    copy = write(tmp_path / "copy.csv", ROWS)
    if is_moved:
        (tmp_path / "films.csv").unlink()
    reporter = Notes()
    found = evaluate(run, DataSource(str(copy)), reporter=reporter)
    assert found.report.num_examples == 8
    assert found.seen.num == 0
    assert any(f"{copy} is a copy of the data" in note for note in reporter.notes)


def test_a_copy_is_not_read_in_another_way(run, tmp_path):
    source = DataSource(str(write(tmp_path / "copy.csv", ROWS)), limit=3)
    with pytest.raises(LstmError, match="read as for training") as caught:
        evaluate(run, source)
    assert caught.value.exit_code == ExitCode.USAGE


def test_data_of_which_every_row_was_learned_from_is_scored(run, tmp_path):
    learned_rows = [row for row in ROWS if row[0] in texts(run, "train")]
    reporter = Notes()
    path = write(tmp_path / "new.csv", learned_rows[:4])
    found = evaluate(run, DataSource(str(path)), reporter=reporter).seen
    assert (found.num, found.accuracy_of_others) == (4, None)
    assert "learned from 4 of these 4" in reporter.warnings[0]


def test_rows_that_were_learned_from_are_counted_and_listed(run, tmp_path):
    learned_rows = [row for row in ROWS if row[0] in texts(run, "train")]
    rows = [("new", "positive"), (learned_rows[0][0].upper(), learned_rows[0][1])]
    other = {"negative": "positive", "positive": "negative"}[learned_rows[1][1]]
    path = write(tmp_path / "new.csv", [*rows, (learned_rows[1][0], other)])
    reporter = Notes()
    found = evaluate(run, DataSource(str(path)), num_leaks=5, reporter=reporter).seen
    assert (found.num, found.num_relabeled, found.num_examples) == (2, 1, 3)
    assert [(e.row, e.is_relabeled) for e in found.examples] == [(3, False), (4, True)]
    assert found.examples[0].text == learned_rows[0][0].upper()
    assert found.accuracy_of_others in (0.0, 1.0)
    assert found.cell().startswith("2 of 3 (1 with another label). Accuracy on the 1 other: ")
    assert "learned from 2 of these 3 test examples (1 with another label)" in reporter.warnings[0]
    with pytest.raises(LstmError, match="2 of these 3") as caught:
        evaluate(run, DataSource(str(path)), fail_on=("leak",))
    assert caught.value.exit_code == ExitCode.THRESHOLD


def texts(run, split):
    return set(load(from_config(run.config()), (split,)).splits[split].inputs)


def test_a_file_that_has_grown_is_compared_with_the_rows_of_before(run, tmp_path):
    before = texts(run, "train") | texts(run, "validation")
    write(tmp_path / "films.csv", [*ROWS, *((f"more {i}", "positive") for i in range(20))])
    reporter = Notes()
    found = evaluate(run, reporter=reporter)
    now = texts(run, "test")
    assert found.seen.num == len(now & before) > 0
    assert f"{found.seen.num} of these {len(now)}" in reporter.warnings[0]
    assert any("films.csv has changed since run films/it was trained" in n for n in reporter.notes)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_what_the_run_has_learned_from_by_intention_is_no_leak(run, split):
    found = evaluate(run, split=split)
    assert found.seen is None
    assert found.to_dict()["seen_reason"] == f"the {split} split is what the run has learned from"
    with pytest.raises(LstmError, match=f"the {split} split is what") as caught:
        evaluate(run, split=split, fail_on=("leak",))
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_run_without_a_record_is_evaluated(run):
    run.remove(runs.LEARNED)
    run.write_manifest()
    found = evaluate(run)
    assert found.seen is None
    assert "has no record of what it has learned from" in found.seen_reason


def test_data_with_fixed_splits_is_counted_without_a_warning(run, monkeypatch):
    copies = load(from_config(run.config()), ("test",)).splits["test"]
    taken = quick_check(load(from_config(run.config())), from_config(run.config())).learned
    learned.write(run, np.union1d(taken.inputs, input_keys(copies.inputs)[:3]), taken.labeled)
    run.write_manifest()
    reporter = Notes()
    assert evaluate(run, reporter=reporter).seen.num == 3
    assert len(reporter.warnings) == 1
    monkeypatch.setattr(module, "is_known", lambda name: name == run.config().data.name)
    reporter = Notes()
    assert evaluate(run, reporter=reporter).seen.num == 3
    assert reporter.warnings == []


@pytest.mark.parametrize("columns", [("review", "label", "text"), ("title", "label", "text")])
def test_the_columns_of_the_run_come_first(run, tmp_path, columns):
    path = write(tmp_path / "new.csv", [("id", "positive", "fine")], columns)
    found = evaluate(run, DataSource(str(path)), num_mistakes=1)
    assert found.report.num_examples == 1
    for mistake in found.mistakes:
        assert mistake.text == "fine"
    dataset = load_split(Predictor.load(run), DataSource(str(path)), False, "test", None)
    assert list(dataset.splits["test"].inputs) == ["fine"]


def test_a_column_that_is_named_wins_and_a_missing_one_is_noted(run, tmp_path):
    path = write(tmp_path / "new.csv", [("id", "positive", "fine")], ("body", "label", "text"))
    dataset = load_split(
        Predictor.load(run), DataSource(str(path), text_columns=("body",)), False, "test", None
    )
    assert list(dataset.splits["test"].inputs) == ["id"]
    path = write(tmp_path / "new.csv", [("id", "positive")], ("body", "label"))
    dataset = load_split(Predictor.load(run), DataSource(str(path)), False, "test", None)
    assert list(dataset.splits["test"].inputs) == ["id"]
    assert "lacks the column 'text' of the training data" in dataset.notes[0]


def test_the_command_counts_lists_and_fails(run, tmp_path, monkeypatch, capsys):
    def lstm(*arguments):
        monkeypatch.setattr(sys, "argv", ["lstm", "eval", *map(str, arguments)])
        return cli.run(), capsys.readouterr()

    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path / "runs"))
    path = write(tmp_path / "all.csv", ROWS[::-1])
    code, shown = lstm(path, "--run", "films/it", "--leaks", 2)
    assert code == 0
    assert "Warning: The run has learned from 32 of these 40 test examples" in shown.err
    assert "Learned from in training" in shown.out
    assert "32 of 40. Accuracy on the 8 others: " in " ".join(shown.out.split())
    code, shown = lstm(path, "--run", "films/it", "--json")
    assert json.loads(shown.out)["seen"]["num"] == 32
    assert lstm(path, "--run", "films/it", "--fail-on", "leak")[0] == ExitCode.THRESHOLD
    assert lstm("--run", "films/it", "--fail-on", "leak")[0] == 0

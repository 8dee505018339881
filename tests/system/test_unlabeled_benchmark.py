"""`benchmarks.unlabeled`, on a small folder of tables."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import unlabeled
from benchmarks.own_data import write_table
from benchmarks.unlabeled import stratified_rows
from lstm_cli.data.readers.table import read_table
from lstm_cli.errors import ExitCode

_ROWS = [
    row
    for number in range(60)
    for row in ((f"a fine day, number {number}", "good"), (f"a dull day, no {number}", "bad"))
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sets" / "days").mkdir(parents=True)
    write_table(tmp_path / "sets" / "days" / "train.csv", _ROWS)
    return tmp_path / "sets"


def test_rows_are_drawn_by_the_shares_of_the_classes():
    labels = np.repeat(["a", "b", "c"], [70, 25, 5])
    rows = stratified_rows(labels, 20, np.random.default_rng(0))
    assert len(set(rows.tolist())) == 20
    assert [int(np.sum(labels[rows] == name)) for name in "abc"] == [14, 5, 1]
    assert len(stratified_rows(labels, 0, np.random.default_rng(0))) == 0


def test_a_draw_is_trained_with_and_without_texts_that_are_in_no_other_table(folder, monkeypatch):
    draws = []

    def train(draw, extra, settings):
        labeled = set(read_table(draw.labeled, ("text",), "label").texts)
        draws.append(labeled)
        held_out = set(read_table(draw.test, ("text",), "label").texts)
        others = set(draw.unlabeled.read_text(encoding="utf-8").splitlines()[1:])
        assert (len(labeled), len(held_out), len(others)) == (40, 30, 50)
        accuracy = 0.8 if extra else 0.7
        return {"accuracy": accuracy, "loss": 0.5, "ece": 0.0, "seconds": 1.0, "peak_mb": 1.0}

    monkeypatch.setattr(unlabeled, "_train", train)
    path = folder.parent / "result.json"
    options = ["--labels", "40", "--held-out", "30", "--draws", "2", "--json", str(path)]
    assert unlabeled.main([str(folder), *options]) == 0
    assert len(draws) == 4
    assert draws[0] == draws[1] != draws[2]
    gain = json.loads(path.read_text())["measurements"]["sets"]["days"]["gain"]
    assert gain["mean"] == pytest.approx(0.1)


def test_too_few_rows_are_an_error(folder):
    assert unlabeled.main([str(folder), "--labels", "100", "--held-out", "20"]) == ExitCode.USAGE

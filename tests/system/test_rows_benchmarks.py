"""`benchmarks.label_issues` and `curve`, on a small folder of tables, and a goal on `subj`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks import curve, label_issues, report
from benchmarks.own_data import write_table

_WORDS = {"good": "a fine day", "bad": "a dull day"}
_ROWS = [(f"{_WORDS[label]}, no {n}", label) for n in range(60) for label in _WORDS]


def run(folder, out, *options, benchmark=label_issues):
    arguments = [str(folder), "--json", str(out), *options]
    code = report.main("name", None, benchmark.OPTIONS, benchmark.measure, arguments)
    assert code == 0
    return json.loads(out.read_text())


def test_changed_labels_are_counted(tmp_path):
    (tmp_path / "sets" / "days").mkdir(parents=True)
    write_table(tmp_path / "sets" / "days" / "train.csv", _ROWS)
    record = run(tmp_path / "sets", tmp_path / "out.json", "--quick")
    result = record["measurements"]["sets"]["days"]
    assert result["rows"] == 120
    assert result["found"]["mean"] == 1.0
    assert result["num_probable"]["mean"] == 6


def test_curves_are_extrapolated(tmp_path):
    (tmp_path / "sets" / "days").mkdir(parents=True)
    write_table(tmp_path / "sets" / "days" / "train.csv", _ROWS)
    record = run(tmp_path / "sets", tmp_path / "out.json", "--quick", benchmark=curve)
    result = record["measurements"]["sets"]["days"]
    assert result["rows"] == [10, 19, 34, 48, 67, 96]
    assert result["measured"] == 1.0
    low, high = result["interval"]
    assert low <= result["forecast"] <= high


@pytest.mark.slow
def test_seven_tenths_of_changed_labels_of_subj_are_in_the_first_tenth(tmp_path):
    folder = os.environ.get("LSTM_OWN_DATA", "")
    if not (Path(folder) / "subj" / "train.csv").is_file():
        pytest.skip("LSTM_OWN_DATA names no folder with subj/train.csv")
    record = run(folder, tmp_path / "out.json", "--sets", "subj", "--seeds", "1")
    assert record["measurements"]["sets"]["subj"]["found"]["mean"] >= 0.7

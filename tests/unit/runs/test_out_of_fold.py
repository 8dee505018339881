"""The table of out-of-fold predictions: written, read back, and refused if malformed."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from fixtures_errors import refused

from lstm_cli.errors import ExitCode
from lstm_cli.runs import out_of_fold
from lstm_cli.runs.directory import LABELS, OUT_OF_FOLD, RunDir
from lstm_cli.runs.out_of_fold import OutOfFold, to_csv

NAMES = ("text", 'a, "b"', "ü")


def table_of(num_classes=3, texts=("one\nline", "", '=1, "two"')):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(num_classes), len(texts)).astype(np.float32)
    rows, folds = np.array([7, 2, 4]), np.array([1, 2, 1])
    return OutOfFold(rows, folds, list(texts), np.array([2, 0, 1], np.int32), probabilities)


def run_with(tmp_path, text, names=NAMES):
    run = RunDir(tmp_path)
    run.write_json(LABELS, list(names))
    run.write_text(OUT_OF_FOLD, text)
    run.write_manifest()
    return run


def test_a_table_is_read_as_it_was_written(tmp_path):
    written = table_of()
    read, names = out_of_fold.read(run_with(tmp_path, to_csv(written, NAMES)))
    order = [1, 2, 0]  # of the rows in the data
    assert names == NAMES
    assert read.rows.tolist() == [2, 4, 7]
    assert read.folds.tolist() == written.folds[order].tolist()
    assert read.texts == [written.texts[i] for i in order]
    assert read.labels.tolist() == written.labels[order].tolist()
    assert read.probabilities == pytest.approx(written.probabilities[order], abs=1e-6)


def test_ids_are_beside_the_rows(tmp_path):
    written = replace(table_of(), ids=["T-1", 'a, "b"', ""])
    text = to_csv(written, NAMES)
    assert text.startswith("row,id,fold,")
    assert out_of_fold.read(run_with(tmp_path, text))[0].ids == ['a, "b"', "", "T-1"]
    assert out_of_fold.read(run_with(tmp_path, to_csv(table_of(), NAMES)))[0].ids is None


def test_the_table_does_not_grow_with_the_classes():
    names = [f"class {i}" for i in range(1000)]
    rows = list(csv.DictReader(io.StringIO(to_csv(table_of(1000), names))))
    assert list(rows[0]) == list(out_of_fold.COLUMNS)
    for row in rows:
        probabilities = json.loads(row["probabilities"])
        assert len(probabilities) in (20, 21)
        assert probabilities[row["label"]] == float(row["label_probability"])
        assert max(probabilities.values()) == float(row["probability"])
        assert probabilities[row["predicted"]] == float(row["probability"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("fold", "fould", 1), "columns"),
        (lambda text: text.splitlines()[0], "expected a row"),
        (lambda text: text.replace("\n2,", "\nx,"), "invalid literal"),
        (lambda text: text.replace("\n2,2,,text,", "\n2,2,,other,"), "line 2"),
        (lambda text: text.replace("{", "[", 1), "line 2"),
        (lambda text: text.replace(": 0.", ": 7.", 1), "from 0 to 1"),
        (lambda text: text + "1,2,3\n", "line 6"),
        (lambda text: text + '"', "line 6"),
    ],
)
def test_a_malformed_table_is_refused(change, reason, tmp_path):
    run = run_with(tmp_path, change(to_csv(table_of(), NAMES)))
    error = refused(out_of_fold.read, run, code=ExitCode.INTEGRITY)
    assert OUT_OF_FOLD in error.message
    assert reason in error.message

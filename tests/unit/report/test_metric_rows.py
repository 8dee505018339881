from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from lstm_cli.evaluation import metrics, thresholds
from lstm_cli.evaluation.compare import Entry
from lstm_cli.report import comparison
from lstm_cli.report.metric_rows import METRIC_ROWS, metric_rows, metric_table


@pytest.fixture
def one_class():
    """The report of a split with examples of one class."""
    probabilities = np.asarray([[0.9, 0.1], [0.2, 0.8]], np.float32)
    return metrics.compute(np.zeros(2, np.int32), probabilities, ("bad", "good"))


def test_every_number_of_a_report_has_a_row(one_class):
    rows = metric_rows(replace(one_class, answered=0.5))
    shown = {row.key for row in rows}
    assert asdict(one_class).keys() - shown == {
        "roc_auc_reason", "classes", "bins", "confusion", "micro", "linear", "majority",
    }  # fmt: skip
    lower = {row.key for row in METRIC_ROWS if row.better == "lower"}
    assert lower == set(thresholds.LOWER_IS_BETTER)
    assert set(thresholds.THRESHOLD_METRICS) <= {r.key for r in rows if r.better == "higher"}


def test_macro_f1_comes_first_if_the_classes_are_uneven():
    def labels(small):
        return np.array([0] * (100 - small) + [1] * small, np.int32)

    reports = [
        metrics.compute(labels(small), np.full((100, 2), 0.5, np.float32), ("a", "b"))
        for small in (50, 10)
    ]
    even, uneven = ([row.key for row in metric_rows(report)] for report in reports)
    assert even[:2] == ["num_examples", "accuracy"]
    assert uneven[:4] == ["f1", "majority.f1", "num_examples", "accuracy"]
    assert sorted(even) == sorted(uneven)
    assert metric_table(*reports)[0] == ("macro F1 (main figure)", "0.3333", "0.4737")


def test_a_table_has_a_column_per_report(one_class):
    rows = {label: cells for label, *cells in metric_table(one_class, one_class)}
    assert rows["accuracy"] == ["0.5000", "0.5000"]
    assert rows["examples"] == ["2", "2"]


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_number_is_a_dash_with_its_reason(one_class, missing):
    names = ("accuracy", "loss", "f1", "precision", "recall", "roc_auc")
    fields = dict.fromkeys((*names, "calibration_error"), missing)
    rows = dict(metric_table(replace(one_class, **fields, accuracy_interval=(missing, missing))))
    assert rows["accuracy"] == rows["loss (nats)"] == "-"
    assert rows["95% interval"] == "- to -"
    assert rows["area under the ROC curve"] == f"- ({one_class.roc_auc_reason})"
    entry = Entry("a", "b", 2, missing, (missing, missing), *[missing] * 3, 3, 4, 5, missing)
    rows = dict(metric_table(entry, rows=comparison.ROWS))
    assert rows["accuracy"] == rows["loss (nats)"] == rows["training"] == "-"


def test_the_best_value_depends_on_the_direction(one_class):
    reports = [replace(one_class, loss=loss, accuracy=loss) for loss in (0.5, 0.25, 0.5)]
    best = {row.key: row.best(reports) for row in METRIC_ROWS}
    assert best["loss"] == [False, True, False]
    assert best["accuracy"] == [True, False, True]
    assert best["num_examples"] == [False] * 3

"""Predictions as rows: every name is unique, and every row has as many cells as there are names."""

from __future__ import annotations

import pytest

from lstm_cli.prediction.columns import PredictionColumns, free_name
from lstm_cli.prediction.result import Prediction

NASTY = ("label", "probability", "tokens", "error", "prediction_label", "probability:label", "1")


@pytest.mark.parametrize("top_k", [None, 1, 3, 99])
@pytest.mark.parametrize("separator", [None, "|"])
@pytest.mark.parametrize("has_errors", [False, True])
def test_names_are_unique_whatever_classes_are_called(top_k, separator, has_errors):
    columns = PredictionColumns(NASTY, top_k, separator, True, has_errors)
    names = columns.names("prediction_")
    assert len(set(names)) == len(names)
    labels = ["tokens", "1"] if separator else None
    prediction = Prediction("tokens", 0.5, dict.fromkeys(NASTY, 0.5), 3, False, 0.25, labels)
    assert len(columns.cells(prediction)) == len(names)
    empty = columns.empty("why")
    assert len(empty) == len(names)
    if has_errors:
        assert (columns.cells(prediction)[-1], empty[-1]) == ("", "why")


def test_cells_are_in_the_order_of_the_names():
    columns = PredictionColumns(("label", "b"), has_errors=True)
    cells = columns.cells(Prediction("b", 0.75, {"label": 0.25, "b": 0.75}, 3, True, 0.5))
    assert dict(zip(columns.names(), cells, strict=True)) == {
        "label": "b", "probability": "0.750000", "probability:label": "0.250000",
        "probability:b": "0.750000", "tokens": "3", "truncated": "true", "unknown": "0.5000",
        "error": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ((), "prediction"),
        (("text", "predictions", "my_prediction"), "prediction"),
        (("Prediction_label ",), "prediction2"),
        (("prediction", "prediction2_label", "prediction3x"), "prediction3"),
    ],
)
def test_a_name_is_free_if_no_column_begins_with_it(columns, expected):
    assert free_name(columns) == expected

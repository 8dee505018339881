from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation import metrics, thresholds


def test_an_unmet_threshold_has_the_required_and_the_actual_value():
    results = {"accuracy": 0.8, "f1": 0.9, "roc_auc": None}
    unmet = thresholds.unmet_thresholds(
        results, ["accuracy=0.85", "f1=0.9", "roc_auc=0.5", "recall=0"]
    )
    assert unmet == [
        thresholds.UnmetThreshold("accuracy", 0.85, 0.8),
        thresholds.UnmetThreshold("roc_auc", 0.5, None),
        thresholds.UnmetThreshold("recall", 0.0, None),
    ]


def test_nan_meets_no_threshold():
    assert len(thresholds.unmet_thresholds({"f1": math.nan}, ["f1=0"])) == 1


def test_thresholds_read_a_report():
    labels = np.array([0, 1, 0, 1], np.int32)
    right = np.array([0.9, 0.8, 0.4, 0.3], np.float32)
    probabilities = np.where(np.eye(2)[labels] > 0, right[:, None], 1 - right[:, None])
    report = metrics.compute(labels, probabilities.astype(np.float32), ("neg", "pos")).to_dict()
    names = set(thresholds.THRESHOLD_METRICS)
    assert thresholds.unmet_thresholds(report, [f"{name}=0" for name in names]) == []
    # Every example gets an answer.
    unmet = thresholds.unmet_thresholds(report, [f"{name}=1" for name in names])
    assert {each.metric for each in unmet} == names - {"answered"}


@pytest.mark.parametrize(
    ("requirement", "message", "hint"),
    [
        ("accuracy", "METRIC=VALUE", "accuracy=0.85"),
        ("acuracy=0.9", "'acuracy'", "'accuracy'"),
        ("loss=0.3", "lower loss", "accuracy"),
        ("calibration_error=0.1", "lower calibration_error", "accuracy"),
        ("accuracy=85", "'85'", "accuracy=0.85"),
        ("accuracy=85%", "'85%'", "accuracy=0.85"),
        ("accuracy=-0.1", "'-0.1'", "fractions of 1"),
        ("accuracy=nan", "'nan'", "fractions of 1"),
        ("accuracy=", "''", "fractions of 1"),
        ("=0.5", "''", "accuracy"),
    ],
)
def test_a_malformed_threshold_is_a_usage_error_with_a_hint(requirement, message, hint):
    with pytest.raises(LstmError) as caught:
        thresholds.parse_thresholds([requirement])
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == ExitCode.USAGE


@given(st.sampled_from(thresholds.THRESHOLD_METRICS), st.floats(0, 1))
def test_any_fraction_is_parsed_exactly(name, value):
    assert thresholds.parse_thresholds([f" {name} = {value!r} "]) == [
        thresholds.Threshold(name, value)
    ]


@given(st.text())
def test_any_text_is_a_threshold_or_a_usage_error(text):
    try:
        (parsed,) = thresholds.parse_thresholds([text])
    except LstmError as error:
        assert error.exit_code == ExitCode.USAGE
        assert error.hint
    else:
        assert 0.0 <= parsed.required <= 1.0

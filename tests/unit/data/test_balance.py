from __future__ import annotations

import numpy as np
import pytest
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.data.balance import advice, class_weights, imbalance, weight_power


@pytest.mark.parametrize(
    ("counts", "is_uneven"),
    [
        ([50, 50], False),
        ([80, 20], False),
        ([81, 19], True),  # over 80%
        ([40, 30, 30], False),
        ([300, 100, 100, 100, 100, 100, 100, 100], False),
        ([310, 60, 60, 60, 60, 60, 60, 60], True),  # over 3 times the mean
        ([100, 100, 100, 100, 7], True),  # under a tenth of the mean
        ([3] * 1000, False),
        ([50, 0, 50], False),  # an absent class is not a small one
        ([50, 0], False),
        ([0, 0], False),
    ],
)
def test_classes_are_uneven_if_accuracy_says_little_about_some(counts, is_uneven):
    assert (imbalance(counts) is not None) == is_uneven


def test_the_largest_and_the_smallest_class_are_named():
    found = imbalance([0, 5, 90, 5])
    assert (found.largest, found.largest_count, found.num_examples) == (2, 90, 100)
    assert (found.smallest, found.smallest_count) == (1, 5)
    sentence = found.describe(["a", "rare", "common", "b"])
    assert "'common' has 90 of 100" in sentence
    assert "'rare' has 5." in sentence


def test_weights_are_advised_unless_they_are_used():
    assert "--class-weights balanced" in advice("none")
    assert "--class-weights balanced" in advice(0.0)
    assert "--class-weights" not in advice("balanced")
    assert "--class-weights" not in advice(0.3)


@relaxed
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=50),
    st.floats(0, 1) | st.sampled_from(["none", "balanced"]),
)
def test_class_weights_have_mean_one_over_the_examples(labels, setting):
    labels = np.array(labels, np.int32)
    weights = class_weights(labels, 4, setting)
    assert np.isfinite(weights).all()
    assert weights[labels].mean() == pytest.approx(1, rel=1e-5)
    counts = np.bincount(labels, minlength=4)
    present = counts > 0
    power = weight_power(setting)
    assert weights[present] * counts[present] ** power == pytest.approx(
        weights[labels[0]] * counts[labels[0]] ** power, rel=1e-5
    )


def test_balanced_classes_weigh_the_same_in_total_and_power_0_changes_nothing():
    labels = np.array([0] * 90 + [1] * 9 + [2], np.int32)
    balanced = class_weights(labels, 3, "balanced")[labels]
    assert [balanced[labels == c].sum() for c in range(3)] == pytest.approx([100 / 3] * 3)
    assert class_weights(labels, 3, "none") == pytest.approx([1, 1, 1])
    half = class_weights(labels, 3, 0.5)
    assert half[2] / half[0] == pytest.approx(90**0.5)


def test_row_weights_count_like_repeated_rows():
    labels = np.array([0, 0, 0, 1, 2], np.int32)
    repeated = class_weights(np.array([0, 0, 0, 1, 1, 1, 2], np.int32), 3, 0.7)
    weighted = class_weights(labels, 3, 0.7, np.array([1, 1, 1, 3, 1.0]))
    assert weighted == pytest.approx(repeated)
    assert (
        class_weights(labels, 3, 0.7, np.ones(5)).tobytes()
        == class_weights(labels, 3, 0.7).tobytes()
    )

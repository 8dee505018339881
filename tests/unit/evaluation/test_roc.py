from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.evaluation.roc import class_curves, mean_curve, roc_auc


def noisy(num, num_classes, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(num_classes, size=num).astype(np.int32)
    probabilities = generator.uniform(size=(num, num_classes)).astype(np.float32)
    probabilities[np.arange(num), labels] += 0.4
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def test_two_classes_have_one_curve_of_the_second_class():
    labels = np.asarray([0, 0, 1, 1], np.int32)
    positive = np.asarray([0.1, 0.6, 0.4, 0.9], np.float32)
    (curve,) = class_curves(labels, np.stack([1 - positive, positive], axis=1), ("neg", "pos"))
    assert curve.name == "pos"
    assert curve.area == pytest.approx(3 / 4)  # one of four (neg, pos) pairs is in the wrong order
    assert curve.average_precision == pytest.approx((1 + 2 / 3) / 2)


def test_three_or_more_classes_have_one_curve_each():
    labels, probabilities = noisy(300, 4)
    curves = list(class_curves(labels, probabilities, "abcd"))
    assert [c.name for c in curves] == ["a", "b", "c", "d"]
    assert curves[2].area > 0.6
    assert curves[2].area != curves[1].area


def test_a_class_of_no_or_every_example_has_no_curve():
    labels, probabilities = noisy(90, 3)
    labels[labels == 1] = 2
    assert [c.name for c in class_curves(labels, probabilities, "abc")] == ["a", "c"]
    assert list(class_curves(np.zeros(90, np.int32), probabilities, "abc")) == []


def test_the_area_of_the_mean_curve_is_the_mean_area():
    curves = list(class_curves(*noisy(2000, 12), [str(i) for i in range(12)]))
    mean, hardest = mean_curve(iter(curves))
    assert hardest.name == min(curves, key=lambda c: c.area).name
    assert mean.area == pytest.approx(np.mean([c.area for c in curves]))
    assert np.trapezoid(mean.true_positive_rates, mean.false_positive_rates) == pytest.approx(
        mean.area, abs=2e-3
    )
    assert (mean.false_positive_rates[0], mean.true_positive_rates[0]) == (0, 0)
    assert mean.true_positive_rates[-1] == 1
    assert (np.diff(mean.true_positive_rates) >= 0).all()
    assert np.trapezoid(mean.precisions, mean.recalls) == pytest.approx(
        mean.average_precision, abs=5e-3
    )


def test_no_curves_have_no_mean():
    assert mean_curve([]) == (None, None)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40))
def test_curves_agree_with_scikit_learn(examples):
    from sklearn import metrics

    is_positive = np.array([positive for positive, _ in examples])
    scores = np.array([score / 8 for _, score in examples], np.float32)
    if is_positive.all() or not is_positive.any():
        return
    columns = np.stack([1 - scores, scores], axis=1)
    (curve,) = class_curves(is_positive.astype(np.int32), columns, ("neg", "pos"))
    precisions, recalls, _ = metrics.precision_recall_curve(is_positive, scores)
    for found, expected in (
        (curve.precisions, precisions),
        (curve.recalls, recalls),
        (curve.area, metrics.roc_auc_score(is_positive, scores)),
        (roc_auc(is_positive, scores), curve.area),
        (curve.average_precision, metrics.average_precision_score(is_positive, scores)),
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    # Points on a straight line are left out: what remains has the same area.
    false_rates, true_rates, _ = metrics.roc_curve(is_positive, scores, drop_intermediate=False)
    points = set(zip(curve.false_positive_rates, curve.true_positive_rates, strict=True))
    assert {(0, 0), (1, 1)} <= points <= set(zip(false_rates, true_rates, strict=True))
    area = np.trapezoid(curve.true_positive_rates, curve.false_positive_rates)
    assert area == pytest.approx(curve.area, abs=1e-12)

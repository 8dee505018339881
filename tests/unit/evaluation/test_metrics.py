from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.errors import LstmError
from lstm_cli.evaluation import metrics

NAMES = ("neg", "pos")


def binary(labels, positive):
    positive = np.asarray(positive, np.float32)
    return np.asarray(labels, np.int32), np.stack([1 - positive, positive], axis=1)


def random_batch(num, num_classes, seed=0, temperature=0.5):
    generator = np.random.default_rng(seed)
    labels = generator.integers(num_classes, size=num).astype(np.int32)
    scores = generator.normal(size=(num, num_classes)) / temperature
    scores[np.arange(num), labels] += 1.5
    exp = np.exp(scores - scores.max(axis=1, keepdims=True))
    return labels, (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)


def names(num_classes):
    return tuple(f"class {i}" for i in range(num_classes))


def test_a_binary_report_has_the_values_computed_by_hand():
    # Predicted 1,1,0,0,1, true 1,0,0,1,1: three of five are correct.
    labels, probabilities = binary([1, 0, 0, 1, 1], [0.9, 0.8, 0.3, 0.4, 0.6])
    report = metrics.compute(labels, probabilities, NAMES)
    assert report.num_examples == 5
    assert report.accuracy == pytest.approx(3 / 5)
    assert report.accuracy_interval == metrics.wilson_interval(3, 5)
    assert report.loss == pytest.approx(-np.log([0.9, 0.2, 0.7, 0.4, 0.6]).mean(), rel=1e-6)
    assert report.confusion == ((0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 2))
    neg, pos = report.classes
    assert (neg.precision, neg.recall, neg.support) == (0.5, 0.5, 2)
    assert (pos.precision, pos.recall, pos.support) == pytest.approx((2 / 3, 2 / 3, 3))
    assert report.f1 == pytest.approx((0.5 + 2 / 3) / 2)
    # Of the 6 (pos, neg) pairs, .9 ranks above both, .4 and .6 above one each: 4 of 6.
    assert report.roc_auc == pytest.approx(4 / 6)
    assert report.majority.accuracy == pytest.approx(3 / 5)


def test_the_confusion_matrix_has_its_cells_that_are_not_0_by_true_class():
    labels, probabilities = binary([0, 0, 0, 1], [0.9, 0.9, 0.1, 0.9])
    report = metrics.compute(labels, probabilities, NAMES)
    assert report.confusion == ((0, 0, 1), (0, 1, 2), (1, 1, 1))
    assert metrics.confusion_matrix(report).tolist() == [[1, 2], [0, 1]]
    assert metrics.confusion_matrix(report, [1]).tolist() == [[1]]
    correct, predicted = metrics.predicted_counts(report)
    assert (correct.tolist(), predicted.tolist()) == ([1, 1], [1, 3])


def test_the_most_common_errors_come_first():
    labels = np.array([0, 0, 1, 1, 1, 2, 2], np.int32)
    predicted = np.array([0, 1, 2, 2, 0, 1, 2])
    report = metrics.compute(labels, np.eye(3, dtype=np.float32)[predicted], names(3))
    assert metrics.most_common_errors(report) == [(1, 2, 2), (0, 1, 1), (1, 0, 1), (2, 1, 1)]
    assert metrics.most_common_errors(report, 1) == [(1, 2, 2)]


def test_a_report_of_many_classes_grows_with_the_examples():
    labels = np.arange(5000, dtype=np.int32)
    probabilities = np.full((5000, 5000), 1e-4, np.float32)
    probabilities[labels, labels // 2] = 0.5
    report = metrics.compute(labels, probabilities, names(5000))
    assert report.confusion[:3] == ((0, 0, 1), (1, 0, 1), (2, 1, 1))
    assert len(report.confusion) == 5000
    assert len(json.dumps(report.to_dict())) < 1_000_000


def test_the_wilson_interval_gives_published_values():
    # Newcombe 1998, table I, method 3: 81/263, 15/148, 0/20, 1/29.
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert metrics.wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert metrics.wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert metrics.wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_contains_the_proportion_and_stays_in_bounds(case):
    num_correct, num = case
    low, high = metrics.wilson_interval(num_correct, num)
    assert 0.0 <= low <= num_correct / num <= high <= 1.0
    assert low < high


def test_the_calibration_error_is_the_gap_weighted_by_count():
    # Two bins: three predictions at .95, two of them correct; one at .61, correct.
    labels, probabilities = binary([1, 1, 0, 1], [0.95, 0.95, 0.95, 0.61])
    report = metrics.compute(labels, probabilities, NAMES)
    expected = (3 * abs(2 / 3 - 0.95) + 1 * abs(1 - 0.61)) / 4
    assert report.calibration_error == pytest.approx(expected, abs=1e-6)
    filled = [(i, b.count) for i, b in enumerate(report.bins) if b.count]
    assert filled == [(9, 1), (14, 3)]
    assert report.bins[9].low < 0.61 <= report.bins[9].high
    assert report.bins[0].accuracy is None


def test_probabilities_drawn_from_the_truth_are_calibrated():
    generator = np.random.default_rng(0)
    positive = generator.uniform(size=20_000)
    labels = (generator.uniform(size=20_000) < positive).astype(np.int32)
    good = metrics.compute(*binary(labels, positive), NAMES)
    bad = metrics.compute(*binary(labels, (positive > 0.5) * 0.98 + 0.01), NAMES)
    assert good.calibration_error < 0.02 < 0.2 < bad.calibration_error


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_every_example_is_in_one_bin_and_one_cell(num_classes):
    report = metrics.compute(*random_batch(500, num_classes), names(num_classes))
    assert sum(b.count for b in report.bins) == 500
    matrix = metrics.confusion_matrix(report)
    assert matrix.sum() == 500
    assert matrix.sum(axis=1).tolist() == [c.support for c in report.classes]


@pytest.mark.parametrize("num_classes", [2, 3, 7])
@pytest.mark.parametrize("decimals", [1, 6])  # 1: many equal probabilities
def test_metrics_agree_with_scikit_learn(num_classes, decimals):
    from sklearn import metrics as sklearn_metrics

    labels, probabilities = random_batch(400, num_classes)
    probabilities = probabilities.round(decimals)
    report = metrics.compute(labels, probabilities, names(num_classes))
    predicted = probabilities.argmax(axis=1)
    expected = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=np.arange(num_classes), zero_division=0
    )
    scores = [(c.precision, c.recall, c.f1, c.support) for c in report.classes]
    np.testing.assert_allclose(np.transpose(scores), expected, rtol=0, atol=1e-12)
    macro = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, average="macro", zero_division=0
    )
    found = (report.precision, report.recall, report.f1)
    np.testing.assert_allclose(found, macro[:3], rtol=0, atol=1e-12)
    matrix = sklearn_metrics.confusion_matrix(labels, predicted, labels=np.arange(num_classes))
    assert metrics.confusion_matrix(report).tolist() == matrix.tolist()
    columns = [1] if num_classes == 2 else range(num_classes)
    areas = [sklearn_metrics.roc_auc_score(labels == c, probabilities[:, c]) for c in columns]
    assert report.roc_auc == pytest.approx(np.mean(areas), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_macro_scores_agree_with_scikit_learn_where_classes_are_absent(pairs):
    from sklearn.metrics import precision_recall_fscore_support

    labels, predicted = np.array(pairs, np.int32).T
    probabilities = np.eye(5, dtype=np.float32)[predicted]
    report = metrics.compute(labels, probabilities, names(5))
    expected = precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    found = (report.precision, report.recall, report.f1)
    np.testing.assert_allclose(found, expected[:3], rtol=0, atol=1e-12)


def test_the_loss_agrees_with_scikit_learn():
    from sklearn.metrics import log_loss

    labels, probabilities = random_batch(400, 5)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    report = metrics.compute(labels, probabilities, names(5))
    assert report.loss == pytest.approx(log_loss(labels, exact), rel=1e-5)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_an_absent_class_leaves_no_roc_auc_and_gives_the_reason(num_classes):
    labels, probabilities = random_batch(60, num_classes)
    kept = labels != 1
    report = metrics.compute(labels[kept], probabilities[kept], names(num_classes))
    assert report.roc_auc is None
    reason = "no example of 'class 1'" if num_classes > 2 else "one class only, 'class 0'"
    assert report.roc_auc_reason == reason
    assert report.classes[1].support == 0
    assert len(report.classes) == num_classes


def test_macro_scores_leave_out_classes_neither_present_nor_predicted():
    labels, probabilities = binary([1, 1], [0.9, 0.8])
    wide = np.pad(probabilities, ((0, 0), (0, 3)))
    report = metrics.compute(labels, wide, names(5))
    assert (report.precision, report.recall, report.f1) == (1.0, 1.0, 1.0)


def test_a_report_survives_json():
    data = metrics.compute(*random_batch(50, 3), names(3)).to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["confusion"][0] == list(data["confusion"][0])
    assert data["bins"][14]["count"] >= 0
    assert data["classes"][2]["name"] == "class 2"


def test_the_loss_of_a_certain_error_is_bounded():
    labels, probabilities = binary([0, 1], [1.0, 1.0])
    loss, accuracy = metrics.loss_and_accuracy(labels, probabilities)
    assert loss == pytest.approx(-math.log(1e-7) / 2)
    assert accuracy == 0.5
    perfect, _ = metrics.loss_and_accuracy(*binary([1, 1], [1.0, 1.0]))
    assert str(perfect) == "0.0"


def test_a_diverged_model_has_loss_nan_and_no_report():
    labels, probabilities = binary([0, 1], [0.5, np.nan])
    assert math.isnan(metrics.loss_and_accuracy(labels, probabilities)[0])
    with pytest.raises(LstmError, match="1 of 2 predictions"):
        metrics.compute(labels, probabilities, NAMES)


def test_an_empty_split_is_an_error():
    with pytest.raises(LstmError, match="no example"):
        metrics.compute(*binary([], []), NAMES)


@pytest.mark.parametrize(
    ("labels", "columns"), [([0, 1, 2], 2), ([0, -1, 1], 2), ([0, 1], 2), ([0, 1, 0], 3)]
)
def test_arrays_that_do_not_match_are_an_error(labels, columns):
    probabilities = np.full((3, columns), 1 / columns, np.float32)
    with pytest.raises(ValueError, match="expected"):
        metrics.compute(np.asarray(labels, np.int32), probabilities, NAMES)


def test_the_most_confident_errors_come_first():
    labels, probabilities = binary([0, 0, 1, 1, 0], [0.6, 0.99, 0.9, 0.1, 0.2])
    assert metrics.most_confident_errors(labels, probabilities, 10).tolist() == [1, 3, 0]
    assert metrics.most_confident_errors(labels, probabilities, 2).tolist() == [1, 3]
    assert metrics.most_confident_errors(labels, probabilities, 0).tolist() == []


def test_without_an_answer_an_example_is_missed_and_not_wrong():
    labels = np.array([0, 0, 1, 1], np.int32)
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]], np.float32)
    answers = np.array([0, -1, 0, 1])
    report = metrics.compute(labels, probabilities, ("a", "b"), answers=answers)
    everything = metrics.compute(labels, probabilities, ("a", "b"))
    assert (report.answered, everything.answered) == (0.75, 1)
    assert report.accuracy == pytest.approx(2 / 3)
    assert report.accuracy_interval == metrics.wilson_interval(2, 3)
    assert [c.precision for c in report.classes] == [0.5, 1]
    assert [c.recall for c in report.classes] == [0.5, 0.5]
    assert report.confusion == ((0, 0, 1), (1, 0, 1), (1, 1, 1))
    assert (report.loss, report.roc_auc) == (everything.loss, everything.roc_auc)
    assert metrics.most_confident_errors(labels, probabilities, 9, answers).tolist() == [2]
    nothing = metrics.compute(labels, probabilities, ("a", "b"), answers=np.full(4, -1))
    assert (nothing.answered, nothing.accuracy, nothing.accuracy_interval) == (0, 0, (0, 1))

from __future__ import annotations

import numpy as np
import pytest

from lstm_cli.evaluation import metrics
from lstm_cli.evaluation.hard_classes import (
    describe_missed,
    hardest_classes,
    missed_classes,
    report_imbalance,
    weak_classes,
)


def report(labels, predicted, num_classes):
    probabilities = np.eye(num_classes, dtype=np.float32)[np.array(predicted)]
    names = tuple(f"c{i}" for i in range(num_classes))
    return metrics.compute(np.array(labels, np.int32), probabilities, names)


def describe(*arguments):
    return describe_missed(*arguments, is_improving=False)


def test_a_class_that_is_never_predicted_is_missed():
    scored = report([0] * 20 + [1] * 3 + [2] * 20, [0] * 23 + [2] * 20, 4)
    assert missed_classes(scored) == [1]  # c3 does not occur


@pytest.mark.parametrize(("num_found", "support", "is_missed"), [(1, 20, 1), (2, 20, 0), (0, 9, 0)])
def test_a_class_of_low_recall_is_missed_if_it_has_enough_examples(num_found, support, is_missed):
    labels = [0] * 30 + [1] * support
    predicted = [0] * 29 + [1] + [1] * num_found + [0] * (support - num_found)
    assert missed_classes(report(labels, predicted, 2)) == [1] * is_missed


def test_no_missed_class_needs_no_words():
    scored = report([0, 1], [0, 1], 2)
    assert describe_missed(scored, [5, 5], "none", is_improving=True) == ""


def test_a_small_missed_class_is_named_with_the_option_that_helps():
    scored = report([0] * 90 + [1] * 12, [0] * 102, 2)
    words = describe(scored, [900, 100], "none")
    assert words.startswith("Class 'c1' (recall 0.00 on 12 validation rows, 100 in train) ")
    assert "--class-weights balanced" in words
    assert "--class-weights" not in describe(scored, [900, 100], "balanced")
    assert "--class-weights" not in describe(scored, [500, 500], "none")
    assert "--epochs" not in words


def test_of_many_missed_classes_a_few_are_named():
    scored = report(np.repeat(np.arange(200), 2), [0] * 400, 200)
    words = describe_missed(scored, [9] * 200, "none", is_improving=True)
    assert words.startswith("199 of 200 classes")
    assert "'c1' (recall 0.00 on 2 validation rows, 9 in train)" in words
    assert "and 196 more" in words
    assert "'c4'" not in words
    assert "--epochs" in words
    assert "--epochs" not in describe(scored, [9] * 200, "none")


def test_the_hardest_classes_have_the_lowest_f1_and_occur():
    scored = report([0, 0, 1, 1, 2, 2, 2], [0, 0, 1, 0, 1, 1, 1], 4)
    assert hardest_classes(scored, 2) == [2, 1]
    assert hardest_classes(scored, 9) == [2, 1, 0]


def test_the_imbalance_is_that_of_any_of_the_reports():
    even, uneven = report([0, 1], [0, 1], 2), report([0] * 9 + [1], [0] * 10, 2)
    assert report_imbalance(even) is None
    assert report_imbalance(even, uneven).largest_count == 9


@pytest.mark.parametrize(
    ("found", "weak"),
    [
        # Of how many examples of each class how many are found.
        ([(58, 3), (100, 90), (100, 92)], [0]),
        ([(100, 92), (58, 3), (100, 90), (58, 0)], [3, 1]),
        ([(1250, 1153), (1250, 1171)], []),
        ([(100, 95), (100, 60)], [1]),
        ([(19, 0), (100, 95), (100, 95)], []),
        ([(100, 5)], []),
        ([(20, 13), (100, 95), (100, 95)], []),
        ([(200, 130), (100, 95), (100, 95)], [0]),
        ([(100, 30), (100, 35), (100, 33)], []),
    ],
)
def test_a_class_is_weak_if_chance_does_not_explain_its_recall(found, weak):
    num = len(found)
    labels = [i for i, (support, _) in enumerate(found) for _ in range(support)]
    predicted = [
        i if j < num_found else (i + 1) % max(num, 2)
        for i, (support, num_found) in enumerate(found)
        for j in range(support)
    ]
    assert weak_classes(report(labels, predicted, max(num, 2))) == weak

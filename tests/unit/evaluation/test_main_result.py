"""The sentence on a result says what matters, and no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_cli.evaluation import metrics
from lstm_cli.evaluation.main_result import describe_result, main_metric
from lstm_cli.runs.metrics_schema import BaselineScores


def report_of(supports, num_found, names=("account", "card", "loan")):
    """A report of classes of which so many examples are found; the rest is taken for the next."""
    labels = np.repeat(np.arange(len(supports)), supports)
    predicted = np.concatenate(
        [
            np.where(np.arange(support) < num, i, (i + 1) % len(supports))
            for i, (support, num) in enumerate(zip(supports, num_found, strict=True))
        ]
    )
    probabilities = np.eye(len(supports), dtype=np.float32)[predicted]
    return metrics.compute(labels.astype(np.int32), probabilities, names[: len(supports)])


@pytest.fixture
def even():
    return report_of((100, 100, 100), (90, 91, 92))


@pytest.fixture
def multi_label():
    labels = np.zeros((200, 2), np.int32)
    labels[:100, 0] = labels[100:, 1] = 1
    probabilities = np.where(labels == 1, 0.9, 0.1).astype(np.float32)
    probabilities[:95, 0] = 0.2
    return metrics.compute(labels, probabilities, ("joy", "fear"), np.array([0.5, 0.5]))


def test_accuracy_with_its_interval(even):
    assert describe_result(even, "test") == "Accuracy 0.910 on test, 95% interval 0.872 to 0.937."


def test_the_linear_part_stands_beside_it(even):
    report = replace(even, linear=BaselineScores(0.9064, 0.5))
    assert "; the linear part alone reaches 0.906." in describe_result(report, "test")


def test_a_weak_class_is_named_with_its_examples():
    found = describe_result(report_of((58, 100, 100), (3, 95, 96)), "test")
    assert found.endswith("; class 'account' has recall 0.05 (58 examples).")
    found = describe_result(report_of((50, 50, 100, 100, 100), (1, 2, 95, 96, 97), "abcde"), "test")
    assert found.endswith("; 2 classes have a low recall, the lowest 'a' with 0.02 (50 examples).")


def test_of_uneven_classes_macro_f1_comes_first():
    report = report_of((900, 50, 50), (890, 40, 40))
    report = replace(report, linear=BaselineScores(0.9, 0.777))
    found = describe_result(report, "validation")
    assert main_metric(report) == "f1"
    assert found.startswith(f"Macro F1 {report.f1:.3f} on validation, accuracy 0.970, 95%")
    assert "the linear part alone reaches 0.777" in found


def test_no_more_than_the_most_common_class_is_plain():
    report = replace(report_of((60, 40), (56, 8)), majority=BaselineScores(0.6, 0.375))
    part = "not clearly better than always answering the most common class, 0.600"
    assert part in describe_result(report, "test")
    beside = replace(report, linear=BaselineScores(0.6, 0.5))
    assert f"{part}; the linear part alone reaches 0.600" in describe_result(beside, "test")
    better = replace(report_of((60, 40), (56, 36)), majority=report.majority)
    assert "most common" not in describe_result(better, "test")


def test_a_figure_of_the_linear_part_is_never_called_better(even):
    # 157 right answers of 160 against 156 show nothing.
    report = replace(even, linear=BaselineScores(even.accuracy + 0.01, 0.5))
    assert describe_result(report, "test").endswith("; the linear part alone reaches 0.920.")


def test_labels_have_micro_f1_and_no_interval(multi_label):
    report = replace(multi_label, linear=BaselineScores(0.5, 0.5, 0.512))
    assert describe_result(report, "test") == (
        f"Micro F1 {report.micro_f1:.3f} on test; the linear part alone reaches 0.512; "
        "label 'joy' has recall 0.05 (100 examples)."
    )


def test_with_thresholds_the_share_of_answers_is_given(even):
    report = replace(even, answered=0.8, linear=BaselineScores(0.9, 0.9))
    found = describe_result(report, "test")
    assert "for the 80.0% answered, 95% interval" in found
    assert "linear" not in found
    majority = replace(even, answered=0.8, majority=BaselineScores(0.99, 0.9))
    assert "most common" not in describe_result(majority, "test")
    none = replace(even, answered=0.0, accuracy=0.0)
    assert describe_result(none, "test") == "No example was answered on test."

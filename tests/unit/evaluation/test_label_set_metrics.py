from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from sklearn import metrics as reference

from lstm_cli.data.dataset import Split
from lstm_cli.evaluation import label_set_metrics, metrics, thresholds
from lstm_cli.evaluation.evaluate import draw_results
from lstm_cli.evaluation.hard_classes import describe_missed, report_imbalance
from lstm_cli.evaluation.mistakes import find_mistakes
from lstm_cli.evaluation.scored_split import ScoredSplit
from lstm_cli.report.metric_rows import metric_rows
from lstm_cli.runs.metrics_schema import Report, check_report

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(0)
    labels = (rng.random((300, 4)) < [0.5, 0.2, 0.05, 0.1]).astype(np.int32)
    logits = 2.5 * labels - 1.5 + rng.normal(0, 1.2, labels.shape)
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    limits = np.array([0.5, 0.4, 0.3, 0.6])
    report = metrics.compute(labels, probabilities, NAMES, limits)
    return ScoredSplit(labels, probabilities, report)


def test_report_agrees_with_scikit_learn(scored):
    labels, probabilities, report = scored.labels, scored.probabilities, scored.report
    predicted = (probabilities >= scored.thresholds.astype(np.float32)).astype(int)
    for average in ("micro", "macro"):
        expected = reference.precision_recall_fscore_support(
            labels, predicted, average=average, zero_division=0
        )[:3]
        found = (report.precision, report.recall, report.f1)
        if average == "micro":
            found = (report.micro.precision, report.micro.recall, report.micro.f1)
        assert found == pytest.approx(expected)
    assert report.accuracy == pytest.approx(reference.accuracy_score(labels, predicted))
    assert report.roc_auc == pytest.approx(reference.roc_auc_score(labels, probabilities))
    expected = reference.log_loss(labels.ravel(), probabilities.ravel().astype(float))
    assert report.loss == pytest.approx(expected)
    by_label = reference.f1_score(labels, predicted, average=None)
    assert [each.f1 for each in report.classes] == pytest.approx(by_label.tolist())
    assert scored.is_correct.mean() == pytest.approx(report.accuracy)


def test_report_survives_json_and_is_checked(scored):
    report = msgspec.convert(scored.report.to_dict(), Report)
    assert report == scored.report
    check_report(report, NAMES)
    broken = replace(report, micro=replace(report.micro, num_labels=report.micro.num_labels + 1))
    with pytest.raises(ValueError, match="micro"):
        check_report(broken)
    with pytest.raises(ValueError, match="threshold"):
        check_report(replace(report, classes=(replace(report.classes[0], threshold=None),) * 4))


def test_single_label_reports_have_no_new_keys():
    report = metrics.compute(np.array([0, 1], np.int32), np.eye(2, dtype=np.float32), ("a", "b"))
    assert "micro" not in report.to_dict()
    assert report.to_dict()["classes"][0].keys() == {
        "name", "precision", "recall", "f1", "support",
    }  # fmt: skip


def test_thresholds_maximize_f1_on_enough_examples():
    rng = np.random.default_rng(1)
    labels = (rng.random((4000, 2)) < [0.1, 0.4]).astype(np.int32)
    logits = 3 * labels - [3.5, 1.5] + rng.normal(0, 1, labels.shape)
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    chosen = label_set_metrics.choose_thresholds(labels, probabilities)

    def f1(limits):
        predicted = probabilities >= np.float32(limits)
        return reference.f1_score(labels, predicted, average=None)

    best = np.max([f1(np.full(2, limit)) for limit in np.linspace(0.01, 0.99, 99)], axis=0)
    assert f1(chosen) == pytest.approx(best, abs=0.005)
    assert (f1(chosen) > f1(np.full(2, 0.5))).all()


def test_rare_label_gets_nearly_the_threshold_of_all():
    labels = np.zeros((500, 2), np.int32)
    labels[:250, 0] = 1
    labels[0, 1] = 1
    probabilities = np.full((500, 2), 0.05, np.float32)
    probabilities[:250, 0] = 0.6
    # The only example of the label has 0.01 and so do no others: without a prior, 0.01 is best.
    probabilities[:, 1] = 0.005
    probabilities[0, 1] = 0.012
    chosen = label_set_metrics.choose_thresholds(labels, probabilities)
    assert chosen[1] > 0.02
    assert 0.05 < chosen[0] < 0.6


def test_mistakes_are_the_most_certain_wrong_labels(scored):
    found = find_mistakes(scored, Split([f"text {i}" for i in range(300)], scored.labels), NAMES, 5)
    certainties = [mistake.probability for mistake in found]
    assert certainties == sorted(certainties, reverse=True)
    first = found[0]
    column = NAMES.index(first.wrong_label)
    is_true = scored.labels[first.index, column] == 1
    assert (first.wrong_label in first.label.split(", ")) == is_true
    assert (first.wrong_label in first.predicted.split(", ")) != is_true
    assert first.to_dict()["wrong_label"] == first.wrong_label
    assert "id" not in first.to_dict()
    named = Split([""] * 300, scored.labels, ids=[f"T-{i}" for i in range(300)])
    assert find_mistakes(scored, named, NAMES, 5)[0].name == f"T-{first.index}"


def test_rows_thresholds_and_advice(scored):
    report = scored.report
    assert [row.key for row in metric_rows(report)][:3] == [
        "num_examples", "micro_f1", "majority.micro_f1",
    ]  # fmt: skip
    assert report_imbalance(report) is None
    unmet = thresholds.unmet_thresholds(report.to_dict(), ["micro_f1=0.99", "f1=0.01"])
    assert [each.metric for each in unmet] == ["micro_f1"]
    assert metrics.predicted_counts(report)[1].tolist() == [c.num_predicted for c in report.classes]
    none = metrics.compute(scored.labels, np.zeros((300, 4), np.float32), NAMES)
    advice = describe_missed(none, [9, 9, 9, 9], "none", is_improving=False)
    assert "labels" in advice
    assert "--class-weights" not in advice


def test_plots_are_drawn(scored, tmp_path):
    names = draw_results(tmp_path, scored, NAMES)
    assert names == ["labels.png", "reliability.png", "roc_pr.png"]
    assert all((tmp_path / name).stat().st_size > 5000 for name in names)

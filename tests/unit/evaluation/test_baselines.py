"""The baselines beside each result."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import safetensors.numpy
from fixtures_lstm import linear
from fixtures_runs import TEXTS, make_multi_label_run, make_text_run, text_config, write_results
from sklearn import metrics as reference
from sklearn.dummy import DummyClassifier

from lstm_cli.evaluation import baselines, metrics
from lstm_cli.models.calibration import sigmoid
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.report.metric_rows import metric_rows
from lstm_cli.runs import directory as runs
from lstm_cli.runs.metrics_schema import Report, check_report
from lstm_cli.text.corpus import encode


def report_of(labels, num_classes):
    """The report of a run that finds each class as likely."""
    shape = (len(labels), num_classes)
    return metrics.compute(
        labels, np.full(shape, 1 / num_classes, np.float32), tuple("abcd"[:num_classes])
    )


@pytest.fixture
def label_sets():
    rng = np.random.default_rng(0)
    labels = (rng.random((200, 3)) < [0.6, 0.3, 0.1]).astype(np.int32)
    return labels, (3 * labels - 2 + rng.normal(0, 1.5, labels.shape)).astype(np.float32)


@pytest.mark.parametrize("labels", [[0, 1, 1, 2, 1, 0], [0, 0, 2, 2, 2], [1, 1]])
def test_majority_class_agrees_with_scikit_learn(labels):
    labels = np.array(labels, np.int32)
    predicted = DummyClassifier().fit(labels, labels).predict(labels)
    scores = report_of(labels, 3).majority
    assert scores.accuracy == pytest.approx(reference.accuracy_score(labels, predicted))
    assert scores.f1 == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert scores.micro_f1 is None


@pytest.mark.parametrize("most_common", [[1, 0, 0], [0, 1, 1]])
def test_majority_set_agrees_with_scikit_learn(label_sets, most_common):
    labels = np.vstack([label_sets[0], [most_common] * 200]).astype(np.int32)
    predicted = np.tile(most_common, (400, 1))
    scores = report_of(labels, 3).majority
    assert scores.accuracy == pytest.approx(reference.accuracy_score(labels, predicted))
    for average, found in (("macro", scores.f1), ("micro", scores.micro_f1)):
        expected = reference.f1_score(labels, predicted, average=average, zero_division=0)
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("scale", [0.1, 30])
@pytest.mark.parametrize("num_classes", [2, 4])
def test_linear_part_is_scored_by_its_highest_logit(num_classes, scale):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, num_classes, 100).astype(np.int32)
    logits = rng.normal(0, 1, (100, 1 if num_classes == 2 else num_classes)).astype(np.float32)
    predicted = (logits[:, 0] > 0).astype(int) if num_classes == 2 else logits.argmax(axis=1)
    report = report_of(labels, num_classes)
    linear = baselines.with_linear_part(report, labels, scale * logits).linear
    assert linear.accuracy == pytest.approx(reference.accuracy_score(labels, predicted))
    assert linear.f1 == pytest.approx(reference.f1_score(labels, predicted, average="macro"))


def test_thresholds_of_the_linear_part_are_chosen_on_validation(label_sets):
    labels, logits = label_sets
    report = report_of(labels, 3)
    thresholds = baselines.choose_linear_thresholds(labels, logits)
    validation = baselines.with_linear_part(report, labels, logits, thresholds)
    assert baselines.stored_thresholds(validation).tolist() == thresholds.tolist()
    predicted = sigmoid(logits) >= thresholds.astype(np.float32)
    expected = reference.f1_score(labels, predicted, average="micro")
    assert validation.linear.micro_f1 == pytest.approx(expected)
    assert expected > reference.f1_score(labels, logits > 1.5, average="micro")


def test_scores_of_baselines_survive_json(label_sets):
    labels, logits = label_sets
    report = baselines.with_linear_part(report_of(labels, 3), labels, logits, np.full(3, 0.25))
    assert msgspec.convert(report.to_dict(), Report) == report
    check_report(report)
    wrong = replace(report.linear, thresholds=(0.5,))
    with pytest.raises(ValueError, match=r"linear\.thresholds"):
        check_report(replace(report, linear=wrong))
    with pytest.raises(ValueError, match=r"majority\.micro_f1"):
        check_report(replace(report, majority=replace(report.majority, micro_f1=None)))


def test_eval_scores_the_linear_part_of_a_run_by_its_logits(tmp_path):
    config = text_config(linear__buckets=7, linear__word_ngrams=3)
    run = make_text_run(tmp_path / "runs" / "films" / "it", config=config)
    texts = [f"{first} {second} film" for first in TEXTS for second in ("good", "bad", "new")]
    labels = np.arange(len(texts), dtype=np.int32) % 2
    predictor = Predictor.load(run)
    corpus = encode(texts, predictor.tokenizer)
    report = metrics.compute(labels, predictor.probabilities(corpus), predictor.labels)
    found = baselines.measure_linear_part(report, labels, predictor, corpus).linear
    weights = safetensors.numpy.load_file(run.file(runs.WEIGHTS))
    logits = [
        linear(corpus[i], weights, config.linear) / weights["linear/scale"]
        for i in range(len(texts))
    ]
    predicted = (np.ravel(logits) > 0).astype(int)
    assert 0 < predicted.mean() < 1
    assert found.accuracy == pytest.approx(reference.accuracy_score(labels, predicted))
    run.file(runs.WEIGHTS).unlink()
    assert baselines.measure_linear_part(report, labels, predictor, corpus) == report


def test_labels_without_thresholds_of_the_linear_part_have_no_baseline(tmp_path):
    run = write_results(make_multi_label_run(tmp_path / "runs" / "films" / "it"))
    predictor = Predictor.load(run)
    labels = np.eye(3, dtype=np.int32)[np.arange(len(TEXTS)) % 3]
    corpus = encode(TEXTS, predictor.tokenizer)
    report = report_of(labels, 3)
    assert baselines.measure_linear_part(report, labels, predictor, corpus) == report
    results = run.read_json(runs.METRICS)
    results["validation"]["linear"] = {
        "accuracy": 0.5, "f1": 0.5, "micro_f1": 0.5, "thresholds": [0.25, 0.5, 0.75],
    }  # fmt: skip
    run.write_json(runs.METRICS, results)
    run.write_manifest()
    found = baselines.measure_linear_part(report, labels, Predictor.load(run), corpus).linear
    assert found.thresholds == (0.25, 0.5, 0.75)


def test_run_without_linear_part_does_not_mention_it():
    labels = np.array([0, 1, 1], np.int32)
    report = baselines.with_linear_part(report_of(labels, 2), labels, None)
    assert baselines.choose_linear_thresholds(labels, None) is None
    assert report.linear is None
    assert "linear" not in report.to_dict()
    assert report.to_dict()["majority"].keys() == {"accuracy", "f1"}
    assert not any("linear" in row.label for row in metric_rows(report))
    logits = np.ones((3, 1), np.float32)
    beside = metric_rows(report, baselines.with_linear_part(report, labels, logits))
    assert [row.label for row in beside if "linear" in row.label] == [
        "accuracy of the linear part alone",
        "macro F1 of the linear part alone",
    ]

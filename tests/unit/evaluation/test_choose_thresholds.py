"""Thresholds that are chosen: for the best macro F1, for a wanted precision, and what to expect."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_cli.evaluation.choose_thresholds import (
    Goal,
    choose_decision,
    lowest_min_probability,
    score_answers,
)


def simulated(num, shares, scale=1.5, seed=0):
    """Labels, and calibrated probabilities: the posterior of Gaussian scores."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(shares), num, p=shares).astype(np.int32)
    scores = rng.normal(0, 1, (num, len(shares)))
    scores[np.arange(num), labels] += scale
    logits = scale * scores + np.log(shares)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return labels, (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def test_scores_are_those_of_scikit_learn():
    from sklearn.metrics import f1_score

    labels = np.array([0, 0, 1, 1, 2, 2], np.int32)
    answers = np.array([0, -1, 1, 0, 2, 2])
    scores = score_answers(labels, answers, 4)
    assert (scores.answered, scores.accuracy) == (5 / 6, 4 / 5)
    expected = f1_score(labels, answers, labels=[0, 1, 2], average="macro")
    assert scores.f1 == pytest.approx(expected)
    assert score_answers(labels, np.full(6, -1), 3).accuracy is None


def test_the_lowest_probability_with_the_wanted_precision_is_found():
    confidences = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    correct = np.array([True, True, False, True, False])
    assert lowest_min_probability(confidences, correct, 0.6) == 0
    assert lowest_min_probability(confidences, correct, 0.75) == 0.6
    assert lowest_min_probability(confidences, correct, 0.9) == 0.8
    assert lowest_min_probability(confidences, ~correct, 0.9) is None


def test_equal_probabilities_are_answered_together():
    confidences = np.array([0.9, 0.8, 0.8, 0.8])
    correct = np.array([True, True, False, False])
    assert lowest_min_probability(confidences, correct, 0.9) == 0.9


def test_few_rows_count_with_their_probabilities():
    confidences, correct = np.array([0.7, 0.65, 0.6]), np.ones(3, bool)
    assert lowest_min_probability(confidences, correct, 0.9) == 0
    assert lowest_min_probability(confidences, correct, 0.9, prior_rows=20) is None


@pytest.mark.parametrize("wanted", [0.8, 0.9, 0.95])
def test_a_wanted_precision_is_reached_on_new_rows_in_each_class(wanted):
    shares = [0.6, 0.3, 0.1]
    chosen = choose_decision(*simulated(4000, shares), Goal(wanted_precision=wanted))
    labels, probabilities = simulated(20_000, shares, seed=1)
    answers = chosen.decision.answers(probabilities)
    for class_id in range(3):
        given = answers == class_id
        assert given.sum() > 100
        precision = (labels[given] == class_id).mean()
        assert precision > wanted - 0.05
        # Without a smallest probability, a class may have more.
        if chosen.decision.min_probabilities[class_id]:
            assert precision < wanted + 0.05
    found = score_answers(labels, answers, 3)
    assert chosen.expected.answered == pytest.approx(found.answered, abs=0.04)
    assert chosen.expected.accuracy == pytest.approx(found.accuracy, abs=0.02)


def test_best_f1_helps_rare_classes_on_new_rows():
    shares = [0.85, 0.1, 0.05]
    chosen = choose_decision(*simulated(4000, shares), Goal(best_f1=True))
    labels, probabilities = simulated(20_000, shares, seed=1)
    before = score_answers(labels, probabilities.argmax(axis=1), 3)
    after = score_answers(labels, chosen.decision.answers(probabilities), 3)
    assert after.f1 > before.f1 + 0.02
    assert after.answered == 1
    assert chosen.before.f1 + 0.02 < chosen.expected.f1
    assert chosen.expected.f1 == pytest.approx(after.f1, abs=0.03)
    assert chosen.decision.thresholds.sum() == pytest.approx(1)


def test_both_goals_together():
    goal = Goal(best_f1=True, wanted_precision=0.9)
    decision = choose_decision(*simulated(2000, [0.8, 0.2]), goal).decision
    assert decision.thresholds is not None
    assert decision.min_probabilities is not None


def test_a_class_that_never_is_chosen_needs_the_wanted_probability():
    labels, probabilities = simulated(200, [0.5, 0.5])
    wider = np.hstack([probabilities * 0.99, np.full((200, 1), 0.01, np.float32)])
    decision = choose_decision(labels, wider, Goal(wanted_precision=0.9)).decision
    assert decision.min_probabilities[2] == 0.9

"""Choose thresholds by class on predictions for rows that the model was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.splits import stratified_folds
from lstm_cli.prediction.decision import MOST_PROBABLE, Decision
from lstm_cli.runs.thresholds import Scores

# Factors on a threshold that are tried, from 1/8 to 8; and rounds over all classes.
_FACTORS = 2.0 ** (np.arange(-12, 13) / 4)
_MAX_ROUNDS = 3
# Smallest probabilities are rounded down to this many parts of 1.
_PARTS = 1_000_000
# The calibrated probabilities count as much as this many rows in the precision of a class.
# Without them, 77 classes in 500 rows had a cross-validated precision of 0.938 where 0.98 was
# wanted; with 20 it was 0.976.
_PRIOR_ROWS = 20.0
# The target of a row is this much its label, else its calibrated probabilities. With labels alone,
# thresholds follow single rows: on four of five data sets 0.25 gave the higher cross-validated F1.
_LABEL_WEIGHT = 0.25
_NUM_FOLDS = 5
_SEED = 0


@dataclass(frozen=True)
class Goal:
    """What thresholds are chosen for; at least one of the two.

    Attributes:
        best_f1: Whether to choose thresholds for the best macro F1.
        wanted_precision: The precision that each class should have, by smallest probabilities;
            None for an answer always.
    """

    best_f1: bool = False
    wanted_precision: float | None = None


@dataclass(frozen=True, eq=False)
class ChosenDecision:
    """A rule of decision that was chosen, and what it gives.

    Attributes:
        decision: The rule, chosen on all rows.
        before: Scores of the most probable class.
        expected: Scores of rules that were chosen on other rows, by cross-validation.
    """

    decision: Decision
    before: Scores
    expected: Scores


def choose_decision(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], goal: Goal
) -> ChosenDecision:
    """Choose a rule of decision, and estimate what it gives on new rows.

    Args:
        labels: True class ids, `<int32>[num]`.
        probabilities: Of a model that has not seen these rows, `<float32>[num, classes]`.
        goal: What to choose for.
    """
    answers = np.full(len(labels), -1, np.int64)
    fold_of = stratified_folds(labels, min(_NUM_FOLDS, len(labels)), _SEED)
    for fold in np.unique(fold_of):
        held_out = fold_of == fold
        decision = _choose(labels[~held_out], probabilities[~held_out], goal)
        answers[held_out] = decision.answers(probabilities[held_out])
    num_classes = probabilities.shape[1]
    return ChosenDecision(
        _choose(labels, probabilities, goal),
        score_answers(labels, MOST_PROBABLE.answers(probabilities), num_classes),
        score_answers(labels, answers, num_classes),
    )


def score_answers(
    labels: NDArray[np.int32], answers: NDArray[np.int64], num_classes: int
) -> Scores:
    """Return what a rule of decision gives.

    Args:
        labels: True class ids, `<int32>[num]`.
        answers: From `Decision.answers`, `<int64>[num]`.
        num_classes: Of the run.
    """
    is_answered = answers >= 0
    num_answered = int(is_answered.sum())
    num_correct = int((answers == labels).sum())
    return Scores(
        num_answered / len(labels),
        num_correct / num_answered if num_answered else None,
        _macro_f1(labels, answers, num_classes),
    )


def lowest_min_probability(
    confidences: NDArray[np.float64],
    is_correct: NDArray[np.bool_],
    wanted_precision: float,
    prior_rows: float = 0.0,
) -> float | None:
    """Return the smallest probability from which on answers have the wanted precision.

    Args:
        confidences: Probability of the chosen class, `<float64>[num]`.
        is_correct: Whether the chosen class is the true one, `<bool>[num]`.
        wanted_precision: From 0 to 1.
        prior_rows: The mean of the calibrated probabilities counts as much as this many rows: of
            few rows, all may be correct by chance.

    Returns:
        0 if no row is left out, None if no probability is high enough.
    """
    floors = np.floor(confidences * _PARTS) / _PARTS
    order = np.argsort(-floors, kind="stable")
    counts = np.arange(1, len(order) + 1)
    means = np.cumsum(confidences[order]) / counts
    correct = np.cumsum(is_correct[order])
    precisions = (correct + prior_rows * means) / (counts + prior_rows)
    # Rows with equal probabilities are answered together or not at all.
    is_last = np.append(floors[order][1:] != floors[order][:-1], True)
    reached = np.flatnonzero(is_last & (precisions >= wanted_precision))
    if not len(reached):
        return None
    return 0.0 if reached[-1] == len(order) - 1 else float(floors[order][reached[-1]])


def _choose(labels: NDArray[np.int32], probabilities: NDArray[np.float32], goal: Goal) -> Decision:
    num_classes = probabilities.shape[1]
    decision = MOST_PROBABLE
    if goal.best_f1:
        decision = Decision(_best_f1_thresholds(labels, probabilities.astype(np.float64)))
    if goal.wanted_precision is None:
        return decision
    chosen = decision.choose(probabilities)
    confidences = probabilities[np.arange(len(labels)), chosen].astype(np.float64)
    minimums = np.zeros(num_classes)
    for class_id in range(num_classes):
        rows = chosen == class_id
        if rows.any():
            found = lowest_min_probability(
                confidences[rows], (chosen == labels)[rows], goal.wanted_precision, _PRIOR_ROWS
            )
            minimums[class_id] = 1.0 if found is None else found
        else:
            # Calibrated probabilities are all that is known of a class that was never chosen.
            minimums[class_id] = goal.wanted_precision
    return Decision(decision.thresholds, minimums)


def _best_f1_thresholds(
    labels: NDArray[np.int32], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the thresholds with the best macro F1, one class after the other until none helps.

    Returns:
        `<float64>[classes]`, with the sum 1.
    """
    num_classes = probabilities.shape[1]
    targets = _LABEL_WEIGHT * np.eye(num_classes)[labels] + (1 - _LABEL_WEIGHT) * probabilities
    thresholds = np.full(num_classes, 1 / num_classes)
    ratios = probabilities / thresholds
    ranks = _two_highest(ratios)
    best = _expected_f1(targets, ranks[0])
    for _ in range(_MAX_ROUNDS):
        before = best
        for class_id in range(num_classes):
            rivals = np.where(ranks[0] == class_id, ranks[1], ranks[0])
            factor, best = _best_factor(targets, ratios, rivals, class_id, best)
            if factor != 1:
                thresholds[class_id] *= factor
                ratios[:, class_id] /= factor
                ranks = _two_highest(ratios)
        if best <= before:
            break
    normalized: NDArray[np.float64] = thresholds / thresholds.sum()
    return normalized


def _two_highest(ratios: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids of the classes with the highest and the second highest ratio, `[num]` each."""
    rows = np.arange(len(ratios))
    first = ratios.argmax(axis=1)
    others = ratios.copy()
    others[rows, first] = -1.0
    return first, others.argmax(axis=1)


def _best_factor(
    targets: NDArray[np.float64],
    ratios: NDArray[np.float64],
    rivals: NDArray[np.int64],
    class_id: int,
    best: float,
) -> tuple[float, float]:
    """Return the factor on the threshold of a class with the best macro F1, and that F1.

    Without a gain the factor is 1.

    Args:
        targets: As for `_expected_f1`.
        ratios: Of probability to threshold, `<float64>[num, classes]`.
        rivals: Id of the class with the highest ratio beside this class, `<int64>[num]`.
        class_id: The class.
        best: Macro F1 without the factor.
    """
    highest = ratios[:, class_id] / ratios[np.arange(len(ratios)), rivals].clip(1e-300)
    scores = [
        _expected_f1(targets, np.where(highest >= factor, class_id, rivals)) for factor in _FACTORS
    ]
    index = int(np.argmax(scores))
    if scores[index] <= best + 1e-9:
        return 1.0, best
    return float(_FACTORS[index]), scores[index]


def _expected_f1(targets: NDArray[np.float64], chosen: NDArray[np.int64]) -> float:
    """Return the macro F1 of choices.

    Args:
        targets: Probability that a class is the true one, `<float64>[num, classes]`.
        chosen: Class ids, `<int64>[num]`.
    """
    num_classes = targets.shape[1]
    found = np.bincount(chosen, targets[np.arange(len(chosen)), chosen], num_classes)
    given = np.bincount(chosen, minlength=num_classes)
    total = given + targets.sum(axis=0)
    f1: NDArray[np.float64] = 2 * found[total > 0] / total[total > 0]
    return float(f1.mean())


def _macro_f1(labels: NDArray[np.int32], answers: NDArray[np.int64], num_classes: int) -> float:
    """Return the mean F1 of the classes that occur or are answered; -1 is no answer."""
    correct = np.bincount(labels[labels == answers], minlength=num_classes)
    given = np.bincount(answers[answers >= 0], minlength=num_classes)
    support = np.bincount(labels, minlength=num_classes)
    present = given + support > 0
    f1: NDArray[np.float64] = 2 * correct[present] / (given + support)[present]
    return float(f1.mean())

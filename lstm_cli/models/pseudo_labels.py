"""Pseudo-labels: which unlabeled texts a linear model learns from, and with which classes.

The teacher is the sum of two classifiers that are wrong on different texts: the linear model, which
separates the classes, and naive Bayes, which describes them and so can learn from unlabeled texts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Chosen on 500 labels and about 6,000 unlabeled texts of three data sets, held-out rows of train.
# More rounds, other weights between 0.1 and 1, and texts one step after the other gained nothing.
_ROUNDS = 2
_UNLABELED_WEIGHT = 0.3
_SMOOTHING = 0.1
# Features of a text repeat each other: naive Bayes is far too sure of itself.
_SHARPNESS = 0.5


def confident_rows(
    counts: Any,
    labels: NDArray[np.int32],
    unlabeled: Any,
    linear_scores: NDArray[np.float64],
    num_classes: int,
    fraction: float,
    row_weights: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the unlabeled texts whose classes are most certain, with their classes.

    The classes get as large shares of them as they have of the labeled texts. Otherwise the classes
    that are easy to find would crowd out the others.

    Args:
        counts: Features of the labeled texts, a sparse `<float32>[num, features]`.
        labels: Class ids, `<int32>[num]`.
        unlabeled: Features of the unlabeled texts, a sparse `<float32>[unlabeled, features]`.
        linear_scores: Logits of the unlabeled texts, `<float64>[unlabeled, outputs]`.
        num_classes: At least 2.
        fraction: The fraction of the unlabeled texts to return.
        row_weights: How often each labeled text counts, `<float64>[num]`; None for once.

    Returns:
        Rows of `unlabeled` in ascending order, and a class id for each.

    Source: Yarowsky 1995, "Unsupervised Word Sense Disambiguation Rivaling Supervised Methods", for
        self-training; Blum & Mitchell 1998, "Combining Labeled and Unlabeled Data with
        Co-Training", for two teachers and shares by class.
    """
    if linear_scores.shape[1] == 1:
        linear_scores = np.hstack([-linear_scores, linear_scores])
    bayes = _naive_bayes_scores(counts, labels, unlabeled, num_classes, row_weights)
    of_classes = np.bincount(labels, row_weights, minlength=num_classes)
    shares = of_classes / of_classes.sum()
    return _select(_standardized(linear_scores) + _standardized(bayes), shares, fraction)


def _naive_bayes_scores(
    counts: Any,
    labels: NDArray[np.int32],
    unlabeled: Any,
    num_classes: int,
    row_weights: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Learn naive Bayes from labeled and unlabeled texts; return the scores of the latter.

    Source: Nigam et al. 2000, "Text Classification from Labeled and Unlabeled Documents using EM",
        section 5.3.1, for the smaller weight of the unlabeled texts.
    """
    labeled, others = _presence(counts), _presence(unlabeled)
    root = np.sqrt(np.maximum(1, np.diff(others.indptr)))[:, None]
    one_hot = np.eye(num_classes, dtype=np.float32)[labels]
    if row_weights is not None:
        one_hot *= row_weights[:, None].astype(np.float32)
    of_labeled = labeled.T @ one_hot
    totals = of_labeled
    for remaining in range(_ROUNDS, -1, -1):
        smoothed = totals.astype(np.float64) + _SMOOTHING
        scores = others @ np.log(smoothed / smoothed.sum(axis=0)) / root
        if remaining:
            exponentials = np.exp(_SHARPNESS * (scores - scores.max(axis=1, keepdims=True)))
            probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
            totals = of_labeled + _UNLABELED_WEIGHT * (others.T @ probabilities)
    return np.asarray(scores)


def _presence(counts: Any) -> Any:
    """Return whether each text has each feature, with the structure of `counts`."""
    presence = counts.copy()
    presence.data = np.ones_like(counts.data)
    return presence


def _standardized(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compare the classes of a text with each other, and the texts of a class with each other."""
    centered = scores - scores.mean(axis=1, keepdims=True)
    centered -= centered.mean(axis=0)
    return np.asarray(centered / (centered.std() or 1.0))


def _select(
    scores: NDArray[np.float64], shares: NDArray[np.float64], fraction: float
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the texts with the highest margins of each class, and their classes.

    A text that is among the best of several classes belongs to the one with the highest margin.

    Args:
        scores: `<float64>[num, classes]`.
        shares: Share of each class, `<float64>[classes]`.
        fraction: The fraction of the texts to return.
    """
    num, num_classes = scores.shape
    wanted = np.rint(fraction * num * shares).astype(np.int64)
    second, first = np.partition(scores, -2, axis=1)[:, -2:].T
    best = scores.argmax(axis=1)
    labels = np.zeros(num, np.int32)
    highest = np.full(num, -np.inf)
    for label in range(num_classes):
        margins = scores[:, label] - np.where(best == label, second, first)
        rows = np.argsort(-margins, kind="stable")[: wanted[label]]
        rows = rows[margins[rows] > highest[rows]]
        labels[rows], highest[rows] = label, margins[rows]
    rows = np.flatnonzero(highest > -np.inf)
    return rows, labels[rows]

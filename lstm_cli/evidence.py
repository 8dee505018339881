"""What pairs of words say of the class by themselves: naive Bayes, as one more input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.calibration import best_scale
from lstm_cli.config import EvidenceSettings
from lstm_cli.encoded import Corpus
from lstm_cli.errors import LstmError
from lstm_cli.text import pair_ids

_MAX_NUMBERS = 32_000_000


@dataclass(frozen=True)
class Evidence:
    """Log-count ratios of word pairs, learned from the training split.

    Attributes:
        table: What a pair says for each class, `<float32>[buckets, outputs]`, with one output for
            two classes. In units of the spread that the evidence has over the training texts.
        train: Evidence of each training text, from the texts of the other folds,
            `<float32>[num, outputs]`.
        scale: The weight on it with which the evidence alone classifies best.
        biases: Added to that, for classes that are not equally frequent, `<float32>[outputs]`.
    """

    table: NDArray[np.float32]
    train: NDArray[np.float32]
    scale: float
    biases: NDArray[np.float32]


def learn(
    corpus: Corpus,
    labels: NDArray[np.int32],
    num_classes: int,
    settings: EvidenceSettings,
    seed: int,
) -> Evidence:
    """Count pairs by class.

    A text that was counted itself would find its own label in the table, and training would learn
    to trust it more than a new text deserves. So the training texts are dealt into folds, and the
    evidence of each comes from the counts of the other folds.

    Args:
        corpus: The training texts.
        labels: Their class ids, `<int32>[num]`.
        num_classes: At least 2.
        settings: Buckets, folds and smoothing.
        seed: Of the folds.

    Raises:
        LstmError: The table would have more numbers than is sensible.

    Source: Wang & Manning 2012, "Baselines and Bigrams", section 2.1 (log-count ratios of bigrams,
        there as weights of a linear model). Cross-fitting: Chernozhukov et al. 2018, "Double
        Machine Learning", section 3.
    """
    most = _MAX_NUMBERS // num_classes
    if settings.buckets > most:
        raise LstmError(
            f"evidence.buckets expects at most {most:,} with {num_classes:,} classes, found "
            f"{settings.buckets:,}.",
            "Lower evidence.buckets.",
        )
    pairs = _pairs(corpus, settings.buckets)
    folds = np.random.default_rng(seed).permutation(len(corpus)) % settings.folds
    total = _count(pairs, corpus, labels, num_classes, settings.buckets)
    train = np.zeros((len(corpus), _num_outputs(num_classes)))
    for fold in range(settings.folds):
        inside = folds == fold
        own = _count(pairs, corpus, labels, num_classes, settings.buckets, inside)
        ratios = _ratios(total - own, settings.smoothing)
        train[inside] = _sums(ratios, pairs, corpus)[inside]
    spread = float(train.std()) or 1.0
    table = (_ratios(total, settings.smoothing) / spread).astype(np.float32)
    train /= spread
    biases = _biases(labels, num_classes)
    scale = best_scale(train, labels, biases)
    return Evidence(table, train.astype(np.float32), scale, biases.astype(np.float32))


def of(corpus: Corpus, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum what the pairs of each text say, over the square root of its length.

    Args:
        corpus: The texts.
        table: As `Evidence` has it.

    Returns:
        `<float32>[num, outputs]`.
    """
    return _sums(table, _pairs(corpus, len(table)), corpus).astype(np.float32)


def _num_outputs(num_classes: int) -> int:
    return 1 if num_classes == 2 else num_classes


def _biases(labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float64]:
    """Return log shares of the classes, `<float64>[outputs]`; for two classes, log odds."""
    logs = np.log((np.bincount(labels, minlength=num_classes) + 1) / (len(labels) + num_classes))
    return logs[1:] - logs[:1] if num_classes == 2 else logs


def _pairs(corpus: Corpus, buckets: int) -> NDArray[np.int32]:
    """Return the bucket of each token with the one before it in its text, `<int32>[tokens]`."""
    ids = np.asarray(corpus.ids).astype(np.int32)
    before = np.zeros_like(ids)
    before[1:] = ids[:-1]
    before[corpus.starts[:-1]] = 0
    return pair_ids(before, ids, buckets)


def _count(
    pairs: NDArray[np.int32],
    corpus: Corpus,
    labels: NDArray[np.int32],
    num_classes: int,
    buckets: int,
    chosen: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Count pairs by class over the chosen texts, `<float64>[classes, buckets]`."""
    counts = np.zeros((num_classes, buckets))
    for label in range(num_classes):
        texts = labels == label if chosen is None else (labels == label) & chosen
        tokens = np.repeat(texts, corpus.lengths)
        counts[label] = np.bincount(pairs[tokens], minlength=buckets)
    return counts


def _ratios(counts: NDArray[np.float64], smoothing: float) -> NDArray[np.float64]:
    """Turn counts into log-count ratios, `<float64>[buckets, outputs]`."""
    shares = counts + smoothing
    logs = np.log(shares / shares.sum(axis=1, keepdims=True))
    if len(logs) == 2:
        odds: NDArray[np.float64] = logs[1:] - logs[:1]
        return odds.T
    return np.ascontiguousarray((logs - logs.mean(axis=0)).T)


def _sums(
    table: NDArray[np.floating], pairs: NDArray[np.int32], corpus: Corpus
) -> NDArray[np.float64]:
    """Sum rows of the table over each text, over the square root of its length."""
    sums: NDArray[np.float64] = np.add.reduceat(
        table[pairs].astype(np.float64), corpus.starts[:-1], axis=0
    )
    sums /= np.sqrt(corpus.lengths)[:, None]
    return sums

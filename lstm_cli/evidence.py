"""What words and pairs of words say of the class by themselves, as one more input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.calibration import best_scale
from lstm_cli.config import EvidenceSettings
from lstm_cli.encoded import Corpus
from lstm_cli.errors import LstmError
from lstm_cli.text import pair_ids

_MAX_NUMBERS = 32_000_000
# Logistic regression wants features of about this size for its penalty to mean what it says.
_FEATURE_SCALE = 1 / 3
_TOLERANCE, _ITERATIONS = 1e-3, 100


@dataclass(frozen=True)
class Evidence:
    """Weights of words and pairs, learned from the training split.

    Attributes:
        table: What a word or a pair says for each class, `<float32>[buckets, outputs]`, with one
            output for two classes. In units of the spread that the evidence has over the training
            texts.
        train: Evidence of each training text, by weights learned from the other folds,
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
    """Fit a linear classifier to hashed words and pairs.

    Weights fitted to a text know its label, and training would learn to trust them more than a
    new text deserves. So the training texts are dealt into folds, and the evidence of each comes
    from weights fitted to the other folds.

    Args:
        corpus: The training texts.
        labels: Their class ids, `<int32>[num]`.
        num_classes: At least 2.
        settings: Buckets, folds and penalty.
        seed: Of the folds.

    Raises:
        LstmError: The table would have more numbers than is sensible.

    Source: Wang & Manning 2012, "Baselines and Bigrams": linear models of words and pairs are hard
        to beat on reviews. Salton & Buckley 1988 for the inverse document frequency. Wolpert
        1992, "Stacked Generalization", for the folds.
    """
    most = _MAX_NUMBERS // num_classes
    if settings.buckets > most:
        raise LstmError(
            f"evidence.buckets expects at most {most:,} with {num_classes:,} classes, found "
            f"{settings.buckets:,}.",
            "Lower evidence.buckets.",
        )
    features, rarity = _features(corpus, settings.buckets)
    weights = _fit(features, labels, num_classes, settings.penalty)
    num_folds = min(settings.folds, len(corpus))
    folds = np.random.default_rng(seed).permutation(len(corpus)) % num_folds
    train = np.zeros((len(corpus), _num_outputs(num_classes)))
    for fold in range(num_folds):
        inside = folds == fold
        others = _fit(features[~inside], labels[~inside], num_classes, settings.penalty)
        train[inside] = features[inside] @ others
    spread = float(train.std()) or 1.0
    table = weights * (rarity * (_FEATURE_SCALE / spread))[:, None]
    train /= spread
    biases = _biases(labels, num_classes)
    scale = best_scale(train, labels, biases)
    return Evidence(
        table.astype(np.float32), train.astype(np.float32), scale, biases.astype(np.float32)
    )


def of(corpus: Corpus, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum what the words and pairs of each text say, over the square root of its length.

    Args:
        corpus: The texts.
        table: As `Evidence` has it.

    Returns:
        `<float32>[num, outputs]`.
    """
    words, pairs = _ids(corpus, len(table))
    said = table[words].astype(np.float64) + table[pairs]
    sums = np.add.reduceat(said, corpus.starts[:-1], axis=0)
    return (sums / np.sqrt(corpus.lengths)[:, None]).astype(np.float32)


def _num_outputs(num_classes: int) -> int:
    return 1 if num_classes == 2 else num_classes


def _ids(corpus: Corpus, buckets: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the buckets of each token, and of it with the one before, `<int32>[tokens]` each.

    A word has the bucket of its pair with nothing before it.
    """
    ids = np.asarray(corpus.ids).astype(np.int32)
    before = np.zeros_like(ids)
    before[1:] = ids[:-1]
    before[corpus.starts[:-1]] = 0
    return pair_ids(np.zeros_like(ids), ids, buckets), pair_ids(before, ids, buckets)


def _features(corpus: Corpus, buckets: int) -> tuple[Any, NDArray[np.float32]]:
    """Count words and pairs by text: a sparse `<float32>[num, buckets]`.

    Each count is over the square root of the text's length and times how rare its bucket is,
    which is returned too, `<float32>[buckets]`.
    """
    from scipy import sparse

    columns = np.concatenate(_ids(corpus, buckets))
    rows = np.repeat(np.arange(len(corpus), dtype=np.int32), corpus.lengths)
    values = np.repeat(1 / np.sqrt(corpus.lengths), corpus.lengths) * _FEATURE_SCALE
    counts = sparse.csr_matrix(
        (np.tile(values.astype(np.float32), 2), (np.tile(rows, 2), columns)),
        shape=(len(corpus), buckets),
    )
    counts.sum_duplicates()
    texts = np.bincount(counts.indices, minlength=buckets)
    rarity = (np.log((1 + len(corpus)) / (1 + texts)) + 1).astype(np.float32)
    counts.data *= rarity[counts.indices]
    return counts, rarity


def _fit(
    features: Any, labels: NDArray[np.int32], num_classes: int, penalty: float
) -> NDArray[np.float64]:
    """Fit logistic regression; return its weights, `<float64>[buckets, outputs]`."""
    from sklearn.linear_model import LogisticRegression

    weights = np.zeros((features.shape[1], _num_outputs(num_classes)))
    present = np.unique(labels)
    if len(present) < 2:
        return weights
    model = LogisticRegression(C=1 / penalty, tol=_TOLERANCE, max_iter=_ITERATIONS)
    found = model.fit(features, labels).coef_.T
    if found.shape == weights.shape:
        return np.asarray(found, np.float64)
    # A fold may lack a class; of two classes left, there is one column, for the second.
    weights[:, present] = found if found.shape[1] > 1 else np.hstack([-found, found]) / 2
    return weights


def _biases(labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float64]:
    """Return log shares of the classes, `<float64>[outputs]`; for two classes, log odds."""
    logs = np.log((np.bincount(labels, minlength=num_classes) + 1) / (len(labels) + num_classes))
    return logs[1:] - logs[:1] if num_classes == 2 else logs

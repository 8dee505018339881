"""What words and pairs of words say of the class by themselves, as one more input."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.calibration import as_targets, best_scale
from lstm_cli.config import EvidenceSettings
from lstm_cli.encoded import Corpus
from lstm_cli.errors import LstmError
from lstm_cli.text import pair_ids

_MAX_NUMBERS = 32_000_000
# Added to every count: what was seen once or twice has shown little.
_SMOOTHING = 3.0
_LEAST_TEXTS = 3
# On the steepest slope, and with 100,000 features none is steep: at 1e-3 a fit may end half done.
_TOLERANCE, _ITERATIONS = 1e-4, 100


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

    Source: Wang & Manning 2012, "Baselines and Bigrams", section 2: features weighed by the
        log-count ratios of naive Bayes. Wolpert 1992, "Stacked Generalization", for the folds.
    """
    from threadpoolctl import threadpool_limits

    most = _MAX_NUMBERS // num_classes
    if settings.buckets > most:
        raise LstmError(
            f"evidence.buckets expects at most {most:,} with {num_classes:,} classes, found "
            f"{settings.buckets:,}.",
            "Lower evidence.buckets.",
        )
    kept, features = _features(corpus, settings.buckets)
    num_folds = min(settings.folds, len(corpus))
    fold_of = np.random.default_rng(seed).permutation(len(corpus)) % num_folds

    def without(fold: int) -> NDArray[np.float64]:
        others = fold_of != fold
        return _fit(features[others], labels[others], num_classes, settings.penalty)

    # Of no fold: the fit to all. Two at a time, each on one core: how sums are shared out between
    # threads would otherwise depend on what else runs, and with it the last bits.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(2) as pool:
        weights, *of_folds = pool.map(without, range(-1, num_folds))
    table = np.zeros((settings.buckets, _num_outputs(num_classes)))
    table[kept] = weights
    train = np.zeros((len(corpus), _num_outputs(num_classes)))
    for fold, weights in enumerate(of_folds):
        train[fold_of == fold] = features[fold_of == fold] @ weights
    spread = float(train.std()) or 1.0
    table /= spread
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


def verdicts(found: Evidence, said: NDArray[np.float32]) -> NDArray[np.float32]:
    """Say how likely the classes are by the evidence alone.

    Args:
        found: As `learn` returns it.
        said: The evidence of texts, as `of` returns it.

    Returns:
        As `calibration.as_targets`: `<float32>[num, 1]` or `[num, classes]`.
    """
    return as_targets(found.scale * said + found.biases)


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


def _counts(corpus: Corpus, buckets: int) -> Any:
    """Count words and pairs by text, over the square root of its length.

    Returns:
        A sparse `<float32>[num, buckets]`.
    """
    from scipy import sparse

    columns = np.concatenate(_ids(corpus, buckets))
    rows = np.repeat(np.arange(len(corpus), dtype=np.int32), corpus.lengths)
    values = np.repeat(1 / np.sqrt(corpus.lengths), corpus.lengths).astype(np.float32)
    counts = sparse.csr_matrix(
        (np.tile(values, 2), (np.tile(rows, 2), columns)), shape=(len(corpus), buckets)
    )
    counts.sum_duplicates()
    return counts


def _features(corpus: Corpus, buckets: int) -> tuple[NDArray[np.int64], Any]:
    """Count words and pairs by text, and leave out what hardly any text has.

    That says nothing of the next one, and is most of what there is.

    Returns:
        The buckets kept, `<int64>[kept]`, and their counts, a sparse `<float32>[num, kept]`.
    """
    counts = _counts(corpus, buckets)
    seen = np.bincount(counts.indices, minlength=buckets)
    kept = np.flatnonzero(seen >= max(1, min(_LEAST_TEXTS, seen.max())))
    return kept, counts[:, kept]


def _fit(
    features: Any, labels: NDArray[np.int32], num_classes: int, penalty: float
) -> NDArray[np.float64]:
    """Fit logistic regression to counts weighed by what they tell.

    Returns:
        Its weights on the counts themselves, `<float64>[features, outputs]`.
    """
    from sklearn.linear_model import LogisticRegression

    weights = np.zeros((features.shape[1], _num_outputs(num_classes)))
    present = np.unique(labels)
    if len(present) < 2 or not features.nnz:
        return weights
    tells = _telling(features, labels, num_classes)
    features = features.copy()
    features.data *= tells[features.indices]
    # The penalty is to mean the same for all data: features of a text have a norm of about 1.
    norm = np.sqrt(np.square(features.data, dtype=np.float64).sum() / len(labels)) or 1.0
    features.data /= np.float32(norm)
    model = LogisticRegression(C=1 / penalty, tol=_TOLERANCE, max_iter=_ITERATIONS)
    model.fit(features, labels)
    found: NDArray[np.float64] = model.coef_.T * (tells / norm)[:, None]
    if found.shape[1] == weights.shape[1]:
        return found
    # A fold may lack a class; of two classes left, there is one column, for the second.
    weights[:, present] = found if found.shape[1] > 1 else np.hstack([-found, found]) / 2
    return weights


def _telling(counts: Any, labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float32]:
    """Say how much each bucket tells of the class, `<float32>[buckets]`.

    That is the size of its log-count ratio: how much larger its share is in the texts of a class
    than in the others. A fit is free to choose the sign.
    """
    buckets = counts.shape[1]
    class_of = np.repeat(labels, np.diff(counts.indptr))
    inside = np.stack(
        [
            np.bincount(counts.indices[class_of == label], minlength=buckets)
            for label in range(num_classes)
        ]
    )
    outside = inside.sum(axis=0) - inside
    ratios = _log_shares(inside) - _log_shares(outside)
    tells: NDArray[np.float64] = np.sqrt(np.mean(ratios**2, axis=0))
    return tells.astype(np.float32)


def _log_shares(texts: NDArray[np.int64]) -> NDArray[np.float64]:
    smoothed = texts + _SMOOTHING
    logs: NDArray[np.float64] = np.log(smoothed / smoothed.sum(axis=1, keepdims=True))
    return logs


def _biases(labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float64]:
    """Return log shares of the classes, `<float64>[outputs]`; for two classes, log odds."""
    logs = np.log((np.bincount(labels, minlength=num_classes) + 1) / (len(labels) + num_classes))
    return logs[1:] - logs[:1] if num_classes == 2 else logs

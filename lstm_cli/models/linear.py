"""The linear model of unigrams and bigrams: the wide part beside the LSTM (the deep part).

Its logits are an input of the classifier, which adds them to those of the LSTM.

Source: Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import LinearSettings
from lstm_cli.errors import LstmError
from lstm_cli.models.calibration import fit_scale, soft_targets
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.ngrams import ngram_ids

# `fit_linear_model` imports these; it takes a second.
REQUIRED_MODULES = ("scipy.sparse", "sklearn.linear_model")
_MAX_TABLE_SIZE = 32_000_000
# Added to every count, because features seen once or twice are unreliable.
_SMOOTHING = 3.0
_MIN_TEXTS = 3
# Tolerance on the dual problem: the usual 0.1 takes three times as long for the same weights.
_TOLERANCE, _MAX_ITERATIONS = 1.0, 1000


@dataclass(frozen=True)
class LinearModel:
    """A linear classifier of hashed unigrams and bigrams, fitted to the training split.

    Attributes:
        table: Weights, `<float32>[buckets, outputs]`, with one output for two classes. They are
            scaled so that `train_logits` has a standard deviation of 1.
        train_logits: Out-of-fold logits of the training texts, `<float32>[num, outputs]`.
        scale: Factor on the logits with the highest likelihood of the labels.
        biases: Added to the scaled logits, for classes of unequal frequency, `<float32>[outputs]`.
    """

    table: NDArray[np.float32]
    train_logits: NDArray[np.float32]
    scale: float
    biases: NDArray[np.float32]


def fit_linear_model(
    corpus: Corpus, labels: NDArray[np.int32], num_classes: int, settings: LinearSettings, seed: int
) -> LinearModel:
    """Fit a linear classifier to hashed unigrams and bigrams.

    The logits of the training texts are out-of-fold: each fold is predicted by weights fitted to
    the other folds. This avoids label leakage; otherwise training would rely on these logits more
    than is right for new texts.

    Args:
        corpus: The training texts.
        labels: Class ids, `<int32>[num]`.
        num_classes: At least 2.
        settings: Buckets, folds and penalty.
        seed: Seed of the folds.

    Raises:
        LstmError: The table of weights would be too large.

    Source: Wang & Manning 2012, "Baselines and Bigrams", section 2: features weighted by naive
        Bayes log-count ratios. Wolpert 1992, "Stacked Generalization", for the folds.
    """
    max_buckets = _MAX_TABLE_SIZE // num_classes
    if settings.buckets > max_buckets:
        raise LstmError(
            f"linear.buckets expects at most {max_buckets:,} with {num_classes:,} classes, found "
            f"{settings.buckets:,}.",
            "Lower linear.buckets.",
        )
    buckets, features = _features(corpus, settings.buckets)
    table = np.zeros((settings.buckets, _num_outputs(num_classes)))
    table[buckets] = _fit(features, labels, num_classes, settings.penalty)
    train_logits = _out_of_fold_logits(features, labels, num_classes, settings, seed)
    std = float(train_logits.std()) or 1.0
    table /= std
    train_logits /= std
    biases = _biases(labels, num_classes)
    return LinearModel(
        table.astype(np.float32),
        train_logits.astype(np.float32),
        fit_scale(train_logits, labels, biases),
        biases.astype(np.float32),
    )


def linear_logits(corpus: Corpus, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum the weights of the unigrams and bigrams of each text, over the square root of its length.

    Args:
        corpus: The texts.
        table: Weights of a `LinearModel`.

    Returns:
        `<float32>[num, outputs]`.
    """
    unigrams, bigrams = ngram_ids(corpus, len(table))
    weights = table[unigrams].astype(np.float64) + table[bigrams]
    sums = np.add.reduceat(weights, corpus.starts[:-1], axis=0)
    return (sums / np.sqrt(corpus.lengths)[:, None]).astype(np.float32)


def linear_probabilities(model: LinearModel, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the class probabilities of the linear model alone.

    Args:
        model: A fitted model.
        logits: Result of `linear_logits`.

    Returns:
        As `calibration.soft_targets`: `<float32>[num, 1]` or `[num, classes]`.
    """
    return soft_targets(model.scale * logits + model.biases)


def _num_outputs(num_classes: int) -> int:
    return 1 if num_classes == 2 else num_classes


def _counts(corpus: Corpus, buckets: int) -> Any:
    """Count unigrams and bigrams by text, over the square root of its length.

    Returns:
        A sparse `<float32>[num, buckets]`.
    """
    from scipy import sparse

    columns = np.concatenate(ngram_ids(corpus, buckets))
    rows = np.repeat(np.arange(len(corpus), dtype=np.int32), corpus.lengths)
    values = np.repeat(1 / np.sqrt(corpus.lengths), corpus.lengths).astype(np.float32)
    counts = sparse.csr_matrix(
        (np.tile(values, 2), (np.tile(rows, 2), columns)), shape=(len(corpus), buckets)
    )
    counts.sum_duplicates()
    return counts


def _features(corpus: Corpus, buckets: int) -> tuple[NDArray[np.int64], Any]:
    """Count unigrams and bigrams by text, without those in fewer than three texts.

    Rare n-grams tell nothing about new texts, and most n-grams are rare.

    Returns:
        The frequent buckets, `<int64>[features]`, and their counts, a sparse
        `<float32>[num, features]`.
    """
    counts = _counts(corpus, buckets)
    num_texts = np.bincount(counts.indices, minlength=buckets)
    frequent = np.flatnonzero(num_texts >= max(1, min(_MIN_TEXTS, num_texts.max())))
    return frequent, counts[:, frequent]


def _out_of_fold_logits(
    features: Any, labels: NDArray[np.int32], num_classes: int, settings: LinearSettings, seed: int
) -> NDArray[np.float64]:
    """Predict each text by weights fitted to the other folds, `<float64>[num, outputs]`."""
    num_folds = min(settings.folds, len(labels))
    fold_of = np.random.default_rng(seed).permutation(len(labels)) % num_folds
    logits = np.zeros((len(labels), _num_outputs(num_classes)))
    for fold in range(num_folds):
        test, train = fold_of == fold, fold_of != fold
        weights = _fit(features[train], labels[train], num_classes, settings.penalty)
        logits[test] = features[test] @ weights
    return logits


def _fit(
    features: Any, labels: NDArray[np.int32], num_classes: int, penalty: float
) -> NDArray[np.float64]:
    """Fit logistic regression: class 1 against class 0, or each class against the rest.

    Returns:
        Its weights on the counts, `<float64>[features, outputs]`.
    """
    classes = range(1, 2) if num_classes == 2 else range(num_classes)
    columns = [_fit_class(features, labels == label, penalty) for label in classes]
    return np.stack(columns, axis=1)


def _fit_class(features: Any, is_class: NDArray[np.bool_], penalty: float) -> NDArray[np.float64]:
    """Fit logistic regression to counts weighted by their log-count ratios.

    Source: Yu, Huang & Lin 2011, "Dual coordinate descent methods for logistic regression and
        maximum entropy models", algorithm 5. On texts it takes a quarter of the time of lbfgs.
    """
    from sklearn.linear_model import LogisticRegression

    if is_class.all() or not is_class.any() or not features.nnz:
        # A fold can lack a class.
        return np.zeros(features.shape[1])
    ratios = _log_count_ratios(features, is_class)
    features = features.copy()
    features.data *= ratios[features.indices]
    # The mean squared norm of a text becomes 1, so the penalty means the same for all data.
    norm = np.sqrt(np.square(features.data, dtype=np.float64).sum() / len(is_class)) or 1.0
    features.data /= np.float32(norm)
    # liblinear has one random generator per process: two fits in parallel would change the bits.
    model = LogisticRegression(
        C=1 / penalty,
        solver="liblinear",
        dual=True,
        tol=_TOLERANCE,
        max_iter=_MAX_ITERATIONS,
        random_state=0,
    )
    model.fit(features, is_class)
    weights: NDArray[np.float64] = model.coef_[0] * (ratios / norm)
    return weights


def _log_count_ratios(features: Any, is_class: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the absolute log-count ratio of each feature, `<float32>[features]`.

    The ratio compares the relative frequency of the feature inside and outside the class. Its sign
    is dropped: the fit chooses the sign of the weight.
    """
    in_class = np.repeat(is_class, np.diff(features.indptr))
    inside, outside = (
        _log_frequencies(np.bincount(features.indices[mask], minlength=features.shape[1]))
        for mask in (in_class, ~in_class)
    )
    ratios: NDArray[np.float64] = np.abs(inside - outside)
    return ratios.astype(np.float32)


def _log_frequencies(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    smoothed = counts + _SMOOTHING
    logs: NDArray[np.float64] = np.log(smoothed / smoothed.sum())
    return logs


def _biases(labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float64]:
    """Return log frequencies of the classes, `<float64>[outputs]`; for two classes, log odds."""
    logs = np.log((np.bincount(labels, minlength=num_classes) + 1) / (len(labels) + num_classes))
    return logs[1:] - logs[:1] if num_classes == 2 else logs

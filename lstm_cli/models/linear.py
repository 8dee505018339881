"""What words and pairs of words say of the class by themselves, as one more input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import LinearSettings
from lstm_cli.errors import LstmError
from lstm_cli.models.calibration import as_targets, best_scale
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import bigram_ids

# Imported when evidence is learned, in a second.
NEEDED = ("scipy.sparse", "sklearn.linear_model")
_MAX_NUMBERS = 32_000_000
# Added to every count: what was seen once or twice has shown little.
_SMOOTHING = 3.0
_LEAST_TEXTS = 3
# Of the dual problem, where 0.1 is usual and takes three times as long for the same weights.
_TOLERANCE, _ITERATIONS = 1.0, 1000


@dataclass(frozen=True)
class LinearModel:
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
    settings: LinearSettings,
    seed: int,
) -> LinearModel:
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
    most = _MAX_NUMBERS // num_classes
    if settings.buckets > most:
        raise LstmError(
            f"linear.buckets expects at most {most:,} with {num_classes:,} classes, found "
            f"{settings.buckets:,}.",
            "Lower linear.buckets.",
        )
    kept, features = _features(corpus, settings.buckets)
    table = np.zeros((settings.buckets, _num_outputs(num_classes)))
    table[kept] = _fit(features, labels, num_classes, settings.penalty)
    train = _out_of_fold_logits(features, labels, num_classes, settings, seed)
    spread = float(train.std()) or 1.0
    table /= spread
    train /= spread
    biases = _biases(labels, num_classes)
    scale = best_scale(train, labels, biases)
    return LinearModel(
        table.astype(np.float32), train.astype(np.float32), scale, biases.astype(np.float32)
    )


def of(corpus: Corpus, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum what the words and pairs of each text say, over the square root of its length.

    Args:
        corpus: The texts.
        table: As `LinearModel` has it.

    Returns:
        `<float32>[num, outputs]`.
    """
    words, pairs = _ids(corpus, len(table))
    said = table[words].astype(np.float64) + table[pairs]
    sums = np.add.reduceat(said, corpus.starts[:-1], axis=0)
    return (sums / np.sqrt(corpus.lengths)[:, None]).astype(np.float32)


def pseudo_labels(found: LinearModel, said: NDArray[np.float32]) -> NDArray[np.float32]:
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
    return bigram_ids(np.zeros_like(ids), ids, buckets), bigram_ids(before, ids, buckets)


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


def _out_of_fold_logits(
    features: Any,
    labels: NDArray[np.int32],
    num_classes: int,
    settings: LinearSettings,
    seed: int,
) -> NDArray[np.float64]:
    """Judge each text by weights fitted to the other folds, `<float64>[num, outputs]`."""
    num_folds = min(settings.folds, len(labels))
    fold_of = np.random.default_rng(seed).permutation(len(labels)) % num_folds
    judged = np.zeros((len(labels), _num_outputs(num_classes)))
    for fold in range(num_folds):
        inside, others = fold_of == fold, fold_of != fold
        weights = _fit(features[others], labels[others], num_classes, settings.penalty)
        judged[inside] = features[inside] @ weights
    return judged


def _fit(
    features: Any, labels: NDArray[np.int32], num_classes: int, penalty: float
) -> NDArray[np.float64]:
    """Fit logistic regression for class 1, or for each of more classes against all others.

    Returns:
        Its weights on the counts themselves, `<float64>[features, outputs]`.
    """
    classes = range(1, 2) if num_classes == 2 else range(num_classes)
    columns = [_fit_one(features, labels == label, penalty) for label in classes]
    return np.stack(columns, axis=1)


def _fit_one(features: Any, is_class: NDArray[np.bool_], penalty: float) -> NDArray[np.float64]:
    """Fit logistic regression to counts weighed by what they tell of a class.

    Source: Yu, Huang & Lin 2011, "Dual coordinate descent methods for logistic regression and
        maximum entropy models", algorithm 5: on texts it is at the optimum in a quarter of the
        time that lbfgs takes.
    """
    from sklearn.linear_model import LogisticRegression

    if is_class.all() or not is_class.any() or not features.nnz:
        # A fold may lack a class.
        return np.zeros(features.shape[1])
    tells = _log_count_ratios(features, is_class)
    features = features.copy()
    features.data *= tells[features.indices]
    # The penalty is to mean the same for all data: features of a text have a norm of about 1.
    norm = np.sqrt(np.square(features.data, dtype=np.float64).sum() / len(is_class)) or 1.0
    features.data /= np.float32(norm)
    # Its generator is one for the whole process: no two fits at once, or bits would differ.
    model = LogisticRegression(
        C=1 / penalty,
        solver="liblinear",
        dual=True,
        tol=_TOLERANCE,
        max_iter=_ITERATIONS,
        random_state=0,
    )
    model.fit(features, is_class)
    weights: NDArray[np.float64] = model.coef_[0] * (tells / norm)
    return weights


def _log_count_ratios(features: Any, is_class: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Say how much each feature tells of a class, `<float32>[features]`.

    That is the size of its log-count ratio: how much larger its share is in the texts of the class
    than in the others. A fit is free to choose the sign.
    """
    inside = np.repeat(is_class, np.diff(features.indptr))
    ratios = [
        _log_frequencies(np.bincount(features.indices[chosen], minlength=features.shape[1]))
        for chosen in (inside, ~inside)
    ]
    tells: NDArray[np.float64] = np.abs(ratios[0] - ratios[1])
    return tells.astype(np.float32)


def _log_frequencies(texts: NDArray[np.int64]) -> NDArray[np.float64]:
    smoothed = texts + _SMOOTHING
    logs: NDArray[np.float64] = np.log(smoothed / smoothed.sum())
    return logs


def _biases(labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float64]:
    """Return log shares of the classes, `<float64>[outputs]`; for two classes, log odds."""
    logs = np.log((np.bincount(labels, minlength=num_classes) + 1) / (len(labels) + num_classes))
    return logs[1:] - logs[:1] if num_classes == 2 else logs

"""Linear support vector machines on TF-IDF features, scaled by log-count ratios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data import balance
from lstm_cli.data.balance import ClassWeights
from lstm_cli.io.array_file import drop_pages
from lstm_cli.models.calibration import num_outputs

# Added to the counts of the log-count ratios, because features seen once or twice are unreliable.
_SMOOTHING = 0.5
# Up to this many classes, each has its own log-count ratios; more share the mean, as one fit of all
# classes takes a third of the time.
_MAX_OWN_RATIOS = 20
_TOLERANCE, _MAX_ITERATIONS = 0.1, 1000


@dataclass(frozen=True)
class Targets:
    """The classes of texts.

    Attributes:
        labels: Class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`.
        importance: Weight of the class of each text in the fit, `<float32>[num]`.
        num_classes: At least 2.
        row_weights: How often each text counts, `<float64>[num]`; None for once.
    """

    labels: NDArray[np.int32]
    importance: NDArray[np.float32]
    num_classes: int
    row_weights: NDArray[np.float64] | None = None

    @classmethod
    def weighted(
        cls,
        labels: NDArray[np.int32],
        num_classes: int,
        class_weights: ClassWeights,
        row_weights: NDArray[np.float64] | None = None,
    ) -> Targets:
        """Return targets with the weights of their classes, and of their rows."""
        if labels.ndim == 2:
            return cls(labels, np.ones(len(labels), np.float32), num_classes, row_weights)
        weights = balance.class_weights(labels, num_classes, class_weights, row_weights)
        return cls(labels, weights[labels], num_classes, row_weights)

    @property
    def sample_weights(self) -> NDArray[Any]:
        """Weight of each text in the fit, `<float>[num]`."""
        return self.importance if self.row_weights is None else self.importance * self.row_weights

    def take(self, rows: NDArray[np.bool_ | np.int64]) -> Targets:
        """Return the targets of some rows: `<bool>[num]`, or their indices."""
        row_weights = None if self.row_weights is None else self.row_weights[rows]
        return Targets(self.labels[rows], self.importance[rows], self.num_classes, row_weights)

    def followed_by(self, labels: NDArray[np.int32], weight: float) -> Targets:
        """Return these targets and others, which weigh less than those of the same class."""
        of_class = np.ones(self.num_classes, np.float32)
        of_class[self.labels] = self.importance
        importance = np.concatenate([self.importance, np.float32(weight) * of_class[labels]])
        row_weights = self.row_weights
        if row_weights is not None:
            row_weights = np.concatenate([row_weights, np.ones(len(labels))])
        labels = np.concatenate([self.labels, labels])
        return Targets(labels, importance, self.num_classes, row_weights)

    def one_against_rest(self, label: int) -> Targets:
        """Return two classes: 1 for a class, and 0 for all others."""
        labels = self.is_class(label).astype(np.int32)
        return Targets(labels, self.importance, 2, self.row_weights)

    def is_class(self, label: int) -> NDArray[np.bool_]:
        """Return whether a text is of a class, or has a label, `<bool>[num]`."""
        return self.labels[:, label] > 0 if self.is_multi_label else self.labels == label

    @property
    def is_multi_label(self) -> bool:
        """Whether a text has any number of labels."""
        return self.labels.ndim == 2

    @property
    def num_outputs(self) -> int:
        """Number of logits."""
        return num_outputs(self.num_classes, self.is_multi_label)


def fit(
    counts: Any, factors: NDArray[np.float32], targets: Targets, penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit class 1 against class 0, or each class against the rest.

    A feature is multiplied by its inverse document frequency and by `1 + |r|`, with `r` its
    log-count ratio. The penalty on the weight of a feature is smaller if its factor is larger.
    A text that weighs 2 counts as the same text twice, in all of these.

    Returns:
        Weights on the counts, `<float64>[features, outputs]`, and biases, `<float64>[outputs]`.
    """
    of_entries = _weights_of_entries(counts, targets)
    num_texts = np.bincount(counts.indices, of_entries, minlength=counts.shape[1])
    total = counts.shape[0] if targets.row_weights is None else targets.row_weights.sum()
    # The inverse document frequency, smoothed as in scikit-learn.
    idf = np.log((total + 1) / (num_texts + 1)) + 1
    factors = (factors * idf).astype(np.float32)
    is_binary = targets.num_classes == 2 and not targets.is_multi_label
    classes = range(1, 2) if is_binary else range(targets.num_classes)
    if targets.num_classes > _MAX_OWN_RATIOS:
        ratios = np.zeros(counts.shape[1], np.float32)
        for label in classes:
            ratios += _log_count_ratios(counts, targets.is_class(label), of_entries)
        factors = (factors * (1 + ratios / targets.num_classes)).astype(np.float32)
        if not targets.is_multi_label:
            return _fit_classes(counts, factors, targets, penalty)
    fits = []
    for label in classes:
        own = factors
        if targets.num_classes <= _MAX_OWN_RATIOS:
            ratio = _log_count_ratios(counts, targets.is_class(label), of_entries)
            own = factors * (1 + ratio)
        fits.append(_fit_classes(counts, own, targets.one_against_rest(label), penalty))
    return np.hstack([fit[0] for fit in fits]), np.concatenate([fit[1] for fit in fits])


def _fit_classes(
    counts: Any, factors: NDArray[np.float32], targets: Targets, penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit linear support vector machines with squared hinge loss to features with these factors.

    Returns:
        As `fit`. A class without texts, as a fold can have, has no weights and the bias -1.

    Source: Hsieh et al. 2008, "A Dual Coordinate Descent Method for Large-scale Linear SVM".
    """
    from scipy import sparse
    from sklearn.svm import LinearSVC

    labels, num_classes = targets.labels, targets.num_classes
    present = np.unique(labels)
    outputs = present if num_classes > 2 else np.zeros(1, np.int64)
    weights = np.zeros((counts.shape[1], targets.num_outputs))
    biases = np.full(targets.num_outputs, -1.0)
    if len(present) < 2:
        biases[outputs] = 1.0 if present.any() or num_classes > 2 else -1.0
        return weights, biases
    values = counts.data * factors[counts.indices]
    # The mean squared norm of a text becomes 1, so the penalty means the same for all data.
    norm = np.sqrt(_mean_squared_norm(values, counts, targets)) or 1.0
    values /= np.float32(norm)
    # The indices are shared, and the values are float64 already: scikit-learn copies neither.
    features = sparse.csr_matrix(
        (values.astype(np.float64), counts.indices, counts.indptr), shape=counts.shape, copy=False
    )
    del values
    drop_pages(counts.data)
    # liblinear has one random generator per process: two fits in parallel would change the bits.
    model = LinearSVC(C=1 / penalty, tol=_TOLERANCE, max_iter=_MAX_ITERATIONS, random_state=0)
    model.fit(features, labels, sample_weight=targets.sample_weights)
    if len(present) == 2 and num_classes > 2:
        # Two classes are left of several: scikit-learn returns one output.
        model.coef_ = np.vstack([-model.coef_, model.coef_])
        model.intercept_ = np.concatenate([-model.intercept_, model.intercept_])
    weights[:, outputs] = (model.coef_ * (factors / norm)).T
    biases[outputs] = model.intercept_
    return weights, biases


def _weights_of_entries(counts: Any, targets: Targets) -> NDArray[np.float64] | None:
    """Return the row weight of each value of a sparse matrix; None without row weights."""
    if targets.row_weights is None:
        return None
    return np.repeat(targets.row_weights, np.diff(counts.indptr))


def _mean_squared_norm(values: NDArray[np.float32], counts: Any, targets: Targets) -> float:
    """Return the mean of the squared norms of texts with these values at the places of counts."""
    squares = np.square(values, dtype=np.float64)
    of_entries = _weights_of_entries(counts, targets)
    if of_entries is None or targets.row_weights is None:
        return float(squares.sum() / len(targets.labels))
    return float((squares * of_entries).sum() / targets.row_weights.sum())


def _log_count_ratios(
    counts: Any, is_class: NDArray[np.bool_], of_entries: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """Return the absolute log-count ratio of each feature, `<float32>[features]`.

    The ratio compares the relative frequency of the feature inside and outside the class. Its sign
    is dropped: the fit chooses the sign of the weight.
    """
    in_class = np.repeat(is_class, np.diff(counts.indptr))
    values = counts.data if of_entries is None else counts.data * of_entries
    inside, outside = (
        _log_frequencies(np.bincount(counts.indices[mask], values[mask], minlength=counts.shape[1]))
        for mask in (in_class, ~in_class)
    )
    ratios: NDArray[np.float64] = np.abs(inside - outside)
    return ratios.astype(np.float32)


def _log_frequencies(counts: NDArray[Any]) -> NDArray[np.float64]:
    smoothed = counts + _SMOOTHING
    logs: NDArray[np.float64] = np.log(smoothed / smoothed.sum())
    return logs

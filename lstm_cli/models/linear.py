"""The linear model of word and character n-grams: the wide part beside the LSTM (the deep part).

Its logits are an input of the classifier, which adds them to those of the LSTM.

Source: Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import LinearSettings
from lstm_cli.data import balance
from lstm_cli.data.balance import ClassWeights
from lstm_cli.models.calibration import fit_scale, log_probabilities
from lstm_cli.models.pseudo_labels import confident_rows
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.ngrams import char_ngram_ids, word_ngram_ids
from lstm_cli.text.tokenizer import SPECIAL_TOKENS

# `fit_linear_model` imports these; it takes a second.
REQUIRED_MODULES = ("scipy.sparse", "sklearn.svm")
# Added to the counts of the log-count ratios, because features seen once or twice are unreliable.
_SMOOTHING = 0.5
# A word has about twenty character n-grams, which say much the same: they count less.
_CHAR_WEIGHT = 0.5
# Up to this many classes, each has its own log-count ratios; more share the mean, as one fit of all
# classes takes a third of the time.
_MAX_OWN_RATIOS = 20
_TOLERANCE, _MAX_ITERATIONS = 0.1, 1000
# Weight in the fit of a text with a pseudo-label.
_PSEUDO_LABEL_WEIGHT = 1 / 3
# Texts whose weights are summed at a time.
_CHUNK = 1024


@dataclass(frozen=True)
class LinearTables:
    """The weights of a linear model, with one output for two classes.

    Attributes:
        words: Weight of each word of the vocabulary, together with those of its character n-grams,
            `<float32>[vocab_size, outputs]`; 0 for padding.
        word_ngrams: Weights of bigrams and trigrams by bucket, `<float32>[buckets, outputs]`.
        char_ngrams: Weights of character n-grams by bucket, for unknown words,
            `<float32>[char_buckets, outputs]`; None without them. Bucket 0 is padding: its weights
            are 0.
        biases: Added to the sum of the weights of a text, `<float32>[outputs]`.
    """

    words: NDArray[np.float32]
    word_ngrams: NDArray[np.float32]
    char_ngrams: NDArray[np.float32] | None
    biases: NDArray[np.float32]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float32]]) -> LinearTables:
        """Return the tables among the arrays of `weights.safetensors`.

        Raises:
            KeyError: These are not the arrays of a classifier with a linear model.
        """
        return cls(
            arrays["linear/words"],
            arrays["linear/word_ngrams"],
            arrays.get("linear/char_ngrams"),
            arrays["linear/biases"],
        )

    @property
    def size(self) -> int:
        """Number of weights."""
        return sum(array.size for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the tables by their names in `weights.safetensors`."""
        arrays = {
            "linear/words": self.words,
            "linear/word_ngrams": self.word_ngrams,
            "linear/biases": self.biases,
        }
        if self.char_ngrams is not None:
            arrays["linear/char_ngrams"] = self.char_ngrams
        return arrays


@dataclass(frozen=True)
class UnlabeledGain:
    """What unlabeled texts brought to a linear model, measured out-of-fold.

    Attributes:
        num_texts: Number of labeled texts.
        without: Loss and accuracy without unlabeled texts.
        together: Loss and accuracy with them.
    """

    num_texts: int
    without: tuple[float, float]
    together: tuple[float, float]

    @property
    def is_used(self) -> bool:
        """Whether the model learns from them: only if that lowers the loss."""
        return self.together[0] < self.without[0]

    def describe(self) -> str:
        """Describe the gain in a clause."""
        text = (
            f"with the unlabeled texts the linear model has loss {self.together[0]:.4f} and "
            f"accuracy {self.together[1]:.4f} out-of-fold on {self.num_texts:,} training texts; "
            f"without them {self.without[0]:.4f} and {self.without[1]:.4f}"
        )
        return text if self.is_used else f"{text}; so it does not learn from them"


@dataclass(frozen=True)
class LinearModel:
    """A linear classifier of words, word n-grams and character n-grams.

    Attributes:
        tables: Its weights. They are scaled so that `train_logits` has the highest likelihood of
            the labels.
        train_logits: Out-of-fold logits of the training texts, `<float32>[num, outputs]`.
        scale: Factor from the margins of the support vector machines to the logits.
        gain: What unlabeled texts brought; None without them.
    """

    tables: LinearTables
    train_logits: NDArray[np.float32]
    scale: float
    gain: UnlabeledGain | None = None


def fit_linear_model(
    corpus: Corpus,
    labels: NDArray[np.int32],
    num_classes: int,
    words: Sequence[str],
    settings: LinearSettings,
    seed: int,
    class_weights: ClassWeights = "none",
    unlabeled: Corpus | None = None,
) -> LinearModel:
    """Fit linear support vector machines, each class against the rest.

    The score of a text is the sum of the weights of its features over the square root of its
    length, plus a bias. Within a word, the weights of its character n-grams add up. So a known word
    needs one table row, and only unknown words need their n-grams.

    The logits of the training texts are out-of-fold: each fold is predicted by weights fitted to
    the other folds. This avoids label leakage; otherwise training would rely on these logits more
    than is right for new texts.

    With unlabeled texts, each fit is followed by one that also learns from those of them whose
    classes are most certain. A fold's pseudo-labels come from the labels of the other folds. If
    this does not lower the out-of-fold loss, the model does without the unlabeled texts.

    Args:
        corpus: The training texts.
        labels: Class ids, `<int32>[num]`.
        num_classes: At least 2.
        words: The token of each id of the vocabulary.
        settings: Features, folds and penalty.
        seed: Seed of the folds.
        class_weights: Setting `train.class_weights`: the weights of the texts in the fit.
        unlabeled: Texts for pseudo-labels.

    Source: Wang & Manning 2012, "Baselines and Bigrams", section 2, for naive Bayes log-count
        ratios as factors on the features (equation in `_fit_class`). Wolpert 1992, "Stacked
        Generalization", for the folds.
    """
    features = _extract(corpus, words, settings, unlabeled)
    targets = _Targets.weighted(labels, num_classes, class_weights)
    margins, of_labeled = _out_of_fold_margins(features, targets, settings, seed)
    scale = fit_scale(margins, labels)
    gain = None
    if unlabeled is not None:
        labeled_scale = fit_scale(of_labeled, labels)
        gain = UnlabeledGain(
            len(labels),
            _loss_and_accuracy(labeled_scale * of_labeled, labels),
            _loss_and_accuracy(scale * margins, labels),
        )
        if not gain.is_used:
            features, margins, scale = replace(features, unlabeled=None), of_labeled, labeled_scale
    tables = _fit_tables(features, targets, len(words), settings, scale)
    return LinearModel(tables, (scale * margins).astype(np.float32), scale, gain)


def refit_tables(
    model: LinearModel,
    corpus: Corpus,
    labels: NDArray[np.int32],
    num_classes: int,
    words: Sequence[str],
    settings: LinearSettings,
    class_weights: ClassWeights = "none",
    unlabeled: Corpus | None = None,
) -> LinearTables:
    """Fit the weights of a linear model to more texts, with the same factor on their margins.

    Args:
        model: The model that was fitted to a part of the texts.
        corpus: All texts.
        labels: As for `fit_linear_model`, like the arguments below.
        num_classes: At least 2.
        words: The token of each id of the vocabulary.
        settings: Those of the model.
        class_weights: Setting `train.class_weights`.
        unlabeled: Texts for pseudo-labels, if the model has learned from them.
    """
    is_used = model.gain is not None and model.gain.is_used
    features = _extract(corpus, words, settings, unlabeled if is_used else None)
    targets = _Targets.weighted(labels, num_classes, class_weights)
    return _fit_tables(features, targets, len(words), settings, model.scale)


def linear_logits(
    corpus: Corpus, tables: LinearTables, settings: LinearSettings
) -> NDArray[np.float32]:
    """Sum the weights of the features of each text, over the root of its length; add the bias.

    Args:
        corpus: The texts.
        tables: Weights of a `LinearModel`.
        settings: Those of the model.

    Returns:
        `<float32>[num, outputs]`.
    """
    buckets = _word_ngrams(corpus, settings)
    sums = np.zeros((len(corpus), tables.words.shape[1]))
    # In chunks: the weights of all tokens at once would need gigabytes with many classes.
    for start in range(0, len(corpus), _CHUNK):
        chunk = slice(start, min(start + _CHUNK, len(corpus)))
        sums[chunk] = _sums_of_weights(corpus, chunk, buckets, tables)
    return (sums / np.sqrt(corpus.lengths)[:, None] + tables.biases).astype(np.float32)


def _sums_of_weights(
    corpus: Corpus, texts: slice, buckets: Sequence[NDArray[np.int32]], tables: LinearTables
) -> NDArray[np.float64]:
    """Sum the weights of the features of some of the texts, `<float64>[texts, outputs]`."""
    starts = corpus.starts[texts.start : texts.stop + 1]
    tokens = slice(starts[0], starts[-1])
    weights = tables.words[corpus.ids[tokens]].astype(np.float64)
    for ids in buckets:
        weights += tables.word_ngrams[ids[tokens]]
    sums: NDArray[np.float64] = np.add.reduceat(weights, starts[:-1] - starts[0], axis=0)
    if tables.char_ngrams is not None:
        starts = corpus.ngram_starts[texts.start : texts.stop + 1]
        rows = np.repeat(np.arange(len(sums)), np.diff(starts))
        np.add.at(sums, rows, tables.char_ngrams[corpus.ngrams[starts[0] : starts[-1]]])
    return sums


@dataclass(frozen=True)
class _Targets:
    """The classes of texts.

    Attributes:
        labels: Class ids, `<int32>[num]`.
        importance: Weight of each text in the fit, `<float32>[num]`.
        num_classes: At least 2.
    """

    labels: NDArray[np.int32]
    importance: NDArray[np.float32]
    num_classes: int

    @classmethod
    def weighted(
        cls, labels: NDArray[np.int32], num_classes: int, class_weights: ClassWeights
    ) -> _Targets:
        """Return targets with the weights of their classes."""
        weights = balance.class_weights(labels, num_classes, class_weights)
        return cls(labels, weights[labels], num_classes)

    def take(self, rows: NDArray[np.bool_]) -> _Targets:
        """Return the targets of some rows, `<bool>[num]`."""
        return _Targets(self.labels[rows], self.importance[rows], self.num_classes)

    def followed_by(self, labels: NDArray[np.int32], weight: float) -> _Targets:
        """Return these targets and others, which weigh less than those of the same class."""
        of_class = np.ones(self.num_classes, np.float32)
        of_class[self.labels] = self.importance
        importance = np.concatenate([self.importance, np.float32(weight) * of_class[labels]])
        return _Targets(np.concatenate([self.labels, labels]), importance, self.num_classes)

    def one_against_rest(self, label: int) -> _Targets:
        """Return two classes: 1 for a class, and 0 for all others."""
        return _Targets((self.labels == label).astype(np.int32), self.importance, 2)


def _num_outputs(num_classes: int) -> int:
    return 1 if num_classes == 2 else num_classes


def _word_ngrams(corpus: Corpus, settings: LinearSettings) -> list[NDArray[np.int32]]:
    """Return the buckets of the bigram and the trigram at each token, `<int32>[tokens]` each."""
    is_first = np.zeros(len(corpus.ids), np.bool_)
    is_first[corpus.starts[:-1]] = True
    ids = np.asarray(corpus.ids).astype(np.int32)
    return word_ngram_ids(ids, is_first, settings.word_ngrams, settings.buckets)


@dataclass(frozen=True)
class _Features:
    """The features of texts: words, buckets of word n-grams, buckets of character n-grams.

    Attributes:
        counts: Count of each feature in each text over the square root of its length, a sparse
            `<float32>[num, features]`, with a column for each feature that occurs.
        factors: Weight of the kind of each feature, `<float32>[features]`.
        columns: Number of the word or bucket of each column, by kind.
        word_chars: Count of each character n-gram in each word, a sparse
            `<float32>[vocab_size, character n-grams that occur]`; None without them.
        unlabeled: As `counts`, of unlabeled texts; None if there are none.
    """

    counts: Any
    factors: NDArray[np.float32]
    columns: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    word_chars: Any
    unlabeled: Any = None

    def tables(
        self,
        weights: NDArray[np.float64],
        biases: NDArray[np.float64],
        vocab_size: int,
        settings: LinearSettings,
    ) -> LinearTables:
        """Distribute the weights of the columns, `<float64>[features, outputs]`, to the tables."""
        ends = np.cumsum([len(columns) for columns in self.columns])
        words, word_ngrams, chars = np.split(weights, ends[:-1])
        sizes = (vocab_size, settings.buckets, settings.num_char_buckets)
        tables = [np.zeros((size, weights.shape[1]), np.float32) for size in sizes]
        for table, columns, part in zip(
            tables, self.columns, (words, word_ngrams, chars), strict=True
        ):
            table[columns] = part
        if self.word_chars is not None:
            tables[0] += (self.word_chars @ chars).astype(np.float32)
        char_table = None if self.word_chars is None else tables[2]
        return LinearTables(tables[0], tables[1], char_table, biases.astype(np.float32))


def _extract(
    corpus: Corpus,
    words: Sequence[str],
    settings: LinearSettings,
    unlabeled: Corpus | None = None,
) -> _Features:
    """Count the features of each text."""
    from scipy import sparse

    num_labeled = len(corpus)
    if unlabeled is not None:
        corpus = corpus.concatenated_with(unlabeled)
    num = len(corpus)
    texts = np.repeat(np.arange(num, dtype=np.int32), corpus.lengths)
    word_counts = _count(texts, np.asarray(corpus.ids).astype(np.int32), num, len(words))
    buckets = _word_ngrams(corpus, settings)
    ngram_counts = _count(
        np.tile(texts, len(buckets)), np.concatenate(buckets), num, settings.buckets
    )
    char_counts, word_chars = _char_counts(corpus, word_counts, words, settings)
    blocks, columns, factors = [], [], []
    for counts, factor in ((word_counts, 1.0), (ngram_counts, 1.0), (char_counts, _CHAR_WEIGHT)):
        used = np.flatnonzero(np.bincount(counts.indices, minlength=counts.shape[1]))
        blocks.append(counts[:, used])
        columns.append(used)
        factors.append(np.full(len(used), factor, np.float32))
    if word_chars is not None:
        word_chars = word_chars[:, columns[2]]
    all_counts = sparse.hstack(blocks, format="csr")
    all_counts.data /= np.repeat(
        np.sqrt(corpus.lengths).astype(np.float32), np.diff(all_counts.indptr)
    )
    return _Features(
        all_counts[:num_labeled],
        np.concatenate(factors),
        (columns[0], columns[1], columns[2]),
        word_chars,
        None if unlabeled is None else all_counts[num_labeled:],
    )


def _char_counts(
    corpus: Corpus, word_counts: Any, words: Sequence[str], settings: LinearSettings
) -> tuple[Any, Any]:
    """Count the character n-grams of each text, and of each word of the vocabulary.

    Returns:
        A sparse `<float32>[num, char_buckets]`, and a sparse `<float32>[vocab_size, char_buckets]`;
        None for the second if only unknown words have n-grams, or none.
    """
    num_ngrams = np.diff(corpus.ngram_starts)
    texts = np.repeat(np.arange(len(corpus), dtype=np.int32), num_ngrams)
    size = max(1, settings.num_char_buckets)
    counts = _count(texts, np.asarray(corpus.ngrams), len(corpus), size)
    if not settings.num_char_buckets:
        return counts, None
    known = words[len(SPECIAL_TOKENS) :] if settings.char_ngrams == "all" else []
    buckets, per_word = char_ngram_ids(known, settings.num_char_buckets)
    rows = np.repeat(np.arange(len(known), dtype=np.int32) + len(SPECIAL_TOKENS), per_word)
    word_chars = _count(rows, buckets, len(words), size)
    return counts + word_counts @ word_chars, word_chars


def _count(
    rows: NDArray[np.int32], columns: NDArray[np.int32], num_rows: int, num_columns: int
) -> Any:
    """Count pairs of row and column, a sparse `<float32>[num_rows, num_columns]`."""
    from scipy import sparse

    ones = np.ones(len(rows), np.float32)
    counts = sparse.csr_matrix((ones, (rows, columns)), shape=(num_rows, num_columns))
    counts.sum_duplicates()
    return counts


def _fit_tables(
    features: _Features,
    targets: _Targets,
    vocab_size: int,
    settings: LinearSettings,
    scale: float,
) -> LinearTables:
    """Fit the weights to all texts, and multiply them by a factor."""
    weights, biases = _fit_all(features, features.counts, targets, settings)[-1]
    return features.tables(scale * weights, scale * biases, vocab_size, settings)


def _out_of_fold_margins(
    features: _Features, targets: _Targets, settings: LinearSettings, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predict each text by weights fitted to the other folds.

    Returns:
        Margins, `<float64>[num, outputs]`, and those without unlabeled texts.
    """
    num_folds = min(settings.folds, len(targets.labels))
    fold_of = _folds(targets.labels, num_folds, seed)
    shape = (len(targets.labels), _num_outputs(targets.num_classes))
    margins, of_labeled = np.zeros(shape), np.zeros(shape)
    for fold in range(num_folds):
        test, train = fold_of == fold, fold_of != fold
        fits = _fit_all(features, features.counts[train], targets.take(train), settings)
        for (weights, biases), result in ((fits[0], of_labeled), (fits[-1], margins)):
            result[test] = features.counts[test] @ weights + biases
    return margins, of_labeled


def _fit_all(
    features: _Features, counts: Any, targets: _Targets, settings: LinearSettings
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Fit labeled texts, and then these together with unlabeled texts if there are any.

    Args:
        features: Factors, and features of the unlabeled texts.
        counts: Features of the labeled texts, `<float32>[num, features]`.
        targets: Their classes.
        settings: Penalty, and the fraction of the unlabeled texts.

    Returns:
        One or two results of `_fit`.
    """
    from scipy import sparse

    fits = [_fit(counts, features.factors, targets, settings.penalty)]
    others = features.unlabeled
    if others is None or len(np.unique(targets.labels)) < 2:
        return fits
    weights, biases = fits[0]
    rows, labels = confident_rows(
        counts,
        targets.labels,
        others,
        others @ weights + biases,
        targets.num_classes,
        settings.self_training,
    )
    both = sparse.vstack([counts, others[rows]], format="csr")
    together = targets.followed_by(labels, _PSEUDO_LABEL_WEIGHT)
    return [*fits, _fit(both, features.factors, together, settings.penalty)]


def _loss_and_accuracy(
    logits: NDArray[np.float64], labels: NDArray[np.int32]
) -> tuple[float, float]:
    logs = log_probabilities(logits)
    accuracy = np.mean(logs.argmax(axis=1) == labels)
    return float(-logs[np.arange(len(labels)), labels].mean()), float(accuracy)


def _folds(labels: NDArray[np.int32], num_folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each text, with each class spread evenly over the folds."""
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), np.int64)
    folds[by_class] = np.arange(len(labels)) % num_folds
    return folds


def _fit(
    counts: Any, factors: NDArray[np.float32], targets: _Targets, penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit class 1 against class 0, or each class against the rest.

    A feature is multiplied by its inverse document frequency and by `1 + |r|`, with `r` its
    log-count ratio. The penalty on the weight of a feature is smaller if its factor is larger.

    Returns:
        Weights on the counts, `<float64>[features, outputs]`, and biases, `<float64>[outputs]`.
    """
    num_texts = np.bincount(counts.indices, minlength=counts.shape[1])
    # The inverse document frequency, smoothed as in scikit-learn.
    idf = np.log((counts.shape[0] + 1) / (num_texts + 1)) + 1
    factors = (factors * idf).astype(np.float32)
    classes = range(1, 2) if targets.num_classes == 2 else range(targets.num_classes)
    if targets.num_classes > _MAX_OWN_RATIOS:
        ratios = np.zeros(counts.shape[1], np.float32)
        for label in classes:
            ratios += _log_count_ratios(counts, targets.labels == label)
        factors = (factors * (1 + ratios / targets.num_classes)).astype(np.float32)
        return _fit_classes(counts, factors, targets, penalty)
    fits = []
    for label in classes:
        own = factors * (1 + _log_count_ratios(counts, targets.labels == label))
        fits.append(_fit_classes(counts, own, targets.one_against_rest(label), penalty))
    return np.hstack([fit[0] for fit in fits]), np.concatenate([fit[1] for fit in fits])


def _fit_classes(
    counts: Any, factors: NDArray[np.float32], targets: _Targets, penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit linear support vector machines with squared hinge loss to features with these factors.

    Returns:
        As `_fit`. A class without texts, as a fold can have, has no weights and the bias -1.

    Source: Hsieh et al. 2008, "A Dual Coordinate Descent Method for Large-scale Linear SVM".
    """
    from sklearn.svm import LinearSVC

    labels, num_classes = targets.labels, targets.num_classes
    present = np.unique(labels)
    outputs = present if num_classes > 2 else np.zeros(1, np.int64)
    weights = np.zeros((counts.shape[1], _num_outputs(num_classes)))
    biases = np.full(_num_outputs(num_classes), -1.0)
    if len(present) < 2:
        biases[outputs] = 1.0 if present.any() or num_classes > 2 else -1.0
        return weights, biases
    features = counts.copy()
    features.data *= factors[features.indices]
    # The mean squared norm of a text becomes 1, so the penalty means the same for all data.
    norm = np.sqrt(np.square(features.data, dtype=np.float64).sum() / len(labels)) or 1.0
    features.data /= np.float32(norm)
    # liblinear has one random generator per process: two fits in parallel would change the bits.
    model = LinearSVC(C=1 / penalty, tol=_TOLERANCE, max_iter=_MAX_ITERATIONS, random_state=0)
    model.fit(features, labels, sample_weight=targets.importance)
    if len(present) == 2 and num_classes > 2:
        # Two classes are left of several: scikit-learn returns one output.
        model.coef_ = np.vstack([-model.coef_, model.coef_])
        model.intercept_ = np.concatenate([-model.intercept_, model.intercept_])
    weights[:, outputs] = (model.coef_ * (factors / norm)).T
    biases[outputs] = model.intercept_
    return weights, biases


def _log_count_ratios(counts: Any, is_class: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the absolute log-count ratio of each feature, `<float32>[features]`.

    The ratio compares the relative frequency of the feature inside and outside the class. Its sign
    is dropped: the fit chooses the sign of the weight.
    """
    in_class = np.repeat(is_class, np.diff(counts.indptr))
    inside, outside = (
        _log_frequencies(
            np.bincount(counts.indices[mask], counts.data[mask], minlength=counts.shape[1])
        )
        for mask in (in_class, ~in_class)
    )
    ratios: NDArray[np.float64] = np.abs(inside - outside)
    return ratios.astype(np.float32)


def _log_frequencies(counts: NDArray[Any]) -> NDArray[np.float64]:
    smoothed = counts + _SMOOTHING
    logs: NDArray[np.float64] = np.log(smoothed / smoothed.sum())
    return logs

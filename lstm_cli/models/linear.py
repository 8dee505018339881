"""The linear model of word and character n-grams: the wide part beside the LSTM (the deep part).

Its logits are an input of the classifier, which adds them to those of the LSTM.

Source: Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import LinearSettings
from lstm_cli.data.balance import ClassWeights
from lstm_cli.data.splits import stratified_folds
from lstm_cli.models import linear_svm
from lstm_cli.models.calibration import (
    fit_label_scales,
    fit_scale,
    log_probabilities,
    loss_and_accuracy,
)
from lstm_cli.models.linear_features import Features, LinearTables, extract, word_ngrams
from lstm_cli.models.linear_svm import Targets
from lstm_cli.models.pseudo_labels import confident_rows
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.token_ids import own_ids

# `fit_linear_model` imports these; it takes a second.
REQUIRED_MODULES = ("scipy.sparse", "sklearn.svm")
# Weight in the fit of a text with a pseudo-label.
_PSEUDO_LABEL_WEIGHT = 1 / 3
# Texts whose weights are summed at a time.
_CHUNK = 1024
# Texts after which the memory of a corpus on disk is given back, a multiple of this.
_DROPPED = 64 * _CHUNK


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
        scale: Factor from the margins of the support vector machines to the logits; in a
            multi-label run one for each label, `<float64>[outputs]`.
        offset: Added to the scaled margins, in the same form.
        gain: What unlabeled texts brought; None without them.
    """

    tables: LinearTables
    train_logits: NDArray[np.float32]
    scale: float | NDArray[np.float64]
    offset: float | NDArray[np.float64] = 0.0
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
    row_weights: NDArray[np.float64] | None = None,
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
        labels: Class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`, without unlabeled
            texts and class weights.
        num_classes: At least 2, or the number of labels.
        words: The token of each id of the vocabulary.
        settings: Features, folds and penalty.
        seed: Seed of the folds.
        class_weights: Setting `train.class_weights`: the weights of the texts in the fit.
        unlabeled: Texts for pseudo-labels.
        row_weights: How often each text counts in the fit, `<float64>[num]`; None for once. The
            factor on the margins is that of all texts alike.

    Source: Wang & Manning 2012, "Baselines and Bigrams", section 2, for naive Bayes log-count
        ratios as factors on the features (equation in `linear_svm.fit`). Wolpert 1992, "Stacked
        Generalization", for the folds.
    """
    features = extract(corpus, words, settings, unlabeled)
    targets = Targets.weighted(labels, num_classes, class_weights, row_weights)
    margins, of_labeled = _out_of_fold_margins(features, targets, settings, seed)
    if targets.is_multi_label:
        return _fit_label_sets(features, targets, margins, len(words), settings)
    scale = fit_scale(margins, labels)
    gain = None
    if unlabeled is not None:
        labeled_scale = fit_scale(of_labeled, labels)
        gain = UnlabeledGain(
            len(labels),
            loss_and_accuracy(labeled_scale * of_labeled, labels),
            loss_and_accuracy(scale * margins, labels),
        )
        if not gain.is_used:
            features, margins, scale = replace(features, unlabeled=None), of_labeled, labeled_scale
    tables = _fit_tables(features, targets, len(words), settings, scale)
    return LinearModel(tables, (scale * margins).astype(np.float32), scale, gain=gain)


def _fit_label_sets(
    features: Features,
    targets: Targets,
    margins: NDArray[np.float64],
    vocab_size: int,
    settings: LinearSettings,
) -> LinearModel:
    """Fit the tables for texts with several labels, from out-of-fold margins of each label."""
    # A rare label needs an offset: its margins are about -1 for nearly all texts.
    scales, offsets = fit_label_scales(margins, targets.labels)
    tables = _fit_tables(features, targets, vocab_size, settings, scales, offsets)
    logits = (scales * margins + offsets).astype(np.float32)
    return LinearModel(tables, logits, scales, offsets)


def refit_tables(
    model: LinearModel,
    corpus: Corpus,
    labels: NDArray[np.int32],
    num_classes: int,
    words: Sequence[str],
    settings: LinearSettings,
    class_weights: ClassWeights = "none",
    unlabeled: Corpus | None = None,
    row_weights: NDArray[np.float64] | None = None,
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
        row_weights: How often each text counts in the fit, `<float64>[num]`.
    """
    is_used = model.gain is not None and model.gain.is_used
    features = extract(corpus, words, settings, unlabeled if is_used else None)
    targets = Targets.weighted(labels, num_classes, class_weights, row_weights)
    return _fit_tables(features, targets, len(words), settings, model.scale, model.offset)


def predict_held_out(
    corpus: Corpus,
    labels: NDArray[np.int32],
    num_classes: int,
    words: Sequence[str],
    settings: LinearSettings,
    parts: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> Iterator[NDArray[np.int64]]:
    """Fit the weights to some of the texts and predict others, several times.

    Args:
        corpus: All texts.
        labels: As for `fit_linear_model`, like the arguments below.
        num_classes: At least 2.
        words: The token of each id of the vocabulary.
        settings: Features and penalty.
        parts: For each fit the texts to fit and the texts to predict, `<int64>[num]`.

    Yields:
        For each fit the predicted class ids, `<int64>[num]`.
    """
    features = extract(corpus, words, settings)
    targets = Targets.weighted(labels, num_classes, "none")
    for train, test in parts:
        counts, fitted = features.counts[train], targets.take(train)
        weights, biases = linear_svm.fit(counts, features.factors, fitted, settings.penalty)
        yield log_probabilities(features.counts[test] @ weights + biases).argmax(axis=1)


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
    logits = np.zeros((len(corpus), tables.words.shape[1]), np.float32)
    # In chunks: the weights of all tokens at once would need gigabytes.
    for start in range(0, len(corpus), _CHUNK):
        chunk = corpus.part(start, start + _CHUNK)
        sums = _sums_of_weights(chunk, tables, settings) / np.sqrt(chunk.lengths)[:, None]
        logits[start : start + _CHUNK] = sums + tables.biases
        if start % _DROPPED == 0:
            corpus.drop_pages()
    return logits


def _sums_of_weights(
    corpus: Corpus, tables: LinearTables, settings: LinearSettings
) -> NDArray[np.float64]:
    """Sum the weights of the features of each text, `<float64>[num, outputs]`."""
    weights = tables.words[own_ids(corpus.ids)].astype(np.float64)
    for buckets in word_ngrams(corpus, settings):
        weights += tables.word_ngrams[buckets]
    sums: NDArray[np.float64] = np.add.reduceat(weights, corpus.starts[:-1], axis=0)
    if tables.char_ngrams is not None:
        rows = np.repeat(np.arange(len(sums)), np.diff(corpus.ngram_starts))
        np.add.at(sums, rows, tables.char_ngrams[corpus.ngrams])
    return sums


def _fit_tables(
    features: Features,
    targets: Targets,
    vocab_size: int,
    settings: LinearSettings,
    scale: float | NDArray[np.float64],
    offset: float | NDArray[np.float64] = 0.0,
) -> LinearTables:
    """Fit the weights to all texts, and turn their margins into logits."""
    weights, biases = _fit_all(features, features.counts, targets, settings)[-1]
    return features.tables(scale * weights, scale * biases + offset, vocab_size, settings)


def _out_of_fold_margins(
    features: Features, targets: Targets, settings: LinearSettings, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predict each text by weights fitted to the other folds.

    Returns:
        Margins, `<float64>[num, outputs]`, and those without unlabeled texts.
    """
    num_folds = min(settings.folds, len(targets.labels))
    fold_of = stratified_folds(targets.labels, num_folds, seed)
    shape = (len(targets.labels), targets.num_outputs)
    margins, of_labeled = np.zeros(shape), np.zeros(shape)
    for fold in range(num_folds):
        test, train = fold_of == fold, fold_of != fold
        fits = _fit_all(features, features.counts[train], targets.take(train), settings)
        for (weights, biases), result in ((fits[0], of_labeled), (fits[-1], margins)):
            result[test] = features.counts[test] @ weights + biases
    return margins, of_labeled


def _fit_all(
    features: Features, counts: Any, targets: Targets, settings: LinearSettings
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Fit labeled texts, and then these together with unlabeled texts if there are any.

    Args:
        features: Factors, and features of the unlabeled texts.
        counts: Features of the labeled texts, `<float32>[num, features]`.
        targets: Their classes.
        settings: Penalty, and the fraction of the unlabeled texts.

    Returns:
        One or two results of `linear_svm.fit`.
    """
    from scipy import sparse

    fits = [linear_svm.fit(counts, features.factors, targets, settings.penalty)]
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
        targets.row_weights,
    )
    both = sparse.vstack([counts, others[rows]], format="csr")
    together = targets.followed_by(labels, _PSEUDO_LABEL_WEIGHT)
    return [*fits, linear_svm.fit(both, features.factors, together, settings.penalty)]

"""The stages of a training: selection on held-out rows, or folds, and the refit on all rows.

Most trainings have one stage. With `train.refit`, a first stage holds out the validation split to
choose the number of epochs and the calibration; with `data.folds` there is one such stage for each
fold. The last stage trains on all rows for that number of epochs: its model is the one that ships.

Source: Stone 1974, "Cross-validatory choice and assessment of statistical predictions".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.data.splits import stratified_folds
from lstm_cli.io import text_format
from lstm_cli.io.progress import Epoch, Fold, Reporter
from lstm_cli.models.calibration import SplitLogits
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.ngrams import char_ngram_ids
from lstm_cli.text.token_ids import READ_AS, UNKNOWN_ID, lstm_ids
from lstm_cli.text.tokenizer import Tokenizer, similar_words
from lstm_cli.training.objectives.classification import EpochLogits, Examples

Tensors = Mapping[str, NDArray[Any]]
# Names of these tensors in a checkpoint: `stage/1/lstm`.
_PREFIX = "stage/"


@dataclass(frozen=True)
class Stage:
    """One stage of a training.

    Attributes:
        number: Counted from 1.
        kind: `only`: train with the validation split; `selection`: the same, before a refit;
            `fold`: train with a fold held out; `refit`: train on all rows, without validation.
        name: For people; empty for `only` and `selection`.
        train_rows: Rows to train on, `<int64>[num]`; not used by `only`.
        validation_rows: Rows held out, `<int64>[num]`; empty for `refit`.
    """

    number: int
    kind: Literal["only", "selection", "fold", "refit"]
    name: str
    train_rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]


_NO_ROWS = np.zeros(0, np.int64)
ONLY_STAGE = Stage(1, "only", "", _NO_ROWS, _NO_ROWS)


@dataclass(frozen=True)
class FinishedStage:
    """The result of a stage that held rows out.

    Attributes:
        history: One entry per epoch.
        best_epoch: The epoch with the lowest validation loss, counted from 1.
        stop_reason: Why the stage ended.
        logits: Logits of the held-out rows: of a fold after each epoch, else of the best epoch.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    stop_reason: str
    logits: EpochLogits


@dataclass(frozen=True)
class HeldOutLogits:
    """The logits of all rows that were held out, each from a model that has not seen the row.

    Attributes:
        logits: Logits, in the order of the stages.
        labels: True class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`.
        rows: Which of all labeled rows they are, `<int64>[num]`.
        stage_of: The stage that held each of them out, counted from 1, `<int64>[num]`.
    """

    logits: SplitLogits
    labels: NDArray[np.int32]
    rows: NDArray[np.int64]
    stage_of: NDArray[np.int64]

    def probabilities(self, calibrate: bool) -> NDArray[np.float32]:
        """Return the predictions, calibrated or not, `<float32>[num, classes]`."""
        return self.logits.probabilities(self.predicted(calibrate))

    def fit_scales(self) -> tuple[float, float]:
        """Find the calibration of the refitted model: factors on the logits of both its parts."""
        return self.logits.fit_scales(self.labels)

    def predicted(self, calibrate: bool) -> NDArray[np.float64]:
        """Return the logits of the predictions, calibrated or not, `<float64>[num, outputs]`."""
        return self.logits.scaled(*self.fit_scales()) if calibrate else self.logits.uncalibrated


@dataclass(frozen=True)
class StagedData:
    """The labeled rows of a training in several stages.

    Attributes:
        examples: All labeled rows: those of `train`, then those of `validation`.
        stages: In their order; the last one is the refit.
        initial_state: State of the model before each stage, as `checkpoint.model_state` returns it.
        min_count: In a stage, words rarer than this in its training rows are unknown; None if the
            vocabulary is that of unlabeled texts, too.
        num_known: Words with ids below this are known in each stage: those of another run.
        tokenizer: Has the vocabulary of all rows; None for images.
        initial_weights: Weights before each stage, as `classifier.get_weights` returns them; None
            if they are random, so that the settings are enough to get them.
    """

    examples: Examples
    stages: tuple[Stage, ...]
    initial_state: Tensors
    min_count: int | None
    num_known: int
    tokenizer: Tokenizer | None
    initial_weights: Tensors | None = None

    def train_examples(self, stage: Stage) -> Examples:
        """Return the training rows of a stage as its model reads them."""
        examples = self.examples.take(stage.train_rows)
        return examples if stage.kind == "refit" else self._without_rare_words(examples, stage)

    def validation_examples(self, stage: Stage) -> Examples | None:
        """Return the held-out rows of a stage as its model reads them; None for the refit."""
        if stage.kind == "refit":
            return None
        return self._without_rare_words(self.examples.take(stage.validation_rows), stage)

    def held_out_logits(self, finished: Sequence[FinishedStage], epoch: int) -> HeldOutLogits:
        """Join the logits of the held-out rows of all stages before the refit.

        Args:
            finished: The results of these stages.
            epoch: The epoch to take of each fold; of a fold that ended before, the last one.
        """
        parts = [stage.validation_rows for stage in self.stages[: len(finished)]]
        logits = SplitLogits.concatenate([stage.logits.of_epoch(epoch) for stage in finished])
        rows = np.concatenate(parts)
        stage_of = np.repeat(np.arange(1, len(parts) + 1), list(map(len, parts)))
        return HeldOutLogits(logits, self.examples.labels[rows], rows, stage_of)

    def _without_rare_words(self, examples: Examples, stage: Stage) -> Examples:
        """Replace the words that a vocabulary of the stage's training rows would not have."""
        if self.min_count is None or not isinstance(examples.inputs, Corpus):
            return examples
        assert isinstance(self.examples.inputs, Corpus)
        assert self.tokenizer is not None
        train = self.examples.inputs.take(stage.train_rows)
        counts = np.bincount(train.own_ids, minlength=self.tokenizer.vocab_size)
        is_rare = counts < self.min_count
        is_rare[: self.num_known] = False
        corpus = without_words(examples.inputs, is_rare, self.tokenizer)
        return replace(examples, inputs=corpus)


def without_words(corpus: Corpus, is_removed: NDArray[np.bool_], tokenizer: Tokenizer) -> Corpus:
    """Return a corpus in which some words are unknown, and read as others where these are similar.

    Args:
        corpus: The texts.
        is_removed: Whether a word is removed, by its id, `<bool>[vocabulary]`.
        tokenizer: The one that encoded the texts.
    """
    own_ids = corpus.own_ids
    is_unknown = is_removed[own_ids] & (own_ids > UNKNOWN_ID)
    texts = np.repeat(np.arange(len(corpus)), corpus.lengths)[is_unknown]
    added = np.bincount(texts, minlength=len(corpus)).astype(np.int32)
    words, word_of = np.unique(own_ids[is_unknown], return_inverse=True)
    ids = np.array(corpus.ids)
    ids[is_unknown] = UNKNOWN_ID
    # How other unknown words are spelled is not known any more.
    ids[(ids >= READ_AS) & is_removed[lstm_ids(ids)]] = UNKNOWN_ID
    if tokenizer.min_similarity and len(words):
        similar = similar_words(tokenizer.words, tokenizer.min_similarity, is_removed)
        found = [similar.find(tokenizer.words[i]) for i in words.tolist()]
        ids[is_unknown] = np.array(found, ids.dtype)[word_of]
    changed = replace(corpus, ids=ids, num_unknown=corpus.num_unknown + added)
    if not tokenizer.char_buckets:
        return changed
    # Unknown words are known by their character n-grams.
    hashed, counts = char_ngram_ids([tokenizer.words[i] for i in words], tokenizer.char_buckets)
    by_word = np.split(hashed, np.cumsum(counts)[:-1]) if len(words) else []
    ngrams = np.concatenate([corpus.ngrams, *(by_word[word] for word in word_of)])
    owners = np.concatenate(
        [
            np.repeat(np.arange(len(corpus)), np.diff(corpus.ngram_starts)),
            np.repeat(texts, counts[word_of]),
        ]
    )
    totals = np.bincount(owners, minlength=len(corpus))
    return replace(
        changed,
        ngrams=ngrams[np.argsort(owners, kind="stable")],
        ngram_starts=np.concatenate([[0], np.cumsum(totals)]).astype(np.int64),
    )


def plan_stages(
    config: Config,
    train_labels: NDArray[np.int32],
    validation_labels: NDArray[np.int32],
    num_replayed: int = 0,
) -> tuple[Stage, ...]:
    """Plan the stages of a classifier with `train.refit` or `data.folds`.

    Args:
        config: The settings.
        train_labels: Class ids of the training split, `<int32>[train]`.
        validation_labels: Class ids of the validation split, `<int32>[validation]`.
        num_replayed: The last rows of the training split, which no stage holds out.
    """
    labels = np.concatenate([train_labels, validation_labels])
    rows = np.arange(len(labels))
    num_folds = config.data.folds
    if num_folds:
        own = own_rows(len(train_labels), num_replayed, len(labels))
        fold_of = np.full(len(labels), -1)
        fold_of[own] = stratified_folds(labels[own], num_folds, config.seed)
        held_out = [fold_of == fold for fold in range(num_folds)]
    else:
        held_out = [rows >= len(train_labels)]
    kind: Literal["fold", "selection"] = "fold" if num_folds else "selection"
    stages = [
        Stage(n, kind, f"fold {n} of {num_folds}" if num_folds else "", rows[~out], rows[out])
        for n, out in enumerate(held_out, 1)
    ]
    return (*stages, Stage(len(stages) + 1, "refit", "refit", rows, _NO_ROWS))


def own_rows(num_train: int, num_replayed: int, num_rows: int) -> NDArray[np.bool_]:
    """Return which labeled rows are of the data set, not of `data.replay_files`, `<bool>[rows]`.

    Args:
        num_train: Rows of the training split, which come first.
        num_replayed: How many of them, the last ones, are of other files.
        num_rows: Rows of training and validation.
    """
    rows = np.arange(num_rows)
    return (rows < num_train - num_replayed) | (rows >= num_train)


def num_refit_epochs(finished: Sequence[FinishedStage]) -> int:
    """Return the number of epochs of the refit: those with the lowest mean validation loss.

    A fold counts by its number of rows, and after its end with the loss of its last epoch.
    """
    num_epochs = max(len(stage.history) for stage in finished)
    totals = [0.0] * num_epochs
    for stage in finished:
        losses = [line.val_loss or 0.0 for line in stage.history]
        losses += losses[-1:] * (num_epochs - len(losses))
        num_rows = stage.logits.lstm.shape[1]
        totals = [total + num_rows * loss for total, loss in zip(totals, losses, strict=True)]
    return totals.index(min(totals)) + 1


def describe_validation(config: Config, stages: Sequence[Stage]) -> str:
    """Return how the validation results came about, after "measured"; empty without a refit."""
    if len(stages) == 1:
        is_linear = config.linear is not None and config.linear.refit
        return "before the linear model was trained again on all rows" if is_linear else ""
    num_folds = sum(stage.kind == "fold" for stage in stages)
    folds = f"by {num_folds}-fold cross-validation, " if num_folds else ""
    return f"{folds}before the model was trained again on all rows"


def describe_stages(
    stages: Sequence[Stage], finished: Sequence[FinishedStage]
) -> list[dict[str, Any]]:
    """Return what `run.json` says of the finished stages."""
    return [
        {
            "kind": stage.kind,
            "train": len(stage.train_rows),
            "validation": len(stage.validation_rows),
            "epochs": len(result.history),
            "best_epoch": result.best_epoch,
            "stopped": result.stop_reason,
        }
        for stage, result in zip(stages, finished, strict=False)
    ]


def report_end(stage: Stage, num_folds: int, result: FinishedStage, reporter: Reporter) -> None:
    """Report the end of a stage that held rows out.

    Args:
        stage: The stage.
        num_folds: Number of folds; 1 without folds.
        result: Its result.
        reporter: Receives a fold, or without folds a note.
    """
    best, num_epochs = result.history[result.best_epoch - 1], len(result.history)
    assert best.val_loss is not None
    num_train, num_held_out = len(stage.train_rows), len(stage.validation_rows)
    if stage.kind == "fold":
        seconds = sum(epoch.seconds for epoch in result.history)
        reporter.fold(
            Fold(
                stage.number, num_folds, num_train, num_held_out, result.best_epoch, num_epochs,
                best.val_loss, best.val_accuracy, seconds,
            )
        )  # fmt: skip
        return
    scores = [text_format.number(value) for value in (best.val_loss, best.val_accuracy)]
    reporter.note(
        f"Selection: {num_train:,} rows to train, {num_held_out:,} to validate; best epoch "
        f"{result.best_epoch} of {num_epochs}, val loss {scores[0]} acc {scores[1]}."
    )


# Checkpoints


def to_checkpoint(finished: Sequence[FinishedStage]) -> tuple[Tensors, list[dict[str, Any]]]:
    """Return finished stages as tensors and JSON types, for a checkpoint."""
    tensors: dict[str, NDArray[Any]] = {}
    progress = []
    for number, stage in enumerate(finished, 1):
        logits = stage.logits
        tensors[f"{_PREFIX}{number}/lstm"] = logits.lstm
        tensors[f"{_PREFIX}{number}/linear_scales"] = logits.linear_scales
        if logits.linear is not None:
            tensors[f"{_PREFIX}{number}/linear"] = logits.linear
        progress.append(
            {
                "history": [asdict(line) for line in stage.history],
                "best_epoch": stage.best_epoch,
                "stop_reason": stage.stop_reason,
            }
        )
    return tensors, progress


def check_finished(
    stages: Sequence[Stage], finished: Sequence[FinishedStage], num_outputs: int
) -> None:
    """Check the finished stages of a checkpoint against the stages of the training.

    Raises:
        ValueError: They are of other stages or another model.
    """
    if len(finished) >= len(stages):
        raise ValueError(f"{len(finished)} finished stages of {len(stages)}")
    for stage, result in zip(stages, finished, strict=False):
        expected = (len(stage.validation_rows), num_outputs)
        num_epochs = len(result.history) if stage.kind == "fold" else 1
        logits = result.logits
        shapes: dict[str, tuple[NDArray[Any], tuple[int, ...]]] = {
            "logits": (logits.lstm, (num_epochs, *expected)),
            "factors": (logits.linear_scales, (num_epochs,)),
        }
        if logits.linear is not None:
            shapes["linear logits"] = (logits.linear, expected)
        for name, (array, shape) in shapes.items():
            if array.shape != shape:
                raise ValueError(f"stage {stage.number}: expected {name} of shape {list(shape)}")


def from_checkpoint(
    tensors: Tensors, progress: Sequence[Mapping[str, Any]], multi_label: bool = False
) -> tuple[FinishedStage, ...]:
    """Return what `to_checkpoint` was given.

    Args:
        tensors: All tensors of a checkpoint that passes `checkpoint_checks.check_progress`.
        progress: `stages` of its progress.
        multi_label: Whether the run has several labels a text.
    """
    return tuple(
        FinishedStage(
            tuple(Epoch(**line) for line in stage["history"]),
            stage["best_epoch"],
            stage["stop_reason"],
            EpochLogits(
                tensors[f"{_PREFIX}{number}/lstm"],
                tensors[f"{_PREFIX}{number}/linear_scales"],
                tensors.get(f"{_PREFIX}{number}/linear"),
                multi_label,
            ),
        )
        for number, stage in enumerate(progress, 1)
    )

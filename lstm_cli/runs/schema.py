"""The types of `run.json` and of a line of `history.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from lstm_cli.data.dataset import Dataset
from lstm_cli.io.progress import Epoch
from lstm_cli.io.text_format import pluralize
from lstm_cli.runs.decode import (
    Count,
    EpochNumber,
    Fraction,
    Mean,
    Number,
    Seconds,
    ShortText,
    Text,
    decode,
)

Kind = Literal["text", "image", "language"]


class EpochLine(msgspec.Struct, frozen=True):
    """A line of `history.jsonl`; see `io.progress.Epoch`.

    A classifier has accuracies, a language model has perplexities. The refit of a classifier has no
    validation.
    """

    epoch: EpochNumber
    steps: Annotated[int, Meta(ge=1, lt=2**31)]
    loss: Number
    val_loss: Number | None
    learning_rate: Fraction
    seconds: Seconds
    best: bool
    stage: Annotated[int, Meta(ge=1, le=1000)] = 1
    accuracy: Mean | None = None
    val_accuracy: Mean | None = None
    perplexity: Annotated[float, Meta(ge=0, le=1e305)] | None = None
    val_perplexity: Annotated[float, Meta(ge=0, le=1e305)] | None = None

    def to_epoch(self) -> Epoch:
        """Convert the line to what the training loop reports."""
        return Epoch(
            epoch=self.epoch,
            steps=self.steps,
            loss=self.loss,
            accuracy=self.accuracy,
            val_loss=self.val_loss,
            val_accuracy=self.val_accuracy,
            learning_rate=self.learning_rate,
            seconds=self.seconds,
            best=self.best,
            stage=self.stage,
        )


def decode_lines(content: bytes) -> tuple[EpochLine, ...]:
    """Decode `history.jsonl`.

    Raises:
        ValueError: A line is not an epoch, or the lines contradict each other. The message
            continues after the name of the file.
    """
    lines = []
    for number, text in enumerate(content.splitlines(), 1):
        try:
            line = decode(text, EpochLine)
        except ValueError as error:
            raise ValueError(f", line {number}{error}") from None
        lines.append(line)
    if not lines:
        raise ValueError(" has no epoch")
    check_history(lines)
    return tuple(lines)


def check_history(lines: Sequence[EpochLine]) -> None:
    """Check that the lines of a history agree with each other.

    Raises:
        ValueError: Stages or epochs are not counted from 1, the numbers of steps in a stage differ,
            `best` does not follow from the validation losses, or an epoch has no validation that is
            not of a refit, the last stage of several.
    """
    best_loss, before = math.inf, None
    for number, line in enumerate(lines, 1):
        if before is None or line.stage != before.stage:
            expected_stage, expected_epoch = 1 if before is None else before.stage + 1, 1
            best_loss = math.inf
        else:
            expected_stage, expected_epoch = before.stage, before.epoch + 1
            if line.steps != before.steps:
                reason = f"expected {before.steps} as in line {number - 1}, found {line.steps}"
                raise ValueError(f", line {number}, steps: {reason}")
        for key, expected in (("stage", expected_stage), ("epoch", expected_epoch)):
            if (found := getattr(line, key)) != expected:
                raise ValueError(f", line {number}, {key}: expected {expected}, found {found}")
        if line.val_loss is None and (line.stage == 1 or line.stage != lines[-1].stage):
            raise ValueError(f", line {number}, val_loss: expected a number")
        if line.best != (line.val_loss is None or line.val_loss < best_loss):
            raise ValueError(f", line {number}, best: does not follow from val_loss")
        best_loss = min(best_loss, math.inf if line.val_loss is None else line.val_loss)
        before = line


class StageInfo(msgspec.Struct, frozen=True):
    """A stage of training before the refit.

    Attributes:
        kind: A validation split, or a fold.
        train: Number of rows to train on.
        validation: Number of rows held out.
        epochs: Number of epochs.
        best_epoch: The epoch with the lowest validation loss.
        stopped: Why the stage ended.
    """

    kind: Literal["selection", "fold"]
    train: Count
    validation: Count
    epochs: EpochNumber
    best_epoch: EpochNumber
    stopped: Text


def describe_selection(stages: Sequence[StageInfo]) -> str:
    """Return how the number of epochs of a refit was chosen, for people."""
    epochs = ", ".join(str(stage.best_epoch) for stage in stages)
    if stages[0].kind == "fold":
        return f"lowest mean validation loss of {len(stages)} folds (best epochs {epochs})"
    return f"the best epoch on validation, of {pluralize(stages[0].epochs, 'epoch')}"


class FileInfo(msgspec.Struct, frozen=True):
    """A file or folder that a split was read from; see `data.dataset.SourceFile`."""

    path: Text
    sha256: ShortText


class Change(NamedTuple):
    """A file, or a whole data set, that is not what it was.

    Attributes:
        source: Its path, or what it is for people.
        before: Its fingerprint before.
        now: Its fingerprint now.
    """

    source: str
    before: str
    now: str


class DatasetInfo(msgspec.Struct, frozen=True):
    """The data that a run was trained on.

    Attributes:
        name: Of the data set.
        source: Where it was read from.
        kind: Of its examples.
        fingerprint: SHA-256 of what training reads of it; see `data.dataset.Dataset`.
        files: What each split was read from, if they come from paths.
        labels: Class names; None for a language model.
        sizes: Examples by split.
        unlabeled: Number of texts without labels, for a language model.
        unlabeled_files: SHA-256 of each file or folder of `data.unlabeled`, by path.
        unlabeled_sha256: SHA-256 of the texts in them that training reads.
        replay_files: SHA-256 of each file or folder of `data.replay_files`, by path.
        replay_sha256: SHA-256 of the rows in them that training reads.
        words: Number of words by split, for a language model.
        notes: Messages from reading it.
    """

    name: Text | None = None
    source: Text | None = None
    kind: Literal["text", "image"] | None = None
    fingerprint: ShortText | None = None
    files: Annotated[dict[ShortText, FileInfo], Meta(max_length=3)] | None = None
    labels: list[str] | None = None
    sizes: Annotated[dict[ShortText, Count], Meta(max_length=16)] | None = None
    unlabeled: Count | None = None
    unlabeled_files: Annotated[dict[Text, ShortText], Meta(max_length=10_000)] | None = None
    unlabeled_sha256: ShortText | None = None
    replay_files: Annotated[dict[Text, ShortText], Meta(max_length=10_000)] | None = None
    replay_sha256: ShortText | None = None
    words: Annotated[dict[ShortText, Count], Meta(max_length=16)] | None = None
    notes: Annotated[list[Text], Meta(max_length=1000)] = []

    def learned_change(self, dataset: Dataset) -> Change | None:
        """Return what has changed of the data that training reads; None if nothing has.

        Args:
            dataset: The data now.
        """
        changed = list(self._changed_files(dataset))
        if self.fingerprint != dataset.fingerprint:
            by_file = [change for name, change in changed if name != "test"]
            whole = Change(dataset.source, str(self.fingerprint), dataset.fingerprint)
            return by_file[0] if by_file else whole
        parts = (
            (dataset.unlabeled, self.unlabeled_files, self.unlabeled_sha256),
            (dataset.replayed, self.replay_files, self.replay_sha256),
        )
        for part, files, digest in parts:
            if part is None:
                continue
            for path, sha256 in part.files.items():
                before = (files or {}).get(path)
                if before != sha256:
                    return Change(path, str(before), sha256)
            # Copies of test texts are not learned from, so another test file leaves other texts.
            if digest != part.sha256 and changed:
                return changed[0][1]
        return None

    def test_change(self, dataset: Dataset) -> Change | None:
        """Return what has changed of a file with test rows; None if nothing has.

        Args:
            dataset: The data now.
        """
        return dict(self._changed_files(dataset)).get("test")

    def _changed_files(self, dataset: Dataset) -> Iterator[tuple[str, Change]]:
        """Yield the files of splits whose content has changed, with the name of the split."""
        for name, file in dataset.files.items():
            before = (self.files or {}).get(name)
            if before is not None and before.sha256 != file.sha256:
                yield name, Change(file.path, before.sha256, file.sha256)


class FullDatasetInfo(DatasetInfo, frozen=True, kw_only=True):
    """The data of a run whose training started: with all fields that training writes."""

    name: Text
    source: Text
    fingerprint: ShortText
    sizes: Annotated[dict[ShortText, Count], Meta(max_length=16)]


class InitInfo(msgspec.Struct, frozen=True):
    """The run that gave the initial weights.

    Attributes:
        run: Its name.
        path: Its folder.
        task: Its task.
        weights_sha256: Of its weights.
        words: Number of words of its vocabulary, which begins that of the new run.
        arrays: The arrays that come from it.
        grown: Those of them with more words or classes, or with other inputs.
    """

    run: Text
    path: Text
    task: Kind
    weights_sha256: ShortText
    words: Count | None = None
    arrays: list[ShortText] | None = None
    grown: list[ShortText] | None = None


class VectorsInfo(msgspec.Struct, frozen=True):
    """The file of word vectors that training started from.

    Attributes:
        file: Its path.
        sha256: Of its content.
        width: Numbers of a vector.
        rows: Its words.
        found: Words of the vocabulary that it has.
        words: Words of the vocabulary.
        tokens: Fraction of the training tokens whose word it has.
    """

    file: Text
    sha256: ShortText
    width: Count
    rows: Count
    found: Count
    words: Count
    tokens: Mean


class NonFiniteInfo(msgspec.Struct, frozen=True):
    """Where the loss or a gradient became non-finite."""

    epoch: EpochNumber
    loss: ShortText
    stage: Count | None = None
    step: Count | None = None
    learning_rate: Fraction | None = None
    examples: list[Count] | None = None


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`run.json` of a run in any state: only the types of the fields are checked."""

    status: Literal["running", "finished", "failed", "interrupted"]
    format: Literal[1] | None = None
    kind: Kind | None = None
    data: Text | None = None
    started: Annotated[str, Meta(max_length=64)] | None = None
    command: Text | None = None
    seed: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    process: Count | None = None
    platform: ShortText = ""
    versions: Annotated[dict[ShortText, ShortText], Meta(max_length=100)] | None = None
    commit: ShortText | None = None
    dataset: DatasetInfo | None = None
    parameters: Count | None = None
    vocab_size: Count | None = None
    device: ShortText | None = None
    kernel: ShortText | None = None
    why: Text | None = None
    backend: ShortText | None = None
    processes: Count | None = None
    init_from: InitInfo | None = None
    vectors: VectorsInfo | None = None
    finished: Annotated[str, Meta(max_length=64)] | None = None
    epochs: EpochNumber | None = None
    best_epoch: EpochNumber | None = None
    stopped: Text | None = None
    stages: Annotated[list[StageInfo], Meta(max_length=100)] | None = None
    temperature: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    seconds: Annotated[dict[ShortText, Seconds], Meta(max_length=100)] | None = None
    peak_memory_mb: Count | None = None
    error: Text | None = None
    non_finite: NonFiniteInfo | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types, without those that are None."""
        fields: dict[str, Any] = _without_none(msgspec.to_builtins(self))
        return fields


class StartedRunInfo(RunInfo, frozen=True, kw_only=True):
    """`run.json` of a run whose training started: with the fields known by then."""

    kind: Kind
    data: Text
    started: Annotated[str, Meta(max_length=64)]
    seed: Annotated[int, Meta(ge=0, lt=2**31)]
    versions: Annotated[dict[ShortText, ShortText], Meta(max_length=100)]
    dataset: FullDatasetInfo
    parameters: Count
    device: ShortText
    kernel: ShortText
    why: Text


class FinishedRunInfo(StartedRunInfo, frozen=True, kw_only=True):
    """`run.json` of a finished run."""

    status: Literal["finished"]
    epochs: EpochNumber
    best_epoch: EpochNumber
    stopped: Text
    seconds: Annotated[dict[ShortText, Seconds], Meta(max_length=100)]

    def __post_init__(self) -> None:
        """Check that the numbers agree with each other.

        Raises:
            ValueError: They contradict each other.
        """
        if self.best_epoch > self.epochs:
            raise ValueError(f"best_epoch is {self.best_epoch} of {self.epochs} epochs")
        if "total" not in self.seconds:
            raise ValueError("seconds has no total")


def _without_none(value: Any) -> Any:
    """Remove None from a mapping and the mappings in it."""
    if not isinstance(value, dict):
        return value
    return {key: _without_none(inner) for key, inner in value.items() if inner is not None}

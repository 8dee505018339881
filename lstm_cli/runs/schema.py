"""The files in which a run describes itself, as types: run.json, metrics.json, history.jsonl.

Every number has a least and a greatest value, which also excludes NaN and infinities, and every
text but the names of classes a greatest length: what is decoded can be shown and computed with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from lstm_cli.io.progress import Epoch

T = TypeVar("T")

_LARGEST = 2**53  # whole numbers that a float still holds exactly
_MAX_REASON = 300
MAX_EPOCHS = 100_000

Count = Annotated[int, Meta(ge=0, le=_LARGEST)]
Number = Annotated[float, Meta(ge=-1e300, le=1e300)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Share = Annotated[float, Meta(ge=0, le=1)]
# A mean of shares may be rounded to a little more than 1.
Mean = Annotated[float, Meta(ge=0, le=1.001)]
Loss = Annotated[float, Meta(ge=0, le=1e6)]
Perplexity = Annotated[float, Meta(ge=1, le=1e305)]
EpochNumber = Annotated[int, Meta(ge=1, le=MAX_EPOCHS)]
Word = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=65_536)]

Kind = Literal["text", "image", "language"]


# metrics.json


@dataclass(frozen=True)
class ClassScores:
    """How one class fared; what is undefined (nothing predicted, no example) counts as 0.

    Attributes:
        name: The class.
        precision: Share of the predictions of this class that are right.
        recall: Share of this class's examples that were found.
        f1: Harmonic mean of the two.
        support: Number of examples whose true class this is.
    """

    name: str
    precision: Mean
    recall: Mean
    f1: Mean
    support: Count


@dataclass(frozen=True)
class Bin:
    """The predictions whose confidence lies in (low, high].

    Attributes:
        low: Lower edge; the first bin includes it.
        high: Upper edge.
        count: Number of predictions.
        confidence: Their mean top-class probability; None when there is none.
        accuracy: Share of them that is right; None when there is none.
    """

    low: Share
    high: Share
    count: Count
    confidence: Mean | None
    accuracy: Mean | None


@dataclass(frozen=True)
class Report:
    """Everything said about one split.

    Attributes:
        num_examples: Number of examples.
        accuracy: Share predicted right.
        accuracy_interval: Its 95% Wilson interval.
        loss: Mean negative log-likelihood, in nats.
        precision: Mean over classes (macro), of those that occur or were predicted.
        recall: The same for recall.
        f1: The same for F1.
        roc_auc: Area under the ROC curve; with more than two classes, mean of one-vs-rest.
        roc_auc_reason: Why `roc_auc` is None; empty when it is a number.
        calibration_error: Expected calibration error, 15 bins.
        baseline_accuracy: What always answering the split's commonest class would reach.
        classes: One entry a class, in the order of class ids.
        bins: The 15 reliability bins, from 0 to 1.
        confusion: Number of examples by true class (rows) and predicted class (columns).
    """

    num_examples: Annotated[int, Meta(ge=1, le=_LARGEST)]
    accuracy: Share
    accuracy_interval: tuple[Share, Share]
    loss: Loss
    precision: Mean
    recall: Mean
    f1: Mean
    roc_auc: Mean | None
    roc_auc_reason: str
    calibration_error: Mean
    baseline_accuracy: Share
    classes: tuple[ClassScores, ...]
    bins: Annotated[tuple[Bin, ...], Meta(max_length=1000)]
    confusion: tuple[tuple[Count, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report in types JSON knows: dicts, lists, numbers, strings, None."""
        builtins: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return builtins


class Results(msgspec.Struct, frozen=True):
    """`metrics.json` of a classifier."""

    best_epoch: EpochNumber
    validation: Report
    test: Report


class DirectionScores(msgspec.Struct, frozen=True):
    """How well a language model predicts in one direction."""

    loss: Loss
    perplexity: Perplexity


class HeldOutScores(msgspec.Struct, frozen=True, omit_defaults=True):
    """How well a language model predicts words that it was not trained on."""

    loss: Loss
    perplexity: Perplexity
    num_words: Count
    unigram_perplexity: Perplexity
    forward: DirectionScores | None = None
    backward: DirectionScores | None = None


class LanguageResults(msgspec.Struct, frozen=True):
    """`metrics.json` of a language model."""

    best_epoch: EpochNumber
    held_out: HeldOutScores


# history.jsonl


class EpochLine(msgspec.Struct, frozen=True):
    """A line of `history.jsonl`; see `reporting.Epoch`.

    A classifier's has accuracies, a language model's has perplexities.
    """

    epoch: EpochNumber
    steps: Annotated[int, Meta(ge=1, lt=2**31)]
    loss: Number
    val_loss: Number
    learning_rate: Share
    seconds: Seconds
    best: bool
    accuracy: Mean | None = None
    val_accuracy: Mean | None = None
    perplexity: Annotated[float, Meta(ge=0, le=1e305)] | None = None
    val_perplexity: Annotated[float, Meta(ge=0, le=1e305)] | None = None

    def to_epoch(self) -> Epoch:
        """Return the line as what the training loop reported."""
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
        )


# run.json


class DatasetInfo(msgspec.Struct, frozen=True):
    """What a run was trained on.

    Attributes:
        name: Of the data set.
        source: Where it was read.
        kind: What it holds.
        fingerprint: SHA-256 of its content.
        labels: Class names; none for a language model.
        sizes: Examples by split.
        unlabeled: Texts without labels; of a language model.
        words: Words by split; of a language model.
        notes: What was noticed while it was read.
    """

    name: Text | None = None
    source: Text | None = None
    kind: Literal["text", "image"] | None = None
    fingerprint: Word | None = None
    labels: list[str] | None = None
    sizes: Annotated[dict[Word, Count], Meta(max_length=16)] | None = None
    unlabeled: Count | None = None
    words: Annotated[dict[Word, Count], Meta(max_length=16)] | None = None
    notes: Annotated[list[Text], Meta(max_length=1000)] = []


class FullDatasetInfo(DatasetInfo, frozen=True, kw_only=True):
    """What a run was trained on, with all that training writes."""

    name: Text
    source: Text
    fingerprint: Word
    sizes: Annotated[dict[Word, Count], Meta(max_length=16)]


class InitInfo(msgspec.Struct, frozen=True):
    """The run whose weights training began with."""

    run: Text
    path: Text
    task: Kind
    weights_sha256: Word
    arrays: list[Word] | None = None


class NonFiniteInfo(msgspec.Struct, frozen=True):
    """Where the loss or a gradient became infinite or NaN."""

    epoch: EpochNumber
    loss: Word
    step: Count | None = None
    learning_rate: Share | None = None
    examples: list[Count] | None = None


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`run.json` of a run in any state: what is there has its type."""

    status: Literal["running", "finished", "failed", "interrupted"]
    format: Count | None = None
    kind: Kind | None = None
    data: Text | None = None
    started: Annotated[str, Meta(max_length=64)] | None = None
    command: Text | None = None
    seed: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    process: Count | None = None
    platform: Word = ""
    versions: Annotated[dict[Word, Word], Meta(max_length=100)] | None = None
    commit: Word | None = None
    dataset: DatasetInfo | None = None
    parameters: Count | None = None
    vocab_size: Count | None = None
    device: Word | None = None
    kernel: Word | None = None
    why: Text | None = None
    backend: Word | None = None
    init_from: InitInfo | None = None
    finished: Annotated[str, Meta(max_length=64)] | None = None
    epochs: EpochNumber | None = None
    best_epoch: EpochNumber | None = None
    stopped: Text | None = None
    temperature: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    seconds: Annotated[dict[Word, Seconds], Meta(max_length=100)] | None = None
    peak_memory_mb: Count | None = None
    error: Text | None = None
    non_finite: NonFiniteInfo | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is known as plain JSON types."""
        known: dict[str, Any] = _without_none(msgspec.to_builtins(self))
        return known


class BegunRunInfo(RunInfo, frozen=True, kw_only=True):
    """`run.json` of a run whose training began: with all that is known by then."""

    kind: Kind
    data: Text
    started: Annotated[str, Meta(max_length=64)]
    seed: Annotated[int, Meta(ge=0, lt=2**31)]
    versions: Annotated[dict[Word, Word], Meta(max_length=100)]
    dataset: FullDatasetInfo
    parameters: Count
    device: Word
    kernel: Word
    why: Text


class FinishedRunInfo(BegunRunInfo, frozen=True, kw_only=True):
    """`run.json` of a finished run."""

    status: Literal["finished"]
    epochs: EpochNumber
    best_epoch: EpochNumber
    stopped: Text
    seconds: Annotated[dict[Word, Seconds], Meta(max_length=100)]

    def __post_init__(self) -> None:
        """Hold the numbers to each other.

        Raises:
            ValueError: They contradict each other.
        """
        if self.best_epoch > self.epochs:
            raise ValueError(f"best_epoch is {self.best_epoch} of {self.epochs} epochs")
        if "total" not in self.seconds:
            raise ValueError("seconds has no total")


def decode(content: bytes, kind: type[T]) -> T:
    """Decode JSON into a type.

    Args:
        content: UTF-8.
        kind: A struct or dataclass of this module, or a tuple of some.

    Raises:
        ValueError: It is not JSON, or not of that type. The text continues after a file's name,
            and names the key.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # Half of a surrogate pair is valid for Python, and the key of a NaN is worth naming.
        pass
    try:
        return msgspec.convert(json.loads(content), kind)
    except msgspec.ValidationError as error:
        raise ValueError(_reason(error)) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f" is not JSON ({str(error)[:_MAX_REASON]})") from None


def decode_lines(content: bytes) -> tuple[EpochLine, ...]:
    """Decode `history.jsonl`.

    Raises:
        ValueError: A line is not an epoch, or the epochs are not counted from 1, or `best` does
            not follow from the validation losses; as `decode`.
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
    """Hold the lines of a history to each other.

    Raises:
        ValueError: They contradict each other; the text continues after a file's name.
    """
    least = math.inf
    for number, line in enumerate(lines, 1):
        if line.epoch != number:
            raise ValueError(f", line {number}, epoch: expected {number}, found {line.epoch}")
        if line.steps != lines[0].steps:
            told = f"expected {lines[0].steps} as in line 1, found {line.steps}"
            raise ValueError(f", line {number}, steps: {told}")
        if line.best != (line.val_loss < least):
            raise ValueError(f", line {number}, best: does not follow from val_loss")
        least = min(least, line.val_loss)


def check_report(report: Report, labels: Sequence[str] | None = None) -> None:
    """Hold the numbers of a report to each other.

    Args:
        report: Of one split.
        labels: Class names, where they are known.

    Raises:
        ValueError: They contradict each other, or are of other classes; the text names the key.
    """
    names = [scores.name for scores in report.classes]
    if labels is not None and names != list(labels):
        raise ValueError("classes: other classes than those of the run")
    rows = report.confusion
    if len(rows) != len(names) or any(len(row) != len(names) for row in rows):
        raise ValueError(f"confusion: expected {len(names)} rows of {len(names)} numbers")
    if [sum(row) for row in rows] != [scores.support for scores in report.classes]:
        raise ValueError("confusion: a row does not add up to the support of its class")
    num, right = sum(map(sum, rows)), sum(row[i] for i, row in enumerate(rows))
    if num != report.num_examples or sum(b.count for b in report.bins) != num:
        raise ValueError(f"num_examples: {report.num_examples:,} do not match confusion and bins")
    low, high = report.accuracy_interval
    if abs(report.accuracy - right / num) > 1e-6 or not low <= report.accuracy <= high:
        raise ValueError(f"accuracy: {report.accuracy} does not match confusion and interval")


def _without_none(value: Any) -> Any:
    """Leave out what is not known from a mapping and the mappings in it."""
    if not isinstance(value, dict):
        return value
    return {key: _without_none(inner) for key, inner in value.items() if inner is not None}


def _reason(error: msgspec.ValidationError) -> str:
    """Write what a decoder found: `, dataset.sizes: expected ...`."""
    # The text may quote what it found, of any length.
    told, place = str(error), ""
    if " - at `$" in told:
        told, _, place = told.rpartition(" - at `$")
    key = place.removesuffix("`").lstrip(".")[:_MAX_REASON]
    return f", {key}: {told[:_MAX_REASON]}" if key else f": {told[:_MAX_REASON]}"

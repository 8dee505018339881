"""What the inputs of a run look like, without labels: counts and histograms that do not grow.

Training writes them for the rows that were held out, `lstm predict --stats` for new inputs;
`evaluation.drift` compares both.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.atomic_write import open_atomic
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.result import Prediction
from lstm_cli.runs import directory as runs
from lstm_cli.runs.decode import Count, ShortText, decode
from lstm_cli.runs.directory import RunDir

# Tokens of a text: each number up to 8, then four bins to a doubling.
LENGTH_EDGES = (*range(8), *(2**k * m // 4 for k in range(3, 21) for m in (4, 5, 6, 7)))
# Share of unknown tokens: 0 alone, then two hundredths each, up to 1 and above.
UNKNOWN_EDGES = (0.0, 1e-9, *(i / 50 for i in range(1, 51)))
# Probability of the most probable class, in hundredths.
CONFIDENCE_EDGES = tuple(i / 100 for i in range(100))
_MAX_BYTES = 64 << 20

_Counts = Annotated[list[Count], Meta(max_length=200)]
_Edges = Annotated[list[float], Meta(max_length=200)]


class Histogram(msgspec.Struct, frozen=True):
    """Numbers of inputs by the value of a property.

    Attributes:
        edges: Smallest value of each bin, ascending; the last bin has no upper end.
        counts: Inputs in each bin.
    """

    edges: _Edges
    counts: _Counts


class InputStats(msgspec.Struct, frozen=True):
    """What the inputs of a run look like.

    Attributes:
        run: Name of the run.
        model_sha256: Of its graph: labels and confidence are those of this model.
        inputs: Inputs with a prediction.
        unreadable: Records that cannot be read, which are not counted below.
        labels: Inputs by their most probable class, whatever the thresholds of the run are.
        confidence: Of the probability of that class.
        confidence_sum: Sum of these probabilities.
        tokens: Tokens of all texts before truncation; None for images, as the fields below.
        unknown_tokens: Those that are not in the vocabulary.
        truncated: Texts whose middle was left out.
        lengths: Of the tokens of a text.
        unknown: Of the share of its tokens that are unknown.
    """

    run: ShortText
    model_sha256: ShortText
    inputs: Count
    unreadable: Count
    labels: dict[str, Count]
    confidence: Histogram
    confidence_sum: Annotated[float, Meta(ge=0, le=2**53)]
    tokens: Count | None = None
    unknown_tokens: Count | None = None
    truncated: Count | None = None
    lengths: Histogram | None = None
    unknown: Histogram | None = None
    format: Literal[1] = 1


class StatsCounter:
    """Counts inputs one by one; its size does not depend on how many there are."""

    def __init__(self, labels: Sequence[str], is_text: bool) -> None:
        """Begin with no input.

        Args:
            labels: Class names of the run.
            is_text: Whether the inputs are texts.
        """
        self._labels = dict.fromkeys(labels, 0)
        self._is_text = is_text
        self._sums = {"tokens": 0, "unknown_tokens": 0, "truncated": 0}
        self._confidence_sum = 0.0
        self._counts = {
            edges: [0] * len(edges) for edges in (LENGTH_EDGES, UNKNOWN_EDGES, CONFIDENCE_EDGES)
        }
        self.num_unreadable = 0

    def add(self, prediction: Prediction | None) -> None:
        """Count an input; None for one that cannot be read."""
        if prediction is None:
            self.num_unreadable += 1
            return
        label, confidence = max(prediction.probabilities.items(), key=lambda entry: entry[1])
        self.add_row(label, confidence)
        if prediction.num_tokens is not None:
            unknown = round((prediction.unknown or 0.0) * prediction.num_tokens)
            self.add_text(prediction.num_tokens, unknown, bool(prediction.truncated))

    def add_row(self, label: str, confidence: float) -> None:
        """Count the most probable class of an input, and its probability."""
        self._labels[label] += 1
        self._confidence_sum += confidence
        self._count(CONFIDENCE_EDGES, confidence)

    def add_text(self, num_tokens: int, num_unknown: int, is_truncated: bool) -> None:
        """Count the tokens of a text."""
        self._sums["tokens"] += num_tokens
        self._sums["unknown_tokens"] += num_unknown
        self._sums["truncated"] += is_truncated
        self._count(LENGTH_EDGES, num_tokens)
        self._count(UNKNOWN_EDGES, num_unknown / num_tokens if num_tokens else 0.0)

    def result(self, run: str, model_sha256: str) -> InputStats:
        """Return what was counted.

        Args:
            run: Name of the run.
            model_sha256: Of its graph.
        """
        return InputStats(
            run,
            model_sha256,
            sum(self._labels.values()),
            self.num_unreadable,
            dict(self._labels),
            self._histogram(CONFIDENCE_EDGES),
            self._confidence_sum,
            **self._of_texts(),
        )

    def _of_texts(self) -> dict[str, Any]:
        if not self._is_text:
            return {}
        histograms = {
            "lengths": self._histogram(LENGTH_EDGES),
            "unknown": self._histogram(UNKNOWN_EDGES),
        }
        return self._sums | histograms

    def _count(self, edges: tuple[float, ...], value: float) -> None:
        self._counts[edges][max(0, bisect_right(edges, value) - 1)] += 1

    def _histogram(self, edges: tuple[float, ...]) -> Histogram:
        return Histogram(list(map(float, edges)), list(self._counts[edges]))


def counter_for(predictor: Predictor) -> StatsCounter:
    """Return a counter for the inputs of a run."""
    return StatsCounter(predictor.labels, predictor.kind == "text")


def result_of(counter: StatsCounter, predictor: Predictor) -> InputStats:
    """Return what was counted of the inputs of a run.

    Raises:
        LstmError: The manifest of the run is damaged (exit code 5).
    """
    return counter.result(predictor.run.name, model_digest(predictor.run))


def add_up(parts: Iterable[InputStats]) -> InputStats:
    """Add the statistics of several inputs of one model."""
    first, *others = parts
    total: dict[str, Any] = msgspec.to_builtins(first)
    for other in others:
        _add(total, msgspec.to_builtins(other))
    return msgspec.convert(total, InputStats)


def _add(total: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in other.items():
        if key == "labels":
            total[key] = {label: total[key][label] + num for label, num in value.items()}
        elif isinstance(value, dict):
            counts = zip(total[key]["counts"], value["counts"], strict=True)
            total[key]["counts"] = [a + b for a, b in counts]
        elif isinstance(value, int | float) and key != "format":
            total[key] += value


def model_digest(run: RunDir) -> str:
    """Return the SHA-256 of the graph of a finished run.

    Raises:
        LstmError: The manifest is damaged (exit code 5).
    """
    # A run that was loaded keeps its manifest, also where its folder was a temporary one.
    known = run if run.manifest is not None else run.with_manifest()
    entry = (known.manifest or {}).get(runs.MODEL)
    if entry is None:
        raise run.integrity_error(f"{runs.MANIFEST} does not list {runs.MODEL}")
    return entry.sha256


def write(path: Path, stats: InputStats) -> None:
    """Write statistics into a JSON file, whole or not at all.

    Raises:
        LstmError: It cannot be written.
    """
    with open_atomic(path) as file:
        file.write(to_json(stats))


def to_json(stats: InputStats) -> bytes:
    """Return statistics as JSON, a histogram on two lines."""
    fields = [
        f"{json.dumps(key)}: {json.dumps(value)}"
        for key, value in msgspec.to_builtins(stats).items()
        if value is not None
    ]
    return ("{\n " + ",\n ".join(fields) + "\n}\n").encode()


def read(path: Path) -> InputStats:
    """Read statistics that `write` wrote.

    Raises:
        LstmError: There is no such file (exit code 3), or it is not one of statistics.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LstmError(
            f"Cannot read {path}: {reason}.",
            "Write it: lstm predict --file FILE --stats stats.json --out answers.csv",
            ExitCode.DATA,
        ) from None
    try:
        return parse(content)
    except ValueError as error:
        raise LstmError(
            f"{path}{error}. Expected is a file that 'lstm predict --stats' wrote.",
            "Write it: lstm predict --file FILE --stats stats.json --out answers.csv",
        ) from None


def parse(content: bytes) -> InputStats:
    """Parse statistics.

    Raises:
        ValueError: They are not valid. The message continues after the name of the file.
    """
    stats = decode(content, InputStats)
    histograms = {"confidence": (stats.confidence, CONFIDENCE_EDGES)}
    if stats.lengths is not None and stats.unknown is not None:
        histograms["lengths"] = (stats.lengths, LENGTH_EDGES)
        histograms["unknown"] = (stats.unknown, UNKNOWN_EDGES)
    for name, (histogram, edges) in histograms.items():
        if tuple(histogram.edges) != edges or len(histogram.counts) != len(edges):
            raise ValueError(f", {name}: has other bins than this version")
        if sum(histogram.counts) != stats.inputs:
            raise ValueError(f", {name}: does not hold {stats.inputs:,} inputs")
    if sum(stats.labels.values()) != stats.inputs:
        raise ValueError(f", labels: do not hold {stats.inputs:,} inputs")
    return stats

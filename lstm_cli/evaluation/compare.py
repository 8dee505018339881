"""Runs side by side: figures, settings that differ, and a paired test on shared test examples."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli import data
from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset, DataSource
from lstm_cli.data.source import from_config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation import evaluate
from lstm_cli.evaluation.metrics import wilson
from lstm_cli.io.progress import Epoch, Reporter, SilentReporter
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import record
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.record import RunRecord


@dataclass(frozen=True)
class Entry:
    """One of the runs, by what it reached on its test split and what it costs.

    Attributes:
        name: Of the run; its path where names are not enough to tell runs apart.
        dataset: What it was trained on.
        num_examples: In its test split.
        accuracy: Share of them predicted right.
        accuracy_interval: Its 95% Wilson interval.
        loss: In nats.
        f1: Mean of classes.
        calibration_error: Expected calibration error.
        parameters: Their number.
        model_bytes: Of the graph that predicts.
        num_bytes: Of all files of the run.
        seconds: The whole training command.
    """

    name: str
    dataset: str
    num_examples: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    loss: float
    f1: float
    calibration_error: float
    parameters: int
    model_bytes: int
    num_bytes: int
    seconds: float


@dataclass(frozen=True)
class PairedTest:
    """Two runs on the test examples they share.

    Attributes:
        first: Name of a run.
        second: Name of another.
        num_shared: How many examples are in the test splits of both.
        both_right: How many of them both predict right.
        only_first: How many only the first does.
        only_second: How many only the second does.
        difference: Accuracy of the first less that of the second, on these examples.
        interval: Its 95% interval.
        p_value: Of McNemar's test.
        adjusted: The same, held to the number of pairs tested (Holm).
    """

    first: str
    second: str
    num_shared: int
    both_right: int
    only_first: int
    only_second: int
    difference: float
    interval: tuple[float, float]
    p_value: float
    adjusted: float


@dataclass(frozen=True)
class UntestedPair:
    """Two runs that could not be compared example by example, and why."""

    first: str
    second: str
    why: str


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        entries: One a run, in the order given.
        settings: Of the settings that differ, the value in each run; None where it is not set.
        paired: One a pair of runs that share test examples.
        untested: The other pairs.
        histories: Epochs of each run.
    """

    entries: tuple[Entry, ...]
    settings: dict[str, tuple[Any, ...]]
    paired: tuple[PairedTest, ...]
    untested: tuple[UntestedPair, ...]
    histories: tuple[tuple[Epoch, ...], ...]

    @property
    def names(self) -> list[str]:
        """Name of each run."""
        return [entry.name for entry in self.entries]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the histories as plain JSON types."""
        return {
            "runs": [asdict(entry) for entry in self.entries],
            "settings": {
                key: dict(zip(self.names, values, strict=True))
                for key, values in self.settings.items()
            },
            "paired": [asdict(paired) for paired in self.paired],
            "untested": [asdict(untested) for untested in self.untested],
        }


@dataclass(frozen=True)
class _Answers:
    """Where a run was right on its test split.

    Attributes:
        keys: What each example is, label included.
        right: Whether it was predicted right, `<bool>[num]`.
    """

    keys: list[bytes]
    right: NDArray[np.bool_]


def compare(
    given: Sequence[RunDir], *, data_dir: Path | None = None, reporter: Reporter | None = None
) -> Comparison:
    """Put runs side by side.

    Every pair is tested on the examples that are in the test splits of both: neither run was
    trained on those. A run whose data is not there, or has changed, is in the table only.

    Args:
        given: Two or more finished classifiers.
        data_dir: Where TFDS data sets lie.
        reporter: Told how it goes.

    Raises:
        LstmError: There are less than two runs, or one twice, or one that is none to compare
            (exit code 2); or one cannot be trusted (exit code 5).
    """
    reporter = reporter or SilentReporter()
    _check_different(given)
    told = [record.read_classifier(run) for run in given]
    predictors = [Predictor.load(run) for run in given]
    names = _names(given)
    answers: list[_Answers | str] = []
    read: dict[DataSource, Dataset] = {}
    for one, predictor in zip(told, predictors, strict=True):
        answers.append(_answers(one, predictor, data_dir, read, reporter))
    paired, untested = _pairs(names, told, answers)
    return Comparison(
        entries=tuple(_entry(name, one) for name, one in zip(names, told, strict=True)),
        settings=differing([one.config for one in told]),
        paired=paired,
        untested=untested,
        histories=tuple(one.history for one in told),
    )


def differing(given: Sequence[Config]) -> dict[str, tuple[Any, ...]]:
    """Find the settings in which experiments differ.

    Args:
        given: The experiments.

    Returns:
        By dotted key, the value in each; None where an experiment has no such setting.
    """
    flat = [configs.flatten(configs.to_dict(config)) for config in given]
    keys = dict.fromkeys(key for one in flat for key in one)
    found = {key: tuple(one.get(key) for one in flat) for key in keys}
    return {key: values for key, values in found.items() if any(v != values[0] for v in values)}


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value that two classifiers are equally often right.

    Under that hypothesis each example that one alone gets right is as likely to be the first's as
    the second's. The test is exact for any number of them: nothing is approximated by chi-squared.

    Args:
        only_first: Examples that only the first predicts right.
        only_second: Examples that only the second does.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated
        proportions or percentages", Psychometrika 12(2), p. 153-157; as a binomial test, Dixon &
        Mood 1946, "The statistical sign test", JASA 41(236), p. 557-566.
    """
    num = only_first + only_second
    ways = total = 1  # of drawing none, and of drawing as few as were seen
    for drawn in range(1, min(only_first, only_second) + 1):
        ways = ways * (num - drawn + 1) // drawn
        total += ways
    # Whole numbers to the end: of thousands of examples, no factor fits a float.
    return min(1.0, 2 * total / (1 << num))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that all tests together err as rarely as one would.

    Args:
        p_values: One a test.

    Returns:
        Adjusted, in the same order.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian
        Journal of Statistics 6(2), p. 65-70.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def difference_interval(
    both: int, only_first: int, only_second: int, neither: int
) -> tuple[float, float]:
    """Return the 95% interval of the difference of two accuracies on the same examples.

    Args:
        both: Examples that both predict right.
        only_first: Examples that only the first does.
        only_second: Examples that only the second does.
        neither: Examples that neither does.

    Source: Newcombe 1998, "Improved confidence intervals for the difference between binomial
        proportions based on paired data", Statistics in Medicine 17, p. 2635-2650, method 10.
    """
    num = both + only_first + only_second + neither
    first, second = both + only_first, both + only_second
    (low1, high1), (low2, high2) = wilson(first, num), wilson(second, num)
    share1, share2 = first / num, second / num
    cross = float(both * neither - only_first * only_second)
    if cross > 0:
        cross = max(cross - num / 2, 0.0)
    margins = first * (num - first) * second * (num - second)
    phi = cross / math.sqrt(margins) if margins else 0.0
    below, above = share1 - low1, high2 - share2
    low = math.sqrt(max(0.0, below**2 - 2 * phi * below * above + above**2))
    below, above = share2 - low2, high1 - share1
    high = math.sqrt(max(0.0, above**2 - 2 * phi * above * below + below**2))
    return share1 - share2 - low, share1 - share2 + high


def _check_different(given: Sequence[RunDir]) -> None:
    if len(given) < 2:
        raise LstmError(
            f"Comparing takes two runs or more, found {len(given)}.",
            "For example: lstm runs compare imdb/baseline imdb/wider",
            ExitCode.USAGE,
        )
    counts = Counter(run.path.resolve() for run in given)
    if twice := [run.name for run in given if counts[run.path.resolve()] > 1]:
        raise LstmError(
            f"Run {twice[0]} is named twice.", "Name each run once.", ExitCode.USAGE
        )  # fmt: skip


def _names(given: Sequence[RunDir]) -> list[str]:
    names = [run.name for run in given]
    return names if len(set(names)) == len(names) else [str(run.path) for run in given]


def _entry(name: str, told: RunRecord) -> Entry:
    listed = told.run.manifest or {}
    return Entry(
        name=name,
        dataset=told.info.dataset.source,
        num_examples=told.test.num_examples,
        accuracy=told.test.accuracy,
        accuracy_interval=told.test.accuracy_interval,
        loss=told.test.loss,
        f1=told.test.f1,
        calibration_error=told.test.calibration_error,
        parameters=told.info.parameters,
        model_bytes=listed[runs.MODEL].num_bytes,
        num_bytes=told.num_bytes,
        seconds=told.info.seconds["total"],
    )


def _answers(
    told: RunRecord,
    predictor: Predictor,
    data_dir: Path | None,
    read: dict[DataSource, Dataset],
    reporter: Reporter,
) -> _Answers | str:
    """Ask a run about its test split; where that cannot be, say why.

    Args:
        told: The run.
        predictor: Its network.
        data_dir: Where TFDS data sets lie.
        read: Data sets read so far, which are added to.
        reporter: Told how it goes.
    """
    source = from_config(told.config, data_dir)
    try:
        dataset = read[source] if source in read else data.load(source, ("test",))
        read[source] = dataset
    except LstmError as error:
        return f"its test data could not be read. {error.message}"
    if dataset.fingerprint != told.info.dataset.fingerprint or dataset.labels != told.labels:
        return "its data has changed since, and may now test on what it was trained on"
    scored = evaluate.score(predictor, dataset, "test", reporter)
    right = scored.probabilities.argmax(axis=1) == scored.labels
    return _Answers(_keys(dataset), right)


def _keys(dataset: Dataset) -> list[bytes]:
    """Stand for each test example, with its label, by a hash of its content."""
    split = dataset.splits["test"]
    names = [dataset.labels[label].encode("utf-8", "surrogatepass") for label in split.labels]
    contents = (
        (image.tobytes() for image in split.inputs)
        if isinstance(split.inputs, np.ndarray)
        else (text.encode("utf-8", "surrogatepass") for text in split.inputs)
    )
    return [
        hashlib.sha256(b"%d %b %b" % (len(name), name, content)).digest()
        for name, content in zip(names, contents, strict=True)
    ]


def _pairs(
    names: Sequence[str], told: Sequence[RunRecord], answers: Sequence[_Answers | str]
) -> tuple[tuple[PairedTest, ...], tuple[UntestedPair, ...]]:
    """Test each pair of runs that can be."""
    tested: list[dict[str, Any]] = []
    untested = []
    for one, other in combinations(range(len(names)), 2):
        pair = {"first": names[one], "second": names[other]}
        found = _counts(told[one], told[other], answers[one], answers[other])
        if isinstance(found, str):
            untested.append(UntestedPair(**pair, why=found))
        else:
            tested.append({**pair, **found})
    adjusted = holm([pair["p_value"] for pair in tested])
    both = zip(tested, adjusted, strict=True)
    return tuple(PairedTest(**pair, adjusted=p) for pair, p in both), tuple(untested)


def _counts(
    one: RunRecord, other: RunRecord, ours: _Answers | str, theirs: _Answers | str
) -> Mapping[str, Any] | str:
    """Count who is right where on the examples that two runs share, or say why there are none."""
    if one.config.kind != other.config.kind:
        return f"one reads {one.config.kind}s and the other {other.config.kind}s"
    if set(one.labels) != set(other.labels):
        return "their classes differ"
    for told, answers in ((one, ours), (other, theirs)):
        if isinstance(answers, str):
            return f"{told.run.name}: {answers}"
    assert isinstance(ours, _Answers)
    assert isinstance(theirs, _Answers)
    at = np.array(_shared(ours.keys, theirs.keys), np.int64).reshape(-1, 2)
    if not len(at):
        return "their test splits share no example"
    first, second = ours.right[at[:, 0]], theirs.right[at[:, 1]]
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    return {
        "num_shared": len(at),
        "both_right": both,
        "only_first": only_first,
        "only_second": only_second,
        "difference": (only_first - only_second) / len(at),
        "interval": difference_interval(both, only_first, only_second, neither),
        "p_value": mcnemar(only_first, only_second),
    }


def _shared(ours: Sequence[bytes], theirs: Sequence[bytes]) -> list[tuple[int, int]]:
    """Find the places of examples that are in both; of equal ones, the first with the first."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for place in reversed(range(len(theirs))):
        places[theirs[place]].append(place)
    return [(place, places[key].pop()) for place, key in enumerate(ours) if places.get(key)]

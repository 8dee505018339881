"""Comparison of runs: metrics, settings that differ, and a paired test on shared test examples."""

from __future__ import annotations

import hashlib
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
from lstm_cli.data.dataset import label_names
from lstm_cli.data.source import from_config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.conclusion import Conclusion, conclude
from lstm_cli.evaluation.scored_split import score
from lstm_cli.evaluation.significance import difference_interval, holm, mcnemar
from lstm_cli.io.optional import require
from lstm_cli.io.progress import Epoch, Reporter, SilentReporter, selection_curve
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import record
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.metrics_schema import Report
from lstm_cli.runs.record import RunRecord


@dataclass(frozen=True)
class Entry:
    """One run: its metrics on its test split, its size and its training time.

    Attributes:
        name: Name of the run; its path where two runs have the same name.
        dataset: The data set it was trained on.
        num_examples: Number of test examples.
        accuracy: Accuracy on the test split.
        accuracy_interval: Its 95% Wilson interval.
        loss: Cross-entropy in nats.
        f1: Macro F1.
        calibration_error: Expected calibration error.
        parameters: Number of weights.
        model_bytes: Size of model.onnx.
        num_bytes: Size of all files of the run.
        seconds: Duration of the training command.
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
    """A test of two runs on the test examples they share.

    Attributes:
        first: Name of the first run.
        second: Name of the second run.
        num_shared: Number of examples in both test splits.
        both_right: Examples that both classify correctly.
        only_first: Examples that only the first classifies correctly.
        only_second: Examples that only the second classifies correctly.
        difference: Accuracy of the first minus that of the second, on these examples.
        interval: Its 95% interval.
        p_value: p-value of McNemar's test.
        adjusted_p_value: The same, adjusted for the number of pairs (Holm).
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
    adjusted_p_value: float


@dataclass(frozen=True)
class UntestedPair:
    """Two runs that cannot be compared example by example, and the reason."""

    first: str
    second: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """Two or more runs side by side.

    Attributes:
        entries: One per run, in the order of the arguments.
        settings: The value of each setting that differs, per run; None where it is not set.
        paired: One test per pair of runs that share test examples.
        untested: The other pairs.
        histories: The epochs of each run; of several stages those with validation, as
            `selection_curve` returns them.
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

    @property
    def conclusion(self) -> Conclusion:
        """Which run is better, or that no difference can be shown."""
        return conclude(self.names, self.paired, self.untested)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the histories as plain JSON types."""
        return {
            "conclusion": asdict(self.conclusion),
            "runs": [asdict(entry) for entry in self.entries],
            "settings": {
                key: dict(zip(self.names, values, strict=True))
                for key, values in self.settings.items()
            },
            "paired": [asdict(test) for test in self.paired],
            "untested": [asdict(pair) for pair in self.untested],
        }


@dataclass(frozen=True)
class _TestOutcomes:
    """Which test examples a run classifies correctly.

    Attributes:
        keys: A hash of each example and its label.
        correct: `<bool>[num]`.
    """

    keys: list[bytes]
    correct: NDArray[np.bool_]


def compare(
    run_dirs: Sequence[RunDir], *, data_dir: Path | None = None, reporter: Reporter | None = None
) -> Comparison:
    """Compare runs.

    Each pair is tested on the examples that are in both test splits: neither run was trained on
    them. A run whose data is missing or has changed is not tested.

    Args:
        run_dirs: Two or more finished classifiers.
        data_dir: Where TFDS data sets are.
        reporter: Receives notes on progress.

    Raises:
        LstmError: There are fewer than two runs, or the same run twice, or a run that is not a
            finished classifier that was scored on test (exit code 2); or a run fails its integrity
            check (exit code 5).
    """
    reporter = reporter or SilentReporter()
    _check_different(run_dirs)
    require("scipy", purpose="Comparing runs")
    tested = [record.read_tested(run) for run in run_dirs]
    records = [run_record for run_record, _ in tested]
    predictors = [Predictor.load(run) for run in run_dirs]
    names = _names(run_dirs)
    outcomes: list[_TestOutcomes | str] = []
    datasets: dict[DataSource, Dataset] = {}
    for run_record, predictor in zip(records, predictors, strict=True):
        outcomes.append(_outcomes(run_record, predictor, data_dir, datasets, reporter))
    paired, untested = _test_pairs(names, records, outcomes)
    return Comparison(
        entries=tuple(_entry(name, *each) for name, each in zip(names, tested, strict=True)),
        settings=differing_settings([each.config for each in records]),
        paired=paired,
        untested=untested,
        histories=tuple(tuple(selection_curve(each.history)) for each in records),
    )


def differing_settings(experiments: Sequence[Config]) -> dict[str, tuple[Any, ...]]:
    """Find the settings in which experiments differ.

    Args:
        experiments: The settings of each.

    Returns:
        By dotted key, the value in each; None where an experiment has no such setting.
    """
    flat = [configs.flatten(configs.to_dict(config)) for config in experiments]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    table = {key: tuple(settings.get(key) for settings in flat) for key in keys}
    return {key: values for key, values in table.items() if any(v != values[0] for v in values)}


def _check_different(run_dirs: Sequence[RunDir]) -> None:
    if len(run_dirs) < 2:
        raise LstmError(
            f"Comparing needs two or more runs, found {len(run_dirs)}.",
            "For example: lstm runs compare imdb/baseline imdb/wider",
            ExitCode.USAGE,
        )
    counts = Counter(run.location.resolve() for run in run_dirs)
    if repeated := [run.name for run in run_dirs if counts[run.location.resolve()] > 1]:
        raise LstmError(
            f"Run {repeated[0]} is named twice.", "Name each run once.", ExitCode.USAGE
        )  # fmt: skip


def _names(run_dirs: Sequence[RunDir]) -> list[str]:
    names = [run.name for run in run_dirs]
    return names if len(set(names)) == len(names) else [str(run.location) for run in run_dirs]


def _entry(name: str, run_record: RunRecord, test: Report) -> Entry:
    manifest = run_record.run.manifest or {}
    return Entry(
        name=name,
        dataset=run_record.info.dataset.source,
        num_examples=test.num_examples,
        accuracy=test.accuracy,
        accuracy_interval=test.accuracy_interval,
        loss=test.loss,
        f1=test.f1,
        calibration_error=test.calibration_error,
        parameters=run_record.info.parameters,
        model_bytes=manifest[runs.MODEL].num_bytes,
        num_bytes=run_record.num_bytes,
        seconds=run_record.info.seconds["total"],
    )


def _outcomes(
    run_record: RunRecord,
    predictor: Predictor,
    data_dir: Path | None,
    datasets: dict[DataSource, Dataset],
    reporter: Reporter,
) -> _TestOutcomes | str:
    """Predict a run's test split; return the reason where that is not possible.

    Args:
        run_record: The run.
        predictor: Its model.
        data_dir: Where TFDS data sets are.
        datasets: Data sets read so far; a new one is added.
        reporter: Receives notes on progress.
    """
    source = from_config(run_record.config, data_dir, run_record.labels)
    try:
        dataset = datasets[source] if source in datasets else data.load(source, ("test",))
        datasets[source] = dataset
    except LstmError as error:
        return f"its test data could not be read. {error.message}"
    info = run_record.info.dataset
    has_changed = info.learned_change(dataset) or info.test_change(dataset)
    if has_changed or dataset.labels != run_record.labels:
        return "its data has changed since training, so test examples may have been trained on"
    scored = score(predictor, dataset, "test", reporter)
    return _TestOutcomes(_example_keys(dataset), scored.is_correct)


def _example_keys(dataset: Dataset) -> list[bytes]:
    """Return a hash of the label and the content of each test example."""
    split = dataset.splits["test"]
    names = [
        name.encode("utf-8", "surrogatepass") for name in label_names(split.labels, dataset.labels)
    ]
    contents = (
        (image.tobytes() for image in split.inputs)
        if isinstance(split.inputs, np.ndarray)
        else (text.encode("utf-8", "surrogatepass") for text in split.inputs)
    )
    return [
        hashlib.sha256(b"%d %b %b" % (len(name), name, content)).digest()
        for name, content in zip(names, contents, strict=True)
    ]


def _test_pairs(
    names: Sequence[str],
    records: Sequence[RunRecord],
    outcomes: Sequence[_TestOutcomes | str],
) -> tuple[tuple[PairedTest, ...], tuple[UntestedPair, ...]]:
    """Test each pair of runs that can be tested."""
    tests: list[dict[str, Any]] = []
    untested = []
    for i, j in combinations(range(len(names)), 2):
        pair = {"first": names[i], "second": names[j]}
        result = _test_pair(records[i], records[j], outcomes[i], outcomes[j])
        if isinstance(result, str):
            untested.append(UntestedPair(**pair, reason=result))
        else:
            tests.append({**pair, **result})
    adjusted = holm([test["p_value"] for test in tests])
    paired = tuple(
        PairedTest(**test, adjusted_p_value=p) for test, p in zip(tests, adjusted, strict=True)
    )
    return paired, tuple(untested)


def _test_pair(
    first: RunRecord,
    second: RunRecord,
    first_outcomes: _TestOutcomes | str,
    second_outcomes: _TestOutcomes | str,
) -> Mapping[str, Any] | str:
    """Test two runs on the examples they share; return the reason where that is not possible."""
    if first.config.kind != second.config.kind:
        return f"the first reads {first.config.kind}s and the second {second.config.kind}s"
    if set(first.labels) != set(second.labels):
        return "their classes differ"
    if first.config.is_multi_label != second.config.is_multi_label:
        return "only one of them predicts several labels"
    for run_record, outcomes in ((first, first_outcomes), (second, second_outcomes)):
        if isinstance(outcomes, str):
            return f"{run_record.run.name}: {outcomes}"
    assert isinstance(first_outcomes, _TestOutcomes)
    assert isinstance(second_outcomes, _TestOutcomes)
    matches = _shared_examples(first_outcomes.keys, second_outcomes.keys)
    if not matches:
        return "their test splits share no example"
    indices = np.array(matches, np.int64)
    ours = first_outcomes.correct[indices[:, 0]]
    theirs = second_outcomes.correct[indices[:, 1]]
    both, neither = int((ours & theirs).sum()), int((~ours & ~theirs).sum())
    only_first, only_second = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    return {
        "num_shared": len(matches),
        "both_right": both,
        "only_first": only_first,
        "only_second": only_second,
        "difference": (only_first - only_second) / len(matches),
        "interval": difference_interval(both, only_first, only_second, neither),
        "p_value": mcnemar(only_first, only_second),
    }


def _shared_examples(first: Sequence[bytes], second: Sequence[bytes]) -> list[tuple[int, int]]:
    """Return the index pairs of examples in both; equal examples are matched in order."""
    indices: dict[bytes, list[int]] = defaultdict(list)
    for index in reversed(range(len(second))):
        indices[second[index]].append(index)
    return [(index, indices[key].pop()) for index, key in enumerate(first) if indices.get(key)]

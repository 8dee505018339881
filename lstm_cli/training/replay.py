"""A finished run trained again, and held to what it recorded: what `lstm runs replay` says."""

from __future__ import annotations

import contextlib
import hashlib
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from lstm_cli.config.schema import Config
from lstm_cli.errors import LstmError
from lstm_cli.io.progress import Epoch, Reporter, SilentReporter, Step
from lstm_cli.io.signals import Interrupted, catch_signals
from lstm_cli.io.text_format import pluralize
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.metrics_schema import LanguageResults, Results
from lstm_cli.runs.schema import FinishedRunInfo
from lstm_cli.training.device import Device
from lstm_cli.training.loop import NonFiniteError, learning_rate
from lstm_cli.training.prepare import load_data
from lstm_cli.training.pretrain import pretrain
from lstm_cli.training.train import train

_COMPARED = (runs.HISTORY, runs.WEIGHTS, runs.METRICS)
# What two trainings of the same bits never share.
_CLOCK = "seconds"
_MACHINE = ("platform", "device", "kernel", "backend")


@dataclass(frozen=True)
class Difference:
    """The first place at which a file of the run and of its replay differ.

    Attributes:
        file: `history.jsonl`, `weights.safetensors` or `metrics.json`.
        epoch: In the history; None elsewhere.
        key: What differs there: a setting's dotted path, or `sha256` of the whole file.
        recorded: What the run says; None where it has no such key.
        replayed: What its replay says; likewise.
    """

    file: str
    epoch: int | None
    key: str
    recorded: Any
    replayed: Any


@dataclass(frozen=True)
class Change:
    """A version, or a part of the machine, that is another one now."""

    name: str
    recorded: Any
    now: Any


@dataclass(frozen=True)
class Replay:
    """How a run compares with its replay.

    Attributes:
        run: Its name.
        path: Its folder.
        epochs: How many the replay trained.
        differences: The first of each file, the history's before the others; empty where the
            replay ended with the same bits.
        changes: Versions, device and machine that are not those recorded.
        touched: Compared files that were changed after training ended, by the manifest.
        deterministic: `train.deterministic`; without it no two trainings need be equal.
    """

    run: str
    path: str
    epochs: int
    differences: tuple[Difference, ...]
    changes: tuple[Change, ...]
    touched: tuple[str, ...]
    deterministic: bool

    @property
    def identical(self) -> bool:
        """Whether the replay ended with the same bits."""
        return not self.differences

    @property
    def causes(self) -> list[str]:
        """What a difference may come from, as sentences, the surest first."""
        told = [f"{name} was changed after training ended." for name in self.touched]
        if not self.deterministic:
            told.append("train.deterministic is false: no two trainings need be equal.")
        told += [f"{c.name} was {c.recorded}, and is {c.now}." for c in self.changes]
        return told

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {**asdict(self), "identical": self.identical, "causes": self.causes}


@dataclass(frozen=True)
class _Results:
    """What of a run is compared: its history, weights and metrics."""

    history: Sequence[Mapping[str, Any]]
    weights: str
    metrics: Any


def replay(
    run: RunDir,
    *,
    data_dir: Path | None = None,
    use: Device | None = None,
    reporter: Reporter | None = None,
) -> Replay:
    """Train a finished run again from its own settings, and compare; the run is only read.

    The new run goes into a temporary folder, which is gone at the end, however it comes.

    Args:
        run: A finished run. Its settings and its record have to be as its manifest lists them.
        data_dir: Where TFDS data sets lie; else `TFDS_DATA_DIR`, else TFDS' own default.
        use: The device; else the CPU if the run was trained on it, and else `auto`.
        reporter: Told how training goes.

    Raises:
        LstmError: The settings are damaged (exit code 5), the data is not there or has changed, or
            the run was trained on towards more epochs, which training anew does not repeat.
    """
    reporter = reporter or SilentReporter()
    listed = run.with_manifest()
    config = listed.config()
    record = runs.read_run_json(listed, FinishedRunInfo)
    # All is read now: the run may be trained on while it is replayed.
    before, touched = _results(run, config), _touched(listed)
    if runs.HISTORY not in touched:
        _check_epochs(run, config, before.history)
    _check_data(run, config, record, data_dir)
    reporter.note(f"Replaying run {run.name}: {pluralize(config.train.epochs, 'epoch')} at most.")
    use = use or ("cpu" if record.get("device") == "cpu" else "auto")
    with _scratch() as folder:
        try:
            again = (train if config.language is None else pretrain)(
                config,
                runs_dir=folder,
                name="replay",
                data_dir=data_dir,
                use=use,
                reporter=_Progress(reporter),
            )
        except NonFiniteError as error:
            differences, epochs = _non_finite(before, error)
            (path,) = folder.glob(f"*/replay/{runs.RUN}")
            again_record = runs.read_run_json(RunDir(path.parent))
        else:
            after, again_record = _results(again, config), runs.read_run_json(again)
            differences, epochs = _compare(before, after), len(after.history)
    return Replay(
        run.name,
        str(run.path),
        epochs,
        differences,
        _changes(record, again_record),
        touched,
        config.train.deterministic,
    )


class _Progress:
    """Passes on how training goes, but not where: that folder will not be there."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def note(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Pass it on."""
        self._reporter.warn(text)

    def step(self, step: Step) -> None:
        """Pass it on."""
        self._reporter.step(step)

    def epoch(self, epoch: Epoch) -> None:
        """Pass it on."""
        self._reporter.epoch(epoch)


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Make a temporary folder for a block; a signal does not keep it from being removed."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="lstm-replay-"))
    except OSError as error:
        raise LstmError(
            f"Cannot make a temporary folder: {error.strerror or error}.",
            "Name one that can be written with TMPDIR.",
        ) from error
    try:
        yield folder
    except Interrupted as interrupted:
        # Training says how to go on with a run that will not be there.
        interrupted.message = "Nothing of the replay is kept."
        raise
    finally:
        with catch_signals() as signals, signals.deferred():
            shutil.rmtree(folder, ignore_errors=True)


def _results(run: RunDir, config: Config) -> _Results:
    """Read what is compared, as it is: that it was changed is what the comparison shows.

    Raises:
        LstmError: A file is missing, or not what training writes (exit code 5).
    """
    with run.open_verified(runs.WEIGHTS) as file:
        file.seek(0)
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    run.decode(runs.METRICS, Results if config.language is None else LanguageResults)
    lines = [msgspec.to_builtins(line) for line in run.history()]
    return _Results(lines, weights, run.read_json(runs.METRICS))


def _touched(listed: RunDir) -> tuple[str, ...]:
    """Name the compared files that are not as the manifest lists them."""
    found = []
    for name in _COMPARED:
        try:
            # The file may be as large as it is: it is only hashed.
            listed.verify([name], 1 << 62)
        except LstmError:
            found.append(name)
    return tuple(found)


def _check_epochs(run: RunDir, config: Config, history: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a run whose first epoch was trained towards fewer epochs than its settings say.

    The learning rate follows the number of epochs, so the history tells.

    Raises:
        LstmError: It was; both numbers are named.
    """
    first = history[0] if history else {}
    rate, steps = first.get("learning_rate"), first.get("steps")
    if not isinstance(rate, float) or not isinstance(steps, int) or steps < 1:
        return

    def ends_epoch_1_of(epochs: int) -> bool:
        expected = learning_rate(config.train, steps - 1, epochs * steps)
        return math.isclose(rate, expected, rel_tol=1e-9)

    wanted = config.train.epochs
    if ends_epoch_1_of(wanted):
        return
    # Without a decay, several numbers end the first epoch at the same rate.
    began = [str(epochs) for epochs in range(1, wanted) if ends_epoch_1_of(epochs)]
    if began:
        raise LstmError(
            f"Run {run.name} cannot be replayed: it was begun with train.epochs="
            f"{' or '.join(began)} and trained on to {wanted}, which changed its learning rate on "
            "the way.",
            "Only a run trained with one number of epochs can be repeated to the bit.",
        )


def _check_data(
    run: RunDir, config: Config, record: Mapping[str, Any], data_dir: Path | None
) -> None:
    """Refuse other data before any time is spent on it.

    Raises:
        LstmError: The data is not there, or has changed; both fingerprints are named.
    """
    dataset = record.get("dataset")
    before = dataset.get("fingerprint") if isinstance(dataset, dict) else None
    found = load_data(config, ("train", "validation"), data_dir)
    if before != found.fingerprint:
        raise LstmError(
            f"{found.source} has changed since run {run.name} was trained: its fingerprint was "
            f"{str(before)[:12]} and is {found.fingerprint[:12]}.",
            "Bring the old data back: on other data nothing can be repeated.",
        )


def _compare(before: _Results, after: _Results) -> tuple[Difference, ...]:
    """Find the first difference of each file."""
    found = []
    lines = max(len(before.history), len(after.history))
    for number in range(lines):
        differs = _first(_timeless(before.history, number), _timeless(after.history, number))
        if differs is not None:
            found.append(Difference(runs.HISTORY, number + 1, *differs))
            break
    if before.weights != after.weights:
        found.append(Difference(runs.WEIGHTS, None, "sha256", before.weights, after.weights))
    if (differs := _first(before.metrics, after.metrics)) is not None:
        found.append(Difference(runs.METRICS, None, *differs))
    return tuple(found)


def _timeless(history: Sequence[Mapping[str, Any]], number: int) -> dict[str, Any]:
    """Return what a line must share with that of a replay: nothing where there is no such line."""
    line = history[number] if number < len(history) else {}
    return {key: value for key, value in line.items() if key != _CLOCK}


def _first(recorded: Any, replayed: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Find the first place where two values of JSON differ: its path, and both values there."""
    if isinstance(recorded, list) and isinstance(replayed, list):
        recorded, replayed = dict(enumerate(recorded)), dict(enumerate(replayed))
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for key in {**replayed, **recorded}:
            below = f"{path}.{key}" if path else str(key)
            if key not in recorded or key not in replayed:
                return below, _shown(recorded.get(key)), _shown(replayed.get(key))
            if (differs := _first(recorded[key], replayed[key], below)) is not None:
                return differs
        return None
    # NaN is itself here, and True is not 1.
    same = type(recorded) is type(replayed) and repr(recorded) == repr(replayed)
    return None if same else (path, _shown(recorded), _shown(replayed))


def _shown(value: Any) -> Any:
    """Return a plain value as it is, and name what holds others: it may be of any depth."""
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else value


def _non_finite(before: _Results, error: NonFiniteError) -> tuple[tuple[Difference, ...], int]:
    """Tell that the replay did not get as far as the run: its loss became no finite number."""
    epoch = int(error.found["epoch"])
    line = before.history[epoch - 1] if epoch <= len(before.history) else {}
    recorded = _shown(line.get("loss"))
    return (Difference(runs.HISTORY, epoch, "loss", recorded, error.found["loss"]),), epoch - 1


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Change, ...]:
    """Compare versions and machine, as both runs recorded them."""
    flat = []
    for record in (before, now):
        versions = record.get("versions")
        known = dict(versions) if isinstance(versions, dict) else {}
        flat.append({**known, **{key: record.get(key) for key in _MACHINE}})
    names = {**flat[0], **flat[1]}
    pairs = [(name, flat[0].get(name), flat[1].get(name)) for name in names]
    return tuple(Change(n, _shown(was), _shown(is_)) for n, was, is_ in pairs if was != is_)

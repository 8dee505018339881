"""`lstm runs replay`: train a finished run again and compare the results bit for bit."""

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
from msgspec.structs import replace

from lstm_cli.config.schema import Config
from lstm_cli.errors import LstmError
from lstm_cli.io.progress import Epoch, Fold, Reporter, SilentReporter, Step
from lstm_cli.io.signals import Interrupted, catch_signals
from lstm_cli.io.text_format import pluralize
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.metrics_schema import LanguageResults, Results
from lstm_cli.runs.rename import find_referenced
from lstm_cli.runs.schema import FinishedRunInfo
from lstm_cli.training.device import Device
from lstm_cli.training.file_vectors import changed_file
from lstm_cli.training.labels_of_run import labels_of_started
from lstm_cli.training.loop import NonFiniteError, learning_rate
from lstm_cli.training.pipeline import train
from lstm_cli.training.prepare import load_training_data
from lstm_cli.training.replay_differences import (
    Change,
    Difference,
    RunResults,
    compare_results,
    non_finite_difference,
    recorded_changes,
)
from lstm_cli.training.resume_checks import data_change, test_change

_COMPARED = (runs.HISTORY, runs.WEIGHTS, runs.METRICS)


@dataclass(frozen=True)
class Replay:
    """Comparison of a run with its replay.

    Attributes:
        run: Name of the run.
        path: Its folder.
        epochs: Number of epochs that the replay trained.
        differences: The first difference in each file; empty if the replay is bit-identical.
        changes: Versions and properties of the machine that have changed.
        modified: Compared files that were changed after training, by the manifest.
        deterministic: `train.deterministic`; without it two trainings may differ.
    """

    run: str
    path: str
    epochs: int
    differences: tuple[Difference, ...]
    changes: tuple[Change, ...]
    modified: tuple[str, ...]
    deterministic: bool

    @property
    def identical(self) -> bool:
        """Whether the replay is bit-identical."""
        return not self.differences

    @property
    def causes(self) -> list[str]:
        """Possible causes of a difference as sentences, the most likely first."""
        causes = [f"{name} was changed after training ended." for name in self.modified]
        if not self.deterministic:
            causes.append("train.deterministic is false: two trainings may differ.")
        causes += [f"{c.name} was {c.recorded}, and is {c.now}." for c in self.changes]
        return causes

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON types."""
        return {**asdict(self), "identical": self.identical, "causes": self.causes}


def replay(
    run: RunDir,
    *,
    data_dir: Path | None = None,
    device: Device | None = None,
    reporter: Reporter | None = None,
) -> Replay:
    """Train a finished run again from its own settings, and compare the results.

    The run itself is not changed. The replay is trained in a temporary folder, which is removed.

    Args:
        run: A finished run, whose settings and `run.json` are as its manifest lists them.
        data_dir: Folder of TFDS data sets; None for `TFDS_DATA_DIR`, or the default of TFDS.
        device: The device; None for the CPU if the run was trained on it, else `auto`.
        reporter: Receives the progress of training.

    Raises:
        LstmError: The settings are damaged (exit code 5), the data is missing or has changed, or
            the run was extended to more epochs, which training from the start does not repeat.
    """
    reporter = reporter or SilentReporter()
    listed = run.with_manifest()
    config = listed.config()
    record = runs.read_run_json(listed, FinishedRunInfo)
    # Everything is read now, because another process may extend the run in the meantime.
    before, modified = _read_results(run, config), _modified_files(listed)
    if runs.HISTORY not in modified:
        _check_epochs(run, config, before.history)
    config = _with_referenced_runs(config, record)
    _check_data(run, config, record, data_dir)
    reporter.note(f"Replaying run {run.name}: {pluralize(config.train.epochs, 'epoch')} at most.")
    device = device or ("cpu" if record.get("device") == "cpu" else "auto")
    with _temporary_folder() as folder:
        try:
            replayed = train(
                config,
                runs_dir=folder,
                name="replay",
                data_dir=data_dir,
                device=device,
                reporter=_ProgressOnly(reporter),
                score_test="test" in before.metrics,
            )
        except NonFiniteError as error:
            differences, epochs = non_finite_difference(before, error)
            (path,) = folder.glob(f"*/replay/{runs.RUN}")
            replayed_record = runs.read_run_json(RunDir(path.parent))
        else:
            after, replayed_record = _read_results(replayed, config), runs.read_run_json(replayed)
            differences, epochs = compare_results(before, after), len(after.history)
    return Replay(
        run.name,
        str(run.path),
        epochs,
        differences,
        recorded_changes(record, replayed_record),
        modified,
        config.train.deterministic,
    )


class _ProgressOnly:
    """A reporter without notes: they name the temporary folder, which is removed."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def note(self, text: str) -> None:
        """Drop it."""

    def warn(self, text: str) -> None:
        """Pass it on."""
        self._reporter.warn(text)

    def step(self, step: Step) -> None:
        """Pass it on."""
        self._reporter.step(step)

    def epoch(self, epoch: Epoch) -> None:
        """Pass it on."""
        self._reporter.epoch(epoch)

    def fold(self, fold: Fold) -> None:
        """Pass it on."""
        self._reporter.fold(fold)


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Create a temporary folder for a block; it is removed even if a signal comes."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="lstm-replay-"))
    except OSError as error:
        raise LstmError(
            f"Cannot create a temporary folder: {error.strerror or error}.",
            "Set TMPDIR to a folder that is writable.",
        ) from error
    try:
        yield folder
    except Interrupted as interrupted:
        # The message of training says how to resume a run that is removed now.
        interrupted.message = "Nothing of the replay is kept."
        raise
    finally:
        with catch_signals() as signals, signals.deferred():
            shutil.rmtree(folder, ignore_errors=True)


def _read_results(run: RunDir, config: Config) -> RunResults:
    """Read the compared files without the manifest: a changed file is a difference to report.

    Raises:
        LstmError: A file is missing, or not one that training writes (exit code 5).
    """
    with run.open_verified(runs.WEIGHTS) as file:
        file.seek(0)
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    run.decode(runs.METRICS, Results if config.language is None else LanguageResults)
    lines = [msgspec.to_builtins(line) for line in run.history()]
    return RunResults(lines, weights, run.read_json(runs.METRICS))


def _modified_files(listed: RunDir) -> tuple[str, ...]:
    """Return the compared files that are not as the manifest lists them."""
    names = []
    for name in _COMPARED:
        try:
            # No limit on the size: the file is only hashed.
            listed.verify([name], 1 << 62)
        except LstmError:
            names.append(name)
    return tuple(names)


def _check_epochs(run: RunDir, config: Config, history: Sequence[Mapping[str, Any]]) -> None:
    """Check that the run was not extended: started with fewer epochs than its settings say.

    The learning rate depends on the number of epochs, so the first line of the history shows it.

    Raises:
        LstmError: It was extended; the message has both numbers.
    """
    first = history[0] if history else {}
    rate, steps = first.get("learning_rate"), first.get("steps")
    if not isinstance(rate, float) or not isinstance(steps, int) or steps < 1:
        return

    def ends_epoch_1_of(epochs: int) -> bool:
        expected = learning_rate(config.train, steps - 1, epochs * steps)
        return math.isclose(rate, expected, rel_tol=1e-9)

    final_epochs = config.train.epochs
    if ends_epoch_1_of(final_epochs):
        return
    # Without decay, several numbers of epochs give the same learning rate.
    initial_epochs = [str(epochs) for epochs in range(1, final_epochs) if ends_epoch_1_of(epochs)]
    if initial_epochs:
        raise LstmError(
            f"Run {run.name} cannot be replayed: it was started with train.epochs="
            f"{' or '.join(initial_epochs)} and extended to {final_epochs}, which changed its "
            "learning rate.",
            "Only a run that was not extended can be repeated bit for bit.",
        )


def _with_referenced_runs(config: Config, record: Mapping[str, Any]) -> Config:
    """Return settings with the present paths of `train.init_from` and `train.teacher`.

    Raises:
        LstmError: Training started from a run whose place another one has taken.
    """
    train_settings = config.train
    init_from, teacher = train_settings.init_from, train_settings.teacher
    if init_from is not None:
        digest = (record.get("init_from") or {}).get("weights_sha256")
        init_from = str(find_referenced(Path(init_from), digest))
    if teacher is not None:
        teacher = str(find_referenced(Path(teacher)))
    return replace(config, train=replace(train_settings, init_from=init_from, teacher=teacher))


def _check_data(
    run: RunDir, config: Config, record: Mapping[str, Any], data_dir: Path | None
) -> None:
    """Check before training that the data has not changed.

    Raises:
        LstmError: The data is missing, or has changed; the message has both fingerprints.
    """
    dataset = load_training_data(config, data_dir, labels_of_started(run, config))
    change = (
        data_change(record["dataset"], dataset)
        or test_change(record["dataset"], dataset)
        or changed_file(record)
    )
    if change is not None:
        source, before, now = change
        raise LstmError(
            f"{source} has changed since run {run.name} was trained: its fingerprint was "
            f"{before[:12]} and is {now[:12]}.",
            "Restore the old data: a run cannot be repeated on other data.",
        )

"""One trial of a search: a training process, what it reports, and its result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage

from lstm_cli.errors import LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import lock
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.metrics_schema import Results
from lstm_cli.runs.schema import EpochLine
from lstm_cli.tune import metrics
from lstm_cli.tune.folder import StudyFolder, StudyRequest
from lstm_cli.tune.process import TrainingProcess, resume_arguments, train_arguments
from lstm_cli.tune.space import DEFAULT_TRIAL, Space, setting_values
from lstm_cli.tune.storage import HEARTBEAT_SECONDS

_POLL_SECONDS = 0.3
# The study's user attribute with the fingerprint of the data.
_FINGERPRINT = "fingerprint"


class SearchStopped(Exception):  # noqa: N818 (it is not an error)
    """The search stops; the trial is saved and goes on later."""


class TrialError(Exception):
    """The trial died; the search goes on."""


@dataclass
class Trial:
    """A trial that this process works on.

    Attributes:
        folder: The folder of the study.
        request: What was asked.
        space: The space of the search.
        storage: The storage of the study.
        trial: Optuna's trial.
        stop: Set when the search stops.
    """

    folder: StudyFolder
    request: StudyRequest
    space: Space
    storage: BaseStorage
    trial: optuna.Trial
    stop: Event
    _last_heartbeat: float = 0.0
    _history_stamp: int = 0

    def suggest(self) -> dict[str, Any]:
        """Draw the settings, and record those that are not the default with the run's path."""
        defaults = setting_values(self.request.config)
        drawn = self.space.suggest(self.trial)
        overrides = {key: value for key, value in drawn.items() if value != defaults.get(key)}
        # A trial that was repeated after its worker was lost has the path already.
        path = self.trial.user_attrs.get("run") or self.folder.run_path(self.trial.number)
        self.trial.set_user_attr("run", path)
        self.trial.set_user_attr("overrides", overrides)
        return overrides

    @property
    def run(self) -> RunDir:
        """The run of the trial."""
        return RunDir(self.folder.path / self.trial.user_attrs["run"])

    @property
    def is_default(self) -> bool:
        """Whether the trial has the default settings; it is never pruned."""
        return bool(self.trial.user_attrs.get(DEFAULT_TRIAL))

    def train(self) -> float:
        """Train the run to its end.

        Returns:
            The value of the metric on validation.

        Raises:
            SearchStopped: The search stops; the run can be continued.
            optuna.TrialPruned: Other trials were better after so many epochs.
            TrialError: Training failed.
        """
        self._wait_for_orphan()
        if self.run.status != "finished":
            self._check_pruned()
            start = time.monotonic()
            before = float(self.trial.user_attrs.get("seconds", 0.0))
            try:
                self._train()
            finally:
                seconds = round(before + time.monotonic() - start, 1)
                self.trial.set_user_attr("seconds", seconds)
                self.trial.set_user_attr("epochs", len(_history(self.run)))
        return self._result()

    def _train(self) -> None:
        """Run the training process, and report its epochs."""
        path, overrides = self.run.path, self.trial.user_attrs["overrides"]
        if self.run.file(runs.RUN).exists():
            arguments = resume_arguments(self.request, path, score_test=False)
        else:
            arguments = train_arguments(self.folder, self.request, path.name, overrides)
        log = self.folder.log(self.trial.number)
        process = TrainingProcess(arguments, log, self.folder.shared, self.request.jobs)
        is_pruned = False
        try:
            while process.is_running():
                self.heartbeat()
                is_pruned = is_pruned or self._report()
                if is_pruned or self.stop.is_set():
                    process.stop()
                time.sleep(_POLL_SECONDS)
        finally:
            process.stop()
            code = process.wait()
        # Also if training ended before it was stopped: the result must not depend on that.
        if is_pruned or self._report():
            raise optuna.TrialPruned
        if code == 0:
            return
        if self.stop.is_set():
            raise SearchStopped
        raise TrialError(process.error(code))

    def heartbeat(self) -> None:
        """Tell other workers now and then that this one lives, where the storage has a way to."""
        now = time.monotonic()
        if isinstance(self.storage, RDBStorage) and now >= self._last_heartbeat + HEARTBEAT_SECONDS:
            self._last_heartbeat = now
            self.storage.record_heartbeat(self.trial._trial_id)

    def _wait_for_orphan(self) -> None:
        """Wait for the training process of a killed search: it saves its state and ends."""
        while lock.is_locked(self.run.path):
            self.heartbeat()
            if self.stop.wait(_POLL_SECONDS):
                raise SearchStopped

    def _report(self) -> bool:
        """Report new epochs; return whether the trial is to be pruned."""
        stamp = _stamp(self.run)
        if stamp == self._history_stamp:
            return False
        self._history_stamp = stamp
        self._check_data()
        reported = len(self._intermediate_values())
        values = progress_values(_history(self.run), self.request)
        for step, value in enumerate(values[reported:], reported + 1):
            self.trial.report(value, step)
            if self._is_to_prune(step):
                return True
        return False

    def _is_to_prune(self, step: int) -> bool:
        """Tell whether other trials were better after so many epochs, before the last one."""
        return not self.is_default and step < self._num_steps and self.trial.should_prune()

    @property
    def _num_steps(self) -> int:
        """The number of epochs, or of folds."""
        config = self.request.config
        epochs = self.trial.user_attrs["overrides"].get("train.epochs", config.train.epochs)
        return config.data.folds or int(epochs)

    def _check_pruned(self) -> None:
        """Prune a trial that was to be pruned when it was interrupted."""
        reported = self._intermediate_values()
        if reported and self._is_to_prune(max(reported)):
            raise optuna.TrialPruned

    def _intermediate_values(self) -> dict[int, float]:
        return dict(self.storage.get_trial(self.trial._trial_id).intermediate_values)

    def _result(self) -> float:
        """Return the value of the metric, and record all metrics of validation.

        Raises:
            TrialError: A file of the run is damaged, the metric is not defined, or the data has
                changed.
        """
        try:
            report = self.run.with_manifest().decode(runs.METRICS, Results).validation
        except LstmError as error:
            raise TrialError(error.message) from error
        self._check_data()
        value = metrics.value_of(report, self.request.metric)
        if value is None:
            reason = report.roc_auc_reason or "the inputs have one class each"
            raise TrialError(f"{self.request.metric} is not defined: {reason}")
        found = {name: metrics.value_of(report, name) for name in metrics.METRICS}
        known = {name: number for name, number in found.items() if number is not None}
        self.trial.set_user_attr("validation", known)
        return value

    def _check_data(self) -> None:
        """Check that the data is that of the first trial.

        Raises:
            TrialError: It has changed: the results could not be compared.
        """
        info = runs.peek(self.run)
        fingerprint = info.dataset.fingerprint if info is not None and info.dataset else None
        if fingerprint is None:
            return
        study = self.trial.study
        expected = study.user_attrs.get(_FINGERPRINT)
        if expected is None:
            study.set_user_attr(_FINGERPRINT, fingerprint)
        elif expected != fingerprint:
            raise TrialError(
                f"the data has changed since the first trial: its fingerprint was "
                f"{expected[:12]} and is {fingerprint[:12]}"
            )


def progress_values(lines: Sequence[EpochLine], request: StudyRequest) -> list[float]:
    """Return the value of a training after each epoch, or after each fold where it has folds.

    After an epoch it is the value of the best epoch so far: the one with the lowest validation
    loss, whose weights the run would have. After a fold it is the mean over the finished folds.

    Args:
        lines: The history so far.
        request: What was asked.
    """
    best: dict[int, list[float]] = {}
    for line in lines:
        if line.val_loss is None:
            continue
        values = best.setdefault(line.stage, [])
        values.append(metrics.epoch_value(line, request.metric) if line.best else values[-1])
    if not request.config.data.folds:
        return best.get(1, [])
    last_stage = max((line.stage for line in lines), default=0)
    folds = [values[-1] for stage, values in best.items() if stage < last_stage]
    return [sum(folds[:num]) / num for num in range(1, len(folds) + 1)]


def _stamp(run: RunDir) -> int:
    """Return when the history was written; 0 before the first epoch ends."""
    try:
        return run.file(runs.HISTORY).stat().st_mtime_ns
    except OSError:
        return 0


def _history(run: RunDir) -> tuple[EpochLine, ...]:
    """Return the epochs so far; none before the first one ends."""
    if not _stamp(run):
        return ()
    try:
        return run.history()
    except LstmError:
        return ()

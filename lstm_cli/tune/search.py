"""The search: workers that take trials until the budget is used up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from lstm_cli.errors import LstmError, command_line
from lstm_cli.io.progress import Reporter
from lstm_cli.io.signals import Interrupted, Signals, catch_signals
from lstm_cli.io.text_format import duration, number, pluralize
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import FinishedRunInfo
from lstm_cli.tune import claims, metrics
from lstm_cli.tune.budget import Budget
from lstm_cli.tune.folder import StudyFolder, StudyRequest
from lstm_cli.tune.outcomes import Counts, best_trial, is_dead
from lstm_cli.tune.storage import (
    SAVED,
    first_line,
    is_storage_error,
    load_study,
    make_pruner,
    make_sampler,
    open_storage,
    retry,
)
from lstm_cli.tune.trial import SearchStopped, Trial, TrialError

_POLL_SECONDS = 0.2
_STATUS_SECONDS = 60.0
# Between looks at the trials of other workers, when none is left to start.
_OTHERS_SECONDS = 1.0
_LOST_AFTER = timedelta(minutes=5)
# If so many trials die before one has ended well, all will.
_MAX_FAILURES = 3
# User attribute with the machine and the folder that have the run of a trial.
_PLACE = "place"


class Search:
    """A search in progress.

    Args:
        folder: The folder of the study.
        request: What was asked.
        url: URL of the storage, with its password; None for the journal in the folder.
        reporter: Receives a line for each trial.
    """

    def __init__(
        self, folder: StudyFolder, request: StudyRequest, url: str | None, reporter: Reporter
    ) -> None:
        self.folder = folder
        self.request = request
        self.url = url
        self.reporter = reporter
        self.space = request.load_space()
        self.storage: BaseStorage = open_storage(folder, url)
        self.budget = Budget(folder.path, request.seconds)
        self._stop = Event()
        self._errors: list[BaseException] = []
        self._lock = Lock()
        self._place = f"{_host()}:{folder.path}"

    # The main thread

    def run(self) -> None:
        """Run trials until the budget is used up; none if it is used up already.

        Raises:
            Interrupted: A signal came; the trials are saved.
            LstmError: The first trials all died, or the storage failed.
        """
        with self._storage_errors():
            with catch_signals() as signals:
                try:
                    with signals.deferred():
                        self._run_workers(signals)
                except Interrupted as interrupted:
                    interrupted.message = f"The trials are saved. Resume: {self.resume_command}"
                    raise
            if self._errors:
                raise self._errors[0]

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        """Convert the errors of Optuna and of the database.

        Raises:
            LstmError: The storage failed.
        """
        try:
            yield
        except Exception as error:
            if not is_storage_error(error):
                raise
            reason = first_line(error, self.url)
            raise LstmError(
                f"The storage failed: {reason}.", f"Resume: {self.resume_command}"
            ) from error

    @property
    def resume_command(self) -> str:
        """The shell command that resumes the study."""
        root = self.folder.path.parents[1]
        is_found = root == runs.runs_root().absolute()
        name = self.folder.full_name if is_found else str(self.folder.path)
        return command_line("lstm", "tune", "--resume", name)

    def _run_workers(self, signals: Signals) -> None:
        if self._is_over():
            return
        threads = [Thread(target=self._work, daemon=True) for _ in range(self.request.jobs)]
        for thread in threads:
            thread.start()
        next_status = time.monotonic() + _STATUS_SECONDS
        while any(thread.is_alive() for thread in threads):
            if signals.pending is not None or self._errors or self._is_over():
                self._stop.set()
            self.budget.save()
            if time.monotonic() >= next_status:
                next_status += _STATUS_SECONDS
                self.reporter.note(self._status())
            time.sleep(_POLL_SECONDS)
        self.budget.save(force=True)

    def _is_over(self) -> bool:
        """Tell whether the time is used up, but for what the evaluation of the winner takes.

        The first trial ends in any case: without it there is no winner.
        """
        left = self.budget.left
        if left is None or left > self._max_reserve:
            return False
        best = best_trial(self.study())
        return best is not None and left <= self._reserve(best)

    @property
    def _max_reserve(self) -> float:
        """Above this, the reserve is not computed: a quarter of the time."""
        return (self.request.seconds or 0.0) / 4

    def _reserve(self, best: FrozenTrial) -> float:
        """Return the seconds to keep for the evaluation of a trial that wins."""
        run = RunDir(self.folder.path / best.user_attrs["run"])
        try:
            seconds = run.decode(runs.RUN, FinishedRunInfo).seconds
        except LstmError:
            return 0.0
        return min(self._max_reserve, seconds["total"] - seconds.get("train", 0.0))

    # Workers

    def _work(self) -> None:
        """Take trials, one after the other."""
        try:
            while not self._stop.is_set():
                taken = self._next_trial()
                if taken is None:
                    if not self._others_run():
                        return
                    # If they die, this worker does their trials.
                    self._stop.wait(_OTHERS_SECONDS)
                    continue
                trial, claim = taken
                try:
                    self._run_trial(trial)
                finally:
                    claim.release()
        except BaseException as error:
            self._errors.append(error)

    def _next_trial(self) -> tuple[Trial, Any] | None:
        """Return an interrupted trial, or a new one, with its lock; None if there is none left."""
        with claims.claiming(self.folder.path):
            self._fail_lost()
            trials = self.study().get_trials(deepcopy=False)
            for frozen in trials:
                claim = self._claim_interrupted(frozen)
                if claim is not None:
                    study = self.study(frozen.number)
                    # Optuna has no other way to go on with a trial that is running.
                    trial = self._trial(optuna.Trial(study, frozen._trial_id))
                    trial.heartbeat()
                    if SAVED in frozen.user_attrs:
                        trial.trial.set_user_attr(SAVED, False)
                    return trial, claim
            if not self._has_trials_left(trials):
                return None
            trial = self._trial(self.study(len(trials)).ask())
            trial.heartbeat()
            trial.trial.set_user_attr(_PLACE, self._place)
            return trial, claims.claim(self.folder.path, trial.trial.number)

    def _others_run(self) -> bool:
        """Tell whether another worker, of this process or another one, has a trial."""
        return bool(self.study().get_trials(deepcopy=False, states=(TrialState.RUNNING,)))

    def _fail_lost(self) -> None:
        """Repeat the trials of workers on other machines that are lost.

        A worker that died before its first heartbeat has not recorded its place.
        """
        study = self.study()
        fail_stale_trials(study)
        if self.request.storage is None:
            return
        for frozen in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            # Only one worker gets True.
            if _died_at_once(frozen) and self.storage.set_trial_state_values(
                frozen._trial_id, TrialState.FAIL
            ):
                retry(study, frozen)

    def _has_trials_left(self, trials: Sequence[FrozenTrial]) -> bool:
        counts = Counts.of(trials)
        if not counts.complete and counts.failed >= _MAX_FAILURES:
            errors = [trial.user_attrs["error"] for trial in trials if is_dead(trial)]
            raise LstmError(
                f"The first {pluralize(counts.failed, 'trial')} failed: {errors[-1]}.",
                f"See {self.folder.path / 'logs'}, and start a new study.",
            )
        most = self.request.trials
        return most is None or counts.ended + counts.running < most

    def _claim_interrupted(self, frozen: FrozenTrial) -> Any | None:
        """Return the lock of a trial of this folder that was interrupted; None for any other."""
        if frozen.state != TrialState.RUNNING:
            return None
        is_shared = self.request.storage is not None
        if is_shared and frozen.user_attrs.get(_PLACE) != self._place:
            return None
        claim = claims.claim(self.folder.path, frozen.number)
        if claim is None:
            return None
        # The trial may have ended just now.
        if self.storage.get_trial(frozen._trial_id).state == TrialState.RUNNING:
            return claim
        claim.release()
        return None

    def is_active(self, frozen: FrozenTrial) -> bool:
        """Tell whether a process works on a running trial.

        A trial on another machine counts until it is saved, or its heartbeat is overdue.
        """
        if self.request.storage is not None and frozen.user_attrs.get(_PLACE) != self._place:
            is_saved = bool(frozen.user_attrs.get(SAVED))
            return not (is_saved or _died_at_once(frozen) or self._is_overdue(frozen))
        return claims.is_claimed(self.folder.path, frozen.number)

    def _is_overdue(self, frozen: FrozenTrial) -> bool:
        """Tell whether the worker of a trial is silent."""
        if not isinstance(self.storage, RDBStorage):
            return False
        return frozen._trial_id in self.storage._get_stale_trial_ids(self.study()._study_id)

    def _run_trial(self, trial: Trial) -> None:
        """Run a trial, and record how it ended."""
        try:
            self._train(trial)
        except SearchStopped:
            with contextlib.suppress(UpdateFinishedTrialError):
                trial.trial.set_user_attr(SAVED, True)
            return
        except UpdateFinishedTrialError:
            # This worker was silent for too long: another one has failed the trial, and repeats it.
            pass
        self.reporter.note(self._describe(trial.trial.number))

    def _train(self, trial: Trial) -> None:
        """Run a trial to its end.

        Raises:
            SearchStopped: The search stops.
            UpdateFinishedTrialError: Another worker has ended the trial.
        """
        study, optuna_trial = trial.trial.study, trial.trial
        try:
            trial.suggest()
            study.pruner = make_pruner(self.request)
            value = trial.train()
        except optuna.TrialPruned:
            study.tell(optuna_trial, state=TrialState.PRUNED, skip_if_finished=True)
        except TrialError as error:
            optuna_trial.set_user_attr("error", str(error))
            study.tell(optuna_trial, state=TrialState.FAIL, skip_if_finished=True)
        else:
            study.tell(optuna_trial, value, skip_if_finished=True)

    def study(self, number: int | None = None) -> optuna.Study:
        """Load the study; with a number, to draw the trial of that number."""
        sampler = None if number is None else make_sampler(self.request, number)
        return load_study(self.storage, self.request, sampler)

    def _trial(self, trial: optuna.Trial) -> Trial:
        return Trial(self.folder, self.request, self.space, self.storage, trial, self._stop)

    # Lines for people

    def _describe(self, number_: int) -> str:
        """Describe a trial that has ended, and the state of the search."""
        trial = self.study().get_trials(deepcopy=False)[number_]
        label = metrics.LABELS[self.request.metric]
        if trial.state == TrialState.COMPLETE:
            result = f"{label} {number(trial.value)}"
        elif trial.state == TrialState.PRUNED:
            epochs = trial.user_attrs.get("epochs", 0)
            result = f"pruned after {pluralize(epochs, 'epoch')}, {label} {number(trial.value)}"
        else:
            result = f"failed: {trial.user_attrs.get('error', 'another worker repeats it')}"
        return f"Trial {number_}: {result}. {self._status()}"

    def _status(self) -> str:
        """Return best value, numbers of trials and time left, in one line."""
        study = self.study()
        counts, best = Counts.of(study.get_trials(deepcopy=False)), best_trial(study)
        shown = "" if best is None else f"Best {number(best.value)} (trial {best.number}); "
        of = f" of {self.request.trials}" if self.request.trials else ""
        left = self.budget.left
        time_left = "" if left is None else f", {duration(left)} left"
        failed = f", {counts.failed} failed" if counts.failed else ""
        running = f", {counts.running} running" if counts.running else ""
        done = f"{counts.ended}{of} done, {counts.pruned} pruned{failed}{running}{time_left}"
        return f"{shown}{done}."


def _died_at_once(frozen: FrozenTrial) -> bool:
    """Tell whether the worker of a running trial died before it recorded its place."""
    start = frozen.datetime_start or datetime.now()
    return datetime.now() - start > _LOST_AFTER and _PLACE not in frozen.user_attrs


def _host() -> str:
    import socket

    return socket.gethostname()

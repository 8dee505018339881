"""The study in its storage: Optuna's journal in the folder, or a database that machines share."""

from __future__ import annotations

import os
import re
import time
import warnings
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote_plus

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, OptunaError
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, PartialFixedSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.tune.claims import JournalLock
from lstm_cli.tune.folder import JOURNAL, StudyFolder, StudyRequest
from lstm_cli.tune.space import Range

# A worker that is silent for longer is lost: another one does its trial.
HEARTBEAT_SECONDS = 20
_GRACE_SECONDS = 90
# Pauses before a database is opened once more, while another process makes its tables.
_TABLES_SECONDS = (0.5, 1.0, 2.0, 4.0)
# A process that joins a study without trials queues the first one itself after this time.
_FIRST_TRIAL_SECONDS = 10.0
# The sampler learns from so many trials before it chooses. Of these, a trial draws a quarter of its
# settings, or two if that is more.
_FIRST_TRIALS = 10
_DRAWN_SHARE = 0.25
_MIN_DRAWN = 2
# Of each rung of Hyperband, one in three trials goes on.
_REDUCTION = 3
# Key of the study's user attributes with what was asked; see `StudyRequest.question`.
_QUESTION = "question"
# Where a URL has a password: behind the name of the user, which may contain a slash, and as a
# parameter.
_USER = re.compile(r"(://[^:/]*):([^@]*)@")
_PARAMETER = re.compile(r"([?&](?:password|passwd|pwd|sslpassword)=)([^&]*)", re.IGNORECASE)
# User attribute of a trial: whether its search has stopped, and it is saved.
SAVED = "saved"
# Optuna's own keys of a trial that another one repeats.
_FAILED_TRIAL, _RETRY_HISTORY = "failed_trial", "retry_history"


def open_storage(folder: StudyFolder, url: str | None) -> BaseStorage:
    """Open the storage of a study.

    Args:
        folder: The folder of the study.
        url: As Optuna's `RDBStorage` takes it; None for the journal in the folder.

    Raises:
        LstmError: The database cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    # A trial sends its own heartbeats: `Study.optimize` cannot go on with an interrupted one.
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used")
    if url is None:
        path = folder.path / JOURNAL
        lock: Any = JournalLock(folder.path)
        lock.acquire()
        _cut_torn_line(path)
        lock.release()
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    try:
        return _open_database(url)
    except Exception as error:  # SQLAlchemy and the drivers have many of their own.
        raise LstmError(
            f"Cannot open the storage {without_password(url)}: {first_line(error, url)}.",
            "--storage takes a URL of SQLAlchemy, such as postgresql+psycopg://user@host/database "
            "or sqlite:///studies.db.",
        ) from error


def is_storage_error(error: BaseException) -> bool:
    """Tell whether an error is of Optuna or of the database."""
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, OptunaError | SQLAlchemyError)


def first_line(error: BaseException, url: str | None) -> str:
    """Return what a driver says, in one line without its full stop and without passwords.

    Args:
        error: Its error.
        url: URL of the storage; None for the journal.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return _without_secrets(lines[0], url or "").rstrip(".")


def _open_database(url: str) -> BaseStorage:
    """Open a database; the first process makes its tables."""
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    for pause in (*_TABLES_SECONDS, None):
        try:
            return RDBStorage(
                url,
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=_GRACE_SECONDS,
                heartbeat_stale_trial_callback=retry,
            )
        except (IntegrityError, ProgrammingError):
            # Another process has just made the tables.
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")


def create_study(storage: BaseStorage, request: StudyRequest) -> None:
    """Create the study, or join the one of that name.

    Args:
        storage: Its storage.
        request: What was asked.

    Raises:
        LstmError: The storage has a study with that name that asks something else (exit code 2).
    """
    try:
        study = optuna.create_study(
            storage=storage, study_name=request.study, direction=request.direction
        )
    except DuplicatedStudyError:
        study = optuna.load_study(study_name=request.study, storage=storage)
        _wait_for_first_trial(study)
    before = study.user_attrs.get(_QUESTION)
    if before is None:
        study.set_user_attr(_QUESTION, request.question)
    elif before != request.question:
        differing = [key for key, value in request.question.items() if before.get(key) != value]
        raise LstmError(
            f"The storage has a study '{request.study}' with other {', '.join(differing)}.",
            "Give another --name, or the same data and options.",
            ExitCode.USAGE,
        )
    if not study.get_trials(deepcopy=False):
        request.load_space().enqueue_default(study, request.config)


def _wait_for_first_trial(study: optuna.Study) -> None:
    """Give the process that makes a study a moment to queue the default settings."""
    end = time.monotonic() + _FIRST_TRIAL_SECONDS
    while not study.get_trials(deepcopy=False) and time.monotonic() < end:
        time.sleep(0.1)


def load_study(
    storage: BaseStorage, request: StudyRequest, sampler: BaseSampler | None = None
) -> optuna.Study:
    """Load the study, without a pruner.

    With Optuna's Hyperband, a sampler would learn from the trials of one bracket only. `pruner`
    makes the one that is set after the parameters of a trial are drawn.

    Args:
        storage: Its storage.
        request: What was asked.
        sampler: The sampler; None where no trial is drawn.

    Raises:
        LstmError: The storage does not have it.
    """
    try:
        return optuna.load_study(
            study_name=request.study, storage=storage, sampler=sampler, pruner=NopPruner()
        )
    except KeyError:
        where = f"the file {JOURNAL} of the study" if request.storage is None else "--storage"
        raise LstmError(f"The storage has no study '{request.study}'.", f"Check {where}.") from None


def make_sampler(request: StudyRequest, number: int) -> BaseSampler:
    """Return the sampler of one trial.

    Its seed follows from that of the study and the number of the trial. So a study that was
    interrupted does not draw again what it has drawn before. Before TPE has enough trials to learn
    from, most settings of a trial are the default ones: they suit the data, and a trial that draws
    all of them is nearly always worse.

    Source: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization" (TPE).

    Args:
        request: What was asked.
        number: Number of the trial.
    """
    seed = (request.seed * 1_000_003 + number) % 2**32
    sampler = TPESampler(
        n_startup_trials=_FIRST_TRIALS, seed=seed, multivariate=True, constant_liar=True
    )
    if number >= _FIRST_TRIALS:
        return sampler
    defaults = request.load_space().default_params(request.config)
    num_drawn = max(_MIN_DRAWN, round(_DRAWN_SHARE * len(defaults)))
    drawn = Random(seed).sample(sorted(defaults), min(num_drawn, len(defaults)))
    kept = {key: value for key, value in defaults.items() if key not in drawn}
    return PartialFixedSampler(kept, sampler)


def make_pruner(request: StudyRequest) -> BasePruner:
    """Return Hyperband over epochs, or over folds where a training has them.

    Source: Li et al. 2018, "Hyperband"; Optuna's is the asynchronous one of Li et al. 2020.

    Args:
        request: What was asked.
    """
    config = request.config
    most = config.data.folds
    if not most:
        epochs = request.load_space().parameters.get("train.epochs")
        choices = (epochs.high,) if isinstance(epochs, Range) else epochs.values if epochs else ()
        most = max((config.train.epochs, *map(int, choices)))
    return HyperbandPruner(min_resource=1, max_resource=most, reduction_factor=_REDUCTION)


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue the trial of a worker that was lost again. It continues the run, where that is found.

    Unlike Optuna's callback it does not copy the rungs of the pruner.

    Args:
        study: The study.
        trial: The trial, which has failed.
    """
    attrs = trial.system_attrs
    kept = {key: attrs[key] for key in ("fixed_params",) if key in attrs}
    history = [*attrs.get(_RETRY_HISTORY, ()), trial.number]
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={key: value for key, value in trial.user_attrs.items() if key != SAVED},
            system_attrs={**kept, _FAILED_TRIAL: history[0], _RETRY_HISTORY: history},
        )
    )


def without_password(url: str) -> str:
    """Return a URL without the password in it."""
    return _PARAMETER.sub(r"\1", _USER.sub(r"\1@", url))


def _without_secrets(text: str, url: str) -> str:
    """Return a message of a driver, without the passwords of the URL."""
    found = [*_USER.finditer(url), *_PARAMETER.finditer(url)]
    # A driver may print them as they are in the URL, or decoded.
    secrets = {secret for match in found for secret in (match[2], unquote_plus(match[2]))}
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _cut_torn_line(journal: Path) -> None:
    """Remove a last line without its end, which a full disk or a power failure leaves.

    The next entry would be appended to it, and the journal would not be readable.
    """
    if not journal.exists():
        return
    with journal.open("rb+") as file:
        content = file.read()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            file.truncate(end)
            os.fsync(file.fileno())

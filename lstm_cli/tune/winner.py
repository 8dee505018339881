"""The winner of a search: a copy of the best trial's run, scored on test once."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from optuna.trial import FrozenTrial

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Reporter
from lstm_cli.io.signals import catch_signals
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.lock import LOCK
from lstm_cli.tune.claims import scoring
from lstm_cli.tune.folder import StudyFolder, StudyRequest
from lstm_cli.tune.process import TrainingProcess, resume_arguments

_POLL_SECONDS = 0.2
# In the study's folder: a copy that a killed process left is no run.
_UNFINISHED = "winner.part"


def finish_winner(
    folder: StudyFolder, request: StudyRequest, trial: FrozenTrial, reporter: Reporter
) -> RunDir:
    """Copy the run of a trial beside the study, and score it on test, unless that is done.

    Args:
        folder: The folder of the study.
        request: What was asked.
        trial: The best trial.
        reporter: Receives a note.

    Raises:
        LstmError: The disk is full, another run has the name of the winner (exit code 2), or the
            evaluation failed.
        Interrupted: A signal came.
    """
    winner = folder.winner(trial.number)
    with scoring(folder.path):
        _copy(folder.path / trial.user_attrs["run"], winner.path, folder.path / _UNFINISHED)
        if winner.status != "finished" or runs.is_untested(winner):
            reporter.note(f"Scoring trial {trial.number}, the best one, on test.")
            _score(folder, request, winner)
    return winner


def _copy(source: Path, target: Path, unfinished: Path) -> None:
    """Copy a run, whole or not at all; `unfinished` is where the copy grows."""
    shutil.rmtree(unfinished, ignore_errors=True)
    if target.exists():
        _check_copy(source, target)
        return
    try:
        shutil.copytree(source, unfinished, ignore=shutil.ignore_patterns(LOCK))
        unfinished.rename(target)
    except OSError as error:
        raise LstmError(
            f"Cannot copy {source} to {target}: {error.strerror or error}.",
            "Free some space, and resume the study.",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check_copy(source: Path, target: Path) -> None:
    """Check that a run is the copy of a trial's run.

    Raises:
        LstmError: It is an older run, or one that a person gave this name (exit code 2).
    """
    info, copy = runs.peek(RunDir(source)), runs.peek(RunDir(target))
    if info is None or copy is None or info.started is None or copy.started != info.started:
        raise LstmError(
            f"{target} is another run, not a copy of {source}.",
            "Rename or remove it, and resume the study.",
            ExitCode.USAGE,
        )


def _score(folder: StudyFolder, request: StudyRequest, run: RunDir) -> None:
    arguments = resume_arguments(request, run.path, score_test=True)
    with catch_signals() as signals, signals.deferred():
        process = TrainingProcess(arguments, folder.path / "logs" / "winner.log", folder.shared)
        while process.is_running():
            if signals.pending is not None:
                process.stop()
            time.sleep(_POLL_SECONDS)
        code = process.wait()
        if code and signals.pending is None:
            raise LstmError(
                f"The best trial could not be scored on test: {process.error(code)}",
                f"Its run is {run.path}. Resume the study to try again.",
            )

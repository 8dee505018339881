"""Read what a study found, from its folder and its storage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lstm_cli.config import load as configs
from lstm_cli.tune.budget import Budget
from lstm_cli.tune.claims import is_claimed
from lstm_cli.tune.folder import StudyFolder
from lstm_cli.tune.storage import load_study, open_storage
from lstm_cli.tune.summary import StudySummary, TrialSummary, summarize


def read_summary(folder: StudyFolder, url: str | None = None) -> StudySummary:
    """Read a study; processes may be at work on it.

    Args:
        folder: The folder of the study.
        url: URL of its storage, with its password; None for the one that the study names.

    Raises:
        LstmError: The study or its storage cannot be read.
    """
    request = folder.request()
    study = load_study(open_storage(folder, url or request.storage), request)
    summary = summarize(
        study,
        name=folder.full_name,
        data=request.data,
        metric=request.metric,
        defaults=configs.flatten(request.resolved),
        seconds=Budget(folder.path, request.seconds).used,
    )
    winner = summary.winner
    if winner is not None:
        winner = f"{folder.dataset}/{Path(winner).name}"
    trials = summary.trials
    if request.storage is None:
        trials = tuple(_with_state(trial, folder) for trial in trials)
    return replace(summary, winner=winner, trials=trials)


def _with_state(trial: TrialSummary, folder: StudyFolder) -> TrialSummary:
    """Return a trial as interrupted if it runs in the storage, but no process works on it."""
    if trial.state == "running" and not is_claimed(folder.path, trial.number):
        return replace(trial, state="interrupted")
    return trial

"""Read what a study found, from its folder and its storage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lstm_cli.config import load as configs
from lstm_cli.tune.budget import Budget
from lstm_cli.tune.claims import is_claimed
from lstm_cli.tune.folder import StudyFolder
from lstm_cli.tune.storage import SAVED, load_study, open_storage
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
    found = study.get_trials(deepcopy=False)
    saved = {trial.number for trial in found if trial.user_attrs.get(SAVED)}

    def is_idle(trial: TrialSummary) -> bool:
        """Tell whether no process works on a trial that runs in the storage."""
        if request.storage is None:
            return not is_claimed(folder.path, trial.number)
        # Another machine may work on it: its search marks the trial when it stops.
        return trial.number in saved

    trials = tuple(
        replace(trial, state="interrupted")
        if trial.state == "running" and is_idle(trial)
        else trial
        for trial in summary.trials
    )
    return replace(summary, winner=winner, trials=trials)

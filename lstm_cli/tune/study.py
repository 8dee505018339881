"""Start or resume a search, and what it found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from optuna.trial import FrozenTrial, TrialState

from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.atomic_write import make_folder
from lstm_cli.io.progress import Reporter
from lstm_cli.io.signals import Interrupted
from lstm_cli.runs.directory import RunDir
from lstm_cli.tune.claims import claiming
from lstm_cli.tune.folder import STUDY, StudyFolder, StudyRequest
from lstm_cli.tune.outcomes import Counts, best_trial, run_exists
from lstm_cli.tune.search import Search
from lstm_cli.tune.space import DEFAULT_TRIAL
from lstm_cli.tune.storage import create_study, open_storage
from lstm_cli.tune.winner import finish_winner


@dataclass(frozen=True)
class Found:
    """The result of a search.

    Attributes:
        study: Name of the study, `<dataset>/<name>`.
        path: Its folder.
        metric: Name of the metric.
        direction: Which values of it are better.
        trials: How many trials ended how.
        seconds: Seconds of search, over all resumes.
        best: Number, value and settings of the best trial, without those that are the default.
        default: Value of the trial with the default settings; None if it died.
        winner: The run of the best trial, scored on test; None if it is on another machine, or
            other processes still search.
        resume: The shell command that continues the study.
        shared: Settings by dotted key that all trials share: what was typed, and how many rows are
            held out.
    """

    study: str
    path: Path
    metric: str
    direction: str
    trials: Counts
    seconds: float
    best: FrozenTrial
    default: float | None
    winner: RunDir | None
    resume: str
    shared: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types, with the results of the winner."""
        results = None if self.winner is None else self.winner.read_json("metrics.json")
        winner = None if self.winner is None else {"run": str(self.winner.path), "metrics": results}
        return {
            "study": self.study,
            "path": str(self.path),
            "metric": self.metric,
            "direction": self.direction,
            "trials": asdict(self.trials),
            "seconds": round(self.seconds, 1),
            "best": {
                "trial": self.best.number,
                "value": self.best.value,
                "settings": self.best.user_attrs["overrides"],
                "run": str(self.path / self.best.user_attrs["run"]),
            },
            "default": self.default,
            "shared": dict(self.shared),
            "winner": winner,
        }


def start(folder: StudyFolder, request: StudyRequest, url: str | None, reporter: Reporter) -> Found:
    """Start a study, or join one in a shared storage, and search.

    Args:
        folder: The folder of the study, which does not exist.
        request: What was asked.
        url: URL of the storage, with its password; None for the journal in the folder.
        reporter: Receives progress.

    Raises:
        LstmError: The name is taken, or as `resume`.
        Interrupted: A signal came.
    """
    _check_new(folder)
    _check_winners(folder)
    # Before the folder is made: a URL may be wrong.
    storage = None if url is None else open_storage(folder, url)
    try:
        make_folder(folder.path)
    except OSError as error:
        raise LstmError(
            f"Cannot write studies under {folder.path.parent}: {error.strerror or error}.",
            "Name another folder with --runs-dir or LSTM_RUNS_DIR.",
        ) from None
    with claiming(folder.path):
        _check_new(folder)
        create_study(storage or open_storage(folder, None), request)
        folder.write(request)
    reporter.note(f"Study {folder.full_name}: {folder.path}")
    reporter.note(_describe_validation(request.config))
    return _search(folder, request, url, reporter)


def _describe_validation(config: Config) -> str:
    """Say by which rows trials are compared."""
    if config.data.folds:
        return f"Trials are compared on all labeled rows, in {config.data.folds} folds."
    if config.data.validation_file:
        return f"Trials are compared on {config.data.validation_file}."
    return f"Trials are compared on {config.data.validation_fraction:.2%} of the labeled rows."


def _check_new(folder: StudyFolder) -> None:
    """Check that there is no study in a folder.

    Raises:
        LstmError: There is one (exit code 2).
    """
    if (folder.path / STUDY).exists():
        raise LstmError(
            f"There is already a study {folder.full_name}.",
            f"Give another --name, or continue it: lstm tune --resume {folder.full_name}",
            ExitCode.USAGE,
        )


def _check_winners(folder: StudyFolder) -> None:
    """Check that no run has a name that the winner of a new study could get.

    Raises:
        LstmError: There is one (exit code 2).
    """
    pattern = re.compile(rf"{re.escape(folder.name)}-[0-9]{{3,}}")
    names = sorted(path.name for path in folder.path.parent.glob(f"{folder.name}-*"))
    taken = [name for name in names if pattern.fullmatch(name)]
    if taken:
        raise LstmError(
            f"There is already a run {folder.dataset}/{taken[0]}, and the winner of a study "
            f"'{folder.name}' could get its name.",
            "Give another --name, or rename or remove the run.",
            ExitCode.USAGE,
        )


def resume(
    folder: StudyFolder, changes: Mapping[str, Any], url: str | None, reporter: Reporter
) -> Found:
    """Continue a study; another process may be at work on it.

    Args:
        folder: The folder of the study.
        changes: Another budget: `trials`, `seconds`, `jobs`. It is kept for later resumes.
        url: URL of the storage, with its password; None for the one of the study.
        reporter: Receives progress.

    Raises:
        LstmError: The study or its storage cannot be read, or no trial ended well.
        Interrupted: A signal came.
    """
    request = folder.request()
    if changes:
        request = msgspec.structs.replace(request, **changes)
        folder.write(request)
    reporter.note(f"Resuming study {folder.full_name}.")
    return _search(folder, request, url or request.storage, reporter)


def _search(
    folder: StudyFolder, request: StudyRequest, url: str | None, reporter: Reporter
) -> Found:
    search = Search(folder, request, url, reporter)
    search.run()
    study = search.study()
    trials = study.get_trials(deepcopy=False)
    best = best_trial(study)
    if best is None:
        errors = [trial.user_attrs.get("error", "") for trial in trials]
        raise LstmError(
            f"No trial ended well. {' '.join(filter(None, errors))[:500]}".strip(),
            f"Continue with more trials or time: {search.resume_command}",
        )
    winner = None
    if not run_exists(folder.path, best):
        reporter.warn(_missing_run(folder, request, best))
    elif any(trial.state == TrialState.RUNNING and search.is_active(trial) for trial in trials):
        reporter.note(_others_note(request, search.resume_command))
    else:
        try:
            winner = finish_winner(folder, request, best, reporter)
        except Interrupted as interrupted:
            interrupted.message = (
                f"The best trial is not scored on test yet. Resume: {search.resume_command}"
            )
            raise
        study.set_user_attr("winner", f"../{winner.path.name}")
        study.set_user_attr("winner_trial", best.number)
        search.budget.save(force=True)
    default = [trial.value for trial in trials if trial.user_attrs.get(DEFAULT_TRIAL)]
    values = [value for value in default if value is not None]
    return Found(
        folder.full_name,
        folder.path,
        request.metric,
        request.direction,
        Counts.of(trials),
        search.budget.used,
        best,
        values[0] if values else None,
        winner,
        search.resume_command,
        request.settings,
    )


def _others_note(request: StudyRequest, resume_command: str) -> str:
    """Say when the winner is scored, if others still search."""
    if request.storage is None:
        return "Other processes still search; the last one scores the winner on test."
    # The last one may be on a machine that does not have the run.
    return (
        "Others still search. To score the winner on test, resume this study when they have "
        f"ended: {resume_command}"
    )


def _missing_run(folder: StudyFolder, request: StudyRequest, best: FrozenTrial) -> str:
    """Say that the run of the best trial is not here, and why."""
    if request.storage is None:
        return f"The run of trial {best.number}, the best one, is missing: {folder.trials}."
    return (
        f"The run of trial {best.number}, the best one, is on another machine "
        f"({best.user_attrs.get('place')}). Resume the study there to score it on test."
    )

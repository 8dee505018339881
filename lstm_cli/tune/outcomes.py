"""The trials of a study: how they ended, and which is the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from lstm_cli.runs import directory as runs


@dataclass(frozen=True)
class Counts:
    """How many trials of a study are in which state.

    Attributes:
        complete: Trained to the end.
        pruned: Ended early, because other trials were better.
        failed: Died. Trials that another one continues do not count.
        running: A process works on them, or will when the study is resumed.
    """

    complete: int
    pruned: int
    failed: int
    running: int

    @classmethod
    def of(cls, trials: Sequence[FrozenTrial]) -> Counts:
        """Count the trials of a study."""
        states = Counter(trial.state for trial in trials)
        failed = sum(is_dead(trial) for trial in trials)
        return cls(
            states[TrialState.COMPLETE],
            states[TrialState.PRUNED],
            failed,
            states[TrialState.RUNNING],
        )

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.complete + self.pruned + self.failed


def is_dead(trial: FrozenTrial) -> bool:
    """Tell whether a trial died, and was not interrupted and continued by another one."""
    return trial.state == TrialState.FAIL and "error" in trial.user_attrs


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """Return the best trial that was trained to its end, the first of equal ones."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        return None
    sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
    return max(complete, key=lambda trial: sign * (trial.value or 0.0))


def run_exists(folder: Path, trial: FrozenTrial) -> bool:
    """Tell whether the run of a trial is on this machine."""
    path = folder / str(trial.user_attrs["run"]) / runs.RUN
    return path.exists()

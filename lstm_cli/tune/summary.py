"""What a study found: its trials, best first, and which settings matter."""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from lstm_cli.tune.metrics import LABELS
from lstm_cli.tune.space import DEFAULT_TRIAL

if TYPE_CHECKING:
    import optuna

State = Literal["finished", "pruned", "running", "waiting", "interrupted", "failed"]
_STATES: dict[str, State] = {
    "COMPLETE": "finished", "PRUNED": "pruned", "RUNNING": "running", "WAITING": "waiting",
    "FAIL": "failed",
}  # fmt: skip
_ORDER = ("finished", "pruned", "running", "waiting", "interrupted", "failed")
# With fewer finished trials, an importance is chance.
MIN_IMPORTANCE_TRIALS = 8
# So many of the best trials are compared with all, or a tenth of them if that is more.
_MIN_BEST_TRIALS = 5


@dataclass(frozen=True)
class TrialSummary:
    """A trial.

    Attributes:
        number: Its number in the study, from 0.
        state: `pruned`: ended early, because others were better. `interrupted`: its process died;
            the search continues it, or another trial did. `failed`: see `error`.
        value: The metric on validation; of a pruned trial, where it was stopped.
        overrides: Settings by dotted key that it tried; empty for the default settings.
        epochs: Epochs that were trained.
        seconds: How long that took.
        run: Path of its run, relative to the folder of the study.
        error: Why it failed.
        default: Whether it has the default settings.
    """

    number: int
    state: State
    value: float | None
    overrides: Mapping[str, Any]
    epochs: int | None
    seconds: float | None
    run: str | None
    error: str | None
    default: bool


@dataclass(frozen=True)
class SearchedSetting:
    """A setting that trials change.

    Attributes:
        key: Its dotted key.
        name: A shorter name, which no other searched setting has.
        default: Its default.
        choices: The values it may have, formatted; empty for a range of numbers.
        log: Whether the range is drawn by its logarithm.
        importance: Its share of the importance of all, from 0 to 1; None with too few trials.
    """

    key: str
    name: str
    default: Any
    choices: tuple[str, ...]
    log: bool
    importance: float | None


@dataclass(frozen=True)
class StudySummary:
    """What a study found.

    Attributes:
        name: Name of the study.
        data: Its data set.
        metric: What trials are compared by; of `metrics.METRICS`.
        maximize: Whether more of it is better.
        trials: The trials, best first: finished ones, then the pruned, then the others.
        settings: The settings that trials change, the most important first.
        winner: Name of the run with the best settings; None before the end.
        seconds: How long the search took; None if unknown.
    """

    name: str
    data: str
    metric: str
    maximize: bool
    trials: tuple[TrialSummary, ...]
    settings: tuple[SearchedSetting, ...]
    winner: str | None
    seconds: float | None

    @property
    def label(self) -> str:
        """The name of the metric for people."""
        return LABELS[self.metric]

    @property
    def best(self) -> TrialSummary | None:
        """The best finished trial."""
        first = self.trials[0] if self.trials else None
        return first if first is not None and first.state == "finished" else None

    @property
    def default(self) -> TrialSummary | None:
        """The finished trial with the default settings."""
        found = (trial for trial in self.trials if trial.default and trial.state == "finished")
        return next(found, None)

    def count(self, state: State) -> int:
        """Return the number of trials in a state."""
        return sum(trial.state == state for trial in self.trials)

    def value_of(self, trial: TrialSummary, setting: SearchedSetting) -> Any:
        """Return the value of a setting in a trial."""
        return trial.overrides.get(setting.key, setting.default)

    def changed(self, trial: TrialSummary) -> dict[str, Any]:
        """Return the settings in which a trial differs from the defaults, by short name."""
        return {
            setting.name: trial.overrides[setting.key]
            for setting in self.settings
            if setting.key in trial.overrides and trial.overrides[setting.key] != setting.default
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        settings = [asdict(setting) for setting in self.settings]
        return {
            "study": self.name,
            "data": self.data,
            "metric": self.metric,
            "direction": "maximize" if self.maximize else "minimize",
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "best": None if self.best is None else self.best.number,
            "winner": self.winner,
            "trials": [asdict(trial) for trial in self.trials],
            "settings": [each | {"choices": list(each["choices"])} for each in settings],
        }


def summarize(
    study: optuna.Study,
    *,
    name: str,
    data: str,
    metric: str,
    defaults: Mapping[str, Any],
    seconds: float | None = None,
) -> StudySummary:
    """Summarize a study.

    Args:
        study: The study.
        name: Its name for people.
        data: Its data set.
        metric: What trials are compared by.
        defaults: The default settings by dotted key.
        seconds: How long the search took.
    """
    maximize = study.direction.name == "MAXIMIZE"
    found = study.get_trials(deepcopy=False)
    trials = [_summarize_trial(trial) for trial in found]
    sign = -1 if maximize else 1
    trials.sort(
        key=lambda t: (_ORDER.index(t.state), math.inf if t.value is None else sign * t.value)
    )
    winner = study.user_attrs.get("winner")
    return StudySummary(
        name=name,
        data=data,
        metric=metric,
        maximize=maximize,
        trials=tuple(trials),
        settings=tuple(_searched_settings(study, found, defaults)),
        winner=None if winner is None else str(winner),
        seconds=seconds,
    )


def format_value(value: Any) -> str:
    """Format the value of a setting: a number with three digits, a list as JSON."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value)


def _summarize_trial(trial: optuna.trial.FrozenTrial) -> TrialSummary:
    attributes = trial.user_attrs
    error = attributes.get("error")
    state = _STATES[trial.state.name]
    has_value = state in ("finished", "pruned") and trial.value is not None
    return TrialSummary(
        number=trial.number,
        state="interrupted" if state == "failed" and error is None else state,
        value=trial.value if has_value and math.isfinite(trial.value) else None,
        overrides=attributes.get("overrides") or {},
        epochs=attributes.get("epochs"),
        seconds=attributes.get("seconds"),
        run=attributes.get("run"),
        error=error,
        default=bool(attributes.get(DEFAULT_TRIAL)),
    )


def _searched_settings(
    study: optuna.Study, trials: Sequence[optuna.trial.FrozenTrial], defaults: Mapping[str, Any]
) -> list[SearchedSetting]:
    distributions: dict[str, Any] = {}
    for trial in trials:
        distributions |= trial.distributions
    importances = _importances(study)
    names = short_names(list(distributions))
    settings = [
        SearchedSetting(
            key=key,
            name=names[key],
            default=defaults.get(key),
            choices=tuple(format_value(each) for each in getattr(distribution, "choices", ())),
            log=getattr(distribution, "log", False),
            importance=importances.get(key, 0.0) if importances else None,
        )
        for key, distribution in distributions.items()
    ]
    return sorted(settings, key=lambda setting: -(setting.importance or 0.0))


def _importances(study: optuna.Study) -> dict[str, float]:
    """Return the importance of each setting for being among the best trials; they add up to 1.

    Source: Watanabe et al. 2023, "PED-ANOVA".
    """
    import optuna

    states = (optuna.trial.TrialState.COMPLETE,)
    trials = study.get_trials(deepcopy=False, states=states)
    if len(trials) < MIN_IMPORTANCE_TRIALS or len({trial.value for trial in trials}) == 1:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        best_share = min(0.5, max(0.1, _MIN_BEST_TRIALS / len(trials)))
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best_share)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each dotted key, or the whole key where two have the same."""
    last = {key: key.rpartition(".")[2] for key in keys}
    counts = Counter(last.values())
    return {key: name if counts[name] == 1 else key for key, name in last.items()}

"""The settings that a search may change, and the values they may have."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config

if TYPE_CHECKING:
    import optuna

# User attributes of the trial that has the default settings: true, and the names of its parameters.
DEFAULT_TRIAL = "default"
_DEFAULT_PARAMS = "default_params"


@dataclass(frozen=True)
class Range:
    """A range of numbers.

    Attributes:
        low: The smallest value; an integer if all values are integers.
        high: The largest value, included.
        log: Whether the logarithm is drawn evenly, not the number.
        step: Distance between neighbouring values, from `low`; None: 1 for integers, else any.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all values are integers."""
        return isinstance(self.low, int)

    def suggest(self, trial: optuna.Trial, key: str) -> int | float:
        """Let a trial choose a value."""
        if self.is_whole:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return int(trial.suggest_int(key, low, high, step=step, log=self.log))
        value = float(trial.suggest_float(key, self.low, self.high, step=self.step, log=self.log))
        # 0.3, not 0.30000000000000004.
        return value if self.step is None else round(value, 10)

    def contains(self, value: Any) -> bool:
        """Return whether a trial could choose a value."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        if self.is_whole and value != round(value):
            return False
        steps = (value - self.low) / (self.step or 1)
        is_on_step = self.step is None or abs(steps - round(steps)) < 1e-8
        return self.low <= value <= self.high and is_on_step

    def to_param(self, value: Any) -> Any:
        """Return Optuna's parameter for a value."""
        return value

    def to_builtins(self) -> dict[str, Any]:
        """Return the range as it is written in a space file."""
        written: dict[str, Any] = {"low": self.low, "high": self.high}
        if self.log:
            written["log"] = True
        return written if self.step is None else written | {"step": self.step}


@dataclass(frozen=True)
class Choices:
    """A list of values.

    Attributes:
        values: JSON values that differ: numbers, texts, true, false, null, or lists of these.
    """

    values: tuple[Any, ...]

    def suggest(self, trial: optuna.Trial, key: str) -> Any:
        """Let a trial choose a value."""
        params = [self.to_param(value) for value in self.values]
        return self.values[params.index(trial.suggest_categorical(key, params))]

    def contains(self, value: Any) -> bool:
        """Return whether a trial could choose a value."""
        return value in self.values

    def to_param(self, value: Any) -> Any:
        """Return Optuna's parameter for a value: a list becomes JSON, for Optuna has no lists."""
        return json.dumps(value) if isinstance(value, list) else value

    def to_builtins(self) -> list[Any]:
        """Return the values as they are written in a space file."""
        return list(self.values)


@dataclass(frozen=True)
class Space:
    """The settings that a search may change.

    Attributes:
        parameters: The values of each setting, by dotted key.
    """

    parameters: Mapping[str, Range | Choices]

    def enqueue_default(self, study: optuna.Study, config: Config) -> None:
        """Let a trial with exactly the default settings come next.

        Args:
            study: The study, before its first trial.
            config: As for `default_params`.
        """
        params = self.default_params(config)
        study.enqueue_trial(params, {DEFAULT_TRIAL: True, _DEFAULT_PARAMS: list(params)})

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Let a trial choose a value of each setting.

        Args:
            trial: A trial of a study, or the one of `enqueue_default`.

        Returns:
            Values by dotted key, as `lstm train --set` takes them: of all settings of the space, or
            of none for the default settings.
        """
        if not trial.user_attrs.get(DEFAULT_TRIAL):
            return {key: each.suggest(trial, key) for key, each in self.parameters.items()}
        # The parameters are recorded, so that the sampler learns from this trial too.
        for key in trial.user_attrs.get(_DEFAULT_PARAMS, ()):
            self.parameters[key].suggest(trial, key)
        return {}

    def default_params(self, config: Config) -> dict[str, Any]:
        """Return Optuna's parameters of the default settings.

        A setting whose default is outside of the space of a person has no parameter there, nor has
        one that `config.auto` leaves to training.

        Args:
            config: The default settings; `resolve.resolve_auto` resolves `config.auto`.
        """
        values = setting_values(config)
        return {
            key: parameter.to_param(values[key])
            for key, parameter in self.parameters.items()
            if key not in config.auto and parameter.contains(values[key])
        }

    def to_builtins(self) -> dict[str, Any]:
        """Return the space as a space file has it; `space_file.parse_space` reads it."""
        return {key: parameter.to_builtins() for key, parameter in self.parameters.items()}


def load_space(path: Path | None, config: Config, fixed: Collection[str] = ()) -> Space:
    """Read a space file, or make the default space for the settings.

    Args:
        path: The file; None for the default space.
        config: The default settings. The default space lies around them, and leaves out those that
            are still in `config.auto`: `resolve.resolve_auto` resolves them.
        fixed: Dotted keys of settings that a person has set, which no trial may change.

    Raises:
        LstmError: The file is missing or cannot be read (exit code 3), or has an unknown setting or
            a value that the setting cannot have (2).
    """
    from lstm_cli.tune.default_space import default_space
    from lstm_cli.tune.space_file import read_space

    return default_space(config, fixed) if path is None else read_space(path, config, fixed)


def setting_values(config: Config) -> dict[str, Any]:
    """Return the JSON value of each setting by dotted key."""
    return configs.flatten(configs.to_dict(config))

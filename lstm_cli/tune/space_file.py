"""Space files: the settings of a search and their values, in YAML, checked against the schema."""

from __future__ import annotations

import contextlib
import math
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_type_hints

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.config.yaml import key_lines, parse_mapping
from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.io.text_format import shorten
from lstm_cli.tune.space import Choices, Range, Space, setting_values

_EXAMPLE = "For example: 'model.units: {low: 16, high: 128, log: true}' or 'model.layers: [1, 2]'."
_RANGE_KEYS = ["low", "high", "log", "step"]
_MAX_CHOICES = 1000
# Trials are compared on the same validation examples, which these settings decide.
_OF_THE_DATA = ("data", "seed", "auto")


@dataclass(frozen=True)
class _Setting:
    """A setting of a space file.

    Attributes:
        key: Dotted key.
        where: File and line, for error messages.
        config: The default settings.
    """

    key: str
    where: str
    config: Config

    def error(self, message: str, hint: str = _EXAMPLE) -> LstmError:
        """Return an error that names the place and the key."""
        return LstmError(f"{self.where}: {self.key}: {message}.", hint, ExitCode.USAGE)

    def convert(self, value: Any) -> Any:
        """Return a value as the setting has it, or raise if it cannot have it."""
        nested = configs.to_dict(self.config)
        return setting_values(configs.from_dict(nested, {self.key: value}, self.where))[self.key]


def read_space(path: Path, config: Config, fixed: Collection[str] = ()) -> Space:
    """Read a space file.

    Args:
        path: The file: dotted keys with a list of values, or with `low` and `high`.
        config: The default settings. The values must fit to them.
        fixed: Dotted keys of settings that a person has set.

    Raises:
        LstmError: See `space.load_space`.
    """
    text = configs.read_text(path, "space file", _EXAMPLE)
    settings = parse_mapping(text, str(path), "settings such as 'model.units:'", _EXAMPLE)
    return parse_space(settings, config, str(path), fixed, key_lines(text))


def parse_space(
    settings: Mapping[Any, Any],
    config: Config,
    source: str,
    fixed: Collection[str] = (),
    lines: Mapping[Any, int] | None = None,
) -> Space:
    """Check the settings of a space file, or of `Space.to_builtins`.

    Args:
        settings: A list of values, or a range, by dotted key.
        config: The default settings. The values must fit to them.
        source: Source of the settings for error messages.
        fixed: Dotted keys of settings that a person has set.
        lines: Line of each key, for error messages.

    Raises:
        LstmError: A setting is unknown or cannot be searched, or cannot have a value (exit code 2).
    """
    if not settings:
        raise LstmError(
            f"{source}: expected one setting or more, found none.", _EXAMPLE, ExitCode.USAGE
        )
    parameters = {}
    for key, values in settings.items():
        line = f", line {lines[str(key)]}" if lines and str(key) in lines else ""
        setting = _Setting(shorten(str(key)), f"{source}{line}", config)
        _check_key(setting, fixed)
        parameters[setting.key] = _parse(setting, values)
    return Space(parameters)


def _check_key(setting: _Setting, fixed: Collection[str]) -> None:
    """Check that a setting exists, is in use, and may be searched."""
    key, known = setting.key, configs.all_keys()
    section = key.partition(".")[0]
    if any(name.startswith(f"{key}.") for name in known):
        raise setting.error("expected the dotted name of a setting, found a section")
    if key not in known:
        names = [name for name in known if name.partition(".")[0] not in _OF_THE_DATA]
        raise LstmError(
            f"{setting.where}: there is no setting '{key}'.", suggest(key, names), ExitCode.USAGE
        )
    if section in _OF_THE_DATA or section == "language":
        raise setting.error(
            "this setting cannot be searched: trials are compared on the same validation examples"
            if section in _OF_THE_DATA
            else "this setting is for language models, and a search trains classifiers",
            "Remove it from the space.",
        )
    if getattr(setting.config, section) is None:
        raise setting.error(
            f"these settings have no section '{section}:'", "Remove it from the space."
        )
    if key in fixed:
        raise setting.error(
            "this setting is in the space, and also set for all trials",
            "Leave it out of one of them.",
        )


def _parse(setting: _Setting, values: Any) -> Range | Choices:
    if isinstance(values, Mapping):
        return _parse_range(setting, values)
    if isinstance(values, list):
        return _parse_choices(setting, values)
    raise setting.error(
        f"expected a list of values, or a range with 'low' and 'high'; found {shorten(str(values))}"
    )


def _parse_choices(setting: _Setting, values: list[Any]) -> Choices:
    if not values:
        raise setting.error("expected one value or more, found an empty list")
    if len(values) > _MAX_CHOICES:
        raise setting.error(f"expected at most {_MAX_CHOICES:,} values, found {len(values):,}")
    choices: list[Any] = []
    for value in values:
        converted = setting.convert(value)
        if converted in choices:
            raise setting.error(f"the value {shorten(str(value))} is there twice", "Remove one.")
        choices.append(converted)
    return Choices(tuple(choices))


def _parse_range(setting: _Setting, values: Mapping[Any, Any]) -> Range:
    for key in values:
        if key not in _RANGE_KEYS:
            raise setting.error(
                f"a range has no '{shorten(str(key))}'", suggest(str(key), _RANGE_KEYS)
            )
    missing = [key for key in ("low", "high") if key not in values]
    if missing:
        raise setting.error(f"expected 'low' and 'high'; '{missing[0]}' is missing")
    is_whole = _is_whole(setting)
    low, high = (setting.convert(_number(setting, values, end)) for end in ("low", "high"))
    if low > high:
        raise setting.error(f"expected a 'low' of at most 'high'; found {low} and {high}")
    log = values.get("log", False)
    if not isinstance(log, bool):
        raise setting.error(f"log: expected true or false; found {shorten(str(log))}")
    if log and low <= 0:
        raise setting.error(f"expected a 'low' above 0 with 'log: true'; found {low}")
    if values.get("step") is None:
        return Range(low, high, log)
    if log:
        raise setting.error("'log: true' and 'step' exclude each other", "Leave out one of them.")
    step = _number(setting, values, "step")
    if step <= 0 or (is_whole and step != int(step)):
        kind = "a whole number of 1 or more" if is_whole else "a number above 0"
        raise setting.error(f"step: expected {kind}; found {step}")
    return _on_steps(low, high, int(step) if is_whole else float(step))


def _is_whole(setting: _Setting) -> bool:
    """Return whether a setting is a whole number; raise if it is not a number."""
    section, _, name = setting.key.partition(".")
    hint = get_type_hints(type(getattr(setting.config, section)))[name]
    kinds = get_args(hint) if typing.get_origin(hint) is not tuple else ()
    if hint is int or int in kinds:
        return True
    if hint is float or float in kinds:
        return False
    raise setting.error("only numbers have a range; expected a list of values")


def _number(setting: _Setting, values: Mapping[Any, Any], key: str) -> int | float:
    """Return a number of a range. `1e-3` is text in YAML, and a number for us."""
    value = values[key]
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise setting.error(f"{key}: expected a number; found {shorten(str(value))}")
    return value


def _on_steps(low: float, high: float, step: float) -> Range:
    """Return a range that ends on a step, as Optuna wants it."""
    first, last, width = (Decimal(str(number)) for number in (low, high, step))
    end = first + (last - first) // width * width
    return Range(low, type(low)(end), step=step)

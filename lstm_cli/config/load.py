"""Settings from presets, files and `--set`: laid over each other, validated."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import yaml

from lstm_cli.config import yaml as parsing
from lstm_cli.config.schema import Config
from lstm_cli.config.yaml import shortened
from lstm_cli.errors import ExitCode, LstmError, suggest

_WORDS = (
    (r"`int( \| null)?`", "a whole number"),
    (r"`float( \| null)?`", "a number"),
    (r"`str( \| null)?`", "text"),
    (r"`bool( \| null)?`", "true or false"),
    (r"`object( \| null)?`", "a section"),
    (r" of length >= (\S+)", r" of \1 or more characters"),
    (r" >= (\S+)", r" of \1 or more"),
    (r" <= (\S+)", r" of \1 or less"),
    (r" > (\S+)", r" above \1"),
    (r" < (\S+)", r" below \1"),
)
# Of a file of settings, which is read in whole; the longest that any has is a twentieth.
_MAX_BYTES = 64 << 10


def presets_dir() -> Path:
    """Return the folder of presets: inside the wheel, or at the root of a checkout."""
    inside = Path(__file__).parents[1] / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "configs"


def preset_names() -> list[str]:
    """List the presets by name, sorted."""
    return sorted(path.stem for path in presets_dir().glob("*.yaml"))


def preset_text(name: str) -> str:
    """Return a preset's YAML as written, comments included.

    Raises:
        LstmError: There is no such preset; the nearest names are offered.
    """
    if name not in preset_names():
        raise LstmError(
            f"There is no preset '{name}'.", suggest(name, preset_names()), ExitCode.USAGE
        )
    return (presets_dir() / f"{name}.yaml").read_text(encoding="utf-8")


def load_preset(name: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a preset, with settings changed by dotted key."""
    return from_dict(preset_dict(name), overrides, f"preset {name}")


def load_file(path: Path, base: Mapping[str, Any], overrides: Mapping[str, Any]) -> Config:
    """Read settings from a YAML file over a base (a preset's), with overrides over both.

    Args:
        path: The file; it may name only what it changes.
        base: What holds where the file is silent, as nested mappings.
        overrides: Dotted keys and values, as from `--set`.

    Raises:
        LstmError: The file is missing, is no YAML, or holds an unknown key or a bad value.
    """
    return from_dict(_merge(base, read_settings(path)), overrides, str(path))


def read_settings(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings as nested mappings, unvalidated.

    Raises:
        LstmError: The file cannot be read, is not YAML, or is no mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        text = content.decode("utf-8-sig") if len(content) <= _MAX_BYTES else ""
    except FileNotFoundError:
        raise LstmError(
            f"There is no settings file {path}.",
            "See 'lstm config show imdb' for one to start from.",
            ExitCode.USAGE,
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LstmError(
            f"Cannot read the settings file {path}: {reason}.", "Check the path."
        ) from error
    if len(content) > _MAX_BYTES:
        raise LstmError(
            f"{path} is larger than the {_MAX_BYTES:,} bytes a file of settings may have.",
            "See 'lstm config show imdb' for what one looks like.",
            ExitCode.USAGE,
        )
    return parsing.mapping(text, str(path))


def preset_dict(name: str) -> dict[str, Any]:
    """Return a preset as nested mappings."""
    return parsing.mapping(preset_text(name), f"preset {name}")


def from_dict(
    settings: Mapping[str, Any], overrides: Mapping[str, Any] | None = None, where: str = "settings"
) -> Config:
    """Validate nested mappings into a Config.

    Args:
        settings: Sections and their settings.
        overrides: Dotted keys (`model.units`) and values laid over them.
        where: What to name in errors: a path, `preset imdb`.

    Raises:
        LstmError: An unknown key (the nearest is offered) or a value out of range (exit code 2).
    """
    nested: dict[str, Any] = _merge(settings, {})
    for key, value in (overrides or {}).items():
        _check_key(key)
        nested = _merge(nested, _nest(key, value))
    _check_keys(Config, nested, "", where)
    try:
        config = msgspec.convert(nested, Config, strict=False)
    except msgspec.ValidationError as error:
        raise LstmError(
            _explain(error, nested, where),
            "'lstm config describe' shows every setting, its type and its range.",
            ExitCode.USAGE,
        ) from None
    _check_sections(config, where)
    return config


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse `--set` arguments: `model.units=64` -> `{"model.units": 64}`.

    Raises:
        LstmError: An argument has no `=`, or its value is no YAML scalar.
    """
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise LstmError(
                f"--set expects KEY=VALUE, found '{shortened(assignment)}'.",
                "For example: --set model.units=64",
                ExitCode.USAGE,
            )
        try:
            overrides[key.strip()] = parsing.value(value)
        except parsing.NO_YAML:
            raise LstmError(
                f"--set {shortened(key.strip())}: '{shortened(value)}' is not a YAML value.",
                "Quote it, for example: --set 'data.text_column=\"a: b\"'",
                ExitCode.USAGE,
            ) from None
    return overrides


def to_dict(config: Config) -> dict[str, Any]:
    """Return the settings as nested plain mappings, sections that do not apply left out."""
    nested: dict[str, Any] = msgspec.to_builtins(config)
    return {key: value for key, value in nested.items() if value is not None}


def dotted(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings into dotted keys: `{"model": {"units": 3}}` -> `model.units`."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def to_yaml(config: Config) -> str:
    """Return every setting as YAML; `from_yaml` reads it back to an equal Config."""
    return str(yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))


def from_yaml(text: str, where: str) -> Config:
    """Read what `to_yaml` wrote.

    Raises:
        LstmError: The text is no valid configuration.
    """
    return from_dict(parsing.mapping(text, where), None, where)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a settings file, for editors."""
    return msgspec.json.schema(Config)


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay nested mappings over others; neither is changed."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def _nest(dotted: str, value: Any) -> dict[str, Any]:
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return dict(value)


def _fields(struct: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """Map a section's keys to the section below each, or None for a plain setting."""
    hints = get_type_hints(struct)
    below: dict[str, type[msgspec.Struct] | None] = {}
    for name in struct.__struct_fields__:
        kinds = (hints[name], *get_args(hints[name]))
        below[name] = next(
            (k for k in kinds if isinstance(k, type) and issubclass(k, msgspec.Struct)), None
        )
    return below


def all_keys() -> list[str]:
    """List every dotted key a configuration may have."""
    keys = []
    for name, section in _fields(Config).items():
        keys += [name] if section is None else [f"{name}.{k}" for k in section.__struct_fields__]
    return keys


def _check_key(dotted: str) -> None:
    """Refuse a `--set` key that does not exist."""
    if dotted not in all_keys():
        raise LstmError(
            f"There is no setting '{shortened(dotted)}'.",
            suggest(dotted, all_keys()),
            ExitCode.USAGE,
        )


def _check_keys(
    struct: type[msgspec.Struct], settings: Mapping[Any, Any], prefix: str, where: str
) -> None:
    """Refuse unknown keys, naming the nearest known ones."""
    known = _fields(struct)
    for key, value in settings.items():
        if key not in known:
            told = f"{prefix}{shortened(key) if isinstance(key, str) else _shown(key)}"
            raise LstmError(
                f"{where}: there is no setting '{told}'.",
                suggest(told, [f"{prefix}{k}" for k in known]),
                ExitCode.USAGE,
            )
        section = known[key]
        if section is not None and isinstance(value, Mapping):
            _check_keys(section, value, f"{prefix}{key}.", where)


def _explain(error: msgspec.ValidationError, nested: Mapping[str, Any], where: str) -> str:
    """Turn msgspec's `Expected ... - at $.model.units` into a sentence with the value."""
    problem, _, path = str(error).partition(" - at `$")
    key = path.rstrip("`").lstrip(".")
    found: Any = nested
    for part in filter(None, key.split(".")):
        found = found.get(part) if isinstance(found, Mapping) else None
    problem = _in_words(problem[:1].lower() + problem[1:].rstrip("."))
    if options := _options(key):
        problem = f"expected one of {', '.join(options)}"
    return f"{where}: {key or 'top level'}: {problem}; found {_shown(found)}."


def _in_words(problem: str) -> str:
    """Replace msgspec's names of types and its signs by words."""
    problem = re.sub(r", got `.*`$", "", problem)
    for pattern, words in _WORDS:
        problem = re.sub(pattern, words, problem)
    return problem


def _shown(value: Any) -> str:
    """Name a value in a few words: lists of lists and numbers of any size come in a few bytes."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | set):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of over 64 bits"
    return reprlib.repr(value)


def _options(dotted: str) -> tuple[str, ...]:
    """Return the words a setting is chosen from, or none where it is no choice."""
    section, _, key = dotted.partition(".")
    below = _fields(Config).get(section)
    kind = get_type_hints(below).get(key) if below is not None else None
    return get_args(kind) if get_origin(kind) is Literal else ()


def _check_sections(config: Config, where: str) -> None:
    """Hold that a text run has text settings and an image run has image settings, not both."""
    if config.image is None:
        missing = [n for n in ("text", "embedding") if getattr(config, n) is None]
        if missing:
            raise LstmError(
                f"{where}: a text classifier needs the section '{missing[0]}:'.",
                "Start from 'lstm config show text'; for images give 'image:' instead.",
                ExitCode.USAGE,
            )
        if config.train.self_training and config.linear is None:
            raise LstmError(
                f"{where}: train.self_training needs the section 'linear:', whose verdicts on "
                "texts without labels are what it begins with.",
                "Add 'linear: {}', or leave out train.self_training.",
                ExitCode.USAGE,
            )
        return
    if config.train.self_training:
        raise LstmError(
            f"{where}: train.self_training has no meaning for images: it learns from texts without "
            "labels.",
            "Leave out train.self_training.",
            ExitCode.USAGE,
        )
    apart = ("text", "embedding", "linear", "language")
    extra = [name for name in apart if getattr(config, name) is not None]
    if extra:
        raise LstmError(
            f"{where}: the section '{extra[0]}:' has no meaning for images, which have 'image:'.",
            f"Leave out '{extra[0]}'.",
            ExitCode.USAGE,
        )

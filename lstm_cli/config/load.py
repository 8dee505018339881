"""Settings from presets, files and `--set`, merged and validated."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import yaml

from lstm_cli.config.check import check_sections
from lstm_cli.config.schema import Config
from lstm_cli.config.yaml import YAML_ERRORS, parse_mapping, parse_value
from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.io.text_format import shorten

_WORDS = (
    (r"`int( \| null)?`", "a whole number"),
    (r"`float( \| null)?`", "a number"),
    (r"`str( \| null)?`", "text"),
    (r"`bool( \| null)?`", "true or false"),
    (r"`object( \| null)?`", "a section"),
    (r"`array( \| null)?`", "a list"),
    (r" of length >= (\S+)", r" of \1 or more characters"),
    (r" >= (\S+)", r" of \1 or more"),
    (r" <= (\S+)", r" of \1 or less"),
    (r" > (\S+)", r" above \1"),
    (r" < (\S+)", r" below \1"),
)
# Maximum size of a settings file. A file with every setting has a twentieth of it.
_MAX_BYTES = 64 << 10
_AUTO_COMMENT = (
    "# Training chooses the settings that 'auto' lists from the data. A setting that you set\n"
    "# here or with --set is not chosen.\n"
)
_EXAMPLE = "Run 'lstm config show imdb' for an example."


def presets_dir() -> Path:
    """Return the folder of presets: in the installed package, or in a checkout."""
    inside = Path(__file__).parents[1] / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "configs"


def preset_names() -> list[str]:
    """Return the names of the presets, sorted."""
    return sorted(path.stem for path in presets_dir().glob("*.yaml"))


def preset_text(name: str) -> str:
    """Return the YAML of a preset, with its comments.

    Raises:
        LstmError: There is no such preset; the hint suggests similar names.
    """
    if name not in preset_names():
        raise _usage(f"There is no preset '{name}'.", suggest(name, preset_names()))
    return (presets_dir() / f"{name}.yaml").read_text(encoding="utf-8")


def load_preset(name: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a preset and apply overrides by dotted key."""
    return from_dict(preset_dict(name), overrides, f"preset {name}")


def load_file(path: Path, base: Mapping[str, Any], overrides: Mapping[str, Any]) -> Config:
    """Read a YAML file of settings, on top of a base, and apply overrides.

    Args:
        path: The file; settings that are not in it come from the base.
        base: Default settings as nested mappings, such as those of a preset.
        overrides: Values by dotted key, as from `--set`.

    Raises:
        LstmError: The file is missing or not valid YAML, or has an unknown key or invalid value.
    """
    changes = read_settings(path)
    merged = _without_auto(_merge(base, changes), flatten(changes))
    if "auto" not in changes and merged.get("image") is not None and base.get("image") is None:
        # What the preset of texts chooses is not for images.
        merged["auto"] = []
    return from_dict(merged, overrides, str(path))


def read_settings(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings as nested mappings, without validation.

    Raises:
        LstmError: The file is missing or cannot be read (exit code 3), or not a YAML mapping (2).
    """
    return parse_mapping(read_text(path), str(path))


def read_text(path: Path, kind: str = "settings file", example: str = _EXAMPLE) -> str:
    """Read a small YAML file.

    Args:
        path: The file.
        kind: What it is, for error messages.
        example: Where to find an example, for error messages.

    Raises:
        LstmError: The file is missing or cannot be read (exit code 3), or is too large or not
            UTF-8 (2).
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        text = content.decode("utf-8-sig") if len(content) <= _MAX_BYTES else ""
    except FileNotFoundError:
        raise LstmError(f"There is no {kind} {path}.", example, ExitCode.DATA) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LstmError(
            f"Cannot read the {kind} {path}: {reason}.",
            "Check the path.",
            ExitCode.DATA if isinstance(error, OSError) else ExitCode.USAGE,
        ) from error
    if len(content) > _MAX_BYTES:
        raise _usage(f"{path} is larger than {_MAX_BYTES:,} bytes, the limit of a {kind}.", example)
    return text


def preset_dict(name: str) -> dict[str, Any]:
    """Return a preset as nested mappings."""
    return parse_mapping(preset_text(name), f"preset {name}")


def from_dict(
    settings: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    source: str = "settings",
) -> Config:
    """Convert nested mappings to a Config and validate it.

    Args:
        settings: Sections and their settings.
        overrides: Values by dotted key, such as `model.units`.
        source: Source of the settings for error messages: a path, or `preset imdb`.

    Raises:
        LstmError: There is an unknown key or an invalid value (exit code 2).
    """
    nested: dict[str, Any] = _merge(settings, {})
    for key, value in (overrides or {}).items():
        _check_key(key)
        nested = _merge(nested, _nest(key, value))
    nested = _without_auto(nested, overrides or {})
    _check_keys(Config, nested, "", source)
    try:
        config = msgspec.convert(nested, Config, strict=False)
    except msgspec.ValidationError as error:
        raise _usage(
            _explain(error, nested, source),
            "'lstm config describe' shows every setting, its type and its range.",
        ) from None
    check_sections(config, source)
    return config


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse `--set` arguments: `model.units=64` -> `{"model.units": 64}`.

    Raises:
        LstmError: An argument has no `=`, its value is not valid YAML, or a setting is set twice.
    """
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise _usage(
                f"--set expects KEY=VALUE, found '{shorten(assignment)}'.",
                "For example: --set model.units=64",
            )
        if key.strip() in overrides:
            raise _usage(f"--set {shorten(key.strip())} is given twice.", "Set it once.")
        try:
            overrides[key.strip()] = parse_value(value)
        except YAML_ERRORS:
            raise _usage(
                f"--set {shorten(key.strip())}: '{shorten(value)}' is not a valid YAML value.",
                "Quote the value, for example: --set 'data.label_column=\"a: b\"'",
            ) from None
    return overrides


def to_dict(config: Config) -> dict[str, Any]:
    """Return the settings as nested JSON types, without the sections that are not used."""
    nested: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(config))
    return {key: value for key, value in nested.items() if value is not None}


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to dotted keys: `{"model": {"units": 3}}` -> `model.units`."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def to_yaml(config: Config) -> str:
    """Return every setting as YAML; `from_yaml` returns an equal Config."""
    return str(yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))


def full_preset_text(name: str) -> str:
    """Return every setting of a preset as YAML, for a settings file to start from.

    Settings that training chooses from the data are left out, because those in a file are not
    chosen.

    Raises:
        LstmError: There is no such preset.
    """
    config = load_preset(name)
    if not config.auto:
        return to_yaml(config)
    nested = to_dict(config)
    for key in config.auto:
        section, _, setting = key.partition(".")
        del nested[section][setting]
    return _AUTO_COMMENT + str(yaml.safe_dump(nested, sort_keys=False, allow_unicode=True))


def from_yaml(text: str, source: str) -> Config:
    """Read the YAML of `to_yaml`.

    Raises:
        LstmError: The text is not valid.
    """
    return from_dict(parse_mapping(text, source), None, source)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a settings file, for editors and for documentation."""
    return msgspec.json.schema(Config)


def _usage(message: str, hint: str) -> LstmError:
    return LstmError(message, hint, ExitCode.USAGE)


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; neither argument is changed."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _without_auto(nested: dict[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """Return settings in which these keys are not chosen from the data: somebody set them.

    Args:
        nested: Settings; `auto` may be invalid, which is checked later.
        keys: Dotted keys, or a section, if it is null.
    """
    auto = nested.get("auto")
    if not isinstance(auto, list | tuple):
        return nested
    return nested | {
        "auto": [
            key
            for key in auto
            if not isinstance(key, str) or (key not in keys and key.partition(".")[0] not in keys)
        ]
    }


def _nest(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _fields(struct: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """Map each key of a section to its subsection, or to None for a plain setting."""
    hints = get_type_hints(struct)
    sections: dict[str, type[msgspec.Struct] | None] = {}
    for name in struct.__struct_fields__:
        types = (hints[name], *get_args(hints[name]))
        sections[name] = next(
            (t for t in types if isinstance(t, type) and issubclass(t, msgspec.Struct)), None
        )
    return sections


def all_keys() -> list[str]:
    """Return the dotted key of every setting."""
    keys = []
    for name, section in _fields(Config).items():
        keys += [name] if section is None else [f"{name}.{k}" for k in section.__struct_fields__]
    return keys


def _check_key(key: str) -> None:
    """Check that a key of `--set` exists."""
    if key not in all_keys():
        raise _usage(f"There is no setting '{shorten(key)}'.", suggest(key, all_keys()))


def _check_keys(
    struct: type[msgspec.Struct], settings: Mapping[Any, Any], prefix: str, source: str
) -> None:
    """Check that all keys exist; the hint suggests similar keys."""
    known = _fields(struct)
    for key, value in settings.items():
        if key not in known:
            name = f"{prefix}{shorten(key) if isinstance(key, str) else _format(key)}"
            raise _usage(
                f"{source}: there is no setting '{name}'.",
                suggest(name, [f"{prefix}{k}" for k in known]),
            )
        section = known[key]
        if section is not None and isinstance(value, Mapping):
            _check_keys(section, value, f"{prefix}{key}.", source)


def _explain(error: msgspec.ValidationError, nested: Mapping[str, Any], source: str) -> str:
    """Turn msgspec's `Expected ... - at $.model.units` into a message with key and value."""
    problem, _, path = str(error).partition(" - at `$")
    key = path.rstrip("`").lstrip(".")
    value: Any = nested
    # In a list, the key ends with the index: `data.unlabeled[0]`.
    name, bracket, index = key.partition("[")
    for part in filter(None, name.split(".")):
        value = value.get(part) if isinstance(value, Mapping) else None
    if bracket:
        value = value[int(index.rstrip("]"))]
    problem = _in_words(problem[:1].lower() + problem[1:].rstrip("."))
    if choices := _choices(key):
        problem = f"expected {choices}"
    return f"{source}: {key or 'top level'}: {problem}; found {_format(value)}."


def _in_words(problem: str) -> str:
    """Replace msgspec's names of types and its signs by words."""
    problem = re.sub(r", got `.*`$", "", problem)
    for pattern, words in _WORDS:
        problem = re.sub(pattern, words, problem)
    return problem


def _format(value: Any) -> str:
    """Format a value briefly: YAML can expand to very large lists and numbers."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | set):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of over 64 bits"
    return reprlib.repr(value)


def _choices(dotted: str) -> str:
    """Return the allowed values of a setting that is a choice in words, else an empty text."""
    section, _, key = dotted.partition(".")
    struct = _fields(Config).get(section)
    hint = get_type_hints(struct).get(key) if struct is not None else None
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    kinds = get_args(hint)
    names = [name for kind in kinds if get_origin(kind) is Literal for name in get_args(kind)]
    return f"{', '.join(names)}, or a number from 0 to 1" if names and float in kinds else ""

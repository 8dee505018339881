"""Settings in words: type, range, default and meaning, read from the schema."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from lstm_cli.config.auto import AUTO_KEYS
from lstm_cli.config.load import all_keys
from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError, suggest

_TYPE_NAMES = {int: "integer", float: "number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class SettingDescription:
    """A setting for people.

    Attributes:
        key: Dotted key: `model.units`.
        type: Type with its range: `integer, 1 to 8`.
        default: Value where no preset and no option sets another.
        description: What it means.
    """

    key: str
    type: str
    default: str
    description: str


def describe(key: str | None = None) -> dict[str, list[SettingDescription]]:
    """Describe settings by section, in the order of the schema.

    Args:
        key: A section or a setting; None for all.

    Raises:
        LstmError: There is no such section or setting; similar names are offered (exit code 2).
    """
    sections: dict[str, list[SettingDescription]] = {}
    hints = get_type_hints(Config, include_extras=True)
    for field in msgspec.structs.fields(Config):
        struct = _section_of(hints[field.name])
        if struct is None:
            sections.setdefault("", []).append(_describe(field.name, hints[field.name], field))
            continue
        section_hints = get_type_hints(struct, include_extras=True)
        sections[field.name] = [
            _describe(f"{field.name}.{setting.name}", section_hints[setting.name], setting)
            for setting in msgspec.structs.fields(struct)
        ]
    sections = {f"{name}: {_purpose(name)}" if name else "": s for name, s in sections.items()}
    if key is None:
        return sections
    chosen = {
        title: [s for s in settings if key in (s.key, s.key.partition(".")[0])]
        for title, settings in sections.items()
    }
    chosen = {title: settings for title, settings in chosen.items() if settings}
    if not chosen:
        names = [*(f.name for f in msgspec.structs.fields(Config)), *all_keys()]
        raise LstmError(f"There is no setting '{key}'.", suggest(key, names), ExitCode.USAGE)
    return chosen


def _purpose(section: str) -> str:
    """Return the first line of the docstring of a section."""
    struct = _section_of(get_type_hints(Config, include_extras=True)[section])
    return (struct.__doc__ or "").splitlines()[0] if struct else ""


def _section_of(hint: Any) -> type[msgspec.Struct] | None:
    for part in (hint, *get_args(hint)):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def _describe(key: str, hint: Any, field: Any) -> SettingDescription:
    kind, metas, optional = _unwrap(hint)
    texts = [meta.description for meta in metas if meta.description]
    if key in AUTO_KEYS:
        texts.append("the preset text chooses it from the data")
    return SettingDescription(
        key, _type_text(kind, metas), _default_text(field.default, optional), "; ".join(texts)
    )


def _unwrap(hint: Any) -> tuple[Any, list[Meta], bool]:
    """Return the plain type of a setting, all its metadata, and whether it may be left out."""
    if get_origin(hint) is Annotated:
        inner, *extras = get_args(hint)
        kind, metas, optional = _unwrap(inner)
        return kind, [*metas, *(meta for meta in extras if isinstance(meta, Meta))], optional
    if get_origin(hint) in (Union, UnionType):
        parts = [part for part in get_args(hint) if part is not NoneType]
        if len(parts) > 1:
            return hint, [], False
        kind, metas, _ = _unwrap(parts[0])
        return kind, metas, True
    return hint, [], False


def _type_text(kind: Any, metas: list[Meta]) -> str:
    if get_origin(kind) is Literal:
        return " | ".join(get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return " | ".join(_type_text(*_unwrap(part)[:2]) for part in get_args(kind))
    if get_origin(kind) is tuple:
        item, comma, rest = _type_text(*_unwrap(get_args(kind)[0])[:2]).partition(",")
        return f"list of {item}s{comma}{rest}"
    name = _TYPE_NAMES.get(kind, str(kind))
    bounds = {}
    for meta in metas:
        for bound in ("ge", "gt", "le", "lt"):
            if getattr(meta, bound) is not None:
                bounds[bound] = (
                    f"{getattr(meta, bound):,g}" if kind is float else (f"{getattr(meta, bound):,}")
                )
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [f"{word} {bounds[bound]}" for bound, word in words.items() if bound in bounds]
    if "ge" in bounds and "le" in bounds:
        limits = [f"{bounds['ge']} to {bounds['le']}"]
    return ", ".join([name, *limits])


def _default_text(default: Any, optional: bool) -> str:
    if default is msgspec.NODEFAULT:
        return "none" if optional else "(required)"
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:,}" if isinstance(default, int) else str(default)

"""Groups of options that several commands share, each declared once.

Typer makes an option of every parameter of a command. With `with_groups`, a parameter that is
annotated with a dataclass stands for all fields of the class, in their order:

    @dataclass(frozen=True)
    class TableFormat:
        encoding: Encoding = None
        delimiter: Delimiter = None

    @with_groups
    def command(dataset: Dataset, table_format: TableFormat, json: Json = False) -> None: ...

This command has the options `--encoding`, `--delimiter` and `--json`, and gets the first two as
`table_format.encoding` and `table_format.delimiter`. A field of a group may be a group, too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

_EMPTY = inspect.Parameter.empty


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with one parameter for each option of its groups.

    Args:
        command: Its parameters may be annotated with groups, whose options have defaults.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        group = groups.get(parameter.name)
        if group is None:
            parameters.append(_option(parameter.name, hints[parameter.name], parameter.default))
        else:
            parameters += _options(group)

    @functools.wraps(command)
    def call(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = _take(group, values)
        command(**values)

    # What Typer reads: `inspect.signature` and `typing.get_type_hints`.
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def _options(group: Any) -> list[inspect.Parameter]:
    """Return the options of a group as parameters."""
    parameters = []
    for field in fields(group):
        annotation = _types(group)[field.name]
        if is_dataclass(annotation):
            parameters += _options(annotation)
        else:
            parameters.append(_option(field.name, annotation, field.default))
    return parameters


def _take(group: Any, values: dict[str, Any]) -> Any:
    """Return a group with its values, which are removed from those of all options."""
    types = _types(group)
    return group(
        **{
            name: _take(types[name], values) if is_dataclass(types[name]) else values.pop(name)
            for name in (field.name for field in fields(group))
        }
    )


@functools.cache
def _types(group: Any) -> dict[str, Any]:
    return get_type_hints(group, include_extras=True)


def _option(name: str, annotation: Any, default: Any = _EMPTY) -> inspect.Parameter:
    # By keyword, so that options with and without a default may follow one another.
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)

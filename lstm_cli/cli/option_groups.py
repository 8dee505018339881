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
`table_format.encoding` and `table_format.delimiter`.
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
        command: Its parameters may be annotated with dataclasses whose fields have defaults.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        group = groups.get(parameter.name)
        if group is None:
            parameters.append(_option(parameter.name, hints[parameter.name], parameter.default))
            continue
        parameters += _options(group)

    @functools.wraps(command)
    def call(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{each.name: values.pop(each.name) for each in fields(group)})
        command(**values)

    # What Typer reads: `inspect.signature` and `typing.get_type_hints`.
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


@functools.cache
def _options(group: Any) -> tuple[inspect.Parameter, ...]:
    """Return the options of a group as parameters."""
    types = get_type_hints(group, include_extras=True)
    return tuple(_option(each.name, types[each.name], each.default) for each in fields(group))


def _option(name: str, annotation: Any, default: Any = _EMPTY) -> inspect.Parameter:
    # By keyword, so that options with and without a default may follow one another.
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)

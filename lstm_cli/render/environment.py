"""The Jinja2 environment of all templates, for HTML and for Markdown."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_cli.io import text_format
from lstm_cli.render import plot_style

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


class Markup(str):
    """A string that is HTML or Markdown already; templates escape every other string."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the markup, for Jinja2."""
        return str(self)


@functools.cache
def environment(folder: Path, clean: Callable[[str], str]) -> Environment:
    """Return an environment that escapes what templates print; it compiles each template once.

    Filters: `number`, `percent`, `interval` and `duration` show a missing value as a dash;
    `pluralize`; `abbreviate_count`; `short_label`; `quote` for a shell.

    Args:
        folder: Where the templates are. Those of `lstm_cli/render/templates` can be used too.
        clean: Applied to each string that a template prints. Its result is escaped as HTML, unless
            it is `Markup`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    def finalize(value: Any) -> Any:
        is_data = isinstance(value, str) and not hasattr(value, "__html__")
        return clean(value) if is_data else value

    templates = Environment(
        loader=FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=finalize,
    )
    templates.filters |= {
        "number": text_format.number,
        "percent": plot_style.percent,
        "interval": text_format.interval,
        "duration": text_format.duration,
        "pluralize": text_format.pluralize,
        "abbreviate_count": text_format.abbreviate_count,
        "quote": shlex.quote,
        "short_label": text_format.short_label,
    }
    return templates

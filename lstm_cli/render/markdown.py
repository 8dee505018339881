"""Markdown from Jinja2 templates; data in it shows as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lstm_cli.io.text_format import clean
from lstm_cli.render.environment import Markup, environment


def render(template: Path, **values: Any) -> str:
    """Render Markdown.

    Every string that the template prints is escaped: one line, shown as it is. Do not use `~` or
    Jinja2's `join` in these templates, because both escape for HTML. Filters beside those of
    `environment`: `code_block("sh")` for lines of code, and `comma_separated` for names.

    Args:
        template: A template. Those of `lstm_cli/render/templates` can be imported by name.
        **values: The template's variables.
    """
    templates = environment(template.parent, escape)
    templates.filters |= {"code_block": _code_block, "comma_separated": _comma_separated}
    return templates.get_template(template.name).render(**values)


def escape(text: str) -> Markup:
    """Escape text for a line or table cell of Markdown, so that it shows as it is.

    Args:
        text: Any text.

    Returns:
        One line without control and direction characters, markup characters escaped.
    """
    text = " ".join(clean(text).split())
    # An underscore before a letter cannot end emphasis, and emphasis that does not end is text.
    text = re.sub(r"([\\`*\[\]<>#|~$&]|_(?![^\W_]))", r"\\\1", text)
    # At the start of a line these would begin a list, a rule or a heading; a number would not.
    text = re.sub(r"^(\d*)([-+=.)])(?!\d)", r"\1\\\2", text)
    # GitHub turns bare addresses into links.
    return Markup(re.sub(r"(?i)(?<=:)(?=//)|(?<=\bwww)(?=\.)", r"\\", text))


def _code_block(code: str, language: str) -> Markup:
    """Fence code, with a fence longer than any run of backticks in it."""
    lines = "\n".join(clean(line).rstrip() for line in code.split("\n"))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", lines)), default=0))
    return Markup(f"{fence}{language}\n{lines}\n{fence}")


def _comma_separated(names: Iterable[str]) -> Markup:
    return Markup(", ".join(map(escape, names)))

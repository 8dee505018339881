"""Everything that commands print: results on stdout, notes and errors on stderr."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from lstm_cli.cli.styles import style
from lstm_cli.errors import LstmError
from lstm_cli.io.json_text import encode
from lstm_cli.io.text_format import clean, clean_lines, excerpt

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Wider than any table.
_NO_LIMIT = 100_000
# Characters that act on a terminal and that JSON does not escape.
_NOT_ESCAPED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@cache
def _stdout() -> Console:
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False, soft_wrap=False)


@cache
def stderr_console() -> Console:
    """Return the console on stderr; for progress bars."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def is_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout.isatty()


def print_line(text: str) -> None:
    """Print results for people; what a terminal would act on is replaced."""
    sys.stdout.write("\n".join(map(clean, text.split("\n"))) + "\n")


def write_data(text: str) -> None:
    """Write results for programs: unchanged, but safe where stdout is a terminal."""
    if is_terminal():
        text = "\n".join("\t".join(map(clean, line.split("\t"))) for line in text.split("\n"))
    sys.stdout.write(text)


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print one JSON object, indented, and nothing else."""
    sys.stdout.write(json_text(value, indent) + "\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """Return JSON for stdout that is safe on a terminal.

    NaN and infinite numbers become null: JSON has no word for them. Control characters, direction
    marks and halves of surrogate pairs are escaped, as is everything that is not ASCII if the
    encoding of stdout is not UTF-8.
    """
    is_utf8 = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    text = encode(value, indent=indent, ensure_ascii=not is_utf8)
    return _NOT_ESCAPED.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def print_error(error: LstmError) -> None:
    """Print an error and its hint on stderr."""
    from rich.text import Text

    console = stderr_console()
    console.print(
        Text.assemble(("Error: ", "bold red"), clean(excerpt(error.message))), soft_wrap=True
    )
    if error.hint:
        console.print(Text.assemble(("Try: ", "bold"), clean(excerpt(error.hint))), soft_wrap=True)


def print_note(text: str) -> None:
    """Print a line on stderr."""
    sys.stderr.write(clean(excerpt(text)) + "\n")
    sys.stderr.flush()


def print_heading(text: str) -> None:
    """Print a heading above a table of results."""
    _stdout().print(clean(text), style="bold")


def print_text(text: str) -> None:
    """Print text, on a terminal wrapped between words."""
    for line in text.split("\n"):
        _stdout().print(clean(line), soft_wrap=not is_terminal())


def print_styled(lines: Iterable[Sequence[tuple[str, str]]]) -> None:
    """Print lines of styled text, wrapped between words.

    Args:
        lines: For each line its parts, each a text and the name of a style (`styles.style`). Line
            breaks in the text are kept.
    """
    from rich.text import Text

    console = _stdout()
    for pieces in lines:
        line = Text(overflow="fold")
        for text, name in pieces:
            line.append(clean_lines(text), style(name, console.color_system))
        console.print(line)


def has_colour() -> bool:
    """Return whether stdout shows colours."""
    console = _stdout()
    return console.color_system is not None and not console.no_color


def width() -> int:
    """Return the width of stdout in columns."""
    return _stdout().width


def print_rows(
    rows: Iterable[Sequence[object]],
    columns: Sequence[str],
    right: Sequence[str] = (),
    title: str | None = None,
    unfolded: Sequence[str] = (),
) -> None:
    """Print a table of results.

    Args:
        rows: Cells; they are shown as they are, never as markup.
        columns: Headings.
        right: Headings of the columns that are aligned right.
        title: Printed above the table.
        unfolded: Headings of the columns whose cells stay on one line, so that they can be copied;
            lines may then be longer than the terminal is wide.
    """
    from rich.cells import cell_len

    if title:
        print_heading(title)
    table = _table(columns, right)
    cells = [[clean(str(cell)) for cell in row] for row in rows]
    for row in cells:
        table.add_row(*row)
    for index, column in enumerate(columns):
        if column in unfolded:
            widths = (cell_len(row[index]) for row in cells)
            table.columns[index].min_width = max(cell_len(clean(column)), *widths, 0)
    console = _stdout()
    limits = console.measure(table, options=console.options.update(width=_NO_LIMIT))
    table.width = max(limits.minimum, min(limits.maximum, console.width))
    console.print(table, crop=False, soft_wrap=True)


def print_key_values(pairs: Mapping[str, object], title: str | None = None) -> None:
    """Print names and values, one pair per line."""
    from rich.table import Table

    if title:
        print_heading(title)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs.items():
        table.add_row(clean(name), clean(str(value)))
    _stdout().print(table)


def _table(columns: Sequence[str], right: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        # A heading may be a label, which is data.
        heading = Text(clean(column))
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    return table

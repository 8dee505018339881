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
# On a terminal, a word in a column of at least this width is broken if the table would not fit.
_MIN_WIDTH = 12
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
    least: Sequence[str] = (),
) -> None:
    """Print a table of results.

    Args:
        rows: Cells; they are shown as they are, never as markup. A list is shown as lines.
        columns: Headings.
        right: Headings of the columns that are aligned right.
        title: Printed above the table.
        unfolded: Headings of the columns whose cells stay on one line, so that they can be copied;
            lines may then be longer than the terminal is wide.
        least: Headings of the columns that a terminal lacks on which the others would not fit, the
            least important first. A line on stderr names them.
    """
    if title:
        print_heading(title)
    cells = [[_cell(cell) for cell in row] for row in rows]
    console, hidden = _stdout(), 0
    table, (minimum, maximum) = _table(cells, columns, right, unfolded)
    while is_terminal() and minimum > console.width and hidden < len(least):
        hidden += 1
        kept = [i for i, column in enumerate(columns) if column not in least[:hidden]]
        kept_cells = [[row[i] for i in kept] for row in cells]
        table, (minimum, maximum) = _table(kept_cells, [columns[i] for i in kept], right, unfolded)
    table.width = max(minimum, min(maximum, console.width))
    console.print(table, crop=False, soft_wrap=True)
    if hidden:
        print_note(f"Not shown, because the terminal is narrow: {', '.join(least[:hidden])}.")


def fits(rows: Iterable[Sequence[object]], columns: Sequence[str]) -> bool:
    """Return whether a table needs no folded lines; always true where stdout is not a terminal."""
    if not is_terminal():
        return True
    _, (_, maximum) = _table([[_cell(cell) for cell in row] for row in rows], columns)
    return maximum <= width()


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


def _cell(value: object) -> str:
    """Return the text of a cell without what a terminal would act on."""
    lines = value if isinstance(value, list) else [value]
    return "\n".join(clean(str(line)) for line in lines)


def _table(
    rows: Sequence[Sequence[str]],
    columns: Sequence[str],
    right: Sequence[str] = (),
    unfolded: Sequence[str] = (),
) -> tuple[Table, tuple[int, int]]:
    """Return a table, and its smallest and largest width in columns of the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    breakable = 0
    for index, column in enumerate(columns):
        # A heading may be a label, which is data.
        heading = clean(column)
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(Text(heading), justify=justify, overflow="fold")
        cells = [heading, *(row[index] for row in rows)]
        if column in unfolded:
            lines = (line for cell in cells for line in cell.split("\n"))
            table.columns[index].min_width = max(map(cell_len, lines))
            table.columns[index].no_wrap = True
        elif is_terminal():
            longest = max((cell_len(word) for cell in cells for word in cell.split()), default=0)
            breakable += max(0, longest - max(_MIN_WIDTH, cell_len(heading)))
    for row in rows:
        table.add_row(*row)
    console = _stdout()
    limits = console.measure(table, options=console.options.update(width=_NO_LIMIT))
    return table, (limits.minimum - breakable, limits.maximum)

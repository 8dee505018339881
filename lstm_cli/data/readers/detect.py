"""Which format of rows a text has: by its first lines, and by the name of its file.

The content decides where it shows the format: `{"text": ...` is JSON whatever the name. CSV with
one column looks like plain lines, so there the name decides. Without the name of a table, a first
line is the header of a table if it has two fields or more, and one has a usual name (`text`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import PurePath

from lstm_cli.data.readers.columns import COMMON_NAMES
from lstm_cli.data.readers.read_options import Format, ReadOptions
from lstm_cli.errors import ExitCode, LstmError

FASTTEXT_PREFIX = "__label__"
COMPRESSED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
# Files with these names hold lines, unless their content shows a table.
LINES_SUFFIXES = (".txt", ".text")
DELIMITERS = (";", "\t", ",", "|")
_SEPARATOR_LINE = re.compile('"?sep=(.)"?', re.IGNORECASE)
# Names of columns are short, and not sentences.
_MAX_NAME = 40
_MAX_WORDS = 4
_MIN_LINES = 3


def format_by_name(name: str) -> Format | None:
    """Return the format that the name of a file stands for, also with `.gz` behind it."""
    path = PurePath(name.lower())
    if path.suffix in COMPRESSED_SUFFIXES:
        path = path.with_suffix("")
    return _FORMATS.get(path.suffix)


def looks_like_file(name: str) -> bool:
    """Return whether a name ends like the name of a table or of a text file."""
    suffix = PurePath(name.lower()).suffix
    return suffix in (*_FORMATS, *LINES_SUFFIXES, *COMPRESSED_SUFFIXES, ".xlsx", ".xls")


def text_format(
    head: str, name: str, options: ReadOptions, text_columns: Sequence[str] = ()
) -> Format:
    """Return the format in which a text is read: the requested one, or what its content shows.

    Args:
        head: The first characters.
        name: The name of the file.
        options: How to read it.
        text_columns: As for `detect_format`.

    Raises:
        LstmError: It is unclear whether it is a table (exit code 2).
    """
    if options.format != "auto":
        return options.format
    return detect_format(head, name, text_columns) or "lines"


def detect_format(
    head: str, name: str, text_columns: Sequence[str] = (), may_ask: bool = True
) -> Format | None:
    """Return the format of a text; None if nothing shows that it is a table.

    Args:
        head: The first characters, or the whole text.
        name: The name of the file.
        text_columns: Columns that may hold the texts, beside those of usual names.
        may_ask: Whether to refuse what may be a table; else it counts as lines.

    Raises:
        LstmError: It looks like a table, but could also be lines (exit code 2).
    """
    by_name = format_by_name(name)
    start = head.lstrip()
    if re.match(r"\[\s*(?:\{|\]\s*$)", start) or (by_name == "json" and start.startswith("[")):
        return "json"
    if re.match(r"\{\s*(?:[\"'}]|$)", start):
        return _objects_format(start)
    if start.startswith(FASTTEXT_PREFIX):
        return "fasttext"
    if by_name in ("csv", "tsv"):
        return by_name
    line = first_line(head)
    if separator_line(line):
        return "csv"
    delimiter = find_delimiter(line)
    fields = split_fields(line, delimiter)
    if _is_header(fields, text_columns) and (
        f"{delimiter} " not in line or _next_line_agrees(head, delimiter, len(fields))
    ):
        return "tsv" if delimiter == "\t" else "csv"
    if by_name is not None or not may_ask:
        return by_name
    if _looks_like_table(head, delimiter, fields):
        raise _cannot_tell(name, len(fields), delimiter)
    return None


def first_line(text: str) -> str:
    """Return the first line of a text without its end."""
    return re.split(r"[\r\n]", text, maxsplit=1)[0]


def separator_line(line: str) -> str | None:
    """Return the delimiter that a first line such as `sep=;` names; None if it is another line."""
    match = _SEPARATOR_LINE.fullmatch(line.strip("\r\n"))
    return match[1] if match else None


def find_delimiter(line: str, usual: str = ",") -> str:
    """Return what separates the fields of a header.

    Args:
        line: The first line of a table.
        usual: The delimiter of the format, which is taken if it occurs.
    """
    outside = re.sub(r'"(?:[^"]|"")*"', "", line)
    if usual in outside:
        return usual
    return next((char for char in DELIMITERS if char in outside), usual)


def delimiter_of_rows(lines: Sequence[str], usual: str) -> str:
    """Return what separates the fields of a table without a header.

    Args:
        lines: Its first lines, the last of which may be cut.
        usual: The delimiter of the format, which is taken if nothing fits better.
    """
    counts = {
        char: {len(split_fields(line, char)) for line in lines if line.strip()}
        for char in (usual, *DELIMITERS)
    }
    even = [char for char, numbers in counts.items() if len(numbers) == 1 and numbers != {1}]
    return even[0] if even else find_delimiter(lines[0] if lines else "", usual)


def split_fields(line: str, delimiter: str) -> list[str]:
    """Return the fields of a line, without the double quotes around them."""
    parts = re.findall(
        rf'(?:^|{re.escape(delimiter)})("(?:[^"]|"")*"|[^{re.escape(delimiter)}]*)',
        line.rstrip("\r\n"),
    )
    return [part.strip().strip('"').strip() for part in parts]


def _is_header(fields: Sequence[str], text_columns: Sequence[str]) -> bool:
    """Return whether fields are names of columns, of which one is that of a text."""
    known = {*COMMON_NAMES["text"], *(column.lower() for column in text_columns)}
    found = {field.lower() for field in fields}
    return len(fields) > 1 and bool(known & found) and _are_names(fields)


def _next_line_agrees(head: str, delimiter: str, num_fields: int) -> bool:
    """Return whether the second line has as many fields: `Hello, text` may be a sentence."""
    lines = re.split(r"\r\n|\n|\r", head, maxsplit=2)
    return len(lines) > 1 and len(split_fields(lines[1], delimiter)) == num_fields


def _are_names(fields: Sequence[str]) -> bool:
    """Return whether fields may be the names of columns: short, distinct, and not sentences."""
    named = [field for field in fields if field]
    return len(set(named)) == len(named) and all(
        len(field) <= _MAX_NAME
        and len(field.split()) <= _MAX_WORDS
        and not re.search(r"[.!?]$|^[\d.,]+$", field)
        for field in named
    )


def _looks_like_table(head: str, delimiter: str, fields: Sequence[str]) -> bool:
    """Return whether lines have the same number of fields, two or more, under names."""
    lines = [line for line in re.split(r"\r\n|\n|\r", head)[:100] if line.strip()]
    if len(fields) < 2 or len(lines) < _MIN_LINES or not _are_names(fields):
        return False
    whole = lines if len(lines) < 100 and head.endswith(("\n", "\r")) else lines[:-1] or lines
    return {len(split_fields(line, delimiter)) for line in whole} == {len(fields)}


def _objects_format(start: str) -> Format:
    """Return `jsonl` for an object per line, `json` for one over several lines, or several in one.

    Args:
        start: The first characters, from the first brace on.
    """
    line = first_line(start)
    try:
        _, end = json.JSONDecoder().raw_decode(start)
    except json.JSONDecodeError as error:
        # Cut off behind the first line: what was seen of it is right.
        is_cut = not start[error.pos :].strip() and len(line) < len(start.rstrip())
        return "json" if is_cut or line.strip() == "{" else "jsonl"
    except (ValueError, RecursionError):
        return "jsonl"
    rest = line[end:].strip()
    return "json" if end > len(line) or rest.startswith(("{", ",")) else "jsonl"


def _cannot_tell(name: str, num_fields: int, delimiter: str) -> LstmError:
    kind = "tsv" if delimiter == "\t" else "csv"
    return LstmError(
        f"{name}: cannot tell whether it is a table or plain lines. Its lines have {num_fields} "
        "fields each, but no column has a usual name such as text.",
        f"Give --input-format {kind} and --text-column NAME, or --input-format lines.",
        ExitCode.USAGE,
    )

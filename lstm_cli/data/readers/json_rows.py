"""JSONL, and JSON objects in an array or one after the other: rows of any JSON values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from lstm_cli.data.readers.columns import Record, format_value
from lstm_cli.data.readers.decode import MAX_LINE, ReplacementCounter
from lstm_cli.data.readers.row import Row
from lstm_cli.errors import LstmError

_SURROGATE = re.compile("[\ud800-\udfff]")
_JSONL_HINT = 'Each line must be one object such as {"text": "...", "label": "..."}.'
_SPREAD_HINT = "Give --input-format json, which reads objects over several lines or in one."
_PYTHON_HINT = "This is Python, not JSON: write the rows with json.dumps(row)."
_JSON_HINT = 'Expected an array of objects: [{"text": "...", "label": "..."}, ...].'
_SPACE, _BETWEEN = re.compile(r"\s*"), re.compile(r"[\s,]*")


def iter_json_lines(
    lines: Iterator[str], name: str, counter: ReplacementCounter | None
) -> Iterator[Row]:
    """Yield the rows of JSONL: each line is an object; blank lines are skipped.

    Args:
        lines: With their ends.
        name: The name of the source, for errors.
        counter: Counts the lines with half of a surrogate pair, which is then replaced.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = _parse_line(line, f"{name}, line {number}", number, counter)
        except LstmError as error:
            yield Row(number, {}, error)
        else:
            yield Row(number, record)


def iter_json_objects(
    pieces: Iterator[str], name: str, counter: ReplacementCounter | None
) -> Iterator[Row]:
    """Yield the objects of an array, or objects that follow each other, however they are laid out.

    Args:
        pieces: The text, in pieces of any length.
        name: The name of the source, for errors.
        counter: As for `iter_json_lines`.

    Raises:
        LstmError: The text is not JSON; what follows cannot be read.
    """
    text = _Text(pieces, name)
    is_array = text.skip(_SPACE) == "["
    if is_array:
        text.drop_first()
    while following := text.skip(_BETWEEN):
        if is_array and following == "]":
            text.drop_first()
            if text.skip(_SPACE):
                raise text.error("something follows the end of the array", _SPREAD_HINT)
            return
        line = text.line
        place = f"{name}, line {line}"
        value = text.next_value()
        if not isinstance(value, dict):
            found = f"{place}: expected a JSON object, found {format_value(value)}."
            yield Row(line, {}, LstmError(found, _JSON_HINT))
            continue
        try:
            yield Row(line, _replace_surrogates(value, place, line, counter))
        except LstmError as error:
            yield Row(line, {}, error)
    if is_array:
        raise text.error("the array has no end: expected ]", "Is the file whole?")


class _Text:
    """JSON text, of which no more is in memory than the next value needs.

    Attributes:
        line: The line of what comes next, counted from 1.
    """

    def __init__(self, pieces: Iterator[str], name: str) -> None:
        self._pieces = pieces
        self._name = name
        self._decoder = json.JSONDecoder(object_pairs_hook=_without_duplicates)
        self._buffer = ""
        self._start = 0
        self.line = 1

    def skip(self, pattern: re.Pattern[str]) -> str:
        """Skip what a pattern matches; return the character that follows, or "" at the end."""
        while True:
            match = pattern.match(self._buffer, self._start)
            self._go_to(match.end() if match else self._start)
            if self._start < len(self._buffer):
                return self._buffer[self._start]
            if not self._fill(1):
                return ""

    def drop_first(self) -> None:
        """Skip one character, which is not a line end."""
        self._start += 1

    def next_value(self) -> Any:
        """Return the value that begins here.

        Raises:
            LstmError: It is not JSON.
        """
        num_pieces = 1
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._start)
            except json.JSONDecodeError as error:
                if self._is_wrong(error) or not self._fill(num_pieces):
                    raise self._decode_error(error) from error
                num_pieces *= 2
            except (ValueError, RecursionError) as error:
                raise self.error(str(error), "") from error
            else:
                self._go_to(end)
                return value

    def error(self, reason: str, hint: str) -> LstmError:
        """Return an error that names the line."""
        return LstmError(f"{self._name}, line {self.line}: {reason}.", hint)

    def _is_wrong(self, error: json.JSONDecodeError) -> bool:
        """Return whether a value would be wrong however it goes on."""
        is_cut = error.msg.startswith("Unterminated") or not self._buffer[error.pos :].strip()
        if is_cut and len(self._buffer) - self._start > MAX_LINE:
            raise self.error(f"a value of more than {MAX_LINE >> 20} million characters", "")
        return not is_cut

    def _decode_error(self, error: json.JSONDecodeError) -> LstmError:
        self._go_to(error.pos)
        is_python = self._buffer.startswith("'", error.pos)
        return self.error(
            f"expected JSON, found: {error.msg}", _PYTHON_HINT if is_python else _JSON_HINT
        )

    def _go_to(self, position: int) -> None:
        self.line += self._buffer.count("\n", self._start, position)
        self._start = position

    def _fill(self, num_pieces: int) -> bool:
        """Read pieces behind what is left; return whether there was one."""
        pieces = list(islice(self._pieces, num_pieces))
        self._buffer = "".join([self._buffer[self._start :], *pieces])
        self._start = 0
        return bool(pieces)


def _parse_line(line: str, place: str, number: int, counter: ReplacementCounter | None) -> Record:
    """Parse a line of JSONL.

    Raises:
        LstmError: It is not an object.
    """
    try:
        record: Record = json.loads(line.rstrip("\r\n"), object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        found = f"{place}, column {error.colno}: expected a JSON object, found: {error.msg}."
        raise LstmError(found, _line_hint(line, error)) from error
    except (ValueError, RecursionError) as error:
        raise LstmError(f"{place}: {error}.") from error
    if not isinstance(record, dict):
        found = f"{place}: expected a JSON object, found {format_value(record)}."
        raise LstmError(found, _JSONL_HINT)
    if "\\u" in line:
        record = _replace_surrogates(record, place, number, counter)
    return record


def _line_hint(line: str, error: json.JSONDecodeError) -> str:
    """Return what to do about a line that is not an object: it may be a part, or several."""
    rest = line[error.pos :].strip()
    if rest.startswith("'"):
        return _PYTHON_HINT
    is_part = not rest and line.lstrip().startswith(("{", "["))
    is_several = error.msg == "Extra data" and rest.startswith((",", "{"))
    return _SPREAD_HINT if is_part or is_several else _JSONL_HINT


def _without_duplicates(pairs: list[tuple[str, Any]]) -> Record:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return record


def _replace_surrogates(
    record: Record, place: str, number: int, counter: ReplacementCounter | None
) -> Record:
    r"""Treat half of a surrogate pair, which a `\u` escape can write, like invalid bytes."""
    damaged_keys = [
        key for key, value in record.items() if isinstance(value, str) and _SURROGATE.search(value)
    ]
    if not damaged_keys:
        return record
    if counter is None:
        raise LstmError(
            f"{place}: {damaged_keys[0]!r} holds half of a surrogate pair, which is not text."
        )
    counter.add(number)
    return record | {key: _SURROGATE.sub("\ufffd", record[key]) for key in damaged_keys}

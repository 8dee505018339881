"""Decode bytes to lines of text; invalid bytes are an error, or are replaced and counted.

In data for training or evaluation, invalid bytes are an error that names the line: a wrong encoding
damages every accented word of a file, and the model would learn U+FFFD in their place. The user can
fix this by saving the file as UTF-8. In texts for prediction, invalid bytes are replaced and
counted, because one bad line must not stop a stream.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import BinaryIO

from lstm_cli.errors import LstmError

# UTF-32 comes first: its little-endian mark starts with the mark of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BLOCK = 1 << 16
_LINE_END = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")


@dataclass
class ReplacementCounter:
    """Counts the lines in which bytes were replaced by U+FFFD.

    Attributes:
        num_lines: Number of these lines.
        first_line: The first of them, counted from 1; 0 if there is none.
    """

    num_lines: int = 0
    first_line: int = 0

    def add(self, line: int) -> None:
        """Count a line."""
        self.first_line = self.first_line or line
        self.num_lines += 1


def decode_lines(
    stream: BinaryIO, name: str, counter: ReplacementCounter | None = None
) -> Iterator[str]:
    r"""Decode UTF-8, or the encoding of a byte order mark, line by line.

    Args:
        stream: Bytes; read only as far as lines are requested.
        name: The name of the stream, for errors.
        counter: Counts the lines with invalid bytes, which are then replaced. Without it, invalid
            bytes are an error.

    Yields:
        Lines with their ends (`\n`, `\r\n` or `\r`), without the byte order mark.

    Raises:
        LstmError: Bytes are invalid and `counter` is None.
    """
    first = stream.readline()
    for mark, encoding in _MARKS:
        if first.startswith(mark):
            yield from _wide_lines(first, stream, encoding, name, counter)
            return
    number = 0
    raw = first.removeprefix(codecs.BOM_UTF8)
    while raw:
        for line in _split_lines(_decode(raw, number + 1, name, counter)):
            number += 1
            yield line
        raw = stream.readline()


def _decode(raw: bytes, number: int, name: str, counter: ReplacementCounter | None) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        if counter is None:
            column = len(raw[: error.start].decode()) + 1
            raise _decode_error(
                name, number, f"byte 0x{raw[error.start]:02x} at column {column}"
            ) from error
    counter.add(number)
    return raw.decode(errors="replace")


def _split_lines(text: str) -> list[str]:
    """Split after each line end, including a lone carriage return."""
    if "\r" not in text and "\n" not in text[:-1]:
        return [text]
    return [line for line in _LINE_END.split(text) if line]


def _wide_lines(
    first: bytes, stream: BinaryIO, encoding: str, name: str, counter: ReplacementCounter | None
) -> Iterator[str]:
    """Yield lines of UTF-16 or UTF-32, in which a line end is more than one byte."""
    decoder = codecs.getincrementaldecoder(encoding)("strict" if counter is None else "replace")
    number, rest = 0, ""
    for block in chain([first], iter(partial(stream.read, _BLOCK), b""), [b""]):
        try:
            text = rest + decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise _decode_error(
                name, number + 1, f"invalid {encoding.upper()} there or later"
            ) from error
        end = text.rfind("\n") + 1 if block else len(text)
        rest = text[end:]
        for line in _split_lines(text[:end]) if end else ():
            number += 1
            if counter is not None and "\ufffd" in line:
                counter.add(number)
            yield line


def _decode_error(name: str, number: int, found: str) -> LstmError:
    return LstmError(
        f"{name}, line {number}: expected UTF-8 text, found {found}.",
        "Save the file as UTF-8, for example with `iconv -f LATIN1 -t UTF-8 FILE > NEW`.",
    )

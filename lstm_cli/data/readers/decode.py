"""Bytes -> lines of text, one at a time; what is no text is refused or replaced, never passed over.

Data to train or evaluate on is refused, with the line: a wrong encoding spoils every accented word
of a file, the model would learn U+FFFD in their place, and saving the file as UTF-8 mends it for
good. In texts to predict on, bytes are replaced and counted: one bad line must not stop
a stream.
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

# UTF-32 first: its little-endian mark starts with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BLOCK = 1 << 16
_LINE_END = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")


@dataclass
class Replaced:
    """Counts the lines in which bytes were replaced by U+FFFD.

    Attributes:
        lines: How many.
        first: The first of them, from 1; 0 when there is none.
    """

    lines: int = 0
    first: int = 0

    def count(self, line: int) -> None:
        """Add a line."""
        self.first = self.first or line
        self.lines += 1


def decode_lines(stream: BinaryIO, name: str, replaced: Replaced | None = None) -> Iterator[str]:
    r"""Decode UTF-8, or what a byte order mark announces, line by line.

    Args:
        stream: Bytes, read as far as lines are asked for.
        name: What to call the stream in errors.
        replaced: Where to count lines with bytes that are no text; without it they are refused.

    Yields:
        Lines with their ends (`\n`, `\r\n` or `\r`), without the byte order mark.

    Raises:
        LstmError: Bytes are no text and `replaced` is None.
    """
    first = stream.readline()
    for mark, encoding in _MARKS:
        if first.startswith(mark):
            yield from _wide_lines(first, stream, encoding, name, replaced)
            return
    number = 0
    raw = first.removeprefix(codecs.BOM_UTF8)
    while raw:
        for line in _pieces(_decode(raw, number + 1, name, replaced)):
            number += 1
            yield line
        raw = stream.readline()


def _decode(raw: bytes, number: int, name: str, replaced: Replaced | None) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        if replaced is None:
            column = len(raw[: error.start].decode()) + 1
            raise _refusal(
                name, number, f"byte 0x{raw[error.start]:02x} at column {column}"
            ) from error
    replaced.count(number)
    return raw.decode(errors="replace")


def _pieces(text: str) -> list[str]:
    """Split after each line end, a lone carriage return too."""
    if "\r" not in text and "\n" not in text[:-1]:
        return [text]
    return [piece for piece in _LINE_END.split(text) if piece]


def _wide_lines(
    first: bytes, stream: BinaryIO, encoding: str, name: str, replaced: Replaced | None
) -> Iterator[str]:
    """Lines of UTF-16 or UTF-32, whose line ends are not single bytes."""
    decoder = codecs.getincrementaldecoder(encoding)("strict" if replaced is None else "replace")
    number, rest = 0, ""
    for block in chain([first], iter(partial(stream.read, _BLOCK), b""), [b""]):
        try:
            text = rest + decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise _refusal(name, number + 1, f"{encoding.upper()} broken there or later") from error
        end = text.rfind("\n") + 1 if block else len(text)
        rest = text[end:]
        for line in _pieces(text[:end]) if end else ():
            number += 1
            if replaced is not None and "\ufffd" in line:
                replaced.count(number)
            yield line


def _refusal(name: str, number: int, what: str) -> LstmError:
    return LstmError(
        f"{name}, line {number}: expected UTF-8 text, found {what}.",
        "Save the file as UTF-8, for example with `iconv -f LATIN1 -t UTF-8 FILE > NEW`.",
    )

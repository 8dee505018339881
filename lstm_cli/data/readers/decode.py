"""Decode bytes to lines of text: UTF-8, the encoding of a mark, one that is named, or a guess.

In data for training or evaluation, bytes that are not in the encoding are an error that names the
line: a wrong encoding damages every accented word of a file, and the model would learn U+FFFD in
their place. In texts for prediction they are replaced and counted, because one bad line must not
stop a stream. In both, a line that is not UTF-8 is first read by a guess, if one is safe
(`encoding`); that is counted too.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import BinaryIO, Literal

from lstm_cli.data.readers import encoding as encodings
from lstm_cli.data.readers.content import wide_encoding
from lstm_cli.data.readers.read_options import AUTO
from lstm_cli.data.readers.row import Found
from lstm_cli.errors import LstmError

Ends = Literal["any", "newline", "newline_or_block"]

# What is read to see what a file holds.
HEAD_SIZE = 1 << 16
# The longest line, in bytes: a file without line ends, such as one of zeros, must not fill memory.
MAX_LINE = 64 << 20

# UTF-32 comes first: its little-endian mark starts with the mark of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BLOCK = 1 << 16
_CUT_UTF8 = re.compile(rb"[\xc0-\xff][\x80-\xbf]{0,2}\Z")
_CUT_CHARACTER = re.compile(rb"[\x80-\xff]+\Z")
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


def peekable(stream: BinaryIO) -> BinaryIO:
    """Return a stream whose first bytes can be looked at without reading them."""
    if hasattr(stream, "peek"):
        return stream
    return io.BufferedReader(stream, HEAD_SIZE)  # type: ignore[type-var]


def peek(stream: BinaryIO) -> bytes:
    """Return the first bytes of a stream that was not read yet; of a pipe, those that arrived."""
    return bytes(stream.peek(HEAD_SIZE)[:HEAD_SIZE])  # type: ignore[attr-defined]


def find_encoding(head: bytes, requested: str = AUTO) -> str:
    """Return the encoding of a text: the requested one, that of its mark, or what it looks like.

    Args:
        head: Its first bytes.
        requested: As in `ReadOptions`.
    """
    if requested != AUTO:
        return "utf-8" if requested in ("utf8", "utf-8-sig", "utf_8") else requested
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    return wide_encoding(head) or "utf-8"


def decode_head(head: bytes, encoding: str) -> str:
    """Return the first characters of a text, without a byte order mark."""
    return head.decode(encoding, "replace").removeprefix("\ufeff")


def decode_lines(
    stream: BinaryIO,
    name: str,
    counter: ReplacementCounter | None = None,
    encoding: str = AUTO,
    found: Found | None = None,
    ends: Ends = "any",
    may_guess: bool = True,
) -> Iterator[str]:
    r"""Decode a text line by line.

    Args:
        stream: Bytes; read only as far as lines are requested.
        name: The name of the stream, for errors.
        counter: Counts the lines with invalid bytes, which are then replaced. Without it, invalid
            bytes are an error.
        encoding: As in `ReadOptions`.
        found: Gets the encoding, and counts the lines that are read by a guess. Without it, nothing
            is guessed.
        ends: What ends a line: `any` of `\n`, `\r\n` and `\r`; `\n` alone (`newline`); or
            that and the end of a block (`newline_or_block`), for text in which lines have no
            meaning.
        may_guess: Whether a line may be read by a guess; the caller must then report `found`.

    Yields:
        Lines with their ends, without the byte order mark.

    Raises:
        LstmError: Bytes are invalid and `counter` is None, or a line is longer than `MAX_LINE`.
    """
    stream = peekable(stream)
    known = find_encoding(peek(stream), encoding)
    if found is not None:
        found.encoding = known
        found.is_guess = encoding == AUTO and known in ("utf-16-le", "utf-16-be")
    guesses = found if encoding == AUTO and may_guess else None
    decoder = _LineDecoder(name, known, counter, guesses)
    if not _ends_lines_with_one_byte(known):
        return _wide_lines(stream, decoder, ends)
    if ends == "newline_or_block":
        return _narrow_pieces(stream, decoder)
    return _narrow_lines(stream, decoder, ends)


def _ends_lines_with_one_byte(encoding: str) -> bool:
    """Return whether each byte 10 of an encoding, and no other one, ends a line."""
    return "\n".encode(encoding) == b"\n" and not encoding.replace("_", "-").startswith("iso-2022")


@dataclass
class _LineDecoder:
    """Decodes a line that is not valid in its encoding, and makes the errors."""

    name: str
    encoding: str
    counter: ReplacementCounter | None
    found: Found | None

    def recover(self, raw: bytes, number: int, error: UnicodeError) -> str:
        """Return a line by a guess, or with replacements.

        Raises:
            LstmError: There is no safe guess, and nothing counts replacements.
        """
        if self.found is not None and self.encoding == "utf-8":
            guess = encodings.guess_line(raw)
            if guess is not None:
                self.found.add_guessed(number)
                return guess
        if self.counter is None:
            start = getattr(error, "start", 0)
            column = len(raw[:start].decode(self.encoding, "replace")) + 1
            found = f"byte 0x{raw[start]:02x} at column {column}"
            raise self.error(number, found, raw) from error
        self.counter.add(number)
        return raw.decode(self.encoding, "replace")

    def error(self, number: int, found: str, raw: bytes = b"") -> LstmError:
        """Return the error for invalid bytes, with encodings that could be meant."""
        options = " or ".join(
            f"--encoding {encoding} (gives {sample!r})"
            for encoding, sample in encodings.candidates(raw)
            if encoding != self.encoding
        )
        return LstmError(
            f"{self.name}, line {number}: expected {self.encoding.upper()} text, found {found}.",
            f"Name its encoding: {options or '--encoding NAME, such as windows-1252'}.",
        )

    def too_long(self, number: int) -> LstmError:
        """Return the error for a line that does not end."""
        return LstmError(
            f"{self.name}, line {number}: longer than {MAX_LINE >> 20} MiB.",
            "Is it a text? Split it into several rows.",
        )


def _narrow_lines(stream: BinaryIO, decoder: _LineDecoder, ends: Ends) -> Iterator[str]:
    """Yield lines of an encoding in which the byte 10 ends a line."""
    encoding, splits, number = decoder.encoding, ends == "any", 0
    for raw in iter(partial(stream.readline, MAX_LINE), b""):
        if len(raw) == MAX_LINE:
            raise decoder.too_long(number + 1)
        if not number and encoding == "utf-8":
            raw = raw.removeprefix(codecs.BOM_UTF8)
            if not raw:
                continue
        try:
            text = raw.decode(encoding)
        except UnicodeError as error:
            text = decoder.recover(raw, number + 1, error)
        if splits and "\r" in text:
            for line in _split_lines(text):
                number += 1
                yield line
        else:
            number += 1
            yield text


def _narrow_pieces(stream: BinaryIO, decoder: _LineDecoder) -> Iterator[str]:
    """Yield lines, and parts of lines that are longer than a block."""
    encoding, number, raw = decoder.encoding, 0, b""
    cut_character = _CUT_UTF8 if encoding == "utf-8" else _CUT_CHARACTER
    while True:
        piece = stream.readline(_BLOCK)
        raw += piece
        if not raw:
            return
        # A character of several bytes may be cut at the end of a block.
        cut = None if not piece or raw.endswith(b"\n") else cut_character.search(raw)
        if cut and not cut.start() and len(raw) < max(4, _BLOCK):
            continue
        whole, raw = (raw[: cut.start()], cut[0]) if cut and cut.start() else (raw, b"")
        try:
            text = whole.decode(encoding)
        except UnicodeError as error:
            text = decoder.recover(whole, number + 1, error)
        yield text if number else text.removeprefix("\ufeff")
        number += whole.endswith(b"\n")


def _wide_lines(stream: BinaryIO, decoder: _LineDecoder, ends: Ends) -> Iterator[str]:
    """Yield lines of UTF-16, UTF-32 and others in which a line end is not one byte."""
    counter = decoder.counter
    errors = "strict" if counter is None else "replace"
    incremental = codecs.getincrementaldecoder(decoder.encoding)(errors)
    number, rest = 0, ""
    for block in chain(iter(partial(stream.read, _BLOCK), b""), [b""]):
        try:
            text = rest + incremental.decode(block, final=not block)
        except UnicodeError as error:
            found = f"invalid {decoder.encoding.upper()} there or later"
            raise decoder.error(number + 1, found) from error
        text = text if number else text.removeprefix("\ufeff")
        end = text.rfind("\n") + 1 if block else len(text)
        rest = text[end:]
        if len(rest) > MAX_LINE:
            raise decoder.too_long(number + 1)
        for line in _split_lines(text[:end], ends) if end else ():
            number += 1
            if counter is not None and "\ufffd" in line:
                counter.add(number)
            yield line


def _split_lines(text: str, ends: Ends = "any") -> list[str]:
    """Split after each line end; with `any`, including a lone carriage return."""
    if ends != "any":
        return io.StringIO(text, newline="\n").readlines()
    return [line for line in _LINE_END.split(text) if line]

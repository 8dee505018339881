"""Bytes that hold a single text, as `lstm explain` reads it from the pipe."""

from __future__ import annotations

from io import BytesIO

from lstm_cli.data.readers.compression import unpack
from lstm_cli.data.readers.content import check_readable, columnar_format
from lstm_cli.data.readers.decode import ReplacementCounter, decode_lines
from lstm_cli.data.readers.detect import detect_format
from lstm_cli.data.readers.read_options import Format
from lstm_cli.data.readers.row import FORMAT_NAMES, Found
from lstm_cli.errors import ExitCode, LstmError


def decode_text(content: bytes, name: str) -> tuple[str, list[str]]:
    """Return the text in some bytes; compression and encoding are found as for a table.

    Args:
        content: All bytes of a file or a pipe.
        name: Its name, for errors.

    Returns:
        The text without its last line end, and what a person should know of how it was read.

    Raises:
        LstmError: They are not text, or a table (exit code 2).
    """
    found = Found(format="lines")
    stream, head = unpack(BytesIO(content), name, found)
    format_: Format | None = columnar_format(head)
    if format_ is None:
        check_readable(head, name, is_forced=False)
    counter = ReplacementCounter()
    lines = decode_lines(stream, name, counter, found=found, ends="newline")
    # The last line break comes from the shell.
    text = "".join(lines).removesuffix("\n") if format_ is None else ""
    format_ = format_ or detect_format(text, name, may_ask=False)
    if format_ is not None:
        raise LstmError(
            f"{name} is {FORMAT_NAMES[format_]}, and a single text is expected.",
            "Copy one text from the table; 'lstm predict' reads all of them.",
            ExitCode.USAGE,
        )
    return text, found.notes(name)

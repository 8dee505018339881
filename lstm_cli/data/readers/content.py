"""What the first bytes of a file are: compressed, a table of another kind, text, or neither.

The check looks at the content, not at the name: a name can be wrong, and a pipe has none.
"""

from __future__ import annotations

import re
from typing import Literal

from lstm_cli.errors import ExitCode, LstmError

Compression = Literal["gzip", "zstd", "bzip2", "xz"]

_COMPRESSIONS: tuple[tuple[bytes, Compression], ...] = (
    (rb"\x1f\x8b", "gzip"),
    (rb"\x28\xb5\x2f\xfd", "zstd"),
    (rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)", "bzip2"),
    (rb"\xfd7zXZ\x00", "xz"),
)
_AS_CSV = "Save it as CSV: in the program that opens it, or with 'soffice --convert-to csv FILE'."
_AS_PARQUET = "Save it as CSV or Parquet."
_AS_TEXT = "Copy its texts into a table, one text in each row."
_AS_FOLDER = "Images are read from a folder with a subfolder for each class."
_UNPACK = "Unpack it, and give the table or the folder in it."
# What begins with these bytes, and what to do. Longer beginnings come before shorter ones. Letters
# alone may be a text: a zero must follow them.
_REFUSED = (
    (rb"PK\x03\x04(?s:.{26,})xl/", "an Excel workbook", _AS_CSV),
    (rb"PK\x03\x04(?s:.{26,})opendocument\.spreadsheet", "a spreadsheet of LibreOffice", _AS_CSV),
    (rb"PK\x03\x04(?s:.{26,})word/", "a Word document", _AS_TEXT),
    (rb"PK\x03\x04(?s:.{26,})opendocument\.text", "a document of LibreOffice", _AS_TEXT),
    (rb"PK(?:\x03\x04|\x05\x06)", "a zip archive", _UNPACK),
    (
        rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "a file of an old version of Excel or Word",
        _AS_CSV,
    ),
    (rb"\x89PNG\r\n\x1a\n", "a PNG image", _AS_FOLDER),
    (rb"\xff\xd8\xff", "a JPEG image", _AS_FOLDER),
    (rb"GIF8[79]a(?s:.*)\0", "a GIF image", _AS_FOLDER),
    (rb"RIFF(?s:.{4})(?:WEBP|WAVE|AVI )(?s:.*)\0", "an image, a sound or a film", ""),
    (rb"SQLite format 3\0", "an SQLite database", _AS_CSV),
    (rb"\x89HDF\r\n", "an HDF5 file", _AS_PARQUET),
    (rb"\x93NUMPY", "a NumPy array", _AS_CSV),
    (rb"\x80[\x02-\x05][\x20-\xff]", "a Python pickle, which can run any code", _AS_PARQUET),
    (rb"Obj\x01", "an Avro file", _AS_PARQUET),
    (rb"ORC(?s:.*)\0", "an ORC file", _AS_PARQUET),
    (rb"FEA1(?s:.*)\0", "a Feather file of version 1", _AS_PARQUET),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (rb"\x04\x22\x4d\x18", "an LZ4 file", _UNPACK),
    (rb"(?s:.{257})ustar", "a tar archive", _UNPACK),
    (rb"\x7fELF", "a program", ""),
)
_REFUSED_TEXTS = (
    (rb"%PDF-", "a PDF", _AS_TEXT),
    (rb"\{\\rtf", "a document in Rich Text Format", _AS_TEXT),
    (rb"\s*<(?i:!doctype html|html|head|body)\b", "a web page (HTML)", _AS_TEXT),
    (rb"\s*<\?xml\b", "an XML file", "Convert it to CSV or JSONL."),
)
# Control characters that do not occur in texts, unlike a tab, line ends, form feeds and ESC.
_CONTROLS = bytes([*range(9), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F])
_MAX_CONTROLS = 0.3
_MAX_CONTROLS_BESIDE_INVALID = 0.03


def compression_of(head: bytes) -> Compression | None:
    """Return how a stream is compressed; None if it is not.

    Args:
        head: Its first bytes.
    """
    return next((name for magic, name in _COMPRESSIONS if re.match(magic, head)), None)


def columnar_format(head: bytes) -> Literal["parquet", "arrow"] | None:
    """Return the format of a file of columns; None if it is another file.

    Args:
        head: Its first bytes.
    """
    # A text may begin with these letters, too.
    if re.match(rb"PAR1(?:[\x00-\x08\x0b\x0c\x0e-\x1f]|\Z)", head):
        return "parquet"
    # A stream of Arrow begins with the length of its schema.
    is_stream = re.match(rb"\xff{4}(?s:.)[\x00-\xff]{2}\x00\x10\x00\x00\x00", head)
    return "arrow" if head.startswith(b"ARROW1\0\0") or is_stream else None


def check_readable(head: bytes, name: str, is_forced: bool = False) -> None:
    """Refuse a file that no reader reads, by what it is.

    Args:
        head: Its first bytes, without compression.
        name: Its name, for the error.
        is_forced: Whether a person named the format: then what can be text is text.

    Raises:
        LstmError: It is a workbook, an image, an archive, or not text (exit code 2).
    """
    for magic, what, hint in _REFUSED if is_forced else _REFUSED + _REFUSED_TEXTS:
        if re.match(magic, head):
            raise _refused(name, what, hint)
    if not is_forced and looks_binary(head):
        raise _refused(name, "not text", "If it is, name its encoding with --encoding.")


def looks_binary(head: bytes) -> bool:
    """Return whether bytes are not text: many control characters, also beside invalid UTF-8."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")) or wide_encoding(head):
        return False
    share = (len(head) - len(head.translate(None, _CONTROLS))) / max(1, len(head))
    if share <= _MAX_CONTROLS_BESIDE_INVALID:
        return False
    return share > _MAX_CONTROLS or not _is_utf8(head)


def wide_encoding(head: bytes) -> Literal["utf-16-le", "utf-16-be"] | None:
    """Return the encoding of text in Latin letters of two bytes each without a byte order mark."""
    pairs = head[: len(head) // 2 * 2]
    if len(pairs) < 8:
        return None
    low, high = pairs[0::2], pairs[1::2]
    for encoding, letters, zeros in (("utf-16-le", low, high), ("utf-16-be", high, low)):
        if zeros.count(0) > 0.7 * len(zeros) and letters.count(0) == 0:
            return encoding  # type: ignore[return-value]
    return None


def _is_utf8(head: bytes) -> bool:
    """Return whether bytes are UTF-8; a character may be cut at the end."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3
    return True


def _refused(name: str, what: str, hint: str) -> LstmError:
    return LstmError(
        f"{name} is {what}. Expected text: CSV, TSV, JSONL, JSON, fastText's format or plain "
        "lines; or Parquet or Arrow.",
        hint,
        ExitCode.USAGE,
    )

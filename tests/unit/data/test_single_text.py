"""A single text from a pipe: decompressed and decoded; tables and other files are refused."""

from __future__ import annotations

import gzip

import pytest

from lstm_cli.data.single_text import decode_text
from lstm_cli.errors import ExitCode, LstmError


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"one\r\ntwo\n", "one\r\ntwo"),
        (b"", ""),
        (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
        (gzip.compress(b"A fine, dull film.\n"), "A fine, dull film."),
        ("a fine film".encode("utf-16"), "a fine film"),
        (b"a,b\nc,d\ne,f\n", "a,b\nc,d\ne,f"),
    ],
)
def test_one_text_is_read_as_a_file_is(content, expected):
    assert decode_text(content, "standard input")[0] == expected


@pytest.mark.parametrize(
    "content",
    [
        b"id,text\n1,a\n2,b\n",
        b'{"text": "a"}\n{"text": "b"}\n',
        b"PAR1" + bytes(99) + b"PAR1",
        b"\x89PNG\r\n\x1a\n\0",
    ],
)
def test_a_table_is_not_decode_text(content):
    with pytest.raises(LstmError) as caught:
        decode_text(content, "standard input")
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("content", "text", "note"),
    [
        (b"It isn\x92t.", "It isn\u2019t.", "1 line is not UTF-8"),
        (b"a \xff\xfe\x81 film", "a \ufffd\ufffd\ufffd film", ""),
        (gzip.compress(b"fine"), "fine", "compressed by gzip"),
        (b"fine", "fine", ""),
    ],
)
def test_a_guess_is_said(content, text, note):
    found, notes = decode_text(content, "standard input")
    assert found == text
    assert note in " ".join(notes)
    assert bool(notes) == bool(note)

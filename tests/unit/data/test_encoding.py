"""Bytes that are not UTF-8: guesses that are counted, and hints that read the file."""

from __future__ import annotations

import io
import re

import pytest
from fixtures_errors import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_cli.data.readers.decode import ReplacementCounter, decode_lines
from lstm_cli.data.readers.encoding import candidates, guess_line
from lstm_cli.data.readers.open_rows import iter_records
from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.data.readers.row import Found
from lstm_cli.errors import ExitCode

WESTERN = [
    "it isn’t “so” — really…",
    "café",
    "été, là-bas à Noël: créée",
    "Größe: 5 €, 20 °C",
    "¿Qué? ¡Así!",
    "Æblegrød på øen",
    "“é”",
]
OTHERS = {
    "windows-1251": "Отличный товар",
    "gb18030": "很好的东西",
    "shift_jis": "とても良い品",
    "euc-kr": "정말 좋은 제품",
    "windows-1253": "Πολύ καλό",
    "windows-1255": "מוצר מצוין",
    "windows-1256": "منتج ممتاز",
    "cp874": "บริการแย่มาก",
}


@pytest.mark.parametrize("text", WESTERN)
def test_western_texts_of_old_programs_are_guessed(text):
    assert guess_line(text.encode("windows-1252")) == text


@pytest.mark.parametrize("encoding", OTHERS)
def test_other_scripts_are_never_guessed_but_shown(encoding):
    raw = f"{OTHERS[encoding]},good".encode(encoding)
    assert guess_line(raw) is None
    assert encoding in [name for name, _ in candidates(raw)]


@pytest.mark.parametrize("encoding", OTHERS)
def test_the_hint_names_an_encoding_that_reads_the_file(encoding):
    content = f"text,label\n{OTHERS[encoding]},good\n".encode(encoding)
    error = refused(list, iter_records(io.BytesIO(content), name="x.csv", found=Found()))
    assert "x.csv, line 2" in error.message
    named = re.findall(r"--encoding (\S+)", error.hint)
    read = [
        next(iter_records(io.BytesIO(content), ReadOptions(encoding=name), "x.csv"))[1]["text"]
        for name in named
    ]
    assert OTHERS[encoding] in read


@settings(max_examples=50)
@given(st.binary(max_size=40))
def test_a_guess_is_what_windows_1252_says(raw):
    guess = guess_line(raw)
    assert guess is None or guess == raw.decode("windows-1252")


CURLY = "text,label\nplain,bad\nit isn’t,good\nfine,good\n“so”,bad\n".encode("windows-1252")


def test_guessed_lines_are_counted_and_named():
    found = Found()
    rows = [record for _, record in iter_records(io.BytesIO(CURLY), name="x.csv", found=found)]
    assert rows[1]["text"] == "it isn’t"
    assert (found.num_guessed, found.first_guessed) == (2, 3)
    note = found.notes("x.csv")[0]
    assert "2 lines are not UTF-8 (the first is line 3)" in note
    assert "windows-1252" in note


def test_without_someone_to_tell_nothing_is_guessed():
    assert "line 3" in refused(list, iter_records(io.BytesIO(CURLY), name="x.csv")).message


def test_a_named_encoding_is_not_a_guess():
    found, options = Found(), ReadOptions(encoding="windows-1252")
    rows = [r for _, r in iter_records(io.BytesIO(CURLY), options, "x.csv", found=found)]
    assert rows[3]["text"] == "“so”"
    assert found.num_guessed == 0
    assert found.notes("x.csv") == ["x.csv is read as windows-1252."]


def test_where_bytes_are_replaced_a_safe_guess_comes_first():
    counter, found = ReplacementCounter(), Found()
    content = b"text\nisn\x92t\n" + "товар\n".encode("windows-1251")
    rows = list(iter_records(io.BytesIO(content), ReadOptions(), "x.csv", counter, found))
    assert rows[0][1]["text"] == "isn’t"
    assert rows[1][1]["text"] == "\ufffd" * 5
    assert (found.num_guessed, counter.num_lines, counter.first_line) == (1, 1, 3)


def test_bytes_that_are_not_in_the_named_encoding_are_an_error_with_the_line():
    options = ReadOptions(encoding="shift_jis")
    error = refused(list, iter_records(io.BytesIO(b"text\na\n\xff\xff\n"), options, "x.csv"))
    assert "x.csv, line 3" in error.message
    assert "SHIFT-JIS" in error.message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be", "utf-7", "cp037"])
def test_encodings_in_which_a_line_end_is_not_one_byte_can_be_named(encoding):
    text = "text,label\nnaïve,good\nb,bad\n".replace("ï", "i" if encoding == "cp037" else "ï")
    options = ReadOptions("csv", encoding)
    rows = list(iter_records(io.BytesIO(text.encode(encoding)), options, "x.csv"))
    assert [line for line, _ in rows] == [2, 3]
    assert rows[0][1]["text"] in ("naïve", "naive")


@pytest.mark.parametrize("name", ["nonsense", "rot13", "base64", "", "\0", "undefined"])
def test_an_unknown_encoding_is_refused(name):
    assert "encoding" in refused(ReadOptions, encoding=name, code=ExitCode.USAGE).message


@settings(max_examples=50)
@given(st.text(st.characters(codec="utf-8"), max_size=30), st.integers(1, 20))
def test_pieces_of_long_lines_are_the_text(text, size):
    from unittest.mock import patch

    with patch("lstm_cli.data.readers.decode._BLOCK", size):
        stream = io.BytesIO(text.encode())
        assert "".join(decode_lines(stream, "x", ends="newline_or_block")) == text.removeprefix(
            "\ufeff"
        )

"""CSV and TSV: delimiters, headers, quotes."""

from __future__ import annotations

import io

import pytest
from fixtures_errors import refused

from lstm_cli.data.readers.open_rows import iter_records, open_rows
from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.data.readers.row import Found
from lstm_cli.errors import ExitCode


def values(content, **options):
    """The values of the rows of a CSV file."""
    rows = iter_records(io.BytesIO(content.encode()), ReadOptions(**options), "x.csv")
    return [tuple(record.values()) for _, record in rows]


# Delimiters


@pytest.mark.parametrize(
    ("typed", "char"),
    [(";", ";"), ("tab", "\t"), ("\\t", "\t"), ("TAB", "\t"), ("pipe", "|"), ("~", "~")],
)
def test_a_delimiter_is_a_character_or_a_name(typed, char):
    content = f"text{char}label\na, b{char}good\n"
    assert values(content, delimiter=typed) == [("a, b", "good")]


@pytest.mark.parametrize("typed", ["", "||", '"', "\n", "word"])
def test_other_delimiters_are_refused(typed):
    assert "delimiter" in refused(ReadOptions, delimiter=typed, code=ExitCode.USAGE).message


def test_a_delimiter_between_quotes_does_not_count():
    assert values('"a, short";text;label\n1;b;c\n') == [("1", "b", "c")]


def test_a_line_that_names_the_delimiter_is_skipped_and_lines_keep_their_numbers():
    content = b"sep=;\ntext;label\na;b\nc;d;e\n"
    with open_rows(io.BytesIO(content), name="x.csv") as rows:
        found = list(rows)
        assert rows.columns == ("text", "label")
    assert found[0].line == 3
    assert "line 4" in found[1].error.message


# Headers


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("I like it,good\nno,bad\n", [("I like it", "good"), ("no", "bad")]),
        ("a;b, c\nd;e\n", [("a", "b, c"), ("d", "e")]),
        ('"one\ntwo",x\nb,y\n', [("one\ntwo", "x"), ("b", "y")]),
        ("same,same\n", [("same", "same")]),
        ("sep=;\na;b\n", [("a", "b")]),
        ("one\ntwo\n", [("one",), ("two",)]),
    ],
)
def test_without_a_header_every_line_is_a_row(content, expected):
    assert values(content, header=False, format="csv") == expected


def test_without_a_header_columns_have_numbers():
    with open_rows(io.BytesIO(b"a,b\nc,d\n"), ReadOptions(header=False), "x.csv") as rows:
        assert rows.columns == ("1", "2")
        assert [row.line for row in rows] == [1, 2]


# Quotes


def test_without_quoting_quotes_are_characters():
    content = 'text\tlabel\n"Great film\tgood\n5" screen\tbad\n'
    assert values(content, quoting="none") == [('"Great film', "good"), ('5" screen', "bad")]
    assert "--quoting none" in refused(values, content).hint


STRAY = 'text\tlabel\n"Great film\tgood\nplain\tbad\nother\tgood\nit is 7"\tbad\nlast\tgood\n'


def test_rows_between_two_stray_quotes_of_tsv_are_refused_and_the_hint_reads_all():
    error = refused(values, STRAY)
    assert "lines 2 to 5" in error.message
    assert "--quoting none" in error.hint
    assert len(values(STRAY, quoting="none")) == 5


def test_the_rows_after_stray_quotes_can_be_read():
    with open_rows(io.BytesIO(STRAY.encode()), name="x.tsv") as rows:
        found = list(rows)
    assert [row.error is None for row in found] == [False, True]
    assert found[1].record["text"] == "last"


def test_rows_between_two_stray_quotes_of_csv_are_counted():
    content = STRAY.replace("\t", ",")
    found = Found()
    rows = list(iter_records(io.BytesIO(content.encode()), name="x.csv", found=found))
    assert len(rows) == 2
    assert (found.num_merged, found.merged) == (1, [(2, 5)])
    note = found.notes("x.csv")[0]
    assert "lines 2 to 5" in note
    assert "--quoting none" in note
    assert len(values(content, quoting="none")) == 5


@pytest.mark.parametrize(
    "text",
    [
        "Dear team,\nI like it.",
        "one\ntwo\nthree",
        "one, two\nthree, four\nfive",
        "a\n\nb",
        "1,000\n2,000 and 3,000\n",
    ],
)
def test_texts_of_several_lines_are_not_suspected(text):
    found = Found()
    content = f'text,label\n"{text}",good\n'.encode()
    rows = list(iter_records(io.BytesIO(content), name="x.csv", found=found))
    assert rows[0][1]["text"] == text
    assert not found.num_merged

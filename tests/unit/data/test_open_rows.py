"""What bytes become: formats by content, compressions, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tracemalloc

import pytest
from fixtures_errors import refused

from lstm_cli.data.readers.compression import load_zstd
from lstm_cli.data.readers.open_rows import check_file, iter_records, open_rows
from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.data.readers.row import Found
from lstm_cli.errors import ExitCode

ROWS = [{"text": "hello, there", "label": "good"}, {"text": "bad thing", "label": "bad"}]
CSV = b'text,label\n"hello, there",good\nbad thing,bad\n'
TSV = b"text\tlabel\nhello, there\tgood\nbad thing\tbad\n"
JSONL = b"\n".join(json.dumps(row).encode() for row in ROWS) + b"\n"
ARRAY = json.dumps(ROWS).encode()
FASTTEXT = b"__label__good hello, there\nbad __label__bad thing\n"


def read(path, content, options=None):
    """Write a file; return its records and notes."""
    if content is not None:
        path.write_bytes(content)
    found = Found()
    records = [record for _, record in iter_records(path, options or ReadOptions(), found=found)]
    return records, found


# Formats


@pytest.mark.parametrize(
    ("name", "content", "format_"),
    [
        ("a.csv", CSV, "csv"),
        ("a.csv", CSV.replace(b"\n", b"\r\n"), "csv"),
        ("a.CSV", TSV, "csv"),  # only the delimiter is another one
        ("a.tsv", TSV, "tsv"),
        ("a", CSV, "csv"),
        ("a", TSV, "tsv"),
        ("a.txt", CSV, "csv"),
        ("a.dat", b'"text";"label"\n"hello, there";good\nbad thing;bad\n', "csv"),
        ("a.csv", b"text|label\nhello, there|good\nbad thing|bad\n", "csv"),
        ("a.csv", b"sep=;\r\ntext;label\r\nhello, there;good\r\nbad thing;bad\r\n", "csv"),
        ("a", b'"sep=|"\ntext|label\nhello, there|good\nbad thing|bad\n', "csv"),
        ("a.jsonl", JSONL, "jsonl"),
        ("a.csv", JSONL, "jsonl"),
        ("a", JSONL, "jsonl"),
        ("a.json", JSONL, "jsonl"),
        ("a.json", ARRAY, "json"),
        ("a.jsonl", ARRAY, "json"),
        ("a.csv", json.dumps(ROWS, indent=2).encode(), "json"),
        ("a.jsonl", b"\n".join(json.dumps(row, indent=2).encode() for row in ROWS), "json"),
        ("a.jsonl", JSONL.replace(b"\n", b""), "json"),
        ("a.jsonl", JSONL.replace(b"\n", b",\n"), "json"),
        ("a.txt", FASTTEXT, "fasttext"),
        ("a.csv", FASTTEXT, "fasttext"),
    ],
)
def test_the_content_says_the_format(name, content, format_, tmp_path):
    records, found = read(tmp_path / name, content)
    assert records == ROWS
    assert found.format == format_


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a"])
@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_parquet_and_arrow_are_read_whatever_the_name(kind, name, tmp_path):
    records, found = read(tmp_path / name, columnar(kind, ROWS))
    assert records == ROWS
    assert found.format == ("parquet" if kind == "parquet" else "arrow")


def columnar(kind, rows):
    """The bytes of a Parquet file, an Arrow file or an Arrow stream."""
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pylist(rows)
    target = io.BytesIO()
    if kind == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, target, row_group_size=2)
        return target.getvalue()
    new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with new(target, table.schema) as writer:
        writer.write_table(table)
    return target.getvalue()


def test_parquet_values_keep_their_types_and_rows_their_numbers():
    rows = [{"text": f"{i}", "label": i % 2, "parts": [i]} for i in range(5)]
    content = columnar("parquet", rows)
    with open_rows(io.BytesIO(content), name="x") as opened:
        assert opened.columns == ("text", "label", "parts")
        assert [(line, record) for line, record, _ in opened] == list(enumerate(rows, 1))


@pytest.mark.parametrize("cut", [4, 60, -3])
def test_a_damaged_parquet_file_is_refused(cut):
    error = refused(list, iter_records(io.BytesIO(columnar("parquet", ROWS)[:cut]), name="x"))
    assert "x cannot be read as Parquet" in error.message


def test_several_labels_in_fasttext_are_a_list_and_none_is_empty(tmp_path):
    content = b"__label__a __label__b  two words \n\nno label\n"
    records, _ = read(tmp_path / "a", content, ReadOptions("fasttext"))
    assert records == [
        {"text": "two words", "label": ["a", "b"]},
        {"text": "no label", "label": ""},
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"I like it, and you?\nA text, then.\n",
        b"one\ntwo\n",
        b"{not json}\n",
        b"[music] playing\n",
        b"1,2\n3,4\n5,6\n",
        b"Hello, text\n",
        b"ORC and elf\n",
        b"FEA1\n",
        b"PAR1 is a word\nPAR1\n",
        b"GIF89a\n",
        b"PK\n",
        b"{'text': 'a'\n"[:1] + b" smile }\n",
        b"",
    ],
)
def test_other_lines_are_texts(content, tmp_path):
    records, found = read(tmp_path / "a.txt", content)
    assert [record["text"] for record in records] == content.decode().splitlines()
    assert found.format == "lines"


def test_lines_end_at_line_feeds_only(tmp_path):
    records, _ = read(tmp_path / "a", b"a\rb\r\n\nc", ReadOptions("lines"))
    assert [record["text"] for record in records] == ["a\rb", "", "c"]


def test_what_may_be_a_table_is_asked_about_and_both_answers_work(tmp_path):
    path, content = tmp_path / "a.txt", b"id,remark,score\n1,one two,3\n2,three,4\n3,four,5\n"
    error = refused(read, path, content, code=ExitCode.USAGE)
    assert "--input-format csv" in error.hint
    assert "--input-format lines" in error.hint
    assert [r["remark"] for r in read(path, None, ReadOptions("csv"))[0]] == [
        "one two",
        "three",
        "four",
    ]
    assert len(read(path, None, ReadOptions("lines"))[0]) == 4


# JSON


@pytest.mark.parametrize("layout", ["[{}]", "[\n{}\n]", " [ {} ] \n", "{}", "\n{}\n\n"])
@pytest.mark.parametrize("between", [",", ",\n", ", \n\n "])
def test_objects_are_read_however_they_are_laid_out(layout, between):
    content = layout.replace("{}", between.join(json.dumps(row, indent=1) for row in ROWS))
    options = ReadOptions("json")
    assert [r for _, r in iter_records(io.BytesIO(content.encode()), options, "x")] == ROWS


def test_an_object_of_an_array_knows_its_line():
    content = b'[\n{"text": "a"},\n{"text":\n "b"}\n]'
    assert [line for line, _ in iter_records(io.BytesIO(content), name="x")] == [2, 3]


def test_a_value_that_is_no_object_is_an_error_of_its_own():
    with open_rows(io.BytesIO(b'[{"text": "a"}, 3, {"text": "b"}]'), name="x") as rows:
        found = list(rows)
    assert [row.error is None for row in found] == [True, False, True]
    assert found[2].record == {"text": "b"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'[{"text": "a"}', "no end"),
        (b'[{"text": "a"}] x', "line 1: something follows"),
        (b'[\n{"text": "a"},\n{"text": b}]', "line 3: expected JSON"),
        (b'[\n{"text": "a", "text": "b"}]', "line 2: key 'text' occurs twice"),
        (b'[{"text": "a', "line 1: expected JSON"),
    ],
)
def test_a_broken_array_is_refused_with_the_line(content, words):
    assert words in refused(list, iter_records(io.BytesIO(content), name="x")).message


@pytest.mark.parametrize("second", ['{"text": "b"', '{"text": "b"} {"text": "c"}', '{"a": 1},'])
def test_an_object_that_is_not_on_one_line_gets_a_hint_that_reads_it(second):
    content = '{"text": "a"}\n' + second + ("}\n" if second.endswith('"b"') else "\n")
    content = content.replace('"b"}', '"b"\n}')
    error = refused(list, iter_records(io.BytesIO(content.encode()), name="x"))
    assert "--input-format json" in error.hint
    options = ReadOptions("json")
    assert len(list(iter_records(io.BytesIO(content.encode()), options, "x"))) >= 2


def test_python_dicts_are_called_so():
    error = refused(list, iter_records(io.BytesIO(b"{'text': 'a'}\n"), name="x.jsonl"))
    assert "Python" in error.hint


# Compression

COMPRESS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: load_zstd().compress(content),
}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("content", [CSV, JSONL, ARRAY, FASTTEXT, "parquet"], ids=lambda c: c[:4])
def test_compressed_files_are_read_by_name_and_without(suffix, content, tmp_path):
    plain = columnar("parquet", ROWS) if content == "parquet" else content
    packed = COMPRESS[suffix](plain)
    for name in (f"a.{suffix}", "a", "a.csv"):
        assert read(tmp_path / name, packed)[0] == ROWS


@pytest.mark.parametrize("suffix", COMPRESS)
def test_parts_that_follow_each_other_are_one_file(suffix, tmp_path):
    half = len(CSV) // 2
    packed = COMPRESS[suffix](CSV[:half]) + COMPRESS[suffix](CSV[half:])
    assert read(tmp_path / f"a.csv.{suffix}", packed)[0] == ROWS


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("damage", ["cut", "changed", "followed"])
def test_damaged_compression_is_refused(suffix, damage, tmp_path):
    packed = COMPRESS[suffix](CSV + os.urandom(5000))
    packed = {
        "cut": packed[: len(packed) // 2],
        "changed": packed[:2000] + b"damage" + packed[2006:],
        "followed": packed + b"something",
    }[damage]
    if (suffix, damage) == ("zst", "changed"):
        pytest.skip("zstd has no checksum by default")
    error = refused(read, tmp_path / f"a.csv.{suffix}", packed, ReadOptions("lines", "latin-1"))
    assert "damaged" in error.message


def test_what_is_compressed_twice_is_refused(tmp_path):
    error = refused(read, tmp_path / "a", gzip.compress(bz2.compress(CSV)), code=ExitCode.USAGE)
    assert "bzip2 in gzip" in error.message


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_bomb_is_read_in_little_memory_and_its_line_refused(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_cli.data.readers.decode.MAX_LINE", 1 << 20)
    packed = COMPRESS[suffix](b"text\n" + b"a" * (24 << 20))
    assert len(packed) < 100_000
    tracemalloc.start()
    try:
        error = refused(read, tmp_path / f"a.csv.{suffix}", packed)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert "line 2: longer than" in error.message
    assert peak < 14 << 20


# What is refused

REFUSED = {
    "workbook": (b"PK\x03\x04" + b"\0" * 26 + b"[Content_Types].xml" + b"..xl/workbook.xml", "CSV"),
    "Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, "CSV"),
    "zip": (b"PK\x03\x04" + b"\0" * 26 + b"reviews.csv", "Unpack"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "table"),
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0", ""),
    "SQLite": (b"SQLite format 3\0" + b"\0" * 50, "CSV"),
    "HTML": (b"<!DOCTYPE html>\n<html>\n", "table"),
    "not text": (bytes(i * i * 7919 % 256 for i in range(1, 4000)), "--encoding"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt", "a"])
def test_what_is_not_text_is_refused_by_what_it_is(what, name, tmp_path):
    content, hint = REFUSED[what]
    error = refused(read, tmp_path / name, content, code=ExitCode.USAGE)
    assert what.split()[-1].lower() in error.message.lower()
    assert hint in error.hint


def test_a_workbook_in_a_pipe_is_refused_too():
    stream = io.BufferedReader(io.BytesIO(REFUSED["workbook"][0]))
    with pytest.raises(Exception, match="standard input is an Excel workbook"):
        list(iter_records(stream, name="standard input"))


def test_what_is_no_plain_file_cannot_be_read_twice(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    assert (
        "not a plain file" in refused(check_file, tmp_path / "a.csv", code=ExitCode.USAGE).message
    )


# Notes


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", CSV, None),
        ("a.csv.gz", gzip.compress(CSV), None),
        ("a.tsv", TSV, None),
        ("a.json", ARRAY, None),
        ("a.csv", JSONL, "JSONL"),
        ("a.csv", b"text;label\na;b\n", "a semicolon"),
        ("a.csv", gzip.compress(CSV), "gzip"),
        ("a", FASTTEXT, "fastText"),
        ("a.csv", CSV.decode().encode("utf-16"), "utf-16"),
        ("a.csv", CSV.decode().encode("utf-16-le"), "guess"),
    ],
)
def test_what_is_not_as_the_name_says_is_noted(name, content, words, tmp_path):
    records, found = read(tmp_path / name, content)
    notes = found.notes(name)
    assert records
    assert len(notes) == (words is not None)
    assert words is None or words in notes[0]

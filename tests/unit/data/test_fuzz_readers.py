"""Readers of data, given thousands of files of every kind: each is read or refused with words.

`pytest -s tests/test_fuzz_readers.py` prints how many; `-m slow` gives each reader 5,000.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from fixtures_fuzz import FEW, MANY, any_bytes, changed_bytes, fuzz, near
from fixtures_images import TRAIN, idx_bytes
from hypothesis import strategies as st

from lstm_cli.data import load
from lstm_cli.data.readers.compression import load_zstd
from lstm_cli.data.readers.decode import ReplacementCounter, decode_lines
from lstm_cli.data.readers.idx import is_idx, read_idx
from lstm_cli.data.readers.open_rows import iter_records
from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.data.readers.row import Found
from lstm_cli.data.records import open_records
from lstm_cli.data.source import DataSource

NUMS = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["a fine film", 'she said ""no""', "one\ntwo", "a, b; c\td", "", "naïve 映画 🎬", "İ"]
)
LABELS = st.sampled_from(["good", "bad", "good", "bad", "1", "0", " ", "mixed"])


# Tables


@st.composite
def separated(draw, delimiters=",,,;\t|"):
    """A CSV or TSV file, as programs write them and as people do."""
    mark = draw(st.sampled_from(delimiters))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    columns = draw(st.sampled_from([2, 2, 2, 2, 3, 1]))
    names = ["text", "label", draw(st.sampled_from(["id", "", "label", "Ünïcode"]))][:columns]
    names = draw(st.permutations(names)) if draw(st.booleans()) else names
    lines = [mark.join(names)]
    for _ in range(draw(st.integers(0, 12))):
        fields = {"text": draw(TEXTS), "label": draw(LABELS)}
        row = [_field(draw, fields.get(name, "7"), mark) for name in names]
        lines.append(mark.join(row))
    return end.join(lines) + draw(st.sampled_from([end, "", end + end]))


def _field(draw, text, mark):
    must = any(char in text for char in ('"', "\n", "\r", mark)) or text.startswith('"')
    if must or draw(st.integers(0, 5)) == 0:
        return '"' + text.replace('"', '""') + '"'
    return text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


# Values that only JSON can write, or that cost more than they say.
COSTLY = ["[" * 20_000, '{"a":' * 20_000, "9" * 5000, "-" + "9" * 5000, "1e999", "NaN", '"\\ud800"']
COSTLY += ['"' + "\\u0041" * 9000 + '"', "[" * 300 + "]" * 300, '"\\udc00\\ud800"']


@st.composite
def json_lines(draw):
    """A JSONL file of texts and labels, among other values."""
    lines = []
    for _ in range(draw(st.integers(0, 10))):
        record = {"text": draw(TEXTS), "label": draw(LABELS | st.integers(0, 2))}
        if draw(st.integers(0, 9)) == 0:
            record[draw(TEXTS | st.sampled_from(["text", "label"]))] = draw(VALUES)
        lines.append(json.dumps(record, ensure_ascii=draw(st.booleans())))
    if draw(st.integers(0, 3)) == 0:
        value = draw(st.sampled_from(COSTLY))
        lines.append(f'{{"text": "a", "label": "b", "{draw(LABELS)}": {value}}}')
    return "\n".join(lines) + draw(st.sampled_from(["\n", "", "\n\n"]))


@st.composite
def json_arrays(draw):
    """Objects of texts and labels in an array, or one after the other."""
    records = [
        {"text": draw(TEXTS), "label": draw(LABELS), draw(LABELS): draw(VALUES)}
        for _ in range(draw(st.integers(0, 6)))
    ]
    indent = draw(st.sampled_from([None, None, 1]))
    if draw(st.integers(0, 3)):
        return json.dumps(records, indent=indent, ensure_ascii=draw(st.booleans()))
    return draw(st.sampled_from(["\n", "", ",", " "])).join(
        json.dumps(record, indent=indent) for record in records
    )


@st.composite
def fasttext_lines(draw):
    """Lines of texts with labels as fastText reads them."""
    lines = [
        " ".join([f"__label__{draw(LABELS)}" for _ in range(draw(st.integers(0, 2)))])
        + " "
        + draw(TEXTS)
        for _ in range(draw(st.integers(1, 10)))
    ]
    return "\n".join(lines)


FILES = {"csv": separated(), "tsv": separated("\t\t\t,"), "jsonl": json_lines()}
TEXT_FILES = FILES | {"json": json_arrays(), "fasttext": fasttext_lines()}


def _is_text(value):
    value.encode()
    return True


@pytest.mark.parametrize("num", NUMS)
@pytest.mark.parametrize("fmt", TEXT_FILES)
def test_any_bytes_are_records_or_refused(fmt, num):
    def read(content, counter=None):
        before = 0
        for line, record in iter_records(io.BytesIO(content), ReadOptions(fmt), "file", counter):
            assert line >= before if fmt == "json" else line > before
            assert all(_is_text(value) for value in record.values() if isinstance(value, str))
            before = line

    def both(content):
        # What the strict reader accepts, the replacing reader must accept too.
        counter = ReplacementCounter()
        try:
            read(content)
        finally:
            strictly = sys.exc_info()[0] is None
            if strictly:
                read(content, counter)
                assert counter.num_lines == 0

    fuzz(fmt, any_bytes(TEXT_FILES[fmt]), both, num if fmt in FILES else num // 3)
    if num == FEW and fmt in FILES:
        fuzz(
            f"{fmt}, replacing",
            any_bytes(FILES[fmt]),
            lambda c: read(c, ReplacementCounter()),
            num // 3,
        )


@pytest.mark.parametrize("num", NUMS)
def test_any_bytes_are_rows_of_some_format_or_refused(num):
    """The format, the encoding and the compression are found by the content."""
    names = ["file", "file.csv", "file.tsv", "file.jsonl", "file.json", "file.txt", "file.gz"]

    def read(drawn):
        content, name, pack = drawn
        found = Found()
        for _, record in iter_records(io.BytesIO(pack(content)), name=name, found=found):
            assert all(_is_text(value) for value in record.values() if isinstance(value, str))
        assert all(_is_text(note) for note in found.notes(name))

    packs = st.sampled_from([bytes, bytes, gzip.compress, bz2.compress, _cut])
    texts = st.one_of(*TEXT_FILES.values())
    strategy = st.tuples(any_bytes(texts), st.sampled_from(names), packs)
    fuzz("any format", strategy, read, num // 2)


def _cut(content):
    return gzip.compress(content)[:-3]


PACKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: load_zstd().compress(content),
}


@st.composite
def packed_lines(draw, pack):
    """Compressed lines, as they are or changed in a few places."""
    content = pack("\n".join(draw(st.lists(TEXTS, max_size=20))).encode())
    return draw(changed_bytes(content)) if draw(st.booleans()) else content


@pytest.mark.parametrize("num", NUMS)
@pytest.mark.parametrize("kind", PACKERS)
def test_any_compressed_bytes_are_read_or_refused(kind, num):
    def read(content):
        options = ReadOptions("lines", "latin-1")
        for _, record in iter_records(io.BytesIO(content), options, "file"):
            assert _is_text(record["text"])

    fuzz(kind, packed_lines(PACKERS[kind]), read, num // 6)


@st.composite
def columns_of_rows(draw, kind):
    """A Parquet file, an Arrow file or an Arrow stream, as it is or changed in a few places."""
    pa = pytest.importorskip("pyarrow")
    texts = draw(st.lists(TEXTS, max_size=9))
    table = pa.table({"text": pa.array(texts, pa.string()), "label": [1] * len(texts)})
    target = io.BytesIO()
    if kind == "parquet":
        pytest.importorskip("pyarrow.parquet").write_table(table, target, row_group_size=4)
    else:
        new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
        with new(target, table.schema) as writer:
            writer.write_table(table)
    content = target.getvalue()
    return draw(changed_bytes(content)) if draw(st.booleans()) else content


@pytest.mark.parametrize("num", NUMS)
@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_any_bytes_of_columns_are_records_or_refused(kind, num):
    options = ReadOptions("parquet" if kind == "parquet" else "arrow")

    def read(content):
        for number, _ in iter_records(io.BytesIO(content), options, "file"):
            assert number > 0

    fuzz(f"columns, {kind}", columns_of_rows(kind), read, num // 6)


@pytest.mark.parametrize("num", NUMS)
def test_any_bytes_are_lines_or_refused(num):
    def read(content):
        lines = list(decode_lines(io.BytesIO(content), "file"))
        assert all(_is_text(line) for line in lines)
        assert all(line.endswith(("\n", "\r")) for line in lines[:-1])
        kept = list(decode_lines(io.BytesIO(content), "file", ReplacementCounter()))
        assert kept == lines

    fuzz("lines", any_bytes(separated()), read, num)


# Data sets


@st.composite
def tables(draw, fmt):
    """A table with enough examples of two classes to be split, and now and then not."""
    rows = [(f"{draw(TEXTS)} {i}", ("good", "bad")[i % 2]) for i in range(20)]
    if draw(st.integers(0, 3)) == 0:
        rows += draw(st.lists(st.tuples(TEXTS, LABELS), max_size=2))
    if fmt == "jsonl":
        return "\n".join(json.dumps({"text": text, "label": label}) for text, label in rows)
    mark = "\t" if fmt == "tsv" else ","
    body = ["".join(['"', text.replace('"', '""'), '"', mark, label]) for text, label in rows]
    return "\n".join([f"text{mark}label", *body])


def _loaded(path, **settings):
    data = load(DataSource(str(path), **settings))
    for split in data.splits.values():
        assert len(split.inputs) == len(split.labels) > 0
        assert all(_is_text(text) for text in split.inputs)
        assert split.labels.min() >= 0
        assert split.labels.max() < len(data.labels)
    assert all(_is_text(label) for label in data.labels)
    assert len(data.fingerprint) == 64
    assert all(len(note) < 500 for note in data.notes)


@pytest.mark.parametrize("num", NUMS)
@pytest.mark.parametrize("fmt", FILES)
def test_any_table_is_a_data_set_or_refused(fmt, num, tmp_path):
    path = tmp_path / f"films.{fmt}"

    def read(content):
        path.write_bytes(content)
        _loaded(path)

    fuzz(f"data set from {fmt}", any_bytes(tables(fmt)), read, num)


FOLDER_NAMES = st.sampled_from(
    [
        b"good",
        b"bad",
        b"good",
        b"bad",
        b"unsup",
        b".git",
        b"a b",
        b"caf\xe9",
        "映画".encode(),
        b"x\ny",
    ]
)
FILE_NAMES = st.sampled_from(
    [*[b"%d.txt"] * 9, b"%d.TXT", b".%d.txt", b"%d.md", b"\xff%d.txt", b"\n%d.txt"]
)


@st.composite
def folders(draw):
    """A folder for each class, with some files each: `{name: {name: content}}`."""
    found = {b"good": {}, b"bad": {}}
    if draw(st.integers(0, 4)) == 0:
        found[draw(FOLDER_NAMES)] = {}
    for files in found.values():
        for number in range(draw(st.sampled_from([4, 5, 6, 7, 6, 5, 2, 0]))):
            content = draw(TEXTS).encode()
            if draw(st.integers(0, 19)) == 0:
                content = draw(any_bytes(separated()))
            files[draw(FILE_NAMES) % number] = content
    return found


@pytest.mark.parametrize("num", NUMS)
def test_any_folder_is_a_data_set_or_refused(num, tmp_path):
    def read(content):
        root = os.fsencode(tmp_path / "films")
        shutil.rmtree(root, ignore_errors=True)
        for folder, files in content.items():
            os.makedirs(os.path.join(root, folder))  # noqa: PTH103, PTH118  (names are bytes)
            for name, text in files.items():
                with open(os.path.join(root, folder, name), "wb") as file:  # noqa: PTH118, PTH123
                    file.write(text)
        _loaded(tmp_path / "films")

    fuzz("data set from a folder", folders(), read, num)


# What is predicted on


@pytest.mark.parametrize("num", NUMS)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_any_table_to_predict_on_is_texts_or_refused(suffix, num, tmp_path):
    path = tmp_path / f"films.{suffix}"

    def read(content):
        path.write_bytes(content)
        with open_records(path) as records:
            for window in records.windows():
                assert all(_is_text(record.text) for record in window)

    fuzz(f"predict --file x.{suffix}", any_bytes(FILES[suffix]), read, num)


@pytest.mark.parametrize("num", NUMS)
def test_any_column_to_predict_on_is_texts_or_refused(num, tmp_path):
    path = tmp_path / "films.csv"
    columns = st.sampled_from(["text", "label", "id", "", "nope", "\ud800", "text\n"])

    def read(drawn):
        content, column = drawn
        path.write_bytes(content)
        with open_records(path, [column]) as records:
            assert all(_is_text(record.text) for record in records)

    strategy = st.tuples(any_bytes(separated()), columns)
    fuzz("predict --text-column", strategy, read, num)


@pytest.mark.parametrize("num", NUMS)
@pytest.mark.parametrize("pipe", [False, True])
def test_any_lines_to_predict_on_are_texts(pipe, num, tmp_path, monkeypatch):
    """Nothing is refused here: invalid bytes are replaced."""
    path = tmp_path / "films.txt"

    def read(content):
        if not pipe:
            path.write_bytes(content)
            with open_records(path, options=ReadOptions("lines")) as records:
                return [record.text for record in records]
        # As much as a pipe takes without a reader.
        reader, writer = os.pipe()
        os.write(writer, content[:60_000])
        os.close(writer)
        try:
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: reader))
            with open_records(None, options=ReadOptions("lines")) as records:
                return [record.text for window in records.windows() for record in window]
        finally:
            os.close(reader)

    def check(content):
        texts = read(content)
        assert all(_is_text(text) for text in texts)
        marks = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
        if not content.startswith(marks) and b"\0" not in content:
            given = content[:60_000] if pipe else content
            given = given.removeprefix(b"\xef\xbb\xbf")
            assert len(texts) == given.count(b"\n") + (not given.endswith(b"\n") and bool(given))

    name = "predict < pipe" if pipe else "predict --file x.txt"
    fuzz(name, any_bytes(separated()), check, num, refuses=False)


# Images


@st.composite
def idx_files(draw):
    """The content of an images file and of a labels file, packed or not."""
    num, rows, columns = draw(st.integers(0, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    pixels = np.arange(num * rows * columns, dtype=np.uint8).reshape(num, rows, columns)
    labels = np.arange(num, dtype=np.uint8)
    contents = [idx_bytes(pixels), idx_bytes(labels)]
    packed = draw(st.booleans())
    return [draw(near(st.just(gzip.compress(c) if packed else c))) for c in contents]


@pytest.mark.parametrize("num", [FEW // 3, NUMS[1]])
def test_any_bytes_are_images_with_labels_or_refused(num, tmp_path):
    images, labels = tmp_path / TRAIN, tmp_path / "train-labels-idx1-ubyte"

    def read(contents):
        images.write_bytes(contents[0])
        labels.write_bytes(contents[1])
        found = read_idx(images)
        assert found.images.shape[0] == len(found.labels)
        assert found.images.dtype == np.uint8
        assert is_idx(images)

    fuzz("idx", idx_files(), read, num)

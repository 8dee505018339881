"""Files of word vectors: which words get which vector, and the notes on the file."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from fixtures_errors import refused
from fixtures_fuzz import FEW, MANY, any_bytes, fuzz
from hypothesis import strategies as st

from lstm_cli.errors import ExitCode
from lstm_cli.text.token_ids import SPECIAL_TOKENS
from lstm_cli.text.vector_file import read_vectors, vector_width

WORDS = (*SPECIAL_TOKENS, "the", "film", "café", "!", "映")
NUMS = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]


def written(tmp_path, content, name="words.vec"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def vectors_of(path, words=WORDS):
    found = read_vectors(path, words)
    return {words[i]: found.vectors[i].tolist() for i in np.flatnonzero(found.is_found)}


@pytest.mark.parametrize("header", ["", "3 2\n", "\ufeff3 2\n", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", " \n", "\r\n"])
def test_the_text_format_with_and_without_a_first_line(tmp_path, header, end):
    lines = ["the 1 2", "film -0.5 1e-1", "other 5 6"]
    path = written(tmp_path, header + end.join(lines) + end)
    assert vector_width(path) == 2
    assert vectors_of(path) == {"the": [1, 2], "film": pytest.approx([-0.5, 0.1])}
    assert read_vectors(path, WORDS).num_rows == 3


def test_tabs_blank_lines_and_words_with_spaces(tmp_path):
    path = written(tmp_path, "the\t1\t2\n\n. . . 3 4\nthe film 5 6\nfilm 7 8\n!\t9 1")
    assert vectors_of(path) == {"the": [1, 2], "film": [7, 8], "!": [9, 1]}


def test_a_word_is_the_token_that_the_tokenizer_makes_of_it(tmp_path):
    path = written(tmp_path, "THE 1 1\nThe 2 2\nthe 3 3\nFilm 4 4\nFILM 5 5\nCAFE\u0301 6 6\n")
    # The same spelling first, then the first in the file.
    assert vectors_of(path) == {"the": [3, 3], "film": [4, 4], "café": [6, 6]}


def test_a_repeated_word_counts_once_and_is_said(tmp_path):
    path = written(tmp_path, "the 1 1\nthe 2 2\nfilm 3 3\nother 4 4\nother 5 5\n")
    assert vectors_of(path) == {"the": [1, 1], "film": [3, 3]}
    assert "1 words of the vocabulary come again" in read_vectors(path, WORDS).notes[0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("the 1", "line 2: expected a word and 2 numbers, found 1 numbers"),
        ("the", "found no numbers"),
        ("the 1 x", "could not convert"),
        ("the nan 1", "infinite or not a number"),
        ("the 1 1e300", "infinite or not a number"),
        (b"\xff\xfe\xfd 1 2", "not UTF-8"),
    ],
)
def test_few_damaged_lines_are_passed_over_and_said(tmp_path, line, reason):
    line = line if isinstance(line, bytes) else line.encode()
    path = written(tmp_path, b"film 1 2\n" + line + b"\nthe 3 4\nother 5 6\n")
    found = read_vectors(path, WORDS)
    # The word may come again.
    assert vectors_of(path) == {"film": [1, 2], "the": [3, 4]}
    assert "1 of 4 rows are damaged" in found.notes[0]
    assert reason in found.notes[0]


def test_many_damaged_lines_are_an_error_with_the_first(tmp_path):
    lines = [f"w{i} 1 2" for i in range(200)] + ["cut"] * 12
    error = refused(read_vectors, written(tmp_path, "\n".join(lines)), WORDS)
    assert "12 of 212 rows are damaged; line 201" in error.message
    assert read_vectors(written(tmp_path, "\n".join(lines[:-2])), WORDS).num_rows == 210


def test_a_file_that_is_cut_off_says_so(tmp_path):
    path = written(tmp_path, "9 2\nthe 1 2\nfilm 3 4\n")
    assert "says 9 words, and it has 2: it may be cut off" in read_vectors(path, WORDS).notes[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "found 0"),
        ("\n\n", "found 0"),
        ("2 300\n", "no word vectors below"),
        ("2 3\nthe 1 2\nfilm 1 2\n", "says 3 numbers in a line, the next lines have 2"),
        ("text,label\na film,good\n", "expected lines of a word and 2"),
        ("a film\nanother film\n", "expected lines of a word and 2"),
        (b"3 2\nthe \x00\x01\x02", "NUL bytes"),
        (b"\x80\x04\x95pickle of Python", "pickle"),
        (b"\x93NUMPY\x01\x00v", "NumPy"),
        (b"PK\x03\x04 not a zip", "not a .npz file"),
        (b"\x1f\x8b\x08 not gzip", "Cannot read"),
        (b"w" * (1 << 20), "a line is too long"),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path, content, reason):
    path = written(tmp_path, content)
    code = ExitCode.DATA if "gzip" in str(content) else ExitCode.ERROR
    assert reason in refused(read_vectors, path, WORDS, code=code).message


def test_a_missing_file_has_the_exit_code_of_missing_data(tmp_path):
    for path in (tmp_path / "none.vec", tmp_path):
        refused(vector_width, path, code=ExitCode.DATA)


def test_gzip_is_found_by_content(tmp_path):
    path = written(tmp_path, gzip.compress(b"the 1 2\nfilm 3 4\n"), "words.bin")
    assert vectors_of(path) == {"the": [1, 2], "film": [3, 4]}
    cut = written(tmp_path, gzip.compress(b"the 1 2\nfilm 3 4\n" * 99)[:-9], "cut.gz")
    refused(read_vectors, cut, WORDS, code=ExitCode.DATA)


ROWS = np.arange(8, dtype=np.float32).reshape(4, 2)
NAMES = ["The", "other", "the", "film"]
EXPECTED = {"the": [4, 5], "film": [6, 7]}


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
def test_npz(tmp_path, dtype, monkeypatch):
    # Pieces of one row.
    monkeypatch.setattr("lstm_cli.text.vector_arrays._PIECE", 1)
    content = npz(words=np.array(NAMES), vectors=ROWS.astype(dtype))
    path = written(tmp_path, content)
    assert vector_width(path) == 2
    assert vectors_of(path) == EXPECTED
    found = read_vectors(written(tmp_path, npz(a=np.array([b"the"]), b=ROWS[:1])), WORDS)
    assert found.is_found.sum() == 1


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"vectors": ROWS}, "has not one list of words"),
        ({"words": np.array(NAMES[:3]), "vectors": ROWS}, "has 3 words and 4 vectors"),
        ({"words": np.array(NAMES, object), "vectors": ROWS}, "pickled"),
        ({"words": np.array(NAMES), "vectors": np.asfortranarray(ROWS)}, "by columns"),
        ({"words": np.array(NAMES), "vectors": ROWS[:, :1]}, "vectors of 1 numbers"),
        ({"words": np.array(NAMES), "vectors": ROWS.astype(int)}, "has not one list"),
    ],
)
def test_an_npz_of_other_arrays_is_refused(tmp_path, arrays, reason):
    error = refused(read_vectors, written(tmp_path, npz(**arrays)), WORDS)
    assert reason in error.message


def test_the_hint_for_npz_works(tmp_path):
    error = refused(read_vectors, written(tmp_path, npz(vectors=ROWS)), WORDS)
    assert "np.savez(FILE, words=np.array(words), vectors=vectors)" in error.hint
    path, words, vectors = tmp_path / "again.npz", NAMES, ROWS
    np.savez(path, words=np.array(words), vectors=vectors)
    assert vectors_of(path) == EXPECTED


def test_an_npz_that_is_cut_off_or_lies_is_refused(tmp_path):
    content = npz(words=np.array(NAMES), vectors=ROWS)
    refused(read_vectors, written(tmp_path, content[:-30]), WORDS)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in (("words", np.array(NAMES)), ("vectors", ROWS)):
            body = io.BytesIO()
            np.lib.format.write_array(body, array)
            archive.writestr(f"{name}.npy", body.getvalue()[:-8])
    assert "cut off" in refused(read_vectors, written(tmp_path, stream.getvalue()), WORDS).message


def test_safetensors_with_words_in_the_metadata_or_as_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_cli.text.vector_arrays._PIECE", 1)
    metadata = {"words": '["The", "other", "the", "film"]'}
    listed = safetensors.numpy.save({"vectors": ROWS}, metadata)
    as_bytes = np.frombuffer("\n".join(NAMES).encode(), np.uint8)
    with_bytes = safetensors.numpy.save({"embeddings": ROWS, "words": as_bytes})
    for content in (listed, with_bytes):
        path = written(tmp_path, content)
        assert vector_width(path) == 2
        assert vectors_of(path) == EXPECTED


@pytest.mark.parametrize(
    ("tensors", "metadata", "reason"),
    [
        ({"vectors": ROWS}, None, "has no words"),
        ({"vectors": ROWS, "more": ROWS}, {"words": "[]"}, "2 tensors with two dimensions"),
        ({"vectors": ROWS}, {"words": '["the"]'}, "has 1 words and 4 vectors"),
        ({"vectors": ROWS}, {"words": '{"the": 1}'}, "not a list of texts"),
        ({"vectors": ROWS}, {"words": "[1, 2, 3, 4]"}, "not a list of texts"),
        ({"vectors": ROWS.astype(int)}, {"words": str(NAMES).replace("'", '"')}, "expected F16"),
    ],
)
def test_safetensors_of_other_tensors_are_refused(tmp_path, tensors, metadata, reason):
    path = written(tmp_path, safetensors.numpy.save(tensors, metadata))
    assert reason in refused(read_vectors, path, WORDS).message


def test_the_memory_does_not_grow_with_the_file(tmp_path):
    row = " ".join(["0.5"] * 200)
    path = written(tmp_path, "".join(f"w{i} {row}\n" for i in range(8000)) + f"the {row}\n")
    assert path.stat().st_size > 6 << 20
    read_vectors(path, WORDS)
    tracemalloc.start()
    assert read_vectors(path, WORDS).is_found.sum() == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


# Any bytes

TOKENS = st.sampled_from(["the", "The", "film", "other", "a b", "café", "映", "!", ""])
NUMBERS = st.sampled_from(["0.5", "-1", "1e9", "nan", "inf", "x", "1,5", "", "0.25", "0.125"])


@st.composite
def vector_lines(draw):
    """A file of vectors in the text format, as programs write it and a little off."""
    lines = []
    for _ in range(draw(st.integers(1, 12))):
        numbers = ["0.5", "1"] if draw(st.integers(0, 9)) else draw(st.lists(NUMBERS, max_size=3))
        lines.append(" ".join([draw(TOKENS) or "w", *numbers]))
    header = draw(st.sampled_from(["", "", f"{len(lines)} 2\n", "9 2\n", "1 3\n"]))
    return header + draw(st.sampled_from(["\n", "\r\n"])).join(lines)


def _check(path):
    found = read_vectors(path, WORDS)
    assert found.vectors.shape == (len(WORDS), vector_width(path))
    assert np.isfinite(found.vectors).all()
    assert not found.is_found[: len(SPECIAL_TOKENS)].any()
    assert all(len(note) < 300 for note in found.notes)


@pytest.mark.parametrize("num", NUMS)
def test_any_bytes_are_vectors_or_refused(num, tmp_path):
    path = tmp_path / "words.vec"

    def read(content):
        path.write_bytes(content)
        _check(path)

    fuzz("vectors", any_bytes(vector_lines()), read, num)


@st.composite
def changed_arrays(draw):
    """A .npz or .safetensors file of vectors with a few bytes changed, or none."""
    valid = [
        npz(words=np.array(NAMES), vectors=ROWS),
        safetensors.numpy.save({"vectors": ROWS}, {"words": str(NAMES).replace("'", '"')}),
    ]
    content = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 3]))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.sampled_from([len(content)] * 5 + [len(content) // 2]))])


@pytest.mark.parametrize("num", NUMS)
def test_any_arrays_are_vectors_or_refused(num, tmp_path):
    path = tmp_path / "words.npz"

    def read(content):
        path.write_bytes(content)
        _check(path)

    fuzz("arrays of vectors", changed_arrays(), read, num // 2)

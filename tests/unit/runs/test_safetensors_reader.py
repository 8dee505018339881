"""Reading safetensors files: the expected arrays are read, and any other file is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.runs import safetensors_reader

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array([1.5], np.float32),
    "größe": np.zeros((1, 2, 2), np.float32),
}
SHAPES = {name: array.shape for name, array in ARRAYS.items()}
CONTENT = safetensors.numpy.save(ARRAYS)


def test_saved_arrays_are_read():
    found = safetensors_reader.read(CONTENT, SHAPES)
    assert found.keys() == ARRAYS.keys()
    for name, array in found.items():
        assert np.array_equal(array, ARRAYS[name])
        assert array.dtype == np.float32


def test_header_of_any_length_is_not_taken_for_a_pickle():
    """A file begins with the length of its header, and every pickle begins with byte 128."""
    for extra in range(256):
        arrays = {"x" * (extra + 1): np.zeros(1, np.float32)}
        content = safetensors.numpy.save(arrays)
        assert safetensors_reader.read(content, dict.fromkeys(arrays, (1,)))


@pytest.mark.parametrize("end", [*range(0, len(CONTENT) - 1, 7), len(CONTENT) - 1])
def test_truncated_file_is_refused(end):
    with pytest.raises(ValueError, match=r"\w"):
        safetensors_reader.read(CONTENT[:end], SHAPES)


def test_header_over_the_limit_is_refused():
    length = int.from_bytes(CONTENT[:8], "little")
    for longest, refused in ((1 << 16, False), ((1 << 16) + 1, True)):
        text = CONTENT[8 : 8 + length].ljust(longest)
        content = longest.to_bytes(8, "little") + text + CONTENT[8 + length :]
        if refused:
            with pytest.raises(ValueError, match="65,537"):
                safetensors_reader.read(content, SHAPES)
        else:
            assert safetensors_reader.read(content, SHAPES)


@relaxed
@given(st.binary(max_size=100), st.integers(0, 120))
def test_random_bytes_are_refused(content, length):
    for begin in (b"", length.to_bytes(8, "little")):
        with pytest.raises(ValueError, match=r"\w"):
            safetensors_reader.read(begin + content, SHAPES)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)


def test_array_described_twice_is_refused():
    """`safetensors` takes the last one, other readers may take the first."""
    length = int.from_bytes(CONTENT[:8], "little")
    header = json.loads(CONTENT[8 : 8 + length])
    text = json.dumps(header).encode()
    text = b'{"b":' + json.dumps(header["b"]).encode() + b"," + text[1:]
    content = len(text).to_bytes(8, "little") + text + CONTENT[8 + length :]
    assert safetensors.numpy.load(content).keys() == ARRAYS.keys()
    for read in (lambda c: safetensors_reader.read(c, SHAPES), safetensors_reader.read_any):
        with pytest.raises(ValueError, match="twice"):
            read(content)


def test_read_any_keeps_dtypes():
    arrays = {"a": np.arange(3), "b": np.array([True]), "c": np.zeros((2, 0), np.float16)}
    found = safetensors_reader.read_any(safetensors.numpy.save(arrays))
    assert {n: (a.dtype, a.shape) for n, a in found.items()} == {
        n: (a.dtype, a.shape) for n, a in arrays.items()
    }
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_read_any_refuses_dtypes_that_numpy_lacks(dtype):
    size = 2 if dtype == "BF16" else 1
    text = json.dumps({"a": {"dtype": dtype, "shape": [1], "data_offsets": [0, size]}}).encode()
    with pytest.raises(ValueError, match=dtype):
        safetensors_reader.read_any(len(text).to_bytes(8, "little") + text + bytes(size))


def test_header_is_checked_without_the_data(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(CONTENT)
    safetensors_reader.check_header(path, CONTENT, SHAPES)
    for shapes in ({**SHAPES, "b": (3, 2)}, {**SHAPES, "c": (1,)}, {"a": SHAPES["a"]}):
        with pytest.raises(ValueError, match="array"):
            safetensors_reader.check_header(path, CONTENT, shapes)


@relaxed
@given(st.sampled_from(["dtype", "shape", "data_offsets"]), json_values)
def test_changed_description_is_refused(field, value):
    length = int.from_bytes(CONTENT[:8], "little")
    header = json.loads(CONTENT[8 : 8 + length])
    right = header["b"][field]
    header["b"][field] = value
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + CONTENT[8 + length :]
    if value == right:
        assert np.array_equal(safetensors_reader.read(content, SHAPES)["b"], ARRAYS["b"])
        return
    with pytest.raises(ValueError, match=r"\w"):
        safetensors_reader.read(content, SHAPES)


@relaxed
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_changed_byte_is_refused_or_read_as_safetensors_reads_it(at, bits):
    content = bytearray(CONTENT)
    content[at] ^= bits
    try:
        found = safetensors_reader.read(bytes(content), SHAPES)
    except ValueError:
        return
    expected = safetensors.numpy.load(bytes(content))
    assert expected.keys() == found.keys()
    for name, array in found.items():
        assert array.tobytes() == expected[name].tobytes()

"""Reading safetensors files: what `safetensors` writes is read, and anything else is refused."""

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


def test_what_was_saved_is_read_without_copies():
    found = safetensors_reader.read(memoryview(CONTENT), SHAPES)
    assert found.keys() == ARRAYS.keys()
    for name, array in found.items():
        assert np.array_equal(array, ARRAYS[name])
        assert array.dtype == np.float32
        assert np.shares_memory(array, np.frombuffer(CONTENT, np.uint8))


def test_a_header_of_any_length_is_no_pickle():
    """Its length begins the file, and every pickle begins with 128."""
    for extra in range(256):
        arrays = {"x" * (extra + 1): np.zeros(1, np.float32)}
        content = safetensors.numpy.save(arrays)
        assert safetensors_reader.read(memoryview(content), dict.fromkeys(arrays, (1,)))


@pytest.mark.parametrize("end", [*range(0, len(CONTENT) - 1, 7), len(CONTENT) - 1])
def test_a_file_cut_short_is_refused(end):
    with pytest.raises(ValueError, match=r"cut short|lies at"):
        safetensors_reader.read(memoryview(CONTENT[:end]), SHAPES)


def test_a_header_longer_than_any_model_needs_is_refused():
    length = int.from_bytes(CONTENT[:8], "little")
    for longest, refused in ((1 << 16, False), ((1 << 16) + 1, True)):
        text = CONTENT[8 : 8 + length].ljust(longest)
        content = longest.to_bytes(8, "little") + text + CONTENT[8 + length :]
        if refused:
            with pytest.raises(ValueError, match="says its header has 65,537 bytes"):
                safetensors_reader.read(memoryview(content), SHAPES)
        else:
            assert safetensors_reader.read(memoryview(content), SHAPES)


@relaxed
@given(st.binary(max_size=100), st.integers(0, 120))
def test_any_bytes_are_refused(content, length):
    for begin in (b"", length.to_bytes(8, "little")):
        with pytest.raises(ValueError, match=r"\w"):
            safetensors_reader.read(memoryview(begin + content), SHAPES)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)


@relaxed
@given(st.sampled_from(["dtype", "shape", "data_offsets"]), json_values)
def test_any_description_is_refused_or_the_right_one(field, value):
    length = int.from_bytes(CONTENT[:8], "little")
    header = json.loads(CONTENT[8 : 8 + length])
    right = header["b"][field]
    header["b"][field] = value
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + CONTENT[8 + length :]
    if value == right:
        assert np.array_equal(
            safetensors_reader.read(memoryview(content), SHAPES)["b"], ARRAYS["b"]
        )
        return
    with pytest.raises(ValueError, match="'b'"):
        safetensors_reader.read(memoryview(content), SHAPES)


@relaxed
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_what_is_read_of_a_changed_file_is_what_safetensors_reads(at, bits):
    content = bytearray(CONTENT)
    content[at] ^= bits
    try:
        found = safetensors_reader.read(memoryview(content), SHAPES)
    except ValueError:
        return
    expected = safetensors.numpy.load(bytes(content))
    assert expected.keys() == found.keys()
    for name, array in found.items():
        assert array.tobytes() == expected[name].tobytes()

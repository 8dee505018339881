"""A safetensors file -> its arrays, where they lie, once its header is known to be right.

Source: github.com/huggingface/safetensors, "Format": the length of the header in 8 bytes, the
header in JSON, then the data of all arrays, one behind the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTH = 8
_ITEM = 4
_MAX_HEADER = 1 << 16
# With what comes before it; so much of a file is enough to judge it.
MAX_HEAD = _LENGTH + _MAX_HEADER
# What `read_any` takes: some hundred arrays, each with a name of its own.
_MAX_LONG_HEADER = 1 << 20
_MAX_DIM = 1 << 40
_MAX_DIMS = 8
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?"}
_DTYPES |= {f"{sign}{8 * n}": f"<{sign.lower()}{n}" for sign in "IU" for n in (1, 2, 4, 8)}

Array = NDArray[Any]


def read(content: memoryview, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Return the arrays of a file, `<float32>`, without copying them.

    Args:
        content: The file, `<uint8>[bytes]`.
        shapes: Every array that must be there, and no other may.

    Raises:
        ValueError: It is another kind of file, or holds other arrays; the words go on after its
            name.
    """
    placed = places(content[:MAX_HEAD], len(content), shapes)
    return {
        name: np.frombuffer(content[start:end], "<f4").reshape(shapes[name])
        for name, (start, end) in placed.items()
    }


def read_any(content: memoryview) -> dict[str, Array]:
    """Return the arrays of a file as it describes them, without copying them.

    Args:
        content: The file, `<uint8>[bytes]`.

    Raises:
        ValueError: It is another kind of file, or describes what it does not hold; the words go on
            after its name.
    """
    header, data = _header(content, len(content), _MAX_LONG_HEADER)
    shapes, dtypes, found = {}, {}, {}
    for name, entry in header.items():
        dtypes[name], shapes[name] = _described(name, entry)
        wanted = dtypes[name].itemsize * int(np.prod(shapes[name], dtype=object))
        found[name] = _span(name, entry["data_offsets"], wanted, len(content) - data)
    _check_adjoin(found, len(content) - data)
    return {
        name: np.frombuffer(content[data + start : data + end], dtypes[name]).reshape(shapes[name])
        for name, (start, end) in found.items()
    }


def places(
    head: memoryview, num_bytes: int, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, int]]:
    """Return where each array starts and ends, `[start, end)` in bytes from the file's begin.

    Args:
        head: The first `MAX_HEAD` bytes of the file, or all of it.
        num_bytes: Size of the whole file.
        shapes: Every array that must be there, and no other may.

    Raises:
        ValueError: As `read`.
    """
    header, data = _header(head, num_bytes)
    if set(header) != set(shapes):
        different = sorted(set(header) ^ set(shapes))[0]
        state = "lacks" if different in shapes else "holds a foreign"
        raise ValueError(f"{state} array {different[:80]!r}")
    found = {name: _place(name, header[name], shapes[name], num_bytes - data) for name in shapes}
    _check_adjoin(found, num_bytes - data)
    return {name: (data + start, data + end) for name, (start, end) in found.items()}


def _check_adjoin(found: Mapping[str, tuple[int, int]], num_bytes: int) -> None:
    """Hold that arrays fill the data, each beginning where the one before it ends."""
    at = 0
    for name, (start, end) in sorted(found.items(), key=lambda entry: entry[1]):
        if start != at:
            raise ValueError(
                f"array {name[:80]!r} begins at {start}, expected {at}: they must adjoin"
            )
        at = end
    if at != num_bytes:
        raise ValueError(f"holds {num_bytes - at:,} bytes that belong to no array")


def _header(
    head: memoryview, num_bytes: int, most: int = _MAX_HEADER
) -> tuple[dict[str, Any], int]:
    """Parse the header; return it and where the data begins."""
    begin = bytes(head[:_LENGTH])
    length = int.from_bytes(begin, "little")
    if len(begin) < _LENGTH or length > num_bytes - _LENGTH:
        raise ValueError("is no safetensors file, or cut short: its header ends behind its end")
    if length > most:
        raise ValueError(f"says its header has {length:,} bytes, more than {most:,}")
    try:
        header = json.loads(bytes(head[_LENGTH : _LENGTH + length]), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"has a header that cannot be read: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("has a header that is no mapping")
    return header, _LENGTH + length


def _place(name: str, entry: Any, shape: tuple[int, ...], num_bytes: int) -> tuple[int, int]:
    """Hold an array to its dtype, shape and size; return its place in the data."""
    _check_entry(name, entry)
    if entry["dtype"] != "F32" or entry["shape"] != list(shape):
        raise ValueError(
            f"array {name!r} is {str(entry['dtype'])[:20]} {str(entry['shape'])[:80]}, "
            f"expected F32 {list(shape)}"
        )
    return _span(name, entry["data_offsets"], _ITEM * int(np.prod(shape, dtype=object)), num_bytes)


def _described(name: str, entry: Any) -> tuple[np.dtype[Any], list[int]]:
    """Return the dtype and the shape that an array says it has."""
    _check_entry(name, entry)
    dtype, shape = entry["dtype"], entry["shape"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ValueError(f"array {name[:80]!r} is of a type there is not, {str(dtype)[:20]}")
    if not isinstance(shape, list) or len(shape) > _MAX_DIMS:
        raise ValueError(f"array {name[:80]!r} has no shape")
    if not all(type(dim) is int and 0 <= dim <= _MAX_DIM for dim in shape):
        raise ValueError(f"array {name[:80]!r} has a shape there is not, {str(shape)[:80]}")
    return np.dtype(_DTYPES[dtype]), shape


def _check_entry(name: str, entry: Any) -> None:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"array {name[:80]!r} is not described by dtype, shape and data_offsets")


def _span(name: str, place: Any, wanted: int, num_bytes: int) -> tuple[int, int]:
    """Return where an array of so many bytes starts and ends in the data."""
    if not (isinstance(place, list) and len(place) == 2 and all(type(n) is int for n in place)):
        raise ValueError(f"array {name[:80]!r} has no place")
    start, end = place
    if not 0 <= start <= end <= num_bytes or end - start != wanted:
        raise ValueError(f"array {name[:80]!r} lies at {start} to {end}, expected {wanted:,} bytes")
    return start, end


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in it twice")
    return found

"""Read safetensors files, and check names, shapes and dtypes of their arrays.

The library `safetensors` parses the file. It refuses holes, overlaps, bytes that belong to no
array, and shapes that do not fit. It accepts an array that is described twice, unknown fields and
metadata, so these are refused here: `train` writes none of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 1 << 16
# The beginning of a file that holds the whole header.
MAX_HEAD_BYTES = _LENGTH_BYTES + _MAX_HEADER_BYTES
# For `read_any`: some hundred arrays with long names.
_MAX_ANY_HEADER_BYTES = 1 << 20
_FIELDS = {"dtype", "shape", "data_offsets"}

Array = NDArray[Any]


def read(content: bytes, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Return the arrays of a file, `<float32>`.

    Args:
        content: The file.
        shapes: Shape of each array that the file must hold; it may hold no other.

    Raises:
        ValueError: It is another kind of file, or it holds other arrays. The message continues
            after the name of the file.
    """
    import safetensors

    _check_header(content, _MAX_HEADER_BYTES)
    deserialize: Any = safetensors.deserialize
    try:
        arrays = dict(deserialize(content))
    except safetensors.SafetensorError as error:
        raise ValueError(_message(error)) from None
    _check_arrays({n: (a["dtype"], a["shape"]) for n, a in arrays.items()}, shapes)
    return {n: np.frombuffer(arrays[n]["data"], "<f4").reshape(shapes[n]) for n in shapes}


def read_any(content: bytes) -> dict[str, Array]:
    """Return the arrays of a file with the names, shapes and dtypes that it describes.

    Args:
        content: The file.

    Raises:
        ValueError: It is another kind of file. The message continues after the name of the file.
    """
    import safetensors.numpy

    _check_header(content, _MAX_ANY_HEADER_BYTES)
    try:
        return dict(safetensors.numpy.load(content))
    except safetensors.SafetensorError as error:
        raise ValueError(_message(error)) from None
    except KeyError as error:
        raise ValueError(f"has an array of dtype {error}, which NumPy does not have") from None


def check_header(path: Path, head: bytes, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check the header of a file without reading the data.

    Args:
        path: The file.
        head: Its first `MAX_HEAD_BYTES` bytes, or all of it.
        shapes: As for `read`.

    Raises:
        ValueError: As `read`.
    """
    import safetensors

    _check_header(head, _MAX_HEADER_BYTES)
    try:
        with safetensors.safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            arrays = {n: (s.get_dtype(), s.get_shape()) for n, s in slices.items()}
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(_message(error)) from None
    _check_arrays(arrays, shapes)


def _check_header(head: bytes, max_bytes: int) -> None:
    """Check what `safetensors` does not: the size of the header, its keys, that each is unique."""
    length = int.from_bytes(head[:_LENGTH_BYTES], "little")
    if length > max_bytes:
        raise ValueError(f"has a header of {length:,} bytes, the limit is {max_bytes:,}")
    text = head[_LENGTH_BYTES : _LENGTH_BYTES + length]
    try:
        header = json.loads(text, object_pairs_hook=_check_unique_keys)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"has a header that cannot be read: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("has a header that is not a JSON object")
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != _FIELDS:
            raise ValueError(f"describes {name[:80]!r} with other keys than {sorted(_FIELDS)}")


def _check_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a key occurs twice")
    return unique


def _check_arrays(
    arrays: Mapping[str, tuple[str, list[int]]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Compare the dtype and shape of each array with what is expected."""
    for name in sorted(arrays.keys() ^ shapes.keys()):
        state = "lacks the array" if name in shapes else "has an unexpected array"
        raise ValueError(f"{state} {name[:80]!r}")
    for name, shape in shapes.items():
        found = arrays[name]
        if found != ("F32", list(shape)):
            raise ValueError(
                f"has array {name!r} as {found[0]} {str(found[1])[:80]}, expected F32 {list(shape)}"
            )


def _message(error: Exception) -> str:
    return f"is not a valid safetensors file ({str(error)[:200]})"

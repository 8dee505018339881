"""What `predict` of an image run reads in Python: arrays, lists of them, and images of Pillow."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.images import from_pillow
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction.inputs import describe

Shape = tuple[int, int]

_FILES = (
    "read_images([Path('image.png')], model.shape) of lstm_cli.data.images reads image files; for "
    "texts, name a text run (--run)."
)
_PILLOW = "PIL.Image.fromarray(image)"
_AS_FILE = "Give {}: an image of Pillow is read in gray and scaled, as an image file is."


def read_images(inputs: Any, shape: Shape, run_name: str) -> NDArray[np.uint8]:
    """Return images as the run reads them, `<uint8>[num, rows, columns]`.

    Args:
        inputs: An array `[num, rows, columns]` or `[num, rows, columns, 1]` of whole numbers from 0
            to 255, an iterable of such images or of images of Pillow, or one image `[rows,
            columns]`. Images of Pillow are read as image files are: in gray, and scaled.
        shape: Rows and columns of an image of the run.
        run_name: For errors.

    Returns:
        The images; they may share the memory of the input.

    Raises:
        LstmError: The input does not hold such images (exit code 2).
    """
    array = _to_array(inputs, shape, run_name)
    if array.shape == (0,):
        return np.zeros((0, *shape), np.uint8)
    if array.shape == shape:
        array = array[None]
    array = _without_channel(array, (len(array), *shape) if array.ndim else ())
    if array.ndim != 3 or array.shape[1:] != shape:
        found = f"<{array.dtype}>{list(array.shape)}"
        raise _error(found, _shape_hint(array, shape), shape, run_name)
    if not _are_pixels(array):
        found, hint = _describe_values(array)
        raise _error(found, hint, shape, run_name)
    return array.astype(np.uint8, copy=False)


def _to_array(inputs: Any, shape: Shape, run_name: str) -> NDArray[Any]:
    """Return all images as one array of numbers, of whatever shape.

    Raises:
        LstmError: An image is not an array of numbers, or they differ in shape (exit code 2).
    """
    if (array := _number_array(inputs, shape)) is not None:
        return _without_channel(array, shape)
    is_other = isinstance(inputs, str | bytes | bytearray | Mapping | type)
    if is_other or not isinstance(inputs, Iterable) or getattr(inputs, "ndim", 1) == 0:
        raise _error(describe(inputs), _FILES, shape, run_name)
    images = []
    for position, image in enumerate(inputs):
        array = _number_array(image, shape, is_element=True)
        if array is None:
            found = f"{describe(image)} at position {position} (counted from 0)"
            raise _error(found, _FILES, shape, run_name)
        images.append(_without_channel(array, shape))
    if len({image.shape for image in images}) > 1:
        position, image = next((i, a) for i, a in enumerate(images) if a.shape != shape)
        found = f"<{image.dtype}>{list(image.shape)} at position {position} (counted from 0)"
        raise _error(found, _AS_FILE.format(_PILLOW), shape, run_name)
    return np.stack(images) if images else np.zeros(0, np.uint8)


def _number_array(value: Any, shape: Shape, is_element: bool = False) -> NDArray[Any] | None:
    """Return an array of numbers, or an image of Pillow as one; None for anything else.

    Args:
        value: All images, or one of them.
        shape: What an image of Pillow is scaled to.
        is_element: Whether lists are read, too, as rows of one image.
    """
    pillow = sys.modules.get("PIL.Image")  # Without it, nobody has such an image.
    if pillow is not None and isinstance(value, pillow.Image):
        return from_pillow(value, shape)
    is_array = hasattr(value, "__array__") or hasattr(value, "__array_interface__")
    is_list = isinstance(value, list | tuple | int | float)
    if isinstance(value, type) or not (is_array or (is_element and is_list)):
        return None
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and array.ndim > 1:
            array = np.asarray(array.tolist())
    except (TypeError, ValueError, RuntimeError):  # rows of different lengths; a tensor of a GPU
        return None
    return array if array.dtype.kind in "buifcmM" else None


def _without_channel(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return an array without the last dimension if, without it, it has the shape."""
    return array[..., 0] if array.shape == (*shape, 1) else array


def _are_pixels(array: NDArray[Any]) -> bool:
    """Tell whether an array has whole numbers from 0 to 255."""
    if array.dtype == np.uint8:
        return True
    is_whole = array.dtype.kind in "iu"
    return is_whole and (not array.size or bool(array.min() >= 0 and array.max() <= 255))


def _error(found: str, hint: str, shape: Shape, run_name: str) -> LstmError:
    return LstmError(
        f"Run {run_name} reads images <uint8>[num, {shape[0]}, {shape[1]}] with values from 0 to "
        f"255, found {found}.",
        hint,
        ExitCode.USAGE,
    )


def _shape_hint(array: NDArray[Any], shape: Shape) -> str:
    if array.ndim == 2 and array.shape[1] == shape[0] * shape[1]:
        return f"Give each image its shape: np.reshape(images, (-1, {shape[0]}, {shape[1]}))."
    if array.ndim < 2:
        return _FILES
    is_single = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    return _AS_FILE.format(_PILLOW if is_single else f"[{_PILLOW} for image in images]")


def _describe_values(array: NDArray[Any]) -> tuple[str, str]:
    """Describe values that are not whole numbers from 0 to 255, and how to convert them."""
    found = f"<{array.dtype}>{list(array.shape)}"
    if array.dtype.kind == "b":
        return found, "Convert the values: images.astype('uint8') * 255."
    if array.dtype.kind not in "iuf":
        return found, _FILES
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return f"{found} with values that are not finite", "Find them with np.isfinite(images)."
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    found += f" with values from {low:g} to {high:g}"
    if array.dtype.kind in "iu":
        return found, "Give 0 for black and 255 for white, as image files have them."
    factor = " * 255" if array.size and high <= 1 else ""
    return found, f"Convert the values: (images{factor}).round().astype('uint8')."

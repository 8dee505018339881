"""IDX files, the format of MNIST and of Fashion-MNIST: images in one file, labels in another.

Source: Yann LeCun, The MNIST database of handwritten digits, "File formats".
"""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.readers.image_folder import MAX_BYTES, LabeledImages
from lstm_cli.errors import ExitCode, LstmError

# Two zero bytes, the type of the values (8: bytes), the number of dimensions.
_IMAGES, _LABELS = b"\0\0\x08\x03", b"\0\0\x08\x01"
_TYPES = {8: "bytes", 9: "signed bytes", 11: "16-bit", 12: "32-bit", 13: "floats", 14: "doubles"}
_GZIP = b"\x1f\x8b"
_MAX_LENGTH = 65_536
_IMAGES_NAME = re.compile(r"images.*idx3", re.IGNORECASE)
_SPLIT_NAMES = {"test": ("test", "t10k"), "validation": ("val", "dev"), "train": ("train",)}


def is_idx(path: Path) -> bool:
    """Return whether a file is named as one of images, or begins as IDX, also packed with gzip."""
    if _IMAGES_NAME.search(path.name):
        return True
    try:
        with path.open("rb") as stream, _unpacked(stream) as content:
            start = content.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(start) == 4 and start[:2] == b"\0\0" and start[2] in _TYPES and 1 <= start[3] <= 4


def find_images(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the images file of each split in a folder, and notes on files that are not read.

    Their names are like `train-images-idx3-ubyte.gz` and `t10k-images-idx3-ubyte.gz`.

    Returns:
        Nothing for a folder without such files.

    Raises:
        LstmError: Two files are of the same split, or none is of train.
    """
    names = [entry.name for entry in folder.iterdir() if _IMAGES_NAME.search(entry.name)]
    names = sorted(name for name in names if not name.startswith(".") and (folder / name).is_file())
    notes = [
        f"{folder / name} is not read: the same without .gz is beside it."
        for name in names
        if name.removesuffix(".gz") in set(names) - {name}
    ]
    found: dict[str, Path] = {}
    for name in names:
        if name.removesuffix(".gz") in set(names) - {name}:
            continue
        split = _split_of(name)
        if split in found:
            raise LstmError(
                f"{folder} has two files with images of {split}: {found[split].name} and {name}.",
                "Name one of them instead of the folder.",
            )
        found[split] = folder / name
    if found and "train" not in found:
        raise LstmError(
            f"{folder} has no file with images of train; found "
            f"{', '.join(path.name for path in found.values())}.",
            "Add train-images-idx3-ubyte and train-labels-idx1-ubyte, or name one images file.",
        )
    return found, notes


def _split_of(name: str) -> str:
    """Return the split that a file is named after; `train` for any other name."""
    lower = name.lower()
    return next(
        (split for split, words in _SPLIT_NAMES.items() if any(word in lower for word in words)),
        "train",
    )


def read_idx(path: Path) -> LabeledImages:
    """Read an images file and the labels file beside it; the classes are the numbers in it.

    Args:
        path: The images file, packed with gzip or not.

    Raises:
        LstmError: A file is missing or malformed, or they do not fit together.
    """
    pixels = _read_images(path)
    labels_path = find_labels(path)
    labels = _read_labels(labels_path)
    if len(labels) != len(pixels):
        raise LstmError(
            f"{path} has {len(pixels):,} images, and {labels_path} has {len(labels):,} labels.",
            "Both files must be of the same split of the same data set.",
        )
    total = hashlib.sha256(f"idx {pixels.shape}".encode())
    total.update(pixels.data)
    total.update(labels.data)
    return LabeledImages(pixels, [str(label) for label in labels.tolist()], total.hexdigest())


def find_labels(path: Path) -> Path:
    """Return the labels file beside an images file.

    Raises:
        LstmError: There is none, or the name of the images file does not tell its name.
    """
    name = path.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    if name == path.name.removesuffix(".gz"):
        raise LstmError(
            f"The name of the labels file of {path} is not known: the name of the images file has "
            "no 'images' in it.",
            "Name them as MNIST does: train-images-idx3-ubyte and train-labels-idx1-ubyte.",
        )
    for candidate in (name, f"{name}.gz"):
        if (path.parent / candidate).is_file():
            return path.parent / candidate
    raise LstmError(
        f"{path} has no labels file: there is neither {name} nor {name}.gz in {path.parent}.",
        "Put the labels file beside the images file.",
        ExitCode.DATA,
    )


def _read_images(path: Path) -> NDArray[np.uint8]:
    with _reading(path) as stream:
        _check_magic(stream, path, _IMAGES, "images")
        num, rows, columns = struct.unpack(">III", _read(stream, 12, path))
        if not (1 <= rows <= _MAX_LENGTH and 1 <= columns <= _MAX_LENGTH):
            raise LstmError(
                f"{path} says that its images have {rows:,} rows and {columns:,} columns: expected "
                f"1 to {_MAX_LENGTH:,}.",
                "Download it again.",
            )
        if num * rows * columns > MAX_BYTES:
            raise LstmError(
                f"{path} says that it has {num:,} images of {rows:,} rows and {columns:,} columns: "
                f"at most {MAX_BYTES >> 30} GiB of pixels are read.",
                "Download it again, or split it.",
            )
        values = _read_values(stream, num * rows * columns, path, f"{num:,} images")
    return values.reshape(num, rows, columns)


def _read_labels(path: Path) -> NDArray[np.uint8]:
    with _reading(path) as stream:
        _check_magic(stream, path, _LABELS, "labels")
        (num,) = struct.unpack(">I", _read(stream, 4, path))
        return _read_values(stream, num, path, f"{num:,} labels")


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """Open a file, unpacked; errors name it."""
    try:
        with path.open("rb") as stream, _unpacked(stream) as content:
            yield content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LstmError(
            f"{path} is damaged: {str(error) or 'the gzip stream ends too early'}.",
            "Download it again.",
        ) from None
    except OSError as error:
        raise LstmError(f"Cannot read {path}: {error.strerror}.", "", ExitCode.DATA) from None


@contextmanager
def _unpacked(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Return a stream without gzip, if its content is packed; its name does not matter."""
    start = stream.read(2)
    stream.seek(0)
    if start != _GZIP:
        yield stream
        return
    with gzip.open(stream) as content:
        yield cast(BinaryIO, content)


def _check_magic(stream: BinaryIO, path: Path, expected: bytes, what: str) -> None:
    found = _read(stream, 4, path)
    if found == expected:
        return
    if found in (_IMAGES, _LABELS):
        other = "labels" if found == _LABELS else "images"
        raise LstmError(f"{path} holds {other}, expected {what}.", f"Give the file of the {what}.")
    type_, dimensions = _TYPES.get(found[2]), found[3]
    is_idx_file = found[:2] == b"\0\0" and type_ is not None
    detail = f": values of type {type_} in {dimensions} dimensions" if is_idx_file else ""
    raise LstmError(
        f"{path} is not an IDX file of {what}: expected the magic number 0x{expected.hex()}, found "
        f"0x{found.hex()}{detail}.",
        "Images are bytes in 3 dimensions (gray), labels bytes in one."
        if is_idx_file
        else "Download it again.",
    )


def _read(stream: BinaryIO, size: int, path: Path) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise LstmError(f"{path} ends within its header.", "Download it again.")
    return content


def _read_values(stream: BinaryIO, size: int, path: Path, what: str) -> NDArray[np.uint8]:
    """Read exactly `size` bytes; memory grows with what the file holds, not with what it says."""
    content = bytearray()
    while len(content) < size:
        block = stream.read(min(size - len(content), 1 << 24))
        if not block:
            raise LstmError(
                f"{path} says that it has {what}, {size:,} bytes, but ends after {len(content):,}.",
                "Download it again.",
            )
        content += block
    if stream.read(1):
        raise LstmError(
            f"{path} says that it has {what}, {size:,} bytes, but goes on after them.",
            "Download it again.",
        )
    return np.frombuffer(bytes(content), np.uint8)

"""Read a folder with a subfolder of image files for each class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np

from lstm_cli.config.schema import MAX_IMAGE_LENGTH
from lstm_cli.data import images
from lstm_cli.data.images import DecodedImage, Pixels
from lstm_cli.data.readers.image_files import Remarks, class_files
from lstm_cli.errors import ExitCode, LstmError

# The pixels of all images of a split, one byte each.
MAX_BYTES = 4 << 30


@dataclass(frozen=True)
class LabeledImages:
    """The images of a folder or of a file, in its order.

    Attributes:
        images: `<uint8>[num, rows, columns]`.
        labels: The class of each image.
        names: The file of each image, below its folder; None without files.
        digest: SHA-256 (hex) of the content.
        notes: What a person should know about the files.
    """

    images: Pixels
    labels: list[str]
    digest: str
    names: list[str] | None = None
    notes: tuple[str, ...] = ()


def read_image_folder(path: Path, size: tuple[int, int] | None) -> LabeledImages:
    """Read the images of all class folders, sorted by class and path.

    Args:
        path: A folder with a subfolder for each class. Images in subfolders of these count too.
        size: Rows and columns to scale to; None for the size of the images, which must be equal.

    Raises:
        LstmError: The folder has another layout, an image cannot be read, or the sizes differ.
    """
    remarks = Remarks()
    files = list(class_files(path, remarks))
    digests: list[str] = []
    pixels: Pixels | None = None
    for number, (_, file) in enumerate(files):
        image, digest = read_file(file)
        if pixels is None:
            shape = size or (image.pixels.shape[0], image.pixels.shape[1])
            check_memory(len(files), shape, path)
            pixels = np.empty((len(files), *shape), np.uint8)
        _check_size(image, pixels.shape[1:], (files[0][1], file), size)
        pixels[number] = images.fit(image.pixels, (pixels.shape[1], pixels.shape[2]))
        remarks.num_scaled += image.pixels.shape != pixels.shape[1:]
        remarks.num_coloured += image.is_coloured
        remarks.num_frames += image.has_frames
        digests.append(digest)
    assert pixels is not None
    return LabeledImages(
        pixels,
        [label for label, _ in files],
        _join_digests(path, files, digests),
        [printable_name(file, path) for _, file in files],
        tuple(remarks.notes(path, len(files), size)),
    )


def printable_name(file: Path, folder: Path) -> str:
    """Return the name of a file below a folder; invalid bytes in it are escapes."""
    return file.relative_to(folder).as_posix().encode("utf-8", "backslashreplace").decode()


def folder_digest(path: Path) -> str:
    """Return the `digest` of `read_image_folder` without decoding the images.

    Raises:
        LstmError: The folder has another layout, or a file cannot be read.
    """
    files = list(class_files(path))
    return _join_digests(path, files, [_digest(file) for _, file in files])


def check_memory(num: int, shape: tuple[int, int], path: Path) -> None:
    """Check that images are not too large for a network that reads rows, and fit into memory.

    Raises:
        LstmError: They are too large, or too many.
    """
    if max(shape) > MAX_IMAGE_LENGTH:
        raise LstmError(
            f"The images in {path} have {shape[0]:,} rows and {shape[1]:,} columns: expected at "
            f"most {MAX_IMAGE_LENGTH:,}.",
            "Scale them down, for example with --image-size 32x32 (the setting image.size).",
        )
    size = num * shape[0] * shape[1]
    if size > MAX_BYTES:
        raise LstmError(
            f"{path} holds {num:,} images of {shape[0]:,} rows and {shape[1]:,} columns: "
            f"{size >> 30:,} GiB of pixels, and at most {MAX_BYTES >> 30} GiB are read.",
            "Scale them down, for example with --image-size 32x32 (the setting image.size).",
        )


def read_file(file: Path) -> tuple[DecodedImage, str]:
    """Read an image, and the SHA-256 (hex) of its file.

    Raises:
        LstmError: It cannot be read, or is not an image.
    """
    with _open(file) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        return images.decode_image(stream, file), digest


@contextmanager
def _open(file: Path) -> Iterator[BufferedReader]:
    """Open a file for the duration of a block; a pipe is refused and not waited for."""
    if not file.is_file():
        raise LstmError(
            f"{file} is a broken link, a pipe or a device, not an image file.",
            "Remove it.",
            ExitCode.DATA,
        )
    try:
        with file.open("rb") as stream:
            yield stream
    except OSError as error:
        raise LstmError(f"Cannot read {file}: {error.strerror}.", "", ExitCode.DATA) from error


def _digest(file: Path) -> str:
    with _open(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _join_digests(path: Path, files: Sequence[tuple[str, Path]], digests: Sequence[str]) -> str:
    """Return the SHA-256 (hex) of files with their names below a folder."""
    total = hashlib.sha256()
    for (label, file), digest in zip(files, digests, strict=True):
        # A file name may have invalid bytes; they are hashed unchanged.
        name = f"{label}/{file.relative_to(path / label).as_posix()}"
        total.update(f"{name} {digest}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _check_size(
    image: DecodedImage,
    expected: tuple[int, ...],
    files: tuple[Path, Path],
    size: tuple[int, int] | None,
) -> None:
    """Check that an image has the size of the first one, unless all are scaled."""
    found = image.pixels.shape
    if size is None and found != expected:
        raise LstmError(
            f"The images have different sizes: {files[0]} has {expected[0]:,} rows and "
            f"{expected[1]:,} columns, {files[1]} has {found[0]:,} and {found[1]:,}.",
            "Scale all to one size, rows x columns, for example with --image-size 32x32 (the "
            "setting image.size).",
        )

"""Labeled images with their files, as `lstm data check` reads them: nothing is split or scaled."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lstm_cli.data.dataset_settings import locate
from lstm_cli.data.images import Pixels
from lstm_cli.data.readers import own_images
from lstm_cli.data.readers.image_files import class_files
from lstm_cli.data.readers.image_folder import printable_name, read_file
from lstm_cli.data.registry import resolve
from lstm_cli.data.rows import LabeledRows, short_names
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths


def are_images(files: Sequence[str]) -> bool:
    """Return whether all of these files and folders hold own images.

    Raises:
        LstmError: Only some do (exit code 2), or there is no such data.
    """
    origins = {file: resolve(locate(file)) for file in files}
    others = [file for file, origin in origins.items() if origin != "images"]
    if others and len(others) < len(files):
        images = next(file for file, origin in origins.items() if origin == "images")
        raise LstmError(
            f"{images} holds images, and {others[0]} does not.",
            "Check images and texts with one command each.",
            ExitCode.USAGE,
        )
    return not others


def read_image_rows(files: Sequence[str]) -> list[LabeledRows]:
    """Read own images with their labels and files; images may have different sizes.

    Args:
        files: Folders with a subfolder for each class, folders of IDX files, or images files.

    Returns:
        One part for each split of each of them. Those with "train" in their name come first. What
        stands for the text of an image is a hash of its pixels: equal for equal images, and empty
        for an image of one brightness.

    Raises:
        LstmError: A file is missing, malformed or named twice.
    """
    parts: list[LabeledRows] = []
    for file, name in zip(files, short_names(files), strict=True):
        whole = paths.expand(locate(file))
        for path in own_images.find_splits(whole)[0].values():
            shown = name if path == whole else f"{name}/{path.name}"
            parts.append(_read_folder(path, shown) if path.is_dir() else _read_idx(path, shown))
    return sorted(parts, key=lambda part: "train" not in part.name.lower())


def _read_folder(path: Path, name: str) -> LabeledRows:
    files = list(class_files(path))
    keys = [_key(read_file(file)[0].pixels) for _, file in files]
    places = [printable_name(file, path) for _, file in files]
    return LabeledRows(name, keys, [label for label, _ in files], places)


def _read_idx(path: Path, name: str) -> LabeledRows:
    part = own_images.read_part(path, None)
    keys = [_key(pixels) for pixels in part.images]
    return LabeledRows(name, keys, part.labels, range(1, len(keys) + 1))


def _key(pixels: Pixels) -> str:
    if pixels.min() == pixels.max():
        return ""
    content = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16)
    content.update(str(pixels.shape).encode())
    return content.hexdigest()

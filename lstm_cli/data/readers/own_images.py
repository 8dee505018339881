"""Open own images: a folder with a subfolder for each class, or IDX files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from lstm_cli.data.dataset import SourceFile, Split
from lstm_cli.data.images import fit
from lstm_cli.data.readers import idx, image_files
from lstm_cli.data.readers.columns import join_names
from lstm_cli.data.readers.image_folder import (
    LabeledImages,
    check_memory,
    folder_digest,
    read_image_folder,
)
from lstm_cli.data.readers.path import run_name
from lstm_cli.data.source import DataSource, RawDataset, sort_labels
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths
from lstm_cli.io.text_format import pluralize


def holds_images(path: Path) -> bool:
    """Return whether a path is an IDX file, or a folder of IDX files or of class folders of images.

    Raises:
        LstmError: The class folders hold both texts and images, or a subfolder IDX files.
    """
    if not paths.is_folder(path):
        return idx.is_idx(path)
    if idx.find_images(path)[0]:
        return True
    kind = image_files.kind_of_folder(path)
    if kind is None:
        _refuse_idx_below(path)
    return kind == "image"


def _refuse_idx_below(path: Path) -> None:
    """Refuse a folder whose IDX files are one folder further down.

    Raises:
        LstmError: It is one.
    """
    for folder in image_files.subfolders(path):
        if idx.find_images(folder)[0]:
            raise LstmError(
                f"The IDX files are not in {path}, but in {folder}.",
                "Name that folder.",
                ExitCode.USAGE,
            )


def open_images(source: DataSource) -> RawDataset:
    """Read own images, those of all splits: what is wrong in any file is known before training.

    The classes are those of the training images. They are sorted as integers, or else as strings.

    Raises:
        LstmError: A file is missing or malformed, sizes differ, or another split has a class that
            train does not have.
    """
    path = paths.expand(source.name)
    files, notes = find_splits(path)
    files |= _named_files(source)
    shape = source.image_size
    parts: dict[str, LabeledImages] = {}
    for name, file in files.items():
        parts[name] = read_part(file, source.image_size)
        shape = shape or (parts[name].images.shape[1], parts[name].images.shape[2])
        _check_shape(parts[name], shape, file, files["train"])
    classes = sort_labels(parts["train"].labels)
    splits = {name: _split(part, classes, files[name]) for name, part in parts.items()}
    learned = [f"{name} {part.digest}" for name, part in parts.items() if name != "test"]
    return RawDataset(
        name=run_name(path),
        source=source.name,
        kind="image",
        labels=classes,
        read={name: partial(_identity, split) for name, split in splits.items()},
        identity=" ".join(["images", *learned, *map(str, source.image_size or ())]),
        is_path=True,
        files={
            name: SourceFile(str(files[name].absolute()), part.digest)
            for name, part in parts.items()
        },
        notes=(*notes, *(note for part in parts.values() for note in part.notes)),
    )


def training_images(path: Path) -> SourceFile:
    """Return the folder or images file with the training examples of a path.

    Raises:
        LstmError: As `open_images`, but for the images of a folder, which are not decoded.
    """
    train = find_splits(path)[0]["train"]
    is_folder = paths.is_folder(train)
    digest = folder_digest(train) if is_folder else idx.read_idx(train).digest
    return SourceFile(str(train.absolute()), digest)


def _identity(split: Split) -> Split:
    return split


def find_splits(path: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the folder or the images file of each split, train first, and notes."""
    if not paths.is_folder(path):
        return {"train": path}, []
    found, notes = idx.find_images(path)
    if not found:
        found, notes = image_files.find_splits(path)
    return {name: found[name] for name in image_files.SPLIT_FOLDERS if name in found}, notes


def _named_files(source: DataSource) -> dict[str, Path]:
    """Return the folders or files of the splits that settings name.

    Raises:
        LstmError: One holds no images.
    """
    named = {"validation": source.validation_file, "test": source.test_file}
    found: dict[str, Path] = {}
    for name, file in named.items():
        if file is None:
            continue
        path = paths.expand(file)
        if not holds_images(path):
            raise LstmError(
                f"{path} holds no images, and {source.name} does.",
                f"For --{name}, give a folder with a subfolder of images for each class, or an IDX "
                "file of images.",
            )
        found[name] = _own_part(path, name)
    return found


def _own_part(path: Path, name: str) -> Path:
    """Return what a folder has of a split: its part of that name, or all of it."""
    files, _ = find_splits(path)
    return files.get(name, files["train"]) if len(files) > 1 else files["train"]


def read_part(path: Path, size: tuple[int, int] | None) -> LabeledImages:
    """Read the images of one split.

    Args:
        path: A folder with a subfolder for each class, or an IDX file of images.
        size: Rows and columns to scale to; None for their own size.

    Raises:
        LstmError: A file is missing or malformed, or sizes differ.
    """
    if paths.is_folder(path):
        return read_image_folder(path, size)
    part = idx.read_idx(path)
    num, rows, columns = part.images.shape
    check_memory(num, size or (rows, columns), path)
    if size is None or (rows, columns) == size:
        return part
    scaled = np.empty((num, *size), np.uint8)
    for number, pixels in enumerate(part.images):
        scaled[number] = fit(pixels, size)
    note = f"{pluralize(num, 'image')} in {path} scaled to {size[0]} rows and {size[1]} columns."
    return LabeledImages(scaled, part.labels, part.digest, notes=(note,))


def _check_shape(part: LabeledImages, shape: tuple[int, int], file: Path, train: Path) -> None:
    """Check that the images of a split have the size of those of train."""
    found = part.images.shape[1:]
    if found != shape:
        raise LstmError(
            f"The images have different sizes: those in {train} have {shape[0]:,} rows and "
            f"{shape[1]:,} columns, those in {file} have {found[0]:,} and {found[1]:,}.",
            "Scale all to one size, rows x columns, for example with --image-size "
            f"{shape[0]}x{shape[1]} (the setting image.size).",
        )


def _split(part: LabeledImages, classes: Sequence[str], path: Path) -> Split:
    """Map labels to class ids; raise an error for labels that train does not have."""
    known = {label: i for i, label in enumerate(classes)}
    unknown = sorted(set(part.labels) - set(known))
    if unknown:
        raise LstmError(
            f"{path} has classes that the training images do not have: {join_names(unknown)}.",
            "Remove their images, or add images of them to the training images.",
        )
    labels = np.array([known[label] for label in part.labels], np.int32)
    return Split(part.images, labels, ids=part.names)

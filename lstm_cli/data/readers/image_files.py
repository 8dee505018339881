"""Find the image files of a folder with a subfolder for each class, and what else is in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lstm_cli.data import images
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_format import pluralize

# Names of the folders of splits, in lower case.
SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
_TEXT_SUFFIXES = frozenset((".txt", ".text"))
_MAX_ENDINGS = 3
_IMAGE_ENDINGS = f"Images are files that end in {', '.join(sorted(images.SUFFIXES))}."


@dataclass
class Remarks:
    """Counts what was read in another way than it looks, or not read."""

    num_scaled: int = 0
    num_coloured: int = 0
    num_frames: int = 0
    nested: list[Path] = field(default_factory=list)
    beside: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def notes(self, path: Path, num: int, size: tuple[int, int] | None) -> Iterator[str]:
        """Yield a note for each remark."""
        if self.num_scaled and size:
            yield (
                f"{_of(self.num_scaled, num)} in {path} scaled to {size[0]} rows and {size[1]} "
                "columns."
            )
        if self.num_coloured:
            yield f"{_of(self.num_coloured, num)} in {path} in colour: read in gray."
        if self.num_frames:
            files = pluralize(self.num_frames, "file")
            yield f"{files} in {path} with several frames or pages: only the first one is read."
        if self.nested:
            yield (
                f"{_of(len(self.nested), num)} in subfolders of class folders, and read: "
                f"{_first(self.nested)}."
            )
        if self.beside:
            yield (
                f"{pluralize(len(self.beside), 'image')} beside the class folders of {path} not "
                f"read: {_first(self.beside)}."
            )
        if self.others:
            files = pluralize(self.others.total(), "file")
            yield f"{files} of other types in {path} not read: {_endings(self.others)}."


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {pluralize(whole, 'image')}"


def _first(files: Sequence[Path]) -> str:
    return f"{files[0]}, ..." if len(files) > 1 else str(files[0])


def find_splits(path: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the folder of each split, and notes on folders that are not read.

    They are the subfolders `train`, `validation` (or `valid`, `val`, `dev`) and `test`, if `train`
    has class folders; else the whole folder is `train`.

    Raises:
        LstmError: Two folders are the same split, such as `val` and `dev`.
    """
    found: dict[str, Path] = {}
    others = []
    for folder in subfolders(path):
        name = folder.name.lower()
        split = next((key for key, names in SPLIT_FOLDERS.items() if name in names), None)
        if split is None:
            others.append(folder.name)
        elif split in found:
            raise LstmError(
                f"{path} has two folders of the {split} split: {found[split].name} and "
                f"{folder.name}.",
                "Move one of them elsewhere, or join them.",
            )
        else:
            found[split] = folder
    if "train" not in found or not subfolders(found["train"]):
        return {"train": path}, []
    notes = [f"The folder {name} beside {found['train']} is not read." for name in others]
    return found, notes


def kind_of_folder(path: Path) -> str | None:
    """Return `image` or `text`: what the class folders of a folder hold; None for neither.

    Raises:
        LstmError: They hold both.
    """
    first: dict[str, Path] = {}
    for split in find_splits(path)[0].values():
        for folder in subfolders(split):
            for file in _files(folder):
                kind = kind_of_file(file.name)
                if kind is not None:
                    first.setdefault(kind, Path(file.path))
    if len(first) > 1:
        raise LstmError(
            f"{path} holds both texts and images: {first['text']} and {first['image']}.",
            "Move the files of one kind elsewhere: a network reads texts or images.",
        )
    return next(iter(first), None)


def kind_of_file(name: str) -> str | None:
    """Return `image` or `text`, by the ending of a name; None for another ending."""
    suffix = _ending(name)
    if suffix in images.SUFFIXES:
        return "image"
    return "text" if suffix in _TEXT_SUFFIXES else None


def subfolders(path: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without hidden ones."""
    return [Path(entry.path) for entry in _entries(path) if entry.is_dir()]


def class_files(path: Path, remarks: Remarks | None = None) -> Iterator[tuple[str, Path]]:
    """Yield the label and the path of each image, sorted by class and path.

    Args:
        path: A folder with a subfolder for each class.
        remarks: Receives what is not read.

    Raises:
        LstmError: The folder has another layout.
    """
    remarks = remarks or Remarks()
    folders = subfolders(path)
    for entry in _entries(path):
        if not entry.is_dir() and kind_of_file(entry.name) == "image":
            remarks.beside.append(Path(entry.path))
        elif not entry.is_dir():
            remarks.others[_ending(entry.name)] += 1
    if not folders:
        raise LstmError(
            f"The folder {path} has no subfolders: expected one for each class, with image files.",
            "Use a layout like folder/circle/1.png, folder/square/2.png.",
        )
    for folder in folders:
        if _has_invalid_bytes(folder.name):
            raise LstmError(
                f"The name of the class folder {str(folder)!r} is not valid UTF-8.",
                "Rename it: the name of the folder is the name of the class.",
            )
        yield from ((folder.name, file) for file in _images(folder, remarks))


def list_images(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the images of a folder and of its subfolders, and notes on what is not read.

    Raises:
        LstmError: There are none, or the folder cannot be read.
    """
    remarks = Remarks()
    found = []
    for entry in _files(folder):
        if kind_of_file(entry.name) == "image":
            found.append(Path(entry.path))
        else:
            remarks.others[_ending(entry.name)] += 1
    if not found:
        others = f"; found {_endings(remarks.others)}" if remarks.others else ""
        raise LstmError(f"The folder {folder} holds no image files{others}.", _IMAGE_ENDINGS)
    return found, list(remarks.notes(folder, len(found), None))


def _images(folder: Path, remarks: Remarks) -> Iterator[Path]:
    """Yield the images of a class folder and of its subfolders."""
    before = remarks.others.copy()
    has_images = False
    for entry in _files(folder):
        if kind_of_file(entry.name) == "image":
            has_images = True
            file = Path(entry.path)
            if file.parent != folder:
                remarks.nested.append(file)
            yield file
        else:
            remarks.others[_ending(entry.name)] += 1
    if not has_images:
        others = remarks.others - before
        found = f"; found {_endings(others)}" if others else ""
        raise LstmError(
            f"The class folder {folder} holds no image files{found}.",
            f"Move it elsewhere if it is not a class. {_IMAGE_ENDINGS}",
        )


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files of a folder, then those of its subfolders, each sorted by name."""
    entries = _entries(folder)
    for entry in entries:
        if not entry.is_dir():
            yield entry
    for entry in entries:
        # A link can lead back to the folder it is in.
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(Path(entry.path))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, sorted by name, without hidden entries."""
    try:
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise LstmError(f"Cannot read {folder}: {error.strerror}.", "", ExitCode.DATA) from error
    return sorted(shown, key=lambda entry: entry.name)


def _ending(name: str) -> str:
    return Path(name).suffix.lower()


def _has_invalid_bytes(name: str) -> bool:
    # Python shows invalid bytes in a file name as surrogates.
    return any("\udc80" <= char <= "\udcff" for char in name)


def _endings(counts: Mapping[str, int]) -> str:
    """Return the endings of files with their counts: `.json 10, .db 2`."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{ending or 'no ending'} {num:,}" for ending, num in ordered[:_MAX_ENDINGS]]
    more = len(ordered) - len(shown)
    return ", ".join([*shown, f"{more:,} more endings"] if more else shown)

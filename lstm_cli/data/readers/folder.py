"""Folders with one subfolder of text files per class, like those of aclImdb."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from lstm_cli.data.readers.columns import join_names
from lstm_cli.data.readers.decode import decode_lines
from lstm_cli.data.readers.encoding import GUESS
from lstm_cli.data.readers.label_sets import merge_labels
from lstm_cli.data.readers.read_options import DEFAULT, ReadOptions
from lstm_cli.data.readers.row import Found
from lstm_cli.data.readers.table import LabeledTexts
from lstm_cli.data.readers.text_files import (
    TEXT_SUFFIXES,
    TextFiles,
    describe_skipped,
    find_text_files,
    visible_entries,
)
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths
from lstm_cli.io.text_format import pluralize

UNLABELED = "unsup"  # the third subfolder of train in aclImdb
# The names of the folders of each split, in any case.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
_TEXTS = f"{', '.join(TEXT_SUFFIXES)} or without a suffix"


def read_folder(path: Path, options: ReadOptions = DEFAULT) -> LabeledTexts:
    """Read the texts of all class folders, sorted by class and file name.

    Args:
        path: The folder of the class folders.
        options: The encoding of the files.

    Raises:
        LstmError: The folder has another layout, or a file is not in the encoding.
    """
    texts: list[str] = []
    labels: list[str] = []
    guessed: list[Path] = []
    for label, file in class_files(path):
        found = Found()
        texts.append(read_text(file, options, found))
        labels.append(label)
        if found.num_guessed or found.is_guess:
            guessed.append(file)
    names, _, merges = merge_labels(labels, None)
    return LabeledTexts(texts, names, merges=merges, notes=tuple(_encoding_notes(guessed)))


def read_text(file: Path, options: ReadOptions = DEFAULT, found: Found | None = None) -> str:
    """Read the text of a file.

    Args:
        file: Any file.
        options: Its encoding.
        found: As for `decode_lines`.

    Raises:
        LstmError: The file cannot be read, or is not in the encoding.
    """
    content = _read_bytes(file)
    lines = decode_lines(BytesIO(content), str(file), encoding=options.encoding, found=found)
    return "".join(lines).rstrip("\r\n")


def _encoding_notes(guessed: Sequence[Path]) -> Iterator[str]:
    """Yield a note on files whose encoding was guessed."""
    if guessed:
        are = "is" if len(guessed) == 1 else "are"
        yield (
            f"{pluralize(len(guessed), 'file')} {are} not UTF-8 (the first is {guessed[0]}), read "
            f"by a guess ({GUESS}, or UTF-16). If it is wrong, name the encoding with --encoding."
        )


def find_splits(path: Path) -> dict[str, Path]:
    """Return the folders of `train` and, if there are such, of `validation` and `test`.

    They are subfolders with one of `SPLIT_NAMES`, if that of train has class folders; else the
    whole folder is for training.

    Raises:
        LstmError: The subfolders are named like splits, and the texts have no class folders; or a
            split has two folders.
    """
    if not paths.is_folder(path):
        return {"train": path}
    by_name = {folder.name.lower(): folder for folder in _subfolders(path)}
    found = {
        split: [by_name[name] for name in split_names if name in by_name]
        for split, split_names in SPLIT_NAMES.items()
    }
    splits = {split: folders[0] for split, folders in found.items() if folders}
    if "train" in splits and _subfolders(splits["train"]):
        for split, folders in found.items():
            if len(folders) > 1:
                raise LstmError(
                    f"{path} has two folders for {split}: {join_names([f.name for f in folders])}.",
                    "Move the texts of one into the other, or rename it.",
                )
        return splits
    if len(splits) > 1 and sum(map(len, found.values())) == len(by_name):
        raise LstmError(
            f"The folders in {path} ({join_names(sorted(by_name))}) are named like splits, and "
            "'train' with subfolders was not found.",
            "Use a layout like folder/train/positive/1.txt, folder/test/positive/2.txt.",
        )
    return {"train": path}


def describe_unread(path: Path, splits: Mapping[str, Path]) -> Iterator[str]:
    """Yield what of a folder is not read.

    Args:
        path: The folder.
        splits: From `find_splits`.
    """
    if splits["train"] != path:
        others = [entry for entry in visible_entries(path) if entry not in splits.values()]
        yield from _describe_others(others, "beside train")
    for split, folder in splits.items():
        skipped: Counter[str] = Counter()
        for class_folder in _class_folders(folder):
            skipped += find_text_files(class_folder).skipped
        if skipped:
            yield (
                f"{pluralize(skipped.total(), 'file')} of {split} in class folders are not read: "
                f"{describe_skipped(skipped)}. Texts are files with the suffix {_TEXTS}."
            )
        entries = visible_entries(folder)
        others = [entry for entry in entries if entry.name == UNLABELED or entry.is_file()]
        yield from _describe_others(others, f"beside the classes of {split}")


def _describe_others(entries: list[Path], where: str) -> Iterator[str]:
    """Yield which files and folders are not read at a place."""
    files = [entry.name for entry in entries if entry.is_file()]
    folders = [f"{entry.name}/" for entry in entries if not entry.is_file()]
    if names := [*folders, *files]:
        yield f"Not read {where}: {join_names(names, 4)}."


def digest(path: Path) -> str:
    """Return the SHA-256 of a folder's class files and their names."""
    total = hashlib.sha256()
    for _, file in class_files(path):
        content = hashlib.sha256(_read_bytes(file)).hexdigest()
        # A file name may have invalid bytes; they are hashed unchanged.
        name = file.relative_to(path).as_posix()
        total.update(f"{name} {content}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def class_files(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the text files of each class, at any depth, sorted by class and name.

    Raises:
        LstmError: There are no class folders, or one has no texts.
    """
    folders = _class_folders(path)
    if not folders:
        raise LstmError(
            f"The folder {path} has no subfolders: expected one per class, with .txt files in it.",
            "Use a layout like folder/positive/1.txt, folder/negative/2.txt, or give a .csv file.",
        )
    for folder in folders:
        # Python shows invalid bytes in a file name as surrogates.
        if any("\udc80" <= char <= "\udcff" for char in folder.name):
            raise LstmError(
                f"The name of the class folder {str(folder)!r} is not valid UTF-8.",
                "Rename it: the name of the folder is the name of the class.",
            )
        found = find_text_files(folder)
        if not found.texts:
            raise _no_texts(folder, found)
        yield from ((folder.name, file) for file in found.texts)


def _no_texts(folder: Path, found: TextFiles) -> LstmError:
    others = f": {describe_skipped(found.skipped)}" if found.skipped else ""
    return LstmError(
        f"The class folder {folder} holds no texts, but {found.skipped.total():,} other "
        f"files{others}.",
        f"Texts are files with the suffix {_TEXTS}. Move the folder elsewhere if it is no class.",
    )


def _class_folders(path: Path) -> list[Path]:
    return [folder for folder in _subfolders(path) if folder.name != UNLABELED]


def _subfolders(path: Path) -> list[Path]:
    return [folder for folder in visible_entries(path) if folder.is_dir()]


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LstmError(f"Cannot read {file}: {error.strerror}.", "", ExitCode.DATA) from error

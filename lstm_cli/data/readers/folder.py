"""Folders with one subfolder of .txt files per class, like those of aclImdb."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from lstm_cli.data.readers.decode import decode_lines
from lstm_cli.data.readers.encoding import GUESS
from lstm_cli.data.readers.read_options import DEFAULT, ReadOptions
from lstm_cli.data.readers.row import Found
from lstm_cli.data.readers.table import LabeledTexts
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths
from lstm_cli.io.text_format import pluralize

UNLABELED = "unsup"  # the third subfolder of train in aclImdb


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
    return LabeledTexts(texts, labels, notes=tuple(_encoding_notes(guessed)))


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


def find_train_and_test(path: Path) -> tuple[Path, Path | None]:
    """Return the folders of the training and the test examples.

    They are the subfolders `train` and `test`, if `train` has class folders; else the whole folder,
    and None.
    """
    train, test = path / "train", path / "test"
    if not (paths.is_folder(train) and _subfolders(train)):
        return path, None
    return train, test if paths.is_folder(test) else None


def digest(path: Path) -> str:
    """Return the SHA-256 of a folder's class files and their names."""
    total = hashlib.sha256()
    for label, file in class_files(path):
        content = hashlib.sha256(_read_bytes(file)).hexdigest()
        # A file name may have invalid bytes; they are hashed unchanged.
        total.update(f"{label}/{file.name} {content}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def class_files(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the .txt files of each class, sorted by class and name, without hidden ones."""
    folders = [folder for folder in _subfolders(path) if folder.name != UNLABELED]
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
        files = [
            file
            for file in sorted(folder.iterdir())
            if file.suffix.lower() == ".txt" and not file.name.startswith(".") and file.is_file()
        ]
        if not files:
            raise LstmError(
                f"The class folder {folder} holds no .txt files.",
                "Move it elsewhere if it is not a class.",
            )
        yield from ((folder.name, file) for file in files)


def _subfolders(path: Path) -> list[Path]:
    return [
        folder
        for folder in sorted(path.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    ]


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LstmError(f"Cannot read {file}: {error.strerror}.", "", ExitCode.DATA) from error

"""What `lstm predict` and `lstm explain` read: words of the command line, a file or the pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lstm_cli.data.images import SUFFIXES as IMAGE_SUFFIXES
from lstm_cli.errors import ExitCode, LstmError, command_line
from lstm_cli.io import paths

if TYPE_CHECKING:
    from lstm_cli.data.readers.read_options import ReadOptions
    from lstm_cli.data.records import Records

PIPE = "-"
# A single word that ends so is a file with a typing error rather than a text.
_DATA = {
    ".csv",
    ".tsv",
    ".jsonl",
    ".json",
    ".txt",
    ".parquet",
    ".arrow",
    ".gz",
    ".zst",
    ".bz2",
    ".xz",
}


@dataclass(frozen=True)
class Inputs:
    """Where the inputs of `predict` come from.

    Attributes:
        words: Texts or image files from the command line; empty if there are none.
        file: The file; None for the pipe.
        text_columns: The columns of the texts in a table, if they were named.
        options: How to read a table.
    """

    words: tuple[str, ...]
    file: Path | None
    text_columns: tuple[str, ...]
    options: ReadOptions

    @property
    def name(self) -> str:
        """The name of the file or the pipe, for messages."""
        from lstm_cli.data.pipe import PIPE_NAME

        return PIPE_NAME if self.file is None else str(self.file)

    @classmethod
    def of(
        cls,
        words: Sequence[str] | None,
        file: Path | None,
        text_columns: Sequence[str] | None,
        options: ReadOptions,
    ) -> Inputs:
        """Return the inputs of a command line.

        Raises:
            LstmError: There are none, and a person would have to type them; or the pipe stands
                beside texts (exit code 2).
        """
        words = tuple(words or ())
        if words == (PIPE,):
            words, file = (), Path(PIPE)
        if PIPE in words:
            raise LstmError(
                "'-' stands for the pipe, and cannot stand beside other texts.",
                "To classify the character '-' too, write the texts into the pipe: printf '%s\\n' "
                "'A text.' - | lstm predict",
                ExitCode.USAGE,
            )
        if not words and file is None and (sys.stdin is None or sys.stdin.isatty()):
            raise LstmError(
                "There is nothing to classify.",
                'For example: lstm predict "A triumph."  or  lstm predict --file reviews.txt',
                ExitCode.USAGE,
            )
        file = None if str(file) == PIPE else file
        return cls(words, file, tuple(text_columns or ()), options)

    @property
    def has_folder(self) -> bool:
        """Whether an input is a folder."""
        files = [] if self.file is None else [self.file]
        return any(paths.is_folder(path) for path in (*map(Path, self.words), *files))

    def of_images(self) -> tuple[Inputs, list[str]]:
        """Return the inputs for a run that reads images, and notes on files that are not read.

        A folder stands for the images in it; any other file has the name of one in each line.

        Raises:
            LstmError: A folder holds no images, or cannot be read.
        """
        from lstm_cli.data.readers.image_files import list_images

        file = self.file
        words = list(self.words)
        if file is not None and paths.is_folder(file):
            words, file = [str(file)], None
        names: list[str] = []
        notes: list[str] = []
        for word in words:
            if paths.is_folder(Path(word)):
                files, remarks = list_images(Path(word))
                names += map(str, files)
                notes += remarks
            else:
                names.append(word)
        lines = replace(self.options, format="lines")
        return Inputs(tuple(names), file, (), lines), notes

    @contextmanager
    def open(self, trained_on: Sequence[str]) -> Iterator[Records]:
        """Open the inputs for the duration of a block.

        Args:
            trained_on: The columns of the texts that the run was trained on, if it is known.

        Raises:
            LstmError: They cannot be read.
        """
        from lstm_cli.data.records import from_texts, open_records

        if self.words:
            yield from_texts(self.words)
            return
        with open_records(self.file, self.text_columns, trained_on, self.options) as records:
            yield records


def check_texts(texts: Sequence[str], run_name: str, command: tuple[str, ...]) -> None:
    """Refuse names of files in the place of texts.

    Args:
        texts: Words of the command line.
        run_name: The run, which reads texts.
        command: `predict` or `explain`, with the option `--run` if it was typed; for hints.

    Raises:
        LstmError: One is the name of a file (exit code 2), or of one that is missing (3).
    """
    for text in texts:
        suffix = Path(text).suffix.lower()
        is_a_file = is_file(text)
        if is_a_file and suffix in IMAGE_SUFFIXES:
            raise LstmError(
                f"Run {run_name} reads texts, and '{text}' is an image.",
                "Name an image run with --run.",
                ExitCode.USAGE,
            )
        if is_a_file:
            raise LstmError(
                f"'{text}' is a file, and would be read as a text.",
                f"Did you mean: {_instead(text, suffix, command)} {_as_text(text, command)}",
                ExitCode.USAGE,
            )
        if suffix in _DATA and not any(char.isspace() for char in text):
            raise LstmError(
                f"There is no file '{text}'; as a text it would be the name of one.",
                f"Check the path. {_as_text(text, command)}",
                ExitCode.DATA,
            )


def _instead(name: str, suffix: str, command: tuple[str, ...]) -> str:
    """Return the command that reads the file, as the end of a question."""
    if command[0] == "predict":
        return f"{command_line('lstm', *command, '--file', name)} ?"
    if suffix in _DATA - {".txt"}:
        return f"one text of {name}? 'lstm explain' takes a single one."
    return f"{command_line('lstm', *command, PIPE)} < {command_line(name)} ?"


def _as_text(name: str, command: tuple[str, ...]) -> str:
    reader = command_line("lstm", *command, PIPE)
    return f"To {command[0]} the name itself: {command_line('echo', name)} | {reader}"


def typed_run(command: str, run: str | None) -> tuple[str, ...]:
    """Return a command with the option `--run` if it was typed."""
    return (command, "--run", run) if run else (command,)


def is_file(name: str) -> bool:
    """Return whether there is such a file; a text may be longer than any file name."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False

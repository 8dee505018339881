"""The parts of a job: input files, each with the file of its answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import PurePosixPath

import msgspec

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction.write_text import COMPRESSED, FORMATS, format_of
from lstm_cli.scale.storage import (
    StoredFile,
    has_marks,
    is_pattern,
    is_remote,
    join,
    local_path,
    open_storage,
)


class Part(msgspec.Struct, frozen=True):
    """A file to predict.

    Attributes:
        path: As `StoredFile.path`.
        name: As `StoredFile.name`.
        size: In bytes.
        version: As `StoredFile.version`.
        out: The file of its answers, relative to the output folder.
    """

    path: str
    name: str
    size: int
    version: str
    out: str


def find_parts(patterns: Sequence[str], format_: str, out: str) -> tuple[list[Part], str]:
    """Find the input files, and name the file of the answers of each like it.

    Args:
        patterns: Paths, URLs, and patterns of them.
        format_: The format of the answers; `auto` for that of the input's names.
        out: The output folder. What a pattern matches in it is left out: those are answers of an
            earlier start.

    Returns:
        The parts, and the format of their answers.

    Raises:
        LstmError: A pattern matches nothing (exit code 3) or the output folder alone (2), the names
            stand for different formats or for none (2), or two files would have one name (2).
    """
    files: dict[str, StoredFile] = {}
    for pattern in patterns:
        files |= {file.path: file for file in _find_inputs(pattern, out)}
    names = _relative_names([*files], patterns)
    format_ = _check_formats(names, format_)
    outs = [_out_name(name, format_) for name in names]
    _check_names([*files], outs)
    found_files = zip(files.values(), outs, strict=True)
    return [Part(f.path, f.name, f.size, f.version, out) for f, out in found_files], format_


def _find_inputs(pattern: str, out: str) -> list[StoredFile]:
    """Return the files of a name or pattern, without what a pattern matches in the output folder.

    Raises:
        LstmError: There are none.
    """
    found = open_storage(pattern).find(pattern)
    if not found:
        raise LstmError(
            f"No file matches {pattern}.",
            "Check the path, and quote the pattern so that the shell does not expand it.",
            ExitCode.DATA,
        )
    if not is_pattern(pattern):
        return found
    folder = _identity(out).rstrip("/") + "/"
    inputs = [file for file in found if not _identity(file.path).startswith(folder)]
    if not inputs:
        raise LstmError(
            f"All files that {pattern} matches are in the folder of --out {out}, where answers go.",
            "Name another folder with --out.",
            ExitCode.USAGE,
        )
    return inputs


def check_out(parts: Sequence[Part], out: str) -> None:
    """Check that no answers replace an input.

    Raises:
        LstmError: They would (exit code 2).
    """
    inputs = {_identity(part.path) for part in parts}
    for part in parts:
        target = join(out, part.out)
        if _identity(target) in inputs:
            raise LstmError(
                f"--out {out} would replace {target}, which is read.",
                "Name another folder.",
                ExitCode.USAGE,
            )


def _identity(name: str) -> str:
    return open_storage(name).identity(name).replace(os.sep, "/")


def _relative_names(files: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the names of files below the folder that the patterns have in common.

    That folder does not depend on which files there are, so a new one changes no name.
    """
    if len({is_remote(name) for name in files}) > 1:
        raise LstmError(
            f"Paths and URLs are mixed: {files[0]} and {files[-1]}.",
            "Predict them with two commands.",
            ExitCode.USAGE,
        )
    paths = [PurePosixPath(name.replace(os.sep, "/")) for name in files]
    levels = zip(*map(_fixed_folders, patterns), strict=False)
    depth = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
    return ["/".join(path.parts[depth:]) for path in paths]


def _fixed_folders(pattern: str) -> tuple[str, ...]:
    """Return the folders of a pattern before the first one that stands for several."""
    name = pattern if is_remote(pattern) else str(local_path(pattern).absolute())
    folders = PurePosixPath(name.replace(os.sep, "/")).parent.parts
    if not is_pattern(pattern):
        return folders
    return tuple(takewhile(lambda folder: not has_marks(folder), folders))


def _check_names(files: Sequence[str], outs: Sequence[str]) -> None:
    """Check that each file has an output of its own.

    Raises:
        LstmError: Two have the same.
    """
    first: dict[str, str] = {}
    for file, out in zip(files, outs, strict=True):
        if first.setdefault(out, file) != file:
            raise LstmError(
                f"The answers of {first[out]} and of {file} would both be {out}.",
                "Rename one, or predict them into different folders.",
                ExitCode.USAGE,
            )


def _check_formats(names: Sequence[str], requested: str) -> str:
    """Return the format of the answers.

    Raises:
        LstmError: The names stand for different formats, or for none that can be written.
    """
    kinds = {format_of(name) or PurePosixPath(name).suffix.lower(): name for name in names}
    if len(kinds) > 1:
        first, second, *_ = kinds.values()
        raise LstmError(
            f"The inputs have different formats: {first} and {second}.",
            "Predict each format with a command and a folder of its own.",
            ExitCode.USAGE,
        )
    (kind,) = kinds
    if requested != "auto":
        return requested
    if kind not in FORMATS.values():
        raise LstmError(
            f"{names[0]}: answers can be written as {', '.join(FORMATS)}, and the name ends in "
            f"{kind or 'nothing'}.",
            "Choose with --format.",
            ExitCode.USAGE,
        )
    return kind


def _out_name(name: str, format_: str) -> str:
    """Return the name of the answers: that of the input, with another end if need be."""
    if format_of(name) == format_:
        return name
    path = PurePosixPath(name)
    if path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
    return str(path.with_suffix(f".{format_}"))

"""A file or folder that appears under its name only when it is whole."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.atomic_write import NotWrittenError, check_replaceable, make_folder
from lstm_cli.runs import lock

# Written into every folder that an export makes: only such a folder is replaced.
FOLDER_MARK = ".lstm-export"
_SUFFIX = ".part"


def check_free(path: Path, force: bool) -> None:
    """Check, before the work is done, that an export may be written to a path.

    Args:
        path: Where to write.
        force: Whether what is there may be replaced.

    Raises:
        LstmError: Something is there (exit code 2), or it is not of a kind to replace.
    """
    check_replaceable(path)
    if not os.path.lexists(path):
        return
    if not force:
        raise LstmError(
            f"{path} exists already.",
            "Name another path with --out, or replace it with --force.",
            ExitCode.USAGE,
        )
    if path.is_dir() and not (path / FOLDER_MARK).is_file():
        raise LstmError(
            f"{path} is a folder that lstm did not write.", "Name another path with --out."
        )


@contextlib.contextmanager
def staged(path: Path, force: bool) -> Iterator[Path]:
    """Yield a path to write to, beside the one that is wanted; afterwards it gets that name.

    If the block ends by an exception, nothing changes.

    Args:
        path: A file or a folder.
        force: Whether what is there is replaced.

    Raises:
        LstmError: It cannot be written, or something is there by now.
    """
    try:
        make_folder(path.parent)
        with _temp_folder(path) as temp:
            new = temp / path.name
            yield new
            check_free(path, force)
            _replace(path, new, temp / ".old")
    except (OSError, NotWrittenError) as error:
        reason = error.reason if isinstance(error, NotWrittenError) else error.strerror or error
        raise LstmError(
            f"Cannot write {path}: {reason}.", "Free disk space, or name another path with --out."
        ) from error


@contextlib.contextmanager
def _temp_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside a path for a block, and remove those that killed exports left.

    The folder is locked, so that another process sees that it is in use. The operating system
    releases the lock if the process dies.
    """
    prefix = f".{path.name[:80]}."
    for left in path.parent.glob(f"{glob.escape(prefix)}????????{_SUFFIX}"):
        if (left / lock.LOCK).is_file() and not lock.is_locked(left):
            shutil.rmtree(left, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(_SUFFIX, prefix, path.parent) as temp,
        contextlib.ExitStack() as stack,
    ):
        # Without locks in this file system, what a killed export leaves stays.
        with contextlib.suppress(LstmError, NotImplementedError):
            stack.enter_context(lock.acquire(Path(temp)))
        yield Path(temp)


def _replace(path: Path, new: Path, old: Path) -> None:
    """Give a new file or folder its name; what has the name is moved away, and back if that fails.

    Raises:
        OSError: It cannot be renamed.
    """
    if path.is_dir() or (new.is_dir() and os.path.lexists(path)):
        path.rename(old)
    try:
        new.replace(path)
    except OSError:
        if os.path.lexists(old):
            old.rename(path)
        raise


def size(path: Path) -> int:
    """Return the size of a file, or of all files in a folder, in bytes."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size

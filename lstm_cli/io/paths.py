"""Paths from the user: too long, in a loop of links, of an unknown user, without permission."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from lstm_cli.errors import ExitCode, LstmError

# Errors that mean that the file does not exist.
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


def expand(name: str | Path) -> Path:
    """Return a path with `~` and `~user` expanded; unchanged if there is no such user."""
    path = Path(name)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def resolve(name: str | Path) -> Path:
    """Return the one absolute path of a file or folder: no `~`, no `..`, no links.

    A path that cannot be followed (a loop of links, a NUL) is made absolute only.
    """
    path = expand(name)
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path.absolute()


def status(path: Path) -> os.stat_result | None:
    """Return the status of a file or folder; None if it does not exist.

    Raises:
        LstmError: No permission, a loop of links, or a disk error (exit code 3).
    """
    try:
        return path.stat()
    except ValueError:
        # The path has a NUL, or characters that the file system cannot encode.
        return None
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise LstmError(
            f"Cannot read {path}: {error.strerror or error}.",
            "Check the path and the permissions of its folders.",
            ExitCode.DATA,
        ) from None


def cache_dir() -> Path:
    """Return the cache folder: `LSTM_CACHE_DIR`, else `lstm` in the user's cache folder.

    Raises:
        RuntimeError: The user has no home folder, as in some containers.
    """
    if path := os.environ.get("LSTM_CACHE_DIR"):
        return Path(path)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lstm"


def exists(path: Path) -> bool:
    """Return whether a file or folder exists.

    Raises:
        LstmError: See `status`.
    """
    return status(path) is not None


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder.

    Raises:
        LstmError: See `status`.
    """
    result = status(path)
    return result is not None and stat.S_ISDIR(result.st_mode)

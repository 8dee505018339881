"""Paths as people type them: too long, in a loop of links, of an unknown user, without rights."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from lstm_cli.errors import ExitCode, LstmError

# No file can have such a name, so there is none.
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


def expand(name: str | Path) -> Path:
    """Return a path with `~` and `~user` replaced, as it is where there is no such user."""
    path = Path(name)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def status(path: Path) -> os.stat_result | None:
    """Look at a file or folder; None where there is none.

    Raises:
        LstmError: It cannot be looked at: no rights, a loop of links, a broken disk (exit code 3).
    """
    try:
        return path.stat()
    except ValueError:
        # A NUL, or what the encoding of the file system cannot write.
        return None
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise LstmError(
            f"Cannot read {path}: {error.strerror or error}.",
            "Check the path and the rights of the folders in it.",
            ExitCode.DATA,
        ) from None


def exists(path: Path) -> bool:
    """Tell whether there is a file or folder.

    Raises:
        LstmError: See `status`.
    """
    return status(path) is not None


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder.

    Raises:
        LstmError: See `status`.
    """
    found = status(path)
    return found is not None and stat.S_ISDIR(found.st_mode)

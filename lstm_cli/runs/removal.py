"""Delete runs so that a kill leaves no run that looks finished.

A run is first renamed to a hidden name in the folder of its data set, under its lock: from then on
it is not found as a run. Then its files are deleted, the manifest first. What a killed process
leaves is removed by `remove_leftovers`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from lstm_cli.errors import LstmError
from lstm_cli.io import atomic_write
from lstm_cli.runs import lock
from lstm_cli.runs.directory import MANIFEST, RUN, RunDir
from lstm_cli.runs.find import check_own, exists

_HIDDEN = ".removed-"


def remove(run: RunDir) -> None:
    """Delete a run that no process is training.

    Args:
        run: A run in the folder of runs.

    Raises:
        LstmError: A process is training it, or has removed or renamed it; it is a symbolic link, or
            it cannot be deleted.
    """
    check_own(run)
    hidden = run.path.with_name(f"{_HIDDEN}{secrets.token_hex(4)}")
    with lock.acquire_found(run.path, RUN):
        try:
            run.path.rename(hidden)
            atomic_write.sync_folder(hidden.parent)
        except OSError as error:
            raise _not_removed(run.path, error) from error
        _delete(hidden)


def leftovers(root: Path) -> list[Path]:
    """Return the hidden folders that killed deletions left, and that no process is deleting."""
    return [
        path
        for path in sorted(root.glob(f"*/{_HIDDEN}*"))
        if path.is_dir()
        and not path.is_symlink()
        and not path.parent.is_symlink()
        and not lock.is_locked(path)
    ]


def remove_leftovers(root: Path) -> tuple[int, list[LstmError]]:
    """Delete what killed deletions left.

    Returns:
        The number of folders that were removed, and why others could not be deleted.
    """
    num_removed = 0
    problems = []
    for path in leftovers(root):
        try:
            _delete(path)
            num_removed += 1
        except LstmError as error:
            problems.append(error)
    return num_removed, problems


def _delete(hidden: Path) -> None:
    """Delete a hidden folder: first what makes it a run.

    Raises:
        LstmError: It cannot be deleted.
    """
    try:
        for name in (MANIFEST, RUN):
            (hidden / name).unlink(missing_ok=True)
        # Another process may delete the same leftovers.
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(hidden)
    except OSError as error:
        raise _not_removed(hidden, error) from error


def _not_removed(path: Path, error: OSError) -> LstmError:
    where = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str) else ""
    left = " The next 'lstm runs rm' or 'lstm runs prune' tries again." * exists(path)
    return LstmError(
        f"Cannot remove {path}: {error.strerror or error}{where}.",
        f"Check the permissions of the folder.{left}",
    )

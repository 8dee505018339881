"""Folders for temporary files; what a killed process leaves is removed by the next one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_cli.errors import LstmError
from lstm_cli.io.paths import cache_dir

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_LOCK_SUFFIX = ".lock"
_MAKING = "making"
_LOCK_SECONDS = 60.0
_BUFFER = 1 << 20
_TABLE_NEEDS = "A large table needs two to four times its size."


class TempFolder:
    """A folder that lives as long as this object, at most as long as this process.

    It is in `temp` of the cache folder, else in the temporary folder of the system. The process
    holds a lock beside it. A new folder is made after those without a living process are removed.

    Args:
        needs: For the error: a sentence that says how much space is needed.

    Attributes:
        path: The folder.

    Raises:
        LstmError: No folder can be made.
    """

    def __init__(self, needs: str = _TABLE_NEEDS) -> None:
        self.path, lock = _make(needs)
        self._remove = weakref.finalize(self, _remove, self.path, lock)

    def remove(self) -> None:
        """Remove the folder now. Files that are mapped into memory stay readable."""
        self._remove()


class TempFile:
    """A new file in a temporary folder, to write.

    Args:
        path: The file.
        needs: For the error: a sentence that says how much space is needed.

    Raises:
        LstmError: It cannot be written.
    """

    def __init__(self, path: Path, needs: str = _TABLE_NEEDS) -> None:
        self.path = path
        self._needs = needs
        with self._translated():
            self._file = path.open("wb", buffering=_BUFFER)

    def __del__(self) -> None:
        # Of a writer that was given up.
        if hasattr(self, "_file"):
            with contextlib.suppress(OSError):
                self._file.close()

    def write(self, content: ReadableBuffer) -> None:
        """Add content at the end.

        Raises:
            LstmError: The disk is full.
        """
        with self._translated():
            self._file.write(content)

    def close(self) -> None:
        """Write what is left.

        Raises:
            LstmError: The disk is full.
        """
        with self._translated():
            self._file.close()

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        return writing(self.path.parent, self._needs)


@contextlib.contextmanager
def writing(folder: Path, needs: str) -> Iterator[None]:
    """Give errors of a block that writes into a temporary folder a message for people.

    Args:
        folder: The folder.
        needs: A sentence that says how much space is needed.

    Raises:
        LstmError: The disk is full, or fails.
    """
    try:
        yield
    except OSError as error:
        # The place of all such folders: this one has a random name and does not stay.
        root = next((root for root, _ in _roots() if root in folder.parents), folder)
        raise _cannot_write(root, error, needs) from error


def _cannot_write(folder: Path, error: Exception, needs: str) -> LstmError:
    reason = getattr(error, "strerror", None) or error
    return LstmError(
        f"Cannot write temporary files in {folder}: {reason}.",
        "Free disk space there, or name a folder on another disk in LSTM_CACHE_DIR. "
        f"{needs} Runs and checkpoints are intact.",
    )


def _roots() -> Iterator[tuple[Path, bool]]:
    """Yield where folders may be, and whether another user could have made that place."""
    with contextlib.suppress(RuntimeError):
        yield cache_dir() / "temp", False
    # Each user has a folder: that of another one cannot be written.
    user = os.getuid() if hasattr(os, "getuid") else 0
    yield Path(tempfile.gettempdir()) / f"lstm-{user}", True


def _make(needs: str) -> tuple[Path, Any]:
    """Make a folder in the first place that allows it; return it with its lock."""
    failure: Exception = OSError("no folder")
    root = Path()
    for root, is_public in _roots():
        try:
            return _make_in(root, is_public)
        # Some file systems do not support locks.
        except (OSError, ValueError, NotImplementedError) as error:
            failure = error
    raise _cannot_write(root, failure, needs)


def _make_in(root: Path, is_public: bool) -> tuple[Path, Any]:
    from filelock import FileLock

    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_public and hasattr(os, "getuid") and root.lstat().st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "the folder belongs to another user")
    # Another process must not see the folder without its lock.
    with FileLock(root / _MAKING, timeout=_LOCK_SECONDS):
        _remove_abandoned(root)
        path = Path(tempfile.mkdtemp(dir=root))
        lock = FileLock(_lock_path(path), timeout=_LOCK_SECONDS)
        lock.acquire()
    return path, lock


def _lock_path(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK_SUFFIX)


def _remove_abandoned(root: Path) -> None:
    """Remove the folders whose process has ended."""
    from filelock import FileLock, Timeout

    for path in root.iterdir():
        if not path.is_dir():
            continue
        lock = FileLock(_lock_path(path), timeout=0)
        with contextlib.suppress(Timeout, OSError):
            lock.acquire()
            _remove(path, lock)


def _remove(path: Path, lock: Any) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        lock.release()
        # Some versions of the library leave the file.
        _lock_path(path).unlink(missing_ok=True)

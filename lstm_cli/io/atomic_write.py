"""Atomic writes: a file has its old content or its new content, never a part of it."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lstm_cli.errors import ExitCode, LstmError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_SUFFIX = ".part"
# The names that `mkstemp` makes: hidden, eight random characters, and our suffix.
_TEMP_NAME = re.compile(rf"\..+\.[a-z0-9_]{{8}}{re.escape(_SUFFIX)}")
_CHUNK = 1 << 20
# Errors after which another file on the same disk could not be written either.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
# What to do where a file of a run cannot be written.
RUNS_HINT = "Free disk space, or choose another --runs-dir. Files saved before are intact."


class NotWrittenError(LstmError):
    """A file that could not be written.

    Attributes:
        reason: Why, without the name of the file, which may be a temporary one.
    """

    def __init__(self, path: Path, error: Exception, hint: str = "") -> None:
        self.reason = str(getattr(error, "strerror", None) or error)
        is_full = getattr(error, "errno", None) in _FULL
        usual = "Free disk space, or name another file." if is_full else "Name another file."
        super().__init__(f"Cannot write {path}: {self.reason}.", hint or usual)


def write_atomic(path: Path, content: bytes, hint: str = "") -> None:
    """Write a file atomically: a crash leaves the old content or the new content.

    Args:
        path: The file; its folder is created if it does not exist.
        content: The whole new content.
        hint: What to do if it cannot be written; by default to name another file.

    Raises:
        LstmError: The disk is full, or the folder is not writable.
    """
    check_replaceable(path)
    try:
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(_SUFFIX, f".{path.name}.", path.parent)
        temp = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _read_back(temp, content)
            # mkstemp's files are private to the user; the files of a run follow the umask.
            temp.chmod(0o666 & ~_umask())
            temp.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temp.unlink()
            raise
        sync_folder(path.parent)
    except (OSError, ValueError) as error:
        raise NotWrittenError(path, error, hint) from error


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write for the duration of a block; it then takes the place of an old one.

    If the block ends by an exception, the old content stays. What is written is not in memory.

    Args:
        path: The file; its folder is created if it does not exist.

    Raises:
        LstmError: The file cannot be written, which is found out before the block if it can be.
    """
    check_replaceable(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(_SUFFIX, f".{path.name}.", path.parent)
    except (OSError, ValueError) as error:
        raise NotWrittenError(path, error) from error
    temp = Path(name)
    try:
        with io.BufferedWriter(_TempFile(handle, path)) as file:
            yield file
            file.flush()
            _replace(temp, file.fileno(), path)
    finally:
        with contextlib.suppress(OSError):
            temp.unlink()


def _replace(temp: Path, handle: int, path: Path) -> None:
    """Sync a new file to disk, and give it the name of the old one.

    Raises:
        LstmError: The disk is full, or the folder was removed.
    """
    try:
        os.fsync(handle)
        temp.chmod(0o666 & ~_umask())
        temp.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise NotWrittenError(path, error) from error


class _TempFile(io.FileIO):
    """A file whose failures name the file that it replaces."""

    def __init__(self, handle: int, path: Path) -> None:
        super().__init__(handle, "w")
        self._path = path

    def write(self, data: ReadableBuffer, /) -> int:
        """Write some of the data.

        Raises:
            LstmError: The data cannot be written.
        """
        try:
            return super().write(data)
        except OSError as error:
            raise NotWrittenError(self._path, error) from error


def check_replaceable(path: Path) -> None:
    """Check that a path is not a pipe, a socket, a device or the name of a stream.

    Opening a pipe would wait for a reader, and root could replace `/dev/null`, or `/dev/stdout`,
    which is a link. `-` stands for stdout in other commands.

    Raises:
        LstmError: It is one of these (exit code 2 for `-`).
    """
    if str(path) == "-":
        raise LstmError(
            "'-' is not a name of a file, and this cannot be written to stdout.",
            "Name a file.",
            ExitCode.USAGE,
        )
    try:
        mode = path.stat().st_mode
        folder = path.parent.resolve()
    except (OSError, ValueError, RuntimeError):
        # The path does not exist, or cannot be read; the write itself reports other problems.
        return
    is_stream = folder == Path("/dev") or folder.is_relative_to("/proc")
    if is_stream or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise LstmError(
            f"Cannot write {path}: it is a pipe, a socket or a device, not a plain file.",
            "Choose a path of a plain file.",
        )


def check_writable(path: Path) -> None:
    """Check, before the work is done, that a file can be created at a path. Nothing stays there.

    Where its folder is missing, that is the nearest one above.

    Raises:
        LstmError: It cannot, or the path is not one of a plain file.
    """
    check_replaceable(path)
    try:
        folder = next(above for above in path.absolute().parents if os.path.lexists(above))
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise NotWrittenError(path, error) from error


def make_folder(path: Path) -> None:
    """Create a folder and its parents, and sync their names to disk.

    Raises:
        OSError: A folder cannot be created.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file and sync its folder to disk; a missing file is not an error.

    Raises:
        LstmError: The file cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise LstmError(f"Cannot remove {path}: {error.strerror or error}.") from error


def is_temp_file(path: Path) -> bool:
    """Return whether a name is that of a temporary file of `write_atomic`."""
    return _TEMP_NAME.fullmatch(path.name) is not None


def remove_temp_files(folder: Path) -> None:
    """Remove the temporary files of killed writers; no process may be writing there now."""
    for path in folder.glob(f".*{_SUFFIX}"):
        if is_temp_file(path):
            with contextlib.suppress(OSError):
                path.unlink()


def _read_back(path: Path, content: bytes) -> None:
    """Check that a file contains what was written, before it replaces a good file.

    Raises:
        OSError: The content differs: the file system did not store everything.
    """
    with path.open("rb", buffering=0) as file:
        offset = 0
        while chunk := file.read(_CHUNK):
            if chunk != content[offset : offset + len(chunk)]:
                break
            offset += len(chunk)
    if offset != len(content):
        raise OSError(errno.EIO, f"byte {offset:,} of {len(content):,} reads back differently")


def sync_folder(path: Path) -> None:
    """Sync a folder to disk: a rename is durable only after the folder is synced."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        # A folder that is writable but not readable cannot be synced.
        return
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems do not support this call and do not need it.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current

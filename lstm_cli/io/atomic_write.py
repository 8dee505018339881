"""Files that hold the old content or the new, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
from pathlib import Path

from lstm_cli.errors import LstmError

_SUFFIX = ".part"
# What `mkstemp` makes of the name of a file: hidden, eight characters of its own, our suffix.
_SCRATCH = re.compile(rf"\..+\.[a-z0-9_]{{8}}{re.escape(_SUFFIX)}")
_CHUNK = 1 << 20


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it holds the old content or the new, whatever happens.

    Args:
        path: Where; its folder is made if missing.
        content: All of it.

    Raises:
        LstmError: The disk is full, or the place cannot be written.
    """
    check_replaceable(path)
    try:
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(_SUFFIX, f".{path.name}.", path.parent)
        scratch = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _read_back(scratch, content)
            # mkstemp's files are private to the user; others may read a run as they may its folder.
            scratch.chmod(0o666 & ~_umask())
            scratch.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise
        _sync_folder(path.parent)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LstmError(
            f"Cannot write {path}: {reason}.",
            "Free space or name another --runs-dir; what was saved before is intact.",
        ) from error


def check_replaceable(path: Path) -> None:
    """See that no pipe, socket or device would be replaced by a file, nor a name of a stream.

    Opening a pipe would wait for a reader; root may replace `/dev/null`, or `/dev/stdout`, which is
    a link.

    Raises:
        LstmError: One lies there.
    """
    try:
        mode = path.stat().st_mode
        folder = path.parent.resolve()
    except (OSError, ValueError, RuntimeError):
        # Nothing is there; what is in the way of writing is found when it is written.
        return
    is_stream = folder == Path("/dev") or folder.is_relative_to("/proc")
    if is_stream or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise LstmError(
            f"Cannot write {path}: it is a pipe, a socket or a device, not a plain file.",
            "Name a file.",
        )


def make_folder(path: Path) -> None:
    """Make a folder and those above it, and make their names last.

    Raises:
        OSError: One cannot be made.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    _sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file so that it does not come back after a power cut; one that is gone is fine.

    Raises:
        LstmError: It cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise LstmError(f"Cannot remove {path}: {error.strerror or error}.") from error


def is_temp_file(path: Path) -> bool:
    """Tell a temporary file of `write_atomic` by its name."""
    return _SCRATCH.fullmatch(path.name) is not None


def remove_temp_files(folder: Path) -> None:
    """Remove the temporary files of writers that were killed; nobody may be writing there now."""
    for path in folder.glob(f".*{_SUFFIX}"):
        if is_temp_file(path):
            with contextlib.suppress(OSError):
                path.unlink()


def _read_back(path: Path, content: bytes) -> None:
    """Hold a file to what was written before it takes the place of a good one.

    Raises:
        OSError: It holds something else: a file system took less than it said.
    """
    with path.open("rb", buffering=0) as file:
        at = 0
        while chunk := file.read(_CHUNK):
            if chunk != content[at : at + len(chunk)]:
                break
            at += len(chunk)
    if at != len(content):
        raise OSError(errno.EIO, f"byte {at:,} of {len(content):,} reads back differently")


def _sync_folder(path: Path) -> None:
    """Make a rename last: a folder is a file of names, and it too waits in memory."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        # A folder that may be written but not read cannot be synced either.
        return
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems keep names safe by themselves and know no such call.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current

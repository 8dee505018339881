"""Read the files of a folder that someone else may have prepared, and never leave it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

_MAX_ENTRIES = 100_000
_MAX_NAME = 4096
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# What people call weights and models and what must never be opened begins with a mark of its own.
# A pickle's: its version, then an operation; no file of ours is so long that it begins like that.
_MARKS = {
    rb"PK\x03\x04": "a zip archive (.npz, .pt or .keras), which is never unpacked",
    rb"\x1f\x8b\x08": "a gzip archive, which is never unpacked",
    rb"\x80[\x02-\x05][\x20-\xff]": "a Python pickle, which could run any code and is never read",
    rb"\x93NUMPY": "a NumPy array file, which may hold a pickle and is never read",
    rb"\x89HDF": "an HDF5 file, which is never read",
}


def check_name(name: str) -> tuple[str, ...]:
    """Split a name inside a folder, `plots/curves.png`, into its parts.

    Raises:
        ValueError: It is absolute, climbs out with `..`, or is no plain name.
    """
    parts = tuple(name.split("/"))
    # A drive letter and backslashes lead out where paths are written so.
    if "\\" in name or "\0" in name or name[1:2] == ":":
        raise ValueError(f"{_shown(name)} is no name inside the folder")
    if any(part in ("", ".", "..") for part in parts) or len(name) > _MAX_NAME:
        raise ValueError(f"{_shown(name)} leads out of the folder or is no plain name")
    return parts


@contextlib.contextmanager
def opened(folder: Path, name: str) -> Iterator[BufferedReader]:
    """Open a plain file of a folder for reading.

    No symbolic link is followed, in whatever part of the name, and nothing but a plain file is
    opened: a named pipe would wait for ever, and a device may do anything.

    Args:
        folder: Where; it may itself be reached through a link.
        name: Inside it, with `/` between parts.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: It cannot be read.
        ValueError: The name leads out, or there is no plain file.
    """
    parts = check_name(name)
    with contextlib.ExitStack() as stack:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, at)
        for part in parts[:-1]:
            at = _open(at, part, stat.S_IFDIR, os.O_DIRECTORY)
            stack.callback(os.close, at)
        # O_NONBLOCK: should a pipe take the file's place right now, opening it does not wait.
        handle = _open(at, parts[-1], stat.S_IFREG, os.O_NONBLOCK)
        yield stack.enter_context(os.fdopen(handle, "rb"))


def names(folder: Path) -> list[str]:
    """List the plain files under a folder, at whatever depth, sorted.

    Raises:
        OSError: A folder cannot be read.
        ValueError: Something in it is neither a plain file nor a folder.
    """
    found: list[str] = []
    waiting = [""]
    num_entries = 0
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                num_entries += 1
                if num_entries > _MAX_ENTRIES:
                    raise ValueError(f"it holds over {_MAX_ENTRIES:,} files")
                name = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    found.append(name)
                else:
                    _refuse(name, entry)
    return sorted(found)


def detect_file_type(content: bytes) -> str | None:
    """Say what a file is that could not be read as what it should be, if its begin tells."""
    return next((told for mark, told in _MARKS.items() if re.match(mark, content)), None)


def _open(folder: int, name: str, wanted: int, flags: int) -> int:
    """Open a file or folder in an open folder, if it is of the wanted kind and no link."""
    _check_kind(name, os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode, wanted)
    flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, dir_fd=folder)
    try:
        _check_kind(name, os.fstat(handle).st_mode, wanted)
    except ValueError:
        os.close(handle)
        raise
    return handle


def _check_kind(name: str, mode: int, wanted: int) -> None:
    if stat.S_IFMT(mode) != wanted:
        expected = "a folder" if wanted == stat.S_IFDIR else "a plain file"
        raise ValueError(f"{_shown(name)} is {_kind(mode)}, not {expected}")


def _refuse(name: str, entry: os.DirEntry[str]) -> None:
    """Refuse a link, a pipe, a device; what went away meanwhile is none."""
    with contextlib.suppress(FileNotFoundError):
        mode = entry.stat(follow_symlinks=False).st_mode
        where = f" to {_shown(str(Path(entry.path).readlink()))}" if stat.S_ISLNK(mode) else ""
        raise ValueError(f"{_shown(name)} is {_kind(mode)}{where}, not a plain file")


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "a plain file")


def _shown(name: str) -> str:
    """Quote a name as far as it fits a line."""
    return repr(name if len(name) <= 80 else f"{name[:77]}...")

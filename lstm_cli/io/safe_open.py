"""Safe reads from an untrusted folder: plain files only, and never outside the folder."""

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
# The first bytes of formats that people use for models, and that this package never opens. A
# pickle begins with its protocol version, then an opcode; no valid file of a run begins like that.
_MAGIC_BYTES = {
    rb"PK\x03\x04": "a zip archive (.npz, .pt or .keras), which is not unpacked",
    rb"\x1f\x8b\x08": "a gzip archive, which is not unpacked",
    rb"\x80[\x02-\x05][\x20-\xff]": "a Python pickle, which can run any code and is not read",
    rb"\x93NUMPY": "a NumPy array file, which can contain a pickle and is not read",
    rb"\x89HDF": "an HDF5 file, which is not read",
}


def check_name(name: str) -> tuple[str, ...]:
    """Split a name inside a folder, `plots/curves.png`, into its parts.

    Raises:
        ValueError: The name is absolute, contains `..`, or is not a plain name.
    """
    parts = tuple(name.split("/"))
    # On Windows, drive letters and backslashes could lead out of the folder.
    if "\\" in name or "\0" in name or name[1:2] == ":":
        raise ValueError(f"{_quote(name)} is not a name inside the folder")
    if any(part in ("", ".", "..") for part in parts) or len(name) > _MAX_NAME:
        raise ValueError(f"{_quote(name)} leads out of the folder or is not a plain name")
    return parts


@contextlib.contextmanager
def open_file(folder: Path, name: str) -> Iterator[BufferedReader]:
    """Open a plain file of a folder for reading.

    Symbolic links are not followed in any part of the name, and only a plain file is opened: a
    named pipe could block forever, and a device can do anything.

    Args:
        folder: The folder; its own path may contain symbolic links.
        name: Name inside the folder, with `/` between parts.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: The file cannot be read.
        ValueError: The name leads out of the folder, or it is not the name of a plain file.
    """
    parts = check_name(name)
    with contextlib.ExitStack() as stack:
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, parent)
        for part in parts[:-1]:
            parent = _open(parent, part, stat.S_IFDIR, os.O_DIRECTORY)
            stack.callback(os.close, parent)
        # O_NONBLOCK: if a named pipe replaces the file at this moment, opening it does not block.
        handle = _open(parent, parts[-1], stat.S_IFREG, os.O_NONBLOCK)
        yield stack.enter_context(os.fdopen(handle, "rb"))


def list_files(folder: Path) -> list[str]:
    """List the plain files in a folder and its subfolders, sorted.

    Raises:
        OSError: A folder cannot be read.
        ValueError: An entry is neither a plain file nor a folder, or there are too many.
    """
    files: list[str] = []
    prefixes = [""]
    num_entries = 0
    while prefixes:
        prefix = prefixes.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                num_entries += 1
                if num_entries > _MAX_ENTRIES:
                    raise ValueError(f"it has over {_MAX_ENTRIES:,} files")
                name = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    prefixes.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    files.append(name)
                else:
                    _refuse(name, entry)
    return sorted(files)


def detect_file_type(content: bytes) -> str | None:
    """Describe a file by its first bytes if they are those of a well-known format, else None."""
    return next((name for magic, name in _MAGIC_BYTES.items() if re.match(magic, content)), None)


def _open(folder: int, name: str, file_type: int, flags: int) -> int:
    """Open an entry of an open folder, if it has this type and is not a symbolic link."""
    _check_kind(name, os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode, file_type)
    flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, dir_fd=folder)
    try:
        _check_kind(name, os.fstat(handle).st_mode, file_type)
    except ValueError:
        os.close(handle)
        raise
    return handle


def _check_kind(name: str, mode: int, file_type: int) -> None:
    if stat.S_IFMT(mode) != file_type:
        expected = "a folder" if file_type == stat.S_IFDIR else "a plain file"
        raise ValueError(f"{_quote(name)} is {_kind(mode)}, not {expected}")


def _refuse(name: str, entry: os.DirEntry[str]) -> None:
    """Refuse a link, a pipe or a device; an entry that was removed meanwhile is not an error."""
    with contextlib.suppress(FileNotFoundError):
        mode = entry.stat(follow_symlinks=False).st_mode
        target = f" to {_quote(str(Path(entry.path).readlink()))}" if stat.S_ISLNK(mode) else ""
        raise ValueError(f"{_quote(name)} is {_kind(mode)}{target}, not a plain file")


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "a plain file")


def _quote(name: str) -> str:
    """Quote a name, shortened to fit on a line."""
    return repr(name if len(name) <= 80 else f"{name[:77]}...")

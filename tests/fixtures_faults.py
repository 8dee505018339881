"""A disk on which any one call can be made to go wrong.

What is asked of the system below one folder is counted, call by call; one of them fails, lies, or
is the last that the process makes. Afterwards the folder is as a new process would find it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
from pathlib import Path
from unittest import mock

ERRORS = {
    "ENOSPC": errno.ENOSPC,
    "EDQUOT": errno.EDQUOT,
    "EIO": errno.EIO,
    "EACCES": errno.EACCES,
}
# From one call on, as on a disk that stays full or was mounted read-only.
LASTING = {"full from here on": errno.ENOSPC, "read-only from here on": errno.EROFS}
_STOPPED = {
    "full from here on": ("create", "write", "mkdir"),
    "read-only from here on": (
        "create", "write", "mkdir", "replace", "chmod", "unlink", "rmdir",
    ),
}  # fmt: skip
# Only calls that write content can lie about it.
LIES = ("cut", "flip")
# The process is killed; or the power fails, and what was not synced was never there.
DEATHS = ("kill", "power cut")
FAULTS = (*ERRORS, *LASTING, *LIES, *DEATHS)

_PATCHED = ("open", "mkdir", "rmdir", "unlink", "replace", "rename", "chmod", "fsync")


class DeadError(BaseException):
    """The process is no more: nothing handles this, and nothing is done after it."""


class Disk:
    """The system's calls on files below a folder, one of them gone wrong.

    Args:
        root: Only calls on files below it are counted.
        at: Which call goes wrong, counted from 0; None for none.
        fault: One of `FAULTS`.
        share: How much of the content is written where a write goes wrong; where a bit flips.
    """

    def __init__(
        self, root: Path, at: int | None = None, fault: str = "", share: float = 0.5
    ) -> None:
        self.root = str(root)
        self.at = at
        self.fault = fault
        self.share = share
        self.calls: list[str] = []
        self.fired = False
        self.dead = False
        self._paths: dict[int, str] = {}
        self._unsynced: set[str] = set()
        # What a power cut takes back, by folder: names that no fsync has made last.
        self._undo: list[tuple[str, object]] = []
        self._real = {name: getattr(os, name) for name in _PATCHED}
        self._io_open = io.open

    @contextlib.contextmanager
    def device_info(self):
        """Put the disk in place; a death ends the block, and only the block."""
        with contextlib.ExitStack() as stack:
            for name in _PATCHED:
                stack.enter_context(mock.patch.object(os, name, getattr(self, f"_{name}")))
            stack.enter_context(mock.patch.object(io, "open", self._open_file))
            with contextlib.suppress(DeadError):
                yield self
        if self.dead and self.fault == "power cut":
            self.lose_power()

    def _ours(self, path) -> bool:
        if isinstance(path, int):
            return path in self._paths
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.root)

    def _point(self, what: str, path) -> bool:
        """Count a call; raise where it fails or is the last. Whether it is to lie."""
        if self.dead:
            raise DeadError
        here = len(self.calls) == self.at
        self.calls.append(f"{what} {os.path.relpath(path, self.root)}")
        if self.fault in LASTING:
            here = self.at is not None and len(self.calls) > self.at
            here = here and what in _STOPPED[self.fault]
        if self.fault in LIES:
            here = here and what == "write"
        self.fired = self.fired or here
        if here and self.fault in DEATHS:
            self.dead = True
            raise DeadError
        if here and self.fault not in LIES:
            number = {**ERRORS, **LASTING}[self.fault]
            raise OSError(number, os.strerror(number), str(path))
        return here

    def lose_power(self) -> None:
        """Take back what nothing has made last."""
        for _, undo in reversed(self._undo):
            undo()
        for path in self._unsynced:
            if Path(path).exists():
                size = Path(path).stat().st_size
                Path(path).write_bytes(b"\0" * size)

    def _note(self, path, undo) -> None:
        self._undo.append((str(Path(path).parent), undo))

    def _open(self, path, flags, mode=0o777, **kwargs):
        if not self._ours(path) or kwargs:
            return self._real["open"](path, flags, mode, **kwargs)
        creates = bool(flags & os.O_CREAT) and not Path(path).exists()
        self._point("create" if creates else "open", path)
        handle = self._real["open"](path, flags, mode)
        self._paths[handle] = str(path)
        if creates:
            self._note(path, lambda: Path(path).unlink(missing_ok=True))
            self._unsynced.add(str(path))
        return handle

    def _open_file(self, file, mode="r", *args, **kwargs):
        # A number that is read from is one that was given away anew.
        if not self._ours(file) or (isinstance(file, int) and "r" in mode):
            return self._io_open(file, mode, *args, **kwargs)
        if isinstance(file, int):
            # Without a buffer: a killed process writes nothing more.
            return _Writing(self, self._io_open(file, mode, buffering=0), self._paths[file])
        if "r" not in mode or "+" in mode:
            self._point("create", file)
            self._unsynced.add(str(file))
            return _Writing(self, self._io_open(file, mode, buffering=0), str(file))
        self._point("read", file)
        return self._io_open(file, mode, *args, **kwargs)

    def write(self, raw, path: str, content: bytes) -> int:
        """Write all, or as much as the fault lets through."""
        place = int(len(content) * self.share)
        part = content[:place]
        try:
            lies = self._point("write", path)
        except (OSError, DeadError):
            raw.write(part)
            raise
        if lies and self.fault == "cut":
            raw.write(part)
        elif lies and self.fault == "flip":
            changed = bytearray(content)
            changed[place] ^= 1
            raw.write(bytes(changed))
        else:
            raw.write(content)
        return len(content)

    def _fsync(self, handle):
        if handle not in self._paths:
            return self._real["fsync"](handle)
        path = self._paths[handle]
        self._point("fsync", path)
        # The real one takes milliseconds; what it promises is kept here.
        self._unsynced.discard(path)
        self._undo = [(folder, undo) for folder, undo in self._undo if folder != path]
        return None

    def _mkdir(self, path, mode=0o777, **kwargs):
        if not self._ours(path) or kwargs:
            return self._real["mkdir"](path, mode, **kwargs)
        self._point("mkdir", path)
        self._real["mkdir"](path, mode)
        self._note(path, lambda: shutil.rmtree(path, ignore_errors=True))
        return None

    def _unlink(self, path, **kwargs):
        if not self._ours(path) or kwargs:
            return self._real["unlink"](path, **kwargs)
        self._point("unlink", path)
        content = self._content(path)
        self._real["unlink"](path)
        if content is not None:
            self._note(path, lambda: self._put(path, content))
        return None

    def _replace(self, source, target, **kwargs):
        if not self._ours(source):
            return self._real["replace"](source, target, **kwargs)
        self._point("replace", target)
        new, old = self._content(source), self._content(target)
        self._real["replace"](source, target)
        if str(source) in self._unsynced:
            self._unsynced.discard(str(source))
            self._unsynced.add(str(target))

        def undo():
            self._put(source, new)
            if old is None:
                Path(target).unlink(missing_ok=True)
            else:
                self._put(target, old)

        self._note(target, undo)
        return None

    def _rename(self, source, target, **kwargs):
        return self._replace(source, target, **kwargs)

    def _chmod(self, path, mode, **kwargs):
        if self._ours(path):
            self._point("chmod", path)
        return self._real["chmod"](path, mode, **kwargs)

    def _rmdir(self, path, **kwargs):
        if self._ours(path):
            self._point("rmdir", path)
        return self._real["rmdir"](path, **kwargs)

    def _content(self, path) -> bytes | None:
        if not Path(path).is_file():
            return None
        with self._io_open(path, "rb") as file:
            return file.read()

    def _put(self, path, content: bytes) -> None:
        if Path(path).parent.is_dir():
            Path(path).write_bytes(content)


class _Writing:
    """A file open for writing, as far as `write_atomic` uses it."""

    def __init__(self, disk: Disk, raw, path: str) -> None:
        self._disk, self._raw, self._path = disk, raw, path

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._raw.close()

    def write(self, content):
        """Write bytes."""
        return self._disk.write(self._raw, self._path, bytes(content))

    def flush(self):
        """Have nothing to do: there is no buffer."""

    def fileno(self):
        """Return the descriptor."""
        return self._raw.fileno()


def points(root: Path, work) -> list[tuple[int, float]]:
    """Run a piece of work on a good disk; return each call, and each way to stop within it."""
    disk = Disk(root)
    with disk.device_info():
        work()
    shares = {True: (0.0, 0.5, 0.99), False: (0.0,)}
    return [
        (at, share)
        for at, call in enumerate(disk.calls)
        for share in shares[call.startswith("write")]
    ]

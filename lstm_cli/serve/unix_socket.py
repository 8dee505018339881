"""Listen on a Unix socket: a file that only some users of this machine can connect to."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lstm_cli.errors import ExitCode, LstmError

# Linux has 108 bytes for the path with its final zero, macOS 104.
_MAX_PATH_BYTES = 103
_CONNECT_SECONDS = 1.0


def parse_mode(text: str) -> int:
    """Return the permissions of a value of `--unix-socket-mode`.

    Raises:
        LstmError: It is not an octal number such as 660 (exit code 2).
    """
    if re.fullmatch(r"0?[0-7]{3}", text):
        return int(text, 8)
    raise LstmError(
        f"--unix-socket-mode: expected three octal digits, found {text[:40]!r}.",
        "600: only your user; 660: your user and the group of the file; 666: every user.",
        ExitCode.USAGE,
    )


@contextmanager
def bind_unix(path: Path, mode: int) -> Iterator[socket.socket]:
    """Listen on a Unix socket inside a `with` block, and remove its file at the end.

    A file that a killed server has left is replaced. The socket never has more permissions than
    `mode`: it is made with none for others.

    Args:
        path: The file.
        mode: Its permissions.

    Raises:
        LstmError: A server listens there, something else is there, or the file cannot be made.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise LstmError("This system has no Unix sockets.", "Use --port.", ExitCode.USAGE)
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise LstmError(
            f"--unix-socket: the path has {len(os.fsencode(path))} bytes; a Unix socket may have "
            f"{_MAX_PATH_BYTES}.",
            "Use a shorter path, for example in /run or /tmp.",
            ExitCode.USAGE,
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            _remove_stale(path)
            previous = os.umask(0o177)
            try:
                sock.bind(str(path))
            finally:
                os.umask(previous)
            path.chmod(mode)
            # At once: another server takes a socket to which nobody listens for a stale one.
            sock.listen()
        except OSError as error:
            raise _error(path, error.strerror or str(error)) from None
        made = _identity(path)
        sock.setblocking(False)
        try:
            yield sock
        finally:
            # Another server may have replaced the file.
            if _identity(path) == made:
                with suppress(OSError):
                    path.unlink()


def _remove_stale(path: Path) -> None:
    """Remove a socket to which nobody listens.

    Raises:
        LstmError: A server listens, or it is another kind of file.
        OSError: It cannot be removed.
    """
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise _error(path, "there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_CONNECT_SECONDS)
        try:
            client.connect(str(path))
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                raise
            path.unlink(missing_ok=True)
            return
    raise _error(path, "another server listens there")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _error(path: Path, reason: str) -> LstmError:
    return LstmError(
        f"Cannot listen on {path}: {reason}.",
        "Choose another path with --unix-socket, in a folder that you can write.",
        ExitCode.ERROR,
    )

"""Files under local paths, and under URLs through fsspec: found, read, and written atomically."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths
from lstm_cli.io.atomic_write import is_temp_file, write_atomic
from lstm_cli.io.optional import require

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_MARKS = re.compile(r"[*?[]")
# Stores in which an object appears when it is complete; elsewhere a file is renamed at the end.
_ATOMIC = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}
# What changes with the content of a file, as the file systems of fsspec name it; best first.
_VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated")


@dataclass(frozen=True)
class StoredFile:
    """A file in a store.

    Attributes:
        path: Its absolute path, or its URL.
        name: Its path as it was typed, or its URL; for messages.
        size: In bytes.
        version: Changes with the content: an ETag or the time of the last change; "" if the store
            has neither.
    """

    path: str
    name: str
    size: int
    version: str


class Storage(Protocol):
    """Files of one kind of store."""

    def find(self, pattern: str) -> list[StoredFile]:
        """Return the files that match a pattern, or the file of that name, in order of names."""

    def identity(self, name: str) -> str:
        """Return the one name of a file or folder, whether it exists or not."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size of each file below a folder by its relative name; {} without a folder."""

    def read(self, files: Sequence[str]) -> dict[str, bytes]:
        """Return the content of those files that exist."""

    def write(self, path: str, content: bytes) -> None:
        """Write a small file atomically."""

    def reading(self, path: str) -> contextlib.AbstractContextManager[Path]:
        """Return a local file with the content of a file, for the duration of a block."""

    def writing(self, path: str) -> contextlib.AbstractContextManager[Path]:
        """Return a local path to write; at the end of the block it becomes the file."""


def is_url(name: str) -> bool:
    """Return whether a name is a URL."""
    return _URL.match(name) is not None


def is_remote(name: str) -> bool:
    """Return whether a name is a URL other than `file://`."""
    return is_url(name) and not _is_file_url(name)


def has_marks(name: str) -> bool:
    """Return whether a name has characters that stand for others in a pattern."""
    return _MARKS.search(name) is not None


def is_pattern(name: str) -> bool:
    """Return whether a name stands for the files that match it; a file of that name goes first."""
    return has_marks(name) and (is_remote(name) or not local_path(name).exists())


def open_storage(name: str) -> Storage:
    """Return the store of a path or URL.

    Raises:
        LstmError: fsspec or the package for this kind of URL is not installed (exit code 1), or
            there is no such kind (2).
    """
    return _RemoteStorage(name) if is_remote(name) else _LocalStorage()


def local_path(name: str) -> Path:
    """Return the path of a local name, also of `file://` and with `~`."""
    return paths.expand(_URL.sub("", name, count=1) if _is_file_url(name) else name)


def join(folder: str, name: str) -> str:
    """Return the path or URL of a file below a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else str(Path(folder, name))


def _is_file_url(name: str) -> bool:
    match = _URL.match(name)
    return match is not None and match[1].lower() in ("file", "local")


class _LocalStorage:
    """Files of this machine, or of a folder that several machines share."""

    def find(self, pattern: str) -> list[StoredFile]:
        path = local_path(pattern)
        # `Path.glob` takes no absolute pattern.
        names = [str(path)] if paths.exists(path) else glob.glob(str(path), recursive=True)  # noqa: PTH207
        names.sort()
        return [_stored(name) for name in names if not paths.is_folder(Path(name))]

    def identity(self, name: str) -> str:
        return os.path.realpath(local_path(name))

    def sizes(self, folder: str) -> dict[str, int]:
        root = local_path(folder)
        found = {}
        for place, _, names in os.walk(root):
            for path in (Path(place, name) for name in names):
                # A link may lead nowhere or into a loop, and a file may be gone by now.
                with contextlib.suppress(OSError):
                    if not is_temp_file(path):
                        found[path.relative_to(root).as_posix()] = path.stat().st_size
        return found

    def read(self, files: Sequence[str]) -> dict[str, bytes]:
        found = {}
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                found[name] = local_path(name).read_bytes()
        return found

    def write(self, path: str, content: bytes) -> None:
        hint = "Free disk space, or name another folder. Parts that are finished are intact."
        write_atomic(local_path(path), content, hint)

    @contextlib.contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        yield local_path(path)

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        # What writes answers writes them under another name first.
        yield local_path(path)


def _stored(name: str) -> StoredFile:
    status = paths.status(Path(name))
    if status is None:
        raise LstmError(f"{name} does not exist.", "Check the path.", ExitCode.DATA)
    path = str(Path(name).absolute())
    return StoredFile(path, name, status.st_size, str(status.st_mtime_ns))


class _RemoteStorage:
    """Files under URLs: copied to a local file to be read, and from one when they are written."""

    def __init__(self, url: str) -> None:
        require("fsspec")
        import fsspec

        match = _URL.match(url)
        assert match is not None
        self._protocol = match[1].lower()
        try:
            self._files: Any = fsspec.core.url_to_fs(url)[0]
        except ImportError as error:
            raise LstmError(
                f"{url} needs a package that is not installed: {error}",
                "Install it on every machine that predicts.",
            ) from error
        except ValueError as error:
            raise LstmError(
                f"{url} cannot be opened: {error}.",
                "Check what stands before '://'.",
                ExitCode.USAGE,
            ) from error

    def find(self, pattern: str) -> list[StoredFile]:
        with _translated("read", pattern):
            if _MARKS.search(pattern):
                entries = self._files.glob(pattern, detail=True).values()
            else:
                entries = [self._files.info(pattern)] if self._files.exists(pattern) else []
            files = [entry for entry in entries if entry["type"] == "file"]
            return sorted((self._to_stored(entry) for entry in files), key=lambda file: file.path)

    def identity(self, name: str) -> str:
        return str(self._files.unstrip_protocol(self._files._strip_protocol(name)))

    def sizes(self, folder: str) -> dict[str, int]:
        with _translated("read", folder):
            root = PurePosixPath(self._files._strip_protocol(folder))
            # Another process may have written since the folder was last listed.
            self._files.invalidate_cache()
            try:
                found = self._files.find(folder, detail=True)
            except FileNotFoundError:
                return {}
            return {
                PurePosixPath(name).relative_to(root).as_posix(): entry["size"]
                for name, entry in found.items()
            }

    def read(self, files: Sequence[str]) -> dict[str, bytes]:
        if not files:
            return {}
        with _translated("read", files[0]):
            keys = {self._files._strip_protocol(name): name for name in files}
            found = self._files.cat([*keys], on_error="return")
            for content in found.values():
                # A file that cannot be read must not count as one that is not there.
                if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                    raise content
            contents = found.items()
            return {keys[key]: value for key, value in contents if isinstance(value, bytes)}

    def write(self, path: str, content: bytes) -> None:
        with self.writing(path) as local:
            local.write_bytes(content)

    @contextlib.contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="lstm-part-") as folder:
            local = Path(folder, PurePosixPath(path).name)
            with _translated("read", path):
                self._files.get_file(path, str(local))
            yield local

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="lstm-part-") as folder:
            local = Path(folder, PurePosixPath(path).name)
            yield local
            with _translated("write", path):
                self._put(local, path)

    def _put(self, local: Path, path: str) -> None:
        if self._protocol in _ATOMIC:
            self._files.put_file(str(local), path)
            return
        place, _, name = path.rpartition("/")
        temp = f"{place}/.{name}.{os.urandom(4).hex()}.part"
        self._files.makedirs(place, exist_ok=True)
        self._files.put_file(str(local), temp)
        self._files.mv(temp, path)

    def _to_stored(self, entry: Mapping[str, Any]) -> StoredFile:
        version = next((str(entry[key]) for key in _VERSIONS if entry.get(key)), "")
        url = self._files.unstrip_protocol(entry["name"])
        return StoredFile(url, url, entry["size"], version)


@contextlib.contextmanager
def _translated(verb: str, path: str) -> Iterator[None]:
    """Turn what the packages of fsspec raise, which have no common error, into one error."""
    try:
        yield
    except LstmError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        hint = "Check the URL, the network and the permissions."
        raise LstmError(f"Cannot {verb} {path}: {reason:.300}.", hint, ExitCode.DATA) from error

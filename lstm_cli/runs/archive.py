"""A run as one zip file: written with the same bytes each time, and opened behind checks.

The members are `<dataset>/<name>/<file>`: unpacked into the folder of all runs, they are the run.
An archive may come from an attacker. Its entries are looked at before anything is unpacked: plain
files of one folder, without links or names that lead elsewhere, and together not much larger than
the archive. What is unpacked then passes the same checks as a run directory.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import safe_open
from lstm_cli.io.atomic_write import open_atomic
from lstm_cli.io.temp_folder import TempFile, TempFolder, writing
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.manifest import is_in_manifest

# As early as a zip file can say: the archive does not depend on when its files were written.
_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX, _MODE = 3, stat.S_IFREG | 0o644
_CHUNK = 1 << 20
_MAX_ENTRIES = 1000
_MAX_DIRECTORY_BYTES = 4 << 20
_ENCRYPTED = 1
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# Texts are compressed to a fifth or a tenth, weights hardly.
_MAX_RATIO, _MAX_EXTRA_BYTES = 20, 64 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
# Path, file number, size and time of change of an archive.
Stamp = tuple[Path, int, int, int]
# Deleted when the process ends.
_unpacked: dict[Stamp, tuple[TempFolder, RunDir]] = {}


def write(run: RunDir, path: Path) -> int:
    """Write a finished run as one file, and return its size in bytes.

    The weights are most of it and hardly become smaller, so nothing is compressed: the bytes then
    depend on the run alone, not on a version of zlib.

    Args:
        run: A finished run.
        path: The file.

    Raises:
        LstmError: A file of the run has changed (exit code 5), or the archive cannot be written.
    """
    listed = run.with_manifest()
    names = sorted([*(listed.manifest or {}), runs.MANIFEST, *_thresholds(run)])
    with open_atomic(path) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name in names:
                _write_member(archive, listed, name)
        return file.tell()


def _thresholds(run: RunDir) -> list[str]:
    return [runs.THRESHOLDS] if run.file(runs.THRESHOLDS).exists() else []


def _write_member(archive: zipfile.ZipFile, run: RunDir, name: str) -> None:
    info = zipfile.ZipInfo(f"{run.name}/{name}", _TIME)
    info.create_system, info.external_attr = _UNIX, _MODE << 16
    entry = (run.manifest or {}).get(name)
    if entry is None:
        archive.writestr(info, replace(run, manifest=None).read_bytes(name))
        return
    info.file_size = entry.num_bytes
    with run.open_verified(name, max(1, entry.num_bytes)) as file, archive.open(info, "w") as to:
        file.seek(0)
        shutil.copyfileobj(file, to, _CHUNK)


def is_file(path: Path) -> bool:
    """Tell whether a path is that of a file; False for a text that cannot be a path."""
    with suppress(OSError, ValueError):
        return path.is_file()
    return False


def open_archive(path: Path) -> RunDir:
    """Unpack a run into a private folder that is deleted when the process ends.

    What a killed process leaves is deleted by the next one that makes such a folder. An archive
    that is opened again is not unpacked again.

    Args:
        path: The archive.

    Raises:
        LstmError: It cannot be read (exit code 3), or it is not the archive of a run, or not of one
            that `train` could have written (exit code 5), or the folder cannot be written.
    """
    try:
        with path.open("rb") as file:
            stamp = _stamp(path, os.fstat(file.fileno()))
            if stamp not in _unpacked:
                _unpacked[stamp] = _unpack(file, path)
            return _unpacked[stamp][1]
    except OSError as error:
        raise LstmError(
            f"Cannot read {path}: {error.strerror or error}.", "", ExitCode.DATA
        ) from None


def discard(run: RunDir) -> None:
    """Delete the folder that a run was unpacked into; nothing may read it afterwards."""
    if (stamp := stamp_of(run)) is not None:
        _unpacked.pop(stamp)[0].remove()


def stamp_of(run: RunDir) -> Stamp | None:
    """Return the state of the archive from which a run was unpacked; None for other runs."""
    return next((stamp for stamp, (_, unpacked) in _unpacked.items() if unpacked == run), None)


def read_stamp(path: Path) -> Stamp | None:
    """Return the state of an archive; None if it is not there."""
    try:
        return _stamp(path, path.stat())
    except OSError:
        return None


def _stamp(path: Path, status: os.stat_result) -> Stamp:
    return path.absolute(), status.st_ino, status.st_size, status.st_mtime_ns


def _unpack(file: BinaryIO, path: Path) -> tuple[TempFolder, RunDir]:
    try:
        _check_directory(file)
        with zipfile.ZipFile(file) as archive:
            folder, entries = _entries(archive, file.seek(0, 2))
            needs = _needs(path, entries)
            temp = TempFolder(needs)
            run = RunDir(temp.path.joinpath(*folder), archive=path.absolute())
            try:
                _unpack_files(archive, entries, run, needs)
            except BaseException:
                temp.remove()
                raise
    except _DAMAGED as error:
        raise _error(path, str(error)) from None
    return temp, run


def _needs(path: Path, entries: Mapping[str, zipfile.ZipInfo]) -> str:
    num_bytes = sum(info.file_size for info in entries.values())
    return (
        f"{path.name} needs {num_bytes / 1e6:.1f} MB there; a server that takes a new archive has "
        "both until the old one is not used any more."
    )


def _check_directory(file: BinaryIO) -> None:
    """Check the size of the list of entries, which `zipfile` would read whole.

    Raises:
        ValueError: It is not a zip file, or its list is larger than that of any run.
    """
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    if not end:
        raise ValueError("it is not a zip file")
    num_entries, num_bytes = int(end[4]), int(end[5])
    if num_entries > _MAX_ENTRIES or num_bytes > _MAX_DIRECTORY_BYTES:
        raise ValueError(f"it has {num_entries:,} entries, the limit is {_MAX_ENTRIES:,}")


def _entries(
    archive: zipfile.ZipFile, num_bytes: int
) -> tuple[tuple[str, ...], dict[str, zipfile.ZipInfo]]:
    """Return the folder of the run in the archive, and its files by their names in the run.

    Args:
        archive: The archive.
        num_bytes: Its size.

    Raises:
        ValueError: An entry is not a plain file of the one folder, or all are far larger than
            the archive.
    """
    infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        _check_entry(info)
    total, limit = sum(info.file_size for info in infos), _MAX_RATIO * num_bytes + _MAX_EXTRA_BYTES
    if total > limit:
        raise ValueError(f"unpacked it has {total:,} bytes, the limit is {limit:,}")
    records = [info.filename for info in infos if info.filename.split("/")[-1] == runs.RUN]
    prefix = min(records, key=len, default=runs.RUN).removesuffix(runs.RUN)
    folder = tuple(part for part in prefix.split("/") if part)
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename.removeprefix(prefix)
        if not info.filename.startswith(prefix) or name in entries:
            raise ValueError(f"{info.filename[:80]!r} is not a file of the run, or is there twice")
        entries[name] = info
    # A run's name has two parts; without a folder in the archive it is named by the file.
    default = Path(archive.filename or "").stem or "run"
    return (("archive", default, *folder)[-2:]), entries


def _check_entry(info: zipfile.ZipInfo) -> None:
    safe_open.check_name(info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise ValueError(f"{info.filename[:80]!r} is a link or a device, not a plain file")
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
        raise ValueError(f"{info.filename[:80]!r} is encrypted, or compressed by another method")


def _unpack_files(
    archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], run: RunDir, needs: str
) -> None:
    """Unpack the files that the manifest lists, or that belong to a run without being listed.

    Raises:
        LstmError: A file is not listed in the manifest (exit code 5), or cannot be written.
        ValueError: The archive is damaged, or not of a finished run.
    """
    for name in (runs.RUN, runs.MANIFEST):
        if name not in entries:
            raise ValueError(f"it has no {name}: it is not the archive of a finished run")
    _unpack_file(archive, entries[runs.MANIFEST], run.file(runs.MANIFEST), needs)
    listed = run.with_manifest()
    manifest = listed.manifest or {}
    for name in entries.keys() - manifest.keys():
        if is_in_manifest(name):
            raise listed.integrity_error(f"{runs.MANIFEST} does not list {name[:80]!r}")
    for name, info in entries.items():
        if name in manifest or name == runs.THRESHOLDS:
            _unpack_file(archive, info, run.file(name), needs)


def _unpack_file(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, needs: str) -> None:
    """Unpack one file; `zipfile` never reads more of it than the size that was checked."""
    with writing(path.parent, needs):
        path.parent.mkdir(parents=True, exist_ok=True)
    target = TempFile(path, needs)
    with archive.open(info) as source:
        shutil.copyfileobj(source, target, _CHUNK)
    target.close()


def _error(path: Path, reason: str) -> LstmError:
    return LstmError(
        f"{path} is not the archive of a run, or is damaged: {reason}.",
        "Write it again: lstm export RUN --format zip",
        ExitCode.INTEGRITY,
    )

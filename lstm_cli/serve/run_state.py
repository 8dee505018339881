"""What identifies the content of a run, to notice that another one has taken its place."""

from __future__ import annotations

from pathlib import Path

from lstm_cli.runs import archive
from lstm_cli.runs.directory import MANIFEST, THRESHOLDS, RunDir

# Where the run is, and the files that name all its content.
Version = tuple[Path, bytes, bytes]
# Where the run is, and name, size and time of change of its files; of an archive, its stamp.
Files = tuple[object, ...]


def read_version(run: RunDir) -> Version:
    """Return what differs between two runs; the manifest has the hashes of all files but one.

    It is read before the run is opened: a run that takes its place meanwhile is then noticed.
    """
    return run.path, _content(run.file(MANIFEST)), _content(run.file(THRESHOLDS))


def read_files(run: RunDir) -> Files:
    """Return the state of the files of a run, which changes while they are being copied.

    Of a run that was unpacked from an archive, it is the state of the archive at that moment.
    """
    if (stamp := archive.stamp_of(run)) is not None:
        return stamp
    found = []
    for path in sorted(run.path.iterdir()):
        status = path.stat()
        found.append((path.name, status.st_size, status.st_mtime_ns))
    return run.path, *found


def is_archive_unchanged(run: RunDir, files: Files) -> bool:
    """Return whether a run comes from an archive, and the archive still is in the state `files`."""
    return run.archive is not None and archive.read_stamp(run.archive) == files


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""

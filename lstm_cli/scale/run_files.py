"""Carry the files of a run to another machine, where they are checked as any run is."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lstm_cli.errors import LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir

# What prediction reads. The weights are in the model too.
_NAMES = (
    runs.MANIFEST,
    runs.THRESHOLDS,
    runs.RUN,
    runs.CONFIG,
    runs.LABELS,
    runs.LABEL_THRESHOLDS,
    runs.TOKENIZER,
    runs.GOLDEN,
    runs.MODEL,
)


class RunFiles(msgspec.Struct, frozen=True):
    """The files of a run that prediction reads.

    Attributes:
        name: As `RunDir.name`.
        files: Their content by name.
    """

    name: str
    files: dict[str, bytes]

    @classmethod
    def of(cls, run: RunDir) -> RunFiles:
        """Read the files of a run.

        Raises:
            LstmError: One cannot be read.
        """
        names = [name for name in _NAMES if run.file(name).exists()]
        try:
            return cls(run.name, {name: run.file(name).read_bytes() for name in names})
        except OSError as error:
            raise LstmError(f"Cannot read run {run.name}: {error.strerror or error}.") from error

    @contextlib.contextmanager
    def unpacked(self) -> Iterator[RunDir]:
        """Write the files to a temporary folder for the duration of a block."""
        with tempfile.TemporaryDirectory(prefix="lstm-run-") as folder:
            path = Path(folder, self.name)
            path.mkdir(parents=True)
            for name, content in self.files.items():
                (path / name).write_bytes(content)
            yield RunDir(path)


def fingerprint(run: RunDir) -> str:
    """Return a hash of what determines the predictions of a run: its files, and its thresholds."""
    digest = hashlib.sha256()
    for name in (runs.MANIFEST, runs.THRESHOLDS):
        file = run.file(name)
        content = file.read_bytes() if file.exists() else b""
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]

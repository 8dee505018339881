"""The manifest of a run: size and SHA-256 of each of its files, written last."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_cli.errors import LstmError
from lstm_cli.io import safe_open

MANIFEST = "manifest.json"
CHECKPOINTS = "checkpoints"
REPORTS = "reports"
THRESHOLDS = "thresholds.json"

_FORMAT = 1
# What may change after training ended.
_EXCLUDED = (MANIFEST, CHECKPOINTS, REPORTS, THRESHOLDS, "tensorboard")


@dataclass(frozen=True)
class ManifestEntry:
    """One file in the manifest.

    Attributes:
        num_bytes: Size of the file.
        sha256: SHA-256 of its content, in hex.
    """

    num_bytes: int
    sha256: str


def is_in_manifest(name: str) -> bool:
    """Return whether a file of a finished run belongs in its manifest."""
    parts = name.split("/")
    return parts[0] not in _EXCLUDED and not parts[-1].startswith(".")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run as plain JSON types.

    Args:
        folder: The run directory.

    Raises:
        LstmError: A file cannot be read.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not is_in_manifest(name) or not path.is_file():
            continue
        try:
            files[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        except OSError as error:
            raise LstmError(f"Cannot read {path}: {error.strerror or error}.") from error
    return {"format": _FORMAT, "files": files}


def parse(value: Any) -> dict[str, ManifestEntry]:
    """Read the entries of a manifest by file name.

    Args:
        value: The content of `manifest.json`.

    Raises:
        ValueError: It is not a manifest, or a name leads out of the run.
    """
    files = value.get("files") if isinstance(value, dict) else None
    if not isinstance(files, dict):
        raise ValueError("'files' is not a JSON object")
    return {name: _parse_entry(name, entry) for name, entry in files.items()}


def _parse_entry(name: str, entry: Any) -> ManifestEntry:
    safe_open.check_name(name)
    size, digest = (
        (entry.get("bytes"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
    )
    if type(size) is not int or size < 0 or not isinstance(digest, str):
        raise ValueError(f"the entry of {name!r} has no size and SHA-256")
    return ManifestEntry(size, digest)

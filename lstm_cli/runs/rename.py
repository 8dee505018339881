"""Rename a run, and find it by the name that it had before.

Settings of other runs name it by its path (`train.init_from`, `train.teacher`). Those settings are
in the manifests of these runs and do not change; instead, a renamed run keeps its former names in a
hidden file, which is not in its manifest.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import atomic_write
from lstm_cli.runs import directory as runs
from lstm_cli.runs import lock
from lstm_cli.runs.create import check_name
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.find import all_runs, check_own

_FORMER_NAMES = ".former_names.json"
_MAX_BYTES = 64 << 10
_MAX_NAMES = 100


def rename(run: RunDir, new_name: str) -> RunDir:
    """Give a run that no process is training another name in the folder of its data set.

    Args:
        run: A run in the folder of runs.
        new_name: The name alone.

    Returns:
        The run under its new name.

    Raises:
        LstmError: The name is taken or not valid (exit code 2), a process is training the run, or
            has removed or renamed it; or its folder cannot be renamed.
    """
    check_name(new_name, "NEW")
    check_own(run)
    renamed = RunDir(run.path.with_name(new_name))
    with lock.acquire_found(run.path, runs.RUN):
        if os.path.lexists(renamed.path):
            raise LstmError(
                f"There is already a run {renamed.name}.", "Give another name.", ExitCode.USAGE
            )
        names = [name for name in former_names(run) if name != new_name]
        names = [*names, run.path.name][-_MAX_NAMES:]
        run.write_text(_FORMER_NAMES, json.dumps(names) + "\n")
        try:
            run.path.rename(renamed.path)
            atomic_write.sync_folder(renamed.path.parent)
        except OSError as error:
            raise LstmError(
                f"Cannot rename {run.path}: {error.strerror or error}.",
                "Check the permissions of its folder.",
            ) from error
    return renamed


def former_names(run: RunDir) -> list[str]:
    """Return the names that a run had before, the oldest first; none if the file is damaged."""
    with contextlib.suppress(LstmError, ValueError, RecursionError):
        if run.file(_FORMER_NAMES).is_file():
            names = json.loads(RunDir(run.path).read_bytes(_FORMER_NAMES, _MAX_BYTES))
            if isinstance(names, list):
                return [name for name in names if isinstance(name, str)]
    return []


def find_referenced(path: Path, weights_sha256: str | None = None) -> Path:
    """Return the path of the run that another run names by its path, which may be an old one.

    Args:
        path: `<root>/<dataset>/<name>`, as the settings of the other run have it.
        weights_sha256: The digest of its weights, if the other run knows it.

    Raises:
        LstmError: The run there, and all that had its name, have other weights.
    """
    others = all_runs(path.parent.parent, path.parent.name)
    renamed = [run.path for run in others if path.name in former_names(run)]
    candidates = [found for found in (path, *reversed(renamed)) if found.exists()]
    if not candidates or weights_sha256 is None:
        return candidates[0] if candidates else path
    for found in candidates:
        # An archive is checked when it is opened.
        if found.is_file() or _weights_sha256(found) == weights_sha256:
            return found
    raise LstmError(
        f"Run {path} is not the one that training started from: its weights are others.",
        "That run was removed, trained again, or moved. Restore it from a copy.",
    )


def _weights_sha256(path: Path) -> str | None:
    """Return the digest of a run's weights by its manifest; None without one."""
    with contextlib.suppress(LstmError):
        manifest = RunDir(path).with_manifest().manifest or {}
        if runs.WEIGHTS in manifest:
            return manifest[runs.WEIGHTS].sha256
    return None


def runs_that_refer_to(run: RunDir, others: list[RunDir]) -> list[str]:
    """Return the names of the runs that started from a run, or learned from it as their teacher.

    Args:
        run: The run.
        others: Runs to look through.
    """
    names = {run.path.name, *former_names(run)}
    folder = run.path.parent.resolve()
    found = []
    for other in others:
        if other.path == run.path:
            continue
        with contextlib.suppress(LstmError):
            text = other.read_text(runs.CONFIG)
            # Parsing the settings of hundreds of runs would take seconds.
            if any(name in text for name in names) and _refers_to(other, folder, names):
                found.append(other.name)
    return found


def _refers_to(run: RunDir, folder: Path, names: set[str]) -> bool:
    train = run.config().train
    paths = [Path(path) for path in (train.init_from, train.teacher) if path]
    return any(path.name in names and path.parent.resolve() == folder for path in paths)

"""Training state, saved atomically, restored exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError
from lstm_cli.reporting import Reporter
from lstm_cli.run import sha256, write_atomic

_KEPT = 2
_TENSORS = ".safetensors"
_RECORD = ".json"

Array = NDArray[Any]


@dataclass(frozen=True)
class Checkpoint:
    """Everything the next training step depends on.

    Attributes:
        tensors: Weights, optimizer slots, random states, averaged and best weights, by name.
        progress: Epoch, step, sums, history, counters: plain JSON types.
    """

    tensors: Mapping[str, Array]
    progress: Mapping[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint beside the last one, then remove older ones.

    The tensors are written first and the record, which holds their size and SHA-256, last: a
    checkpoint without a record does not exist. At every moment the newest good one is whole.

    Args:
        folder: `checkpoints/` of the run.
        checkpoint: What to keep.

    Returns:
        Path of the record.

    Raises:
        LstmError: The disk is full or the folder cannot be written; earlier checkpoints are intact.
    """
    import safetensors.numpy

    number = max((n for n, _ in _records(folder)), default=0) + 1
    name = f"{number:06d}"
    content = safetensors.numpy.save(dict(checkpoint.tensors))
    write_atomic(folder / f"{name}{_TENSORS}", content)
    record = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "progress": dict(checkpoint.progress),
    }
    body = json.dumps(record, indent=1)
    signed = {"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}
    path = folder / f"{name}{_RECORD}"
    write_atomic(path, json.dumps(signed).encode())
    _remove_old(folder)
    return path


def newest(folder: Path, reporter: Reporter) -> Checkpoint | None:
    """Read the newest good checkpoint; damaged ones are reported and stepped over.

    Args:
        folder: `checkpoints/` of the run.
        reporter: Told of each damaged checkpoint.

    Returns:
        None where there is no good one.
    """
    for number, path in sorted(_records(folder), reverse=True):
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError, LstmError) as error:
            reporter.warn(f"Checkpoint {number} of {folder.parent} is damaged ({error}); skipped.")
    return None


def _read(path: Path) -> Checkpoint:
    """Read a checkpoint, nothing parsed before its hash is checked.

    Raises:
        ValueError: A hash or a size differs.
    """
    import safetensors.numpy

    signed = json.loads(path.read_text(encoding="utf-8"))
    if hashlib.sha256(signed["body"].encode()).hexdigest() != signed["sha256"]:
        raise ValueError("its record has changed")
    record = json.loads(signed["body"])
    tensors = path.with_suffix(_TENSORS)
    if tensors.stat().st_size != record["bytes"]:
        raise ValueError(f"{tensors.name} has another size than recorded")
    if sha256(tensors) != record["sha256"]:
        raise ValueError(f"the content of {tensors.name} has changed")
    return Checkpoint(safetensors.numpy.load_file(tensors), record["progress"])


def _records(folder: Path) -> list[tuple[int, Path]]:
    return [(int(p.stem), p) for p in folder.glob(f"*{_RECORD}") if p.stem.isdigit()]


def _remove_old(folder: Path) -> None:
    """Keep the last two; the record goes first, so that none is left without its tensors."""
    for _, path in sorted(_records(folder))[:-_KEPT]:
        path.unlink(missing_ok=True)
        path.with_suffix(_TENSORS).unlink(missing_ok=True)
    kept = {path.stem for _, path in _records(folder)}
    for stray in folder.glob(f"*{_TENSORS}"):
        if stray.stem not in kept:
            stray.unlink(missing_ok=True)


def model_state(model: Any) -> dict[str, Array]:
    """Return every variable of a model and its optimizer, random states included, by position."""
    return {name: np.array(variable) for name, variable in _variables(model).items()}


def set_model_state(model: Any, tensors: Mapping[str, Array]) -> None:
    """Assign what `model_state` returned to a model built from the same settings.

    Raises:
        LstmError: A tensor is missing or has another shape.
    """
    # The optimizer makes its slots at the first step; here they must be there before it.
    model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    for name, variable in variables.items():
        if name not in tensors or tensors[name].shape != tuple(variable.shape):
            raise LstmError(
                f"The checkpoint is of another model: {name} ({variable.path}) does not fit.",
                "Resume with the version and settings the run was started with.",
            )
    for name, variable in variables.items():
        variable.assign(tensors[name])


def _variables(model: Any) -> dict[str, Any]:
    variables = {f"model/{i}": v for i, v in enumerate(model.variables)}
    return variables | {f"optimizer/{i}": v for i, v in enumerate(model.optimizer.variables)}

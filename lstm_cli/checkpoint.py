"""Training state, saved atomically, restored exactly."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.atomic import write_atomic
from lstm_cli.errors import LstmError
from lstm_cli.reporting import Reporter

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

    number = max(_numbers(folder), default=0) + 1
    content = safetensors.numpy.save(dict(checkpoint.tensors))
    write_atomic(_file(folder, number, _TENSORS), content)
    record = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "progress": dict(checkpoint.progress),
    }
    body = json.dumps(record, indent=1)
    signed = {"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}
    path = _file(folder, number, _RECORD)
    write_atomic(path, json.dumps(signed).encode())
    keep(folder, _KEPT)
    return path


def newest(folder: Path, reporter: Reporter) -> Checkpoint | None:
    """Read the newest good checkpoint; damaged ones are reported and stepped over.

    Once a good one is found, the damaged ones after it are removed: they must not count among
    those kept. Only whoever holds the run's lock may call this.

    Args:
        folder: `checkpoints/` of the run.
        reporter: Told of each damaged checkpoint.

    Returns:
        None where there is no good one.

    Raises:
        LstmError: The folder cannot be read.
    """
    from safetensors import SafetensorError

    ways = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
    damaged = []
    for number in sorted(_numbers(folder), reverse=True):
        try:
            found = _read(folder, number)
        except (*ways, SafetensorError) as error:
            reporter.warn(f"Checkpoint {number} of {folder.parent} is damaged ({error}); skipped.")
            damaged.append(number)
            continue
        with contextlib.suppress(LstmError):
            _remove(folder, damaged)
        return found
    return None


def keep(folder: Path, num: int) -> None:
    """Remove all checkpoints but the newest.

    Args:
        folder: `checkpoints/` of the run.
        num: How many to keep.

    Raises:
        LstmError: One cannot be removed.
    """
    numbers = sorted(_numbers(folder))
    _remove(folder, numbers[:-num])
    # Tensors whose record was never written.
    strays = set(_numbers(folder, _TENSORS)) - set(numbers)
    _remove(folder, sorted(strays))


def _read(folder: Path, number: int) -> Checkpoint:
    """Read a checkpoint, nothing parsed before its hash is checked.

    Raises:
        ValueError: A hash or a size differs.
    """
    import safetensors.numpy

    signed = json.loads(_file(folder, number, _RECORD).read_bytes())
    if hashlib.sha256(signed["body"].encode()).hexdigest() != signed["sha256"]:
        raise ValueError("its record has changed")
    record = json.loads(signed["body"])
    tensors = _file(folder, number, _TENSORS)
    if tensors.stat().st_size != record["bytes"]:
        raise ValueError(f"{tensors.name} has another size than recorded")
    content = tensors.read_bytes()
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise ValueError(f"the content of {tensors.name} has changed")
    return Checkpoint(safetensors.numpy.load(content), record["progress"])


def _numbers(folder: Path, suffix: str = _RECORD) -> list[int]:
    """List the checkpoints of a folder that may not be there yet.

    Raises:
        LstmError: It cannot be read.
    """
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LstmError(f"Cannot read {folder}: {error.strerror or error}.") from error
    return [int(path.stem) for path in paths if path.suffix == suffix and _is_number(path.stem)]


def _is_number(stem: str) -> bool:
    return stem.isascii() and stem.isdigit() and f"{int(stem):06d}" == stem


def _file(folder: Path, number: int, suffix: str) -> Path:
    return folder / f"{number:06d}{suffix}"


def _remove(folder: Path, numbers: Sequence[int]) -> None:
    """Remove checkpoints; the record goes first, so that none is left without its tensors.

    Raises:
        LstmError: One cannot be removed.
    """
    for number in numbers:
        for suffix in (_RECORD, _TENSORS):
            path = _file(folder, number, suffix)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise LstmError(f"Cannot remove {path}: {error.strerror or error}.") from error


def model_state(model: Any) -> dict[str, Array]:
    """Return every variable of a model and its optimizer, random states included, by position."""
    # A copy: the next step may write where this one reads.
    return {name: np.array(variable.numpy()) for name, variable in _variables(model).items()}


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

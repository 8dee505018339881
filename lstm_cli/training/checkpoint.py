"""Training state, saved atomically, restored exactly."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError
from lstm_cli.io import safe_open as folders
from lstm_cli.io.atomic_write import write_atomic
from lstm_cli.io.progress import Reporter
from lstm_cli.runs import safetensors_reader as tensors

_KEPT = 2
_TENSORS = ".safetensors"
_RECORD = ".json"
_MAX_DIGITS = 12
# A line of history for each of 100,000 epochs, and their values in memory.
_MAX_RECORD_BYTES = 64 << 20
_MAX_RECORD_VALUES = 4_000_000

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


def newest(
    folder: Path, reporter: Reporter, check: Callable[[Checkpoint], None] | None = None
) -> Checkpoint | None:
    """Read the newest good checkpoint; damaged ones are reported and stepped over.

    Once a good one is found, the damaged ones after it are removed: they must not count among
    those kept. Only whoever holds the run's lock may call this.

    Args:
        folder: `checkpoints/` of the run.
        reporter: Told of each damaged checkpoint.
        check: Raises a ValueError for one that cannot be gone on from.

    Returns:
        None where there is no good one.

    Raises:
        LstmError: The folder cannot be read.
    """
    ways = (OSError, ValueError, LookupError, TypeError, AttributeError)
    integrity_error = []
    for number in sorted(_numbers(folder), reverse=True):
        try:
            found = _read(folder, number)
            if check is not None:
                check(found)
        except (*ways, RecursionError, OverflowError, MemoryError) as error:
            told = f"{error}"[:300] or type(error).__name__
            reporter.warn(f"Checkpoint {number} of {folder.parent} is damaged ({told}); skipped.")
            integrity_error.append(number)
            continue
        with contextlib.suppress(LstmError):
            _remove(folder, integrity_error)
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

    Its hashes show damage and not who wrote it, so what is parsed is not taken at its word either.

    Raises:
        ValueError: It is none that `save` could have written.
    """
    signed = _parsed(_content(folder, number, _RECORD, _MAX_RECORD_BYTES).decode())
    body = signed["body"]
    if hashlib.sha256(body.encode()).hexdigest() != signed["sha256"]:
        raise ValueError("its record has changed")
    record = _parsed(body)
    if type(record["bytes"]) is not int or not isinstance(record["progress"], dict):
        raise ValueError("its record is none of ours")
    # JSON has no word for them, Python has.
    json.dumps(record["progress"], allow_nan=False)
    content = _content(folder, number, _TENSORS, record["bytes"])
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise ValueError(f"the content of {number:06d}{_TENSORS} has changed")
    return Checkpoint(_arrays(content, f"{number:06d}{_TENSORS}"), record["progress"])


def _content(folder: Path, number: int, suffix: str, largest: int) -> bytes:
    """Read one of a checkpoint's files: no link, no device, and not without bound."""
    name = f"{number:06d}{suffix}"
    # From the run: the folder of checkpoints must be no link either.
    with folders.open_file(folder.parent, f"{folder.name}/{name}") as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest or (suffix == _TENSORS and size != largest):
            raise ValueError(f"{name} has {size:,} bytes, expected {largest:,}")
        return file.read(size)


def _parsed(text: str) -> Any:
    if sum(text.count(mark) for mark in ",[{") > _MAX_RECORD_VALUES:
        raise ValueError(f"its record holds over {_MAX_RECORD_VALUES:,} values")
    return json.loads(text)


def _arrays(content: bytes, name: str) -> dict[str, Array]:
    """Parse the tensors; those that are weights must be numbers.

    An optimizer's may be infinite: the square of a great gradient is, and trains on.
    """
    from lstm_cli.runs.validate import check_finite

    try:
        arrays = tensors.read_any(memoryview(content))
        weights = {
            n: a for n, a in arrays.items() if n.startswith(("model/", "best/", "objective/"))
        }
        check_finite(weights)
    except ValueError as error:
        raise ValueError(f"{name} {folders.detect_file_type(content) or error}") from None
    return arrays


def _numbers(folder: Path, suffix: str = _RECORD) -> list[int]:
    """List the checkpoints of a folder that may not be there yet.

    Raises:
        LstmError: It cannot be read.
    """
    if folder.is_symlink():
        raise LstmError(
            f"{folder} is a symbolic link; a run keeps its checkpoints in a folder of its own.",
            "Put a folder in its place.",
        )
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LstmError(f"Cannot read {folder}: {error.strerror or error}.") from error
    return [int(path.stem) for path in paths if path.suffix == suffix and _is_number(path.stem)]


def _is_number(stem: str) -> bool:
    plain = stem.isascii() and stem.isdigit() and len(stem) <= _MAX_DIGITS
    return plain and f"{int(stem):06d}" == stem


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

    The best weights beside it, if any, are held to the same model.

    Raises:
        LstmError: A tensor is missing or has another shape or type; nothing was assigned.
    """
    from lstm_cli.models import classifier

    # The optimizer makes its slots at the first step; here they must be there before it.
    model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    best = {name for name in tensors if name.startswith("best/")}
    expected = {name: (variable, variable.path) for name, variable in variables.items()}
    if best:
        weights = classifier.get_weights(model)
        expected |= {f"best/{name}": (array, name) for name, array in weights.items()}
    if foreign := sorted(best - set(expected)):
        raise _of_another_model(foreign[0], "the best weights")
    for name, (like, path) in expected.items():
        shape, dtype = tuple(like.shape), np.dtype(like.dtype)
        if name not in tensors or (tensors[name].shape, tensors[name].dtype) != (shape, dtype):
            raise _of_another_model(name, path)
    for name, variable in variables.items():
        variable.assign(tensors[name])


def _of_another_model(name: str, path: str) -> LstmError:
    return LstmError(
        f"The checkpoint is of another model: {name[:80]} ({path}) does not fit.",
        "Resume with the version and settings the run was started with.",
    )


def _variables(model: Any) -> dict[str, Any]:
    variables = {f"model/{i}": v for i, v in enumerate(model.variables)}
    return variables | {f"optimizer/{i}": v for i, v in enumerate(model.optimizer.variables)}

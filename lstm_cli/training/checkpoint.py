"""Checkpoints: the state of training, saved atomically and restored exactly."""

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
from lstm_cli.io.atomic_write import RUNS_HINT, write_atomic
from lstm_cli.io.progress import Reporter
from lstm_cli.runs import safetensors_reader

_NUM_KEPT = 2
_TENSORS = ".safetensors"
_RECORD = ".json"
_MAX_DIGITS = 12
# Enough for the history of 100,000 epochs.
_MAX_RECORD_BYTES = 64 << 20
_MAX_RECORD_VALUES = 4_000_000

# What reading a damaged file can raise.
_DAMAGE_ERRORS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    OverflowError,
    MemoryError,
)

Array = NDArray[Any]


@dataclass(frozen=True)
class Checkpoint:
    """All state that the next training step depends on.

    Attributes:
        tensors: Weights, optimizer slots, random states, averaged and best weights, by name.
        progress: Epoch, step, sums, history and counters, as JSON types.
    """

    tensors: Mapping[str, Array]
    progress: Mapping[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, then remove all but the last two.

    The tensors are written first and the record, with their size and SHA-256, last. A checkpoint
    without a record does not count, so there is a complete checkpoint at any moment.

    Args:
        folder: `checkpoints/` of the run.
        checkpoint: The state.

    Returns:
        Path of the record.

    Raises:
        LstmError: The disk is full or the folder not writable; earlier checkpoints are intact.
    """
    import safetensors.numpy

    number = max(_numbers(folder), default=0) + 1
    content = safetensors.numpy.save(dict(checkpoint.tensors))
    write_atomic(_file(folder, number, _TENSORS), content, RUNS_HINT)
    record = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "progress": dict(checkpoint.progress),
    }
    body = json.dumps(record, indent=1)
    signed = {"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}
    path = _file(folder, number, _RECORD)
    write_atomic(path, json.dumps(signed).encode(), RUNS_HINT)
    remove_old(folder, _NUM_KEPT)
    return path


def newest(
    folder: Path,
    reporter: Reporter,
    check: Callable[[Checkpoint], None] | None = None,
    removes: bool = True,
) -> Checkpoint | None:
    """Read the newest valid checkpoint; damaged ones are reported and skipped.

    Damaged checkpoints that are newer than it are removed, so that they do not count among the
    last two. Only the process that holds the lock of the run may do that.

    Args:
        folder: `checkpoints/` of the run.
        reporter: Receives a warning for each damaged checkpoint.
        check: Raises a ValueError for a checkpoint that training cannot be resumed from.
        removes: Whether to remove damaged checkpoints.

    Returns:
        None without a valid checkpoint.

    Raises:
        LstmError: The folder cannot be read.
    """
    damaged = []
    for number in sorted(_numbers(folder), reverse=True):
        try:
            checkpoint = _read(folder, number)
            if check is not None:
                check(checkpoint)
        except _DAMAGE_ERRORS as error:
            reason = f"{error}"[:300] or type(error).__name__
            reporter.warn(f"Checkpoint {number} of {folder.parent} is damaged ({reason}); skipped.")
            damaged.append(number)
            continue
        if removes:
            with contextlib.suppress(LstmError):
                _remove(folder, damaged)
        return checkpoint
    return None


def digest(checkpoint: Checkpoint) -> str:
    """Return the SHA-256 (hex) of a checkpoint."""
    progress = json.dumps(dict(checkpoint.progress), sort_keys=True)
    content = hashlib.sha256(progress.encode())
    for name, array in sorted(checkpoint.tensors.items()):
        content.update(f"{name} {array.dtype} {array.shape}".encode())
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


def remove_old(folder: Path, num_kept: int) -> None:
    """Remove all checkpoints but the newest.

    Args:
        folder: `checkpoints/` of the run.
        num_kept: How many to keep.

    Raises:
        LstmError: A file cannot be removed.
    """
    numbers = sorted(_numbers(folder))
    _remove(folder, numbers[:-num_kept])
    # Tensors without a record: the process was killed before it wrote the record.
    incomplete = set(_numbers(folder, _TENSORS)) - set(numbers)
    _remove(folder, sorted(incomplete))


def _read(folder: Path, number: int) -> Checkpoint:
    """Read a checkpoint; its hash is verified before it is parsed.

    The hash shows damage, but not who wrote the file. So the parsed content is validated too.

    Raises:
        ValueError: It is not a checkpoint that `save` writes.
    """
    signed = _parsed(_content(folder, number, _RECORD, _MAX_RECORD_BYTES).decode())
    body = signed["body"]
    if hashlib.sha256(body.encode()).hexdigest() != signed["sha256"]:
        raise ValueError("its record has changed")
    record = _parsed(body)
    if type(record["bytes"]) is not int or not isinstance(record["progress"], dict):
        raise ValueError("its record is not valid")
    # Python reads NaN and infinities, which are not JSON.
    json.dumps(record["progress"], allow_nan=False)
    content = _content(folder, number, _TENSORS, record["bytes"])
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise ValueError(f"the content of {number:06d}{_TENSORS} has changed")
    return Checkpoint(_arrays(content, f"{number:06d}{_TENSORS}"), record["progress"])


def _content(folder: Path, number: int, suffix: str, largest: int) -> bytes:
    """Read a file of a checkpoint, with a size limit; links and devices are refused."""
    name = f"{number:06d}{suffix}"
    # Opened from the run directory, so that `checkpoints/` is not a link either.
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
    """Parse the tensors; weights must be finite.

    Optimizer slots may be infinite: the square of a large gradient overflows, and training goes on.
    """
    from lstm_cli.runs.arrays import check_finite

    try:
        arrays = safetensors_reader.read_any(content)
        weights = {
            n: a
            for n, a in arrays.items()
            if n.startswith(("model/", "best/", "objective/", "stage/", "initial/"))
        }
        check_finite(weights)
    except ValueError as error:
        raise ValueError(f"{name} {folders.detect_file_type(content) or error}") from None
    return arrays


def _numbers(folder: Path, suffix: str = _RECORD) -> list[int]:
    """Return the numbers of the checkpoints in a folder, which may not exist.

    Raises:
        LstmError: It cannot be read.
    """
    if folder.is_symlink():
        raise LstmError(
            f"{folder} is a symbolic link; the checkpoints of a run must be in a real folder.",
            "Replace the link by the folder.",
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
    """Remove checkpoints, the record first: a record without tensors would be a damaged one.

    Raises:
        LstmError: A file cannot be removed.
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
    # Copies: the next step changes the variables in place.
    return {name: np.array(variable.numpy()) for name, variable in _variables(model).items()}


def set_model_state(model: Any, tensors: Mapping[str, Array]) -> None:
    """Assign what `model_state` returned to a model built from the same settings.

    The best weights in the checkpoint, if any, are checked against the model, too.

    Raises:
        LstmError: A tensor is missing or has another shape or type; nothing was assigned.
    """
    from lstm_cli.models import classifier

    # The optimizer would create its slots at the first step only.
    model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    best = {name for name in tensors if name.startswith("best/")}
    expected = {name: (variable, variable.path) for name, variable in variables.items()}
    if best:
        weights = classifier.get_weights(model)
        expected |= {f"best/{name}": (array, name) for name, array in weights.items()}
    if unknown := sorted(best - set(expected)):
        raise _of_another_model(unknown[0], "the best weights")
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

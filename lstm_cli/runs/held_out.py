"""The predictions for the rows that were held out in training, and their labels.

Training writes them after calibration. Rules of decision are chosen on them: with folds or a refit
nothing else is left that the model has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import safetensors_reader
from lstm_cli.runs.arrays import check_finite
from lstm_cli.runs.directory import RunDir

# A part of the rows is kept if there are more values than this, but at least so many rows.
_MAX_VALUES, _MIN_ROWS = 2_000_000, 1000
_MAX_BYTES = 64 << 20
_LABELS, _PROBABILITIES = "labels", "probabilities"


@dataclass(frozen=True, eq=False)
class HeldOutPredictions:
    """Predictions for rows that the predicting model was not trained on.

    Attributes:
        labels: True class ids, `<int32>[num]`.
        probabilities: `<float32>[num, classes]`, calibrated.
    """

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]


def write(run: RunDir, labels: NDArray[np.int32], probabilities: NDArray[np.float32]) -> None:
    """Write the predictions for the rows held out; of very many, those for a part of the rows.

    Args:
        run: The run directory.
        labels: True class ids, `<int32>[num]`.
        probabilities: `<float32>[num, classes]`.
    """
    import safetensors.numpy

    num_rows = min(len(labels), max(_MIN_ROWS, _MAX_VALUES // probabilities.shape[1]))
    rows = np.arange(num_rows) * len(labels) // num_rows
    arrays = {
        _LABELS: labels[rows].astype(np.float32),
        _PROBABILITIES: np.ascontiguousarray(probabilities[rows], np.float32),
    }
    run.write_bytes(runs.HELD_OUT, safetensors.numpy.save(arrays))


def read(run: RunDir, num_classes: int) -> HeldOutPredictions:
    """Read the predictions for the rows held out.

    Args:
        run: With its manifest.
        num_classes: Of the run.

    Raises:
        LstmError: The run has none (exit code 1), or the file is damaged (exit code 5).
    """
    if not run.file(runs.HELD_OUT).exists():
        raise LstmError(
            f"Run {run.name} has no predictions for its validation rows ({runs.HELD_OUT}).",
            "Train it again.",
        )
    content = run.read_bytes(runs.HELD_OUT, _MAX_BYTES)
    try:
        num_rows = np.size(safetensors_reader.read_any(content).get(_LABELS, ()))
        shapes = {_LABELS: (num_rows,), _PROBABILITIES: (num_rows, num_classes)}
        arrays = safetensors_reader.read(content, shapes)
        check_finite(arrays)
        _check(arrays[_LABELS], arrays[_PROBABILITIES])
    except ValueError as error:
        raise run.integrity_error(f"{runs.HELD_OUT} {error}") from None
    return HeldOutPredictions(arrays[_LABELS].astype(np.int32), arrays[_PROBABILITIES])


def _check(labels: NDArray[np.float32], probabilities: NDArray[np.float32]) -> None:
    """Check that labels are class ids, and that each row holds probabilities.

    Raises:
        ValueError: They are not. The message continues after the name of the file.
    """
    num_classes = probabilities.shape[1]
    if not len(labels):
        raise ValueError("holds no row")
    if (labels != np.floor(labels)).any() or labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"has labels other than the class ids 0 to {num_classes - 1}")
    sums = probabilities.sum(axis=1, dtype=np.float64)
    if probabilities.min() < 0 or np.abs(sums - 1).max() > 1e-3:
        raise ValueError("has rows that are not probabilities with the sum 1")

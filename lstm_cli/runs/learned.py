"""The hashes of the examples that a run has seen: rows of train and validation.

They outlive the data, so that an evaluation can tell which of its examples the model has learned
from, even if the file has changed since. A hash does not tell the text.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_cli.runs import directory as runs
from lstm_cli.runs import safetensors_reader
from lstm_cli.runs.directory import RunDir

_MAX_BYTES = 4 << 30
_INPUTS, _LABELED = "inputs", "labeled"


def write(run: RunDir, inputs: NDArray[np.uint64], labeled: NDArray[np.uint64]) -> None:
    """Write the hashes.

    Args:
        run: The run directory.
        inputs: The hash of each input, ascending, each once.
        labeled: The hash of each input together with its labels, likewise.
    """
    import safetensors.numpy

    content = safetensors.numpy.save({_INPUTS: inputs, _LABELED: labeled})
    run.write_bytes(runs.LEARNED, content)


def read(run: RunDir) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Read both arrays of hashes.

    Args:
        run: With its manifest.

    Raises:
        LstmError: The file is missing or damaged (exit code 5).
    """
    content = run.read_bytes(runs.LEARNED, _MAX_BYTES)
    try:
        arrays = safetensors_reader.read_any(content)
        if set(arrays) != {_INPUTS, _LABELED}:
            raise ValueError(f"has other arrays than {_INPUTS} and {_LABELED}")
        for name, array in arrays.items():
            if array.dtype != np.uint64 or array.ndim != 1:
                raise ValueError(f"has {name!r} as {array.dtype} {list(array.shape)}")
    except ValueError as error:
        raise run.integrity_error(f"{runs.LEARNED} {error}") from None
    return arrays[_INPUTS], arrays[_LABELED]

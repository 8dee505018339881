"""The hashes of the examples that a run has seen: rows of train and validation.

They outlive the data, so that an evaluation can tell which of its examples the model has learned
from, even if the file has changed since. A hash does not tell the text.
"""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from lstm_cli.io.array_file import drop_pages
from lstm_cli.io.atomic_write import open_atomic
from lstm_cli.runs import directory as runs
from lstm_cli.runs import safetensors_reader
from lstm_cli.runs.directory import RunDir

_MAX_BYTES = 4 << 30
_INPUTS, _LABELED = "inputs", "labeled"


def write(run: RunDir, inputs: NDArray[np.uint64], labeled: NDArray[np.uint64]) -> None:
    """Write the hashes as safetensors, from which the library would copy them twice in memory.

    Args:
        run: The run directory.
        inputs: The hash of each input, ascending, each once.
        labeled: The hash of each input together with its labels, likewise.

    Raises:
        LstmError: The disk is full.

    Source of the format: https://github.com/huggingface/safetensors#format
    """
    fields, end = {}, 0
    for name, array in ((_INPUTS, inputs), (_LABELED, labeled)):
        offsets = [end, end + array.nbytes]
        fields[name] = {"dtype": "U64", "shape": [len(array)], "data_offsets": offsets}
        end += array.nbytes
    header = json.dumps(fields, separators=(",", ":")).encode()
    # With spaces at its end the arrays are aligned.
    header += b" " * (-len(header) % 8)
    with open_atomic(run.file(runs.LEARNED)) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for array in (inputs, labeled):
            file.write(array.astype("<u8", copy=False).data)
            drop_pages(array)


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

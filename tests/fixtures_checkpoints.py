"""Tiny checkpoints, and a reporter that records warnings."""

from __future__ import annotations

import math

import numpy as np

from lstm_cli.training import checkpoint
from lstm_cli.training.checkpoint import Checkpoint


class WarningRecorder:
    """A reporter that records its warnings."""

    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


def state(number):
    """A tiny checkpoint with a number."""
    tensors = {
        "model/0": np.full((2, 3), number, np.float32),
        "model/1": np.array([number, 2**32 - 1], np.uint32),
        "optimizer/0": np.array(number, np.int64),
        "best/head/kernel": np.zeros((0, 2), np.float32),
    }
    return Checkpoint(tensors, {"epoch": number, "sums": [1 / 3, math.pi, 0.1 + 0.2]})


def newest(folder, reporter=None):
    """Check that the newest valid checkpoint is exact; return its number, or None without one."""
    found = checkpoint.newest(folder, reporter or WarningRecorder())
    if found is None:
        return None
    number = found.progress["epoch"]
    expected = state(number)
    assert found.progress == expected.progress
    assert set(found.tensors) == set(expected.tensors)
    for name, array in expected.tensors.items():
        assert found.tensors[name].dtype == array.dtype
        assert found.tensors[name].shape == array.shape
        assert found.tensors[name].tobytes() == array.tobytes()
    return number

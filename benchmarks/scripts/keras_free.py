"""Shared by the systems without Keras: their data and their result."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.scripts import clock
from lstm_cli import data as datasets
from lstm_cli.data import Split

_QUICK_LIMIT = 200


def load(data: str) -> tuple[Split, Split]:
    """Return all training examples (with validation), and test."""
    limit = _QUICK_LIMIT if data == "demo" else None
    source = datasets.DataSource(data, limit=limit)
    splits = datasets.load(source, ("train", "validation", "test")).splits
    train, validation = splits["train"], splits["validation"]
    inputs = [*train.inputs, *validation.inputs]
    return Split(inputs, np.concatenate([train.labels, validation.labels])), splits["test"]


def result(ready: float, trained: float, accuracy: float) -> dict[str, Any]:
    """Return the result for `baseline`: seconds to the data, to the trained model, and in total."""
    return {
        "ready_seconds": ready,
        "total_seconds": clock.age(),
        "peak_mb": clock.peak_mb(),
        "snapshots": [{"seconds": trained, "epoch": "finished", "accuracy": accuracy}],
    }

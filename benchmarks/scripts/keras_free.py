"""What the contestants without Keras share: the data, and the form of their result."""

from __future__ import annotations

from typing import Any

from benchmarks.scripts import clock
from lstm_cli import data as datasets
from lstm_cli.data import Split

_QUICK_LIMIT = 200


def load(data: str) -> tuple[Split, Split]:
    """Return train, all of it, and test."""
    limit = _QUICK_LIMIT if data == "demo" else None
    source = datasets.DataSource(data, limit=limit)
    splits = datasets.load(source, ("train", "validation", "test")).splits
    train, held_out = splits["train"], splits["validation"]
    inputs = [*train.inputs, *held_out.inputs]
    return Split(inputs, _joined(train, held_out)), splits["test"]


def result(ready: float, trained: float, accuracy: float) -> dict[str, Any]:
    """Return what `baseline` reads: seconds until the data was read, trained, and scored."""
    return {
        "ready_seconds": ready,
        "total_seconds": clock.age(),
        "peak_mb": clock.peak_mb(),
        "snapshots": [{"seconds": trained, "epoch": "finished", "accuracy": accuracy}],
    }


def _joined(*splits: Split) -> Any:
    import numpy as np

    return np.concatenate([split.labels for split in splits])

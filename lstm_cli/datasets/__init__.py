"""Name or path -> labelled splits."""

from __future__ import annotations

from lstm_cli.datasets.base import Dataset, Kind, Split
from lstm_cli.datasets.loading import load, load_for_labels
from lstm_cli.datasets.registry import Entry, names, resolve
from lstm_cli.datasets.source import Source

__all__ = [
    "Dataset",
    "Entry",
    "Kind",
    "Source",
    "Split",
    "load",
    "load_for_labels",
    "names",
    "resolve",
]

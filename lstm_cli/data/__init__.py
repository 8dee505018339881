"""Name or path -> labelled splits."""

from __future__ import annotations

from lstm_cli.data.dataset import Dataset, Kind, Split
from lstm_cli.data.loading import load, load_for_labels, load_unlabeled
from lstm_cli.data.registry import Entry, names, resolve
from lstm_cli.data.source import DataSource
from lstm_cli.data.summary import Description, SplitSummary, describe, prepare

__all__ = [
    "DataSource",
    "Dataset",
    "Description",
    "Entry",
    "Kind",
    "Split",
    "SplitSummary",
    "describe",
    "load",
    "load_for_labels",
    "load_unlabeled",
    "names",
    "prepare",
    "resolve",
]

"""Name or path -> labelled splits."""

from __future__ import annotations

from lstm_cli.datasets.base import Dataset, Split

__all__ = ["Dataset", "Split"]

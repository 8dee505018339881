"""Train, evaluate, look inside and ship small LSTM classifiers."""

from __future__ import annotations

__version__ = "0.1.0"

"""A run as a `.keras` file of stock layers, which Keras opens with any backend."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np

from lstm_cli.data.readers.tfds_download import suppress_native_logs
from lstm_cli.export.folder import PEEPHOLE, model_path, needs_peephole
from lstm_cli.export.session import Session, without_lengths
from lstm_cli.export.source import Source
from lstm_cli.io.atomic_write import write_atomic


def write_keras(source: Source, folder: Path) -> None:
    """Write the file.

    Keras has no layer for peepholes: of a run with them, the code of the cell is written too.

    Args:
        source: The run.
        folder: Where to; it exists.

    Raises:
        LstmError: A file cannot be written.
    """
    with suppress_native_logs():
        from lstm_cli.models import peephole
        from lstm_cli.models.stock_classifier import build_stock_classifier

        num_classes, shape = len(source.predictor.labels), source.predictor.shape
        model = build_stock_classifier(source.config, source.weights, num_classes, shape)
        model.save(model_path(folder, "keras"))
    if needs_peephole(source, "keras"):
        write_atomic(folder / PEEPHOLE, inspect.getsource(peephole).encode())


def open_keras(folder: Path) -> Session:
    """Open the file, and return what predicts with it."""
    with suppress_native_logs():
        import keras

        from lstm_cli.models.peephole import PeepholeCell

        known = {keras.saving.get_registered_name(PeepholeCell): PeepholeCell}
        model = keras.saving.load_model(model_path(folder, "keras"), known)
    return Session(lambda feed: np.asarray(model(without_lengths(feed))))

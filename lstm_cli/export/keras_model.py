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


def write_keras(source: Source, folder: Path) -> Session:
    """Write the file, open it again, and return what predicts with it.

    Keras has no layer for peepholes: of a run with them, the code of the cell is written too.

    Args:
        source: The run.
        folder: Where to; it exists.
    """
    path = model_path(folder, "keras")
    with suppress_native_logs():
        import keras

        from lstm_cli.models import peephole
        from lstm_cli.models.stock_classifier import build_stock_classifier

        num_classes, shape = len(source.predictor.labels), source.predictor.shape
        build_stock_classifier(source.config, source.weights, num_classes, shape).save(path)
        model = keras.saving.load_model(path)
    if needs_peephole(source, "keras"):
        write_atomic(folder / PEEPHOLE, inspect.getsource(peephole).encode())
    return Session(lambda feed: np.asarray(model(without_lengths(feed))))

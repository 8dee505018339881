"""A run as a SavedModel of TensorFlow, with one named signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lstm_cli.config.schema import ModelSettings
from lstm_cli.data.readers.tfds_download import suppress_native_logs
from lstm_cli.export.folder import model_path
from lstm_cli.export.session import Session, without_lengths
from lstm_cli.export.source import Source

SIGNATURE = "serving_default"
OUTPUT = "probabilities"


def write_saved_model(source: Source, folder: Path) -> Session:
    """Write the folder of the model, open it again, and return what predicts with it.

    Args:
        source: The run.
        folder: Where to; it exists.
    """
    path = model_path(folder, "savedmodel")
    with suppress_native_logs():
        import tensorflow as tf

        from lstm_cli.models.stock_classifier import build_stock_classifier

        num_classes, shape = len(source.predictor.labels), source.predictor.shape
        model = build_stock_classifier(
            source.config, source.weights, num_classes, shape, _make_portable_lstm
        )
        write_archive(model, path)
        run = tf.saved_model.load(str(path)).signatures[SIGNATURE]

    def predict(feed: Any) -> Any:
        inputs = {name: tf.constant(value) for name, value in without_lengths(feed).items()}
        return np.asarray(run(**inputs)[OUTPUT])

    return Session(predict)


def write_archive(model: Any, path: Path) -> None:
    """Write a Keras model as a SavedModel with one signature, of its inputs by name.

    Args:
        model: Its inputs are a dictionary.
        path: A folder.
    """
    import keras
    import tensorflow as tf

    names = list(model.input)

    def predict(*values: Any) -> dict[str, Any]:
        return {OUTPUT: model(dict(zip(names, values, strict=True)))}

    inputs = [model.input[name] for name in names]
    specs = [tf.TensorSpec(one.shape, one.dtype, one.name) for one in inputs]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(SIGNATURE, predict, input_signature=specs)
    archive.write_out(str(path), verbose=False)


def _make_portable_lstm(settings: ModelSettings, name: str) -> Any:
    """Return an LSTM layer without cuDNN, which runs on a GPU only."""
    from lstm_cli.models.classifier import lstm_layer

    layer = lstm_layer(settings, name)
    if settings.cell == "lstm":
        layer.use_cudnn = False
    return layer

"""A run as a SavedModel of TensorFlow, with one named signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import ModelSettings
from lstm_cli.data.readers.tfds_download import suppress_native_logs
from lstm_cli.export.folder import model_path
from lstm_cli.export.session import Feed, Session, without_lengths
from lstm_cli.export.source import Source

SIGNATURE = "serving_default"
OUTPUT = "probabilities"


def write_saved_model(source: Source, folder: Path) -> None:
    """Write the folder of the model.

    Args:
        source: The run.
        folder: Where to; it exists.
    """
    with suppress_native_logs():
        from lstm_cli.models.stock_classifier import build_stock_classifier

        num_classes, shape = len(source.predictor.labels), source.predictor.shape
        model = build_stock_classifier(
            source.config, source.weights, num_classes, shape, _make_portable_lstm
        )
        save_model(model, model_path(folder, "savedmodel"))


def open_saved_model(folder: Path) -> Session:
    """Open the model, and return what predicts with it."""
    with suppress_native_logs():
        import tensorflow as tf

        model = tf.saved_model.load(str(model_path(folder, "savedmodel")))
    run = model.signatures[SIGNATURE]

    def predict(feed: Feed) -> NDArray[Any]:
        inputs = {name: tf.constant(value) for name, value in without_lengths(feed).items()}
        return np.asarray(run(**inputs)[OUTPUT])

    return Session(predict)


def save_model(model: Any, path: Path) -> None:
    """Write a Keras model as a SavedModel with one signature, of its inputs by name.

    Args:
        model: Its inputs are a dictionary.
        path: A folder.
    """
    import tensorflow as tf

    names = list(model.input)

    def predict(*values: Any) -> dict[str, Any]:
        return {OUTPUT: model(dict(zip(names, values, strict=True)))}

    inputs = [model.input[name] for name in names]
    specs = [tf.TensorSpec(one.shape, one.dtype, one.name) for one in inputs]
    function = tf.function(predict, input_signature=specs, autograph=False)
    # `keras.export.ExportArchive` writes each variable twice (Keras 3.15).
    module = tf.Module()
    module.arrays = [variable.value for variable in model.variables]
    signatures = {SIGNATURE: function.get_concrete_function()}
    tf.saved_model.save(module, str(path), signatures)


def _make_portable_lstm(settings: ModelSettings, name: str) -> Any:
    """Return an LSTM layer without cuDNN, which runs on a GPU only."""
    from lstm_cli.models.classifier import lstm_layer

    layer = lstm_layer(settings, name)
    if settings.cell == "lstm":
        layer.use_cudnn = False
    return layer

"""A run as a file of LiteRT (formerly TensorFlow Lite), of built-in operations alone."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import ModelSettings
from lstm_cli.data.readers.tfds_download import suppress_native_logs
from lstm_cli.export.folder import model_path
from lstm_cli.export.saved_model import OUTPUT, SIGNATURE, save_model
from lstm_cli.export.session import Feed, Session
from lstm_cli.export.source import Source
from lstm_cli.io.atomic_write import write_atomic
from lstm_cli.runs.arrays import Array

# Number of the operation, and the places of its first peephole and of its recurrent kernels among
# its inputs: lite/kernels/lstm_shared.h in TensorFlow.
_SEQUENCE_LSTM = 44
_FIRST_PEEPHOLE, _FIRST_RECURRENT = 9, 5
# The file begins with the place of its first table, and this.
_IDENTIFIER = b"TFL3"
_PARTS = ("kernel", "recurrent_kernel", "bias")


def write_litert(source: Source, folder: Path) -> None:
    """Write the file.

    Args:
        source: The run.
        folder: Where to; it exists.

    Raises:
        LstmError: The file cannot be written.
    """
    with suppress_native_logs():
        content = _mend_lstms(_convert(source), source.weights)
    write_atomic(model_path(folder, "litert"), content)


def open_litert(folder: Path) -> Session:
    """Open the file in LiteRT, and return what predicts with it, one text or image at a time."""
    with suppress_native_logs():
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(model_path(folder, "litert")))
        interpreter.allocate_tensors()  # logs once
        run = interpreter.get_signature_runner()

    def predict(feed: Feed) -> NDArray[Any]:
        return np.concatenate([run(**row)[OUTPUT] for row in split_batch(feed)])

    return Session(predict)


def split_batch(feed: Feed) -> list[dict[str, NDArray[Any]]]:
    """Return the inputs of each text or image alone, without padding, in batches of one."""
    if "images" in feed:
        return [{"images": image[None]} for image in feed["images"]]
    texts = zip(feed["tokens"], feed["lengths"], strict=True)
    rows = [{"tokens": tokens[:length][None]} for tokens, length in texts]
    for row, ngrams in zip(rows, feed.get("char_ngrams", ()), strict=False):
        row["char_ngrams"] = ngrams[: max(1, np.count_nonzero(ngrams))][None]
    return rows


def _convert(source: Source) -> bytes:
    """Return the file, in which LSTMs have no peepholes yet."""
    import tensorflow as tf

    from lstm_cli.models.fused_lstm import FusedLSTM
    from lstm_cli.models.lstm_equations import Weights
    from lstm_cli.models.stock_classifier import build_stock_classifier

    def make_lstm(_settings: ModelSettings, name: str) -> Any:
        return FusedLSTM(name, Weights(*(source.weights[f"{name}/{part}"] for part in _PARTS)))

    num_classes, shape = len(source.predictor.labels), source.predictor.shape
    model = build_stock_classifier(
        source.config, source.weights, num_classes, shape, make_lstm, batch_size=1
    )
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return bytes(converter.convert())


def _mend_lstms(content: bytes, weights: Mapping[str, Array]) -> bytes:
    """Let the LSTMs of a file compute what the run computes.

    The converter limits all cell states to the range from -10 to 10, and leaves out peepholes.

    Source: `ConvertKerasLSTMLayer` in tensorflow/compiler/mlir/lite/utils/lstm_utils.cc, which sets
        `cell_clip`.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    for operation in graph.operators:
        if model.operatorCodes[operation.opcodeIndex].builtinCode != _SEQUENCE_LSTM:
            continue
        operation.builtinOptions.cellClip = 0.0  # no limit
        _add_peepholes(schema, model, operation, weights)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _add_peepholes(schema: Any, model: Any, operation: Any, weights: Mapping[str, Array]) -> None:
    """Add the peepholes of an LSTM to its operation, if it has any.

    The layer of an operation is found by its recurrent kernel of the input gate.
    """
    layers = [name.partition("/")[0] for name in weights if name.endswith("/peepholes")]
    if not layers:
        return
    graph = model.subgraphs[0]
    tensor = graph.tensors[operation.inputs[_FIRST_RECURRENT]]
    kernel = np.asarray(model.buffers[tensor.buffer].data).tobytes()
    (layer,) = (name for name in layers if _input_kernel(weights, name).tobytes() == kernel)
    operation.inputs = operation.inputs.copy()  # NumPy shows the file, which is read-only
    for place, values in enumerate(weights[f"{layer}/peepholes"]):
        operation.inputs[_FIRST_PEEPHOLE + place] = _add_vector(schema, model, graph, values)


def _input_kernel(weights: Mapping[str, Array], layer: str) -> Array:
    """Return the recurrent kernel of the input gate in the order of LiteRT, `[units, units]`."""
    return np.ascontiguousarray(np.split(weights[f"{layer}/recurrent_kernel"], 4, axis=1)[0].T)


def _add_vector(schema: Any, model: Any, graph: Any, values: Array) -> int:
    """Add a constant, `<float32>[units]`, and return its place among the tensors."""
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.name, tensor.shape = b"peephole", np.array(values.shape, np.int32)
    tensor.type, tensor.buffer = schema.TensorType.FLOAT32, len(model.buffers) - 1
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1

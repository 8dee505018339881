"""A run as an ONNX graph.

Smaller weights are stored as they are in `quantize`, and the graph begins by restoring them.
onnxruntime does that once, when it opens the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_cli.export.folder import model_path
from lstm_cli.export.quantize import Stored
from lstm_cli.export.source import Source
from lstm_cli.io.atomic_write import write_atomic
from lstm_cli.runs import onnx_graph
from lstm_cli.runs.onnx_plan import ELEMENT_TYPES, TrainedConstant

if TYPE_CHECKING:
    import onnx

_SUFFIXES = ("_stored", "_scales", "_absolute", "_products", "_numbers")


def write_onnx(source: Source, arrays: Mapping[str, Stored], folder: Path) -> None:
    """Write the graph into a folder.

    Args:
        source: The run.
        arrays: Its weights as they are stored.
        folder: Does not exist yet.

    Raises:
        LstmError: The file cannot be written.
    """
    content = build_model(source, arrays).SerializeToString(deterministic=True)
    write_atomic(model_path(folder, "onnx"), content)


def build_model(source: Source, arrays: Mapping[str, Stored]) -> onnx.ModelProto:
    """Return the graph of a run, with weights as they are stored."""
    from onnx import numpy_helper

    weights = {name: array.restore() for name, array in arrays.items()}
    num_classes, shape = len(source.predictor.labels), source.predictor.shape
    model = onnx_graph.build(source.config, weights, num_classes, shape)
    tokenizer = source.predictor.tokenizer
    vocab_size = tokenizer.vocab_size if tokenizer else None
    plan = onnx_graph.plan(source.config, num_classes, vocab_size, shape)
    initializers, nodes = [], []
    for tensor in model.graph.initializer:
        constant = plan.constants[tensor.name]
        if not isinstance(constant, TrainedConstant) or not _is_smaller(constant, arrays):
            initializers.append(tensor)
            continue
        values = {name: arrays[name].values for name in constant.sources}
        stored = constant.make(values)
        initializers.append(numpy_helper.from_array(stored, f"{tensor.name}{_SUFFIXES[0]}"))
        nodes += _restore(tensor.name, constant, arrays, initializers)
    nodes += model.graph.node
    del model.graph.initializer[:]
    del model.graph.node[:]
    model.graph.initializer.extend(initializers)
    model.graph.node.extend(nodes)
    return model


def _is_smaller(constant: TrainedConstant, arrays: Mapping[str, Stored]) -> bool:
    return all(arrays[name].values.dtype.name != "float32" for name in constant.sources)


def _restore(
    name: str,
    constant: TrainedConstant,
    arrays: Mapping[str, Stored],
    initializers: list[Any],
) -> list[Any]:
    """Return the nodes that restore a constant; what they need is added to the initializers."""
    from onnx import helper, numpy_helper

    parts = {name: arrays[name].scales for name in constant.sources}
    stored, scales, absolute, products, numbers = (f"{name}{suffix}" for suffix in _SUFFIXES)
    to_float = {"to": ELEMENT_TYPES["float32"]}
    if any(part is None for part in parts.values()):
        return [helper.make_node("Cast", [stored], [name], **to_float)]
    scale_array = constant.make({key: part for key, part in parts.items() if part is not None})
    initializers.append(numpy_helper.from_array(scale_array.astype("float32"), scales))
    nodes = [helper.make_node("Cast", [stored], [numbers], **to_float)]
    if any(arrays[source].squared for source in constant.sources):
        nodes.append(helper.make_node("Abs", [numbers], [absolute]))
        nodes.append(helper.make_node("Mul", [numbers, absolute], [products]))
        numbers = products
    return [*nodes, helper.make_node("Mul", [numbers, scales], [name])]

"""Trained weights -> ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config import Config
from lstm_cli.text import PAD_ID, PAIR_FACTOR

if TYPE_CHECKING:
    import onnx

_OPSET = 17
_IR_VERSION = 8
_LOWEST = -1e9

Array = NDArray[Any]


class _Graph:
    """Nodes and constants of a graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Array) -> str:
        self.constants[name] = value
        return name


def build(
    config: Config, weights: Mapping[str, Array], num_classes: int, shape: tuple[int, int] | None
) -> onnx.ModelProto:
    """Write the network of a run as an ONNX graph that needs no Keras.

    Inputs of a text model: `tokens <int32>[batch, time]`, right-padded with 0, and
    `lengths <int32>[batch]`, each at least 1. Input of an image model:
    `images <uint8>[batch, rows, columns]`. Output: `probabilities <float32>[batch, classes]`,
    also for two classes.

    Args:
        config: Of the run.
        weights: As `models.get_weights` names them.
        num_classes: At least 2.
        shape: Rows and columns of an image; None for texts.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = _Graph()
    if shape is None:
        inputs = [
            helper.make_tensor_value_info("tokens", TensorProto.INT32, ["batch", "time"]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
        ]
        x = _embed(graph, config, weights)
    else:
        inputs = [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *shape])]
        x = _rows(graph)
    pooled = _recurrent(graph, config, weights, x, "lengths" if shape is None else "")
    _head(graph, weights, pooled, num_classes)
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", num_classes])
    ]
    constants = [numpy_helper.from_array(v, name) for name, v in graph.constants.items()]
    proto = helper.make_graph(graph.nodes, f"lstm_{config.kind}", inputs, outputs, constants)
    return helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="lstm",
    )


def _embed(graph: _Graph, config: Config, weights: Mapping[str, Array]) -> str:
    """Look up words and pairs, time first: `[time, batch, dim]`, as the LSTM operator wants."""
    assert config.embedding is not None
    graph.add("Transpose", ["tokens"], "steps", perm=[1, 0])
    table = graph.constant("embedding", weights["embedding/embeddings"])
    words = graph.add("Gather", [table, "steps"], "words")
    if not config.embedding.pair_buckets:
        return words
    first, last = graph.constant("first", np.array([0])), graph.constant("last", np.array([-1]))
    graph.add("Slice", ["steps", first, last, first], "earlier")
    graph.constant("one_step", np.array([1, 0, 0, 0]))
    graph.constant("none", np.array(0, np.int32))
    graph.add("Pad", ["earlier", "one_step", "none"], "before")
    graph.constant("factor", np.array(PAIR_FACTOR, np.int32))
    graph.constant("buckets", np.array(config.embedding.pair_buckets, np.int32))
    graph.add("Mul", ["before", "factor"], "scaled")
    graph.add("Add", ["scaled", "steps"], "sum")
    graph.add("Mod", ["sum", "buckets"], "pair_ids")
    graph.constant("pair_table", weights["pairs/embeddings"])
    pairs = graph.add("Gather", ["pair_table", "pair_ids"], "pairs")
    return graph.add("Concat", [words, pairs], "embedded", axis=2)


def _rows(graph: _Graph) -> str:
    """Scale pixels to [0, 1] and put the rows first: `[rows, batch, columns]`."""
    graph.add("Cast", ["images"], "pixels", to=1)
    graph.constant("white", np.array(255.0, np.float32))
    graph.add("Div", ["pixels", "white"], "brightness")
    return graph.add("Transpose", ["brightness"], "embedded", perm=[1, 0, 2])


def _recurrent(
    graph: _Graph, config: Config, weights: Mapping[str, Array], x: str, lengths: str
) -> str:
    """Add the LSTM layers and the pooling; the result is `[batch, dim]`."""
    settings = config.model
    directions = ["forward", "backward"] if settings.bidirectional else ["forward"]
    for index in range(settings.layers):
        name = f"lstm_{index}"
        packed = [_pack(weights, f"{name}_{direction}") for direction in directions]
        for part, arrays in zip("WRB", zip(*packed, strict=True), strict=True):
            graph.constant(f"{name}_{part}", np.stack(arrays))
        from onnx import helper

        graph.nodes.append(
            helper.make_node(
                "LSTM",
                [x, f"{name}_W", f"{name}_R", f"{name}_B", lengths],
                [f"{name}_outputs", f"{name}_ends"],
                name=name,
                hidden_size=settings.units,
                direction="bidirectional" if settings.bidirectional else "forward",
            )
        )
        # [time, directions, batch, units] -> [time, batch, directions * units]
        graph.add("Transpose", [f"{name}_outputs"], f"{name}_sides", perm=[0, 2, 1, 3])
        graph.constant("flat", np.array([0, 0, -1]))
        x = graph.add("Reshape", [f"{name}_sides", "flat"], f"{name}_flat")
    if settings.pooling == "last":
        graph.add("Transpose", [f"{name}_ends"], "end_sides", perm=[1, 0, 2])
        graph.constant("flat_ends", np.array([0, -1]))
        return graph.add("Reshape", ["end_sides", "flat_ends"], "pooled")
    return _pool(graph, x, settings.pooling, lengths)


def _pack(weights: Mapping[str, Array], layer: str) -> tuple[Array, Array, Array]:
    """Turn a Keras LSTM's arrays (gates i, f, c, o) into ONNX' W, R and B (gates i, o, f, c)."""
    kernel = _reorder(weights[f"{layer}/kernel"]).T
    recurrent = _reorder(weights[f"{layer}/recurrent_kernel"]).T
    bias = _reorder(weights[f"{layer}/bias"])
    both = np.concatenate([bias, np.zeros_like(bias)])
    return np.ascontiguousarray(kernel), np.ascontiguousarray(recurrent), both


def _reorder(array: Array) -> Array:
    i, f, c, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


def _pool(graph: _Graph, x: str, pooling: str, lengths: str) -> str:
    """Reduce `[time, batch, dim]` over the steps of each text.

    The LSTM operator writes zeros behind the end of a text: right for a sum, and for a
    maximum pushed far below every output.
    """
    parts = []
    if pooling in ("max", "max_mean"):
        kept = graph.add("Add", [x, _padding(graph, x)], "kept") if lengths else x
        parts.append(graph.add("ReduceMax", [kept], "highest", axes=[0], keepdims=0))
    if pooling in ("mean", "max_mean") and not lengths:
        parts.append(graph.add("ReduceMean", [x], "average", axes=[0], keepdims=0))
    elif pooling in ("mean", "max_mean"):
        graph.constant("time_axis", np.array([0]))
        graph.add("ReduceSum", [x, "time_axis"], "total", keepdims=0)
        graph.add("Cast", ["lengths"], "num_steps", to=1)
        graph.constant("column", np.array([-1, 1]))
        graph.add("Reshape", ["num_steps", "column"], "num_steps_column")
        parts.append(graph.add("Div", ["total", "num_steps_column"], "average"))
    return parts[0] if len(parts) == 1 else graph.add("Concat", parts, "pooled", axis=1)


def _padding(graph: _Graph, x: str) -> str:
    """Return 0 where a text goes on and a very low number behind its end, `[time, batch, 1]`."""
    graph.constant("pad_id", np.array(PAD_ID, np.int32))
    graph.add("Equal", ["steps", "pad_id"], "ended")
    graph.add("Cast", ["ended"], "ended_number", to=1)
    graph.constant("lowest", np.array(_LOWEST, np.float32))
    graph.add("Mul", ["ended_number", "lowest"], "penalty")
    graph.constant("depth_axis", np.array([2]))
    return graph.add("Unsqueeze", ["penalty", "depth_axis"], "penalty_column")


def _head(graph: _Graph, weights: Mapping[str, Array], pooled: str, num_classes: int) -> None:
    """Add the dense layer; two classes get both their probabilities."""
    graph.constant("head_kernel", weights["head/kernel"])
    graph.constant("head_bias", weights["head/bias"])
    logits = graph.add("Gemm", [pooled, "head_kernel", "head_bias"], "logits")
    if num_classes > 2:
        graph.add("Softmax", [logits], "probabilities", axis=1)
        return
    positive = graph.add("Sigmoid", [logits], "positive")
    graph.constant("certain", np.array(1.0, np.float32))
    graph.add("Sub", ["certain", positive], "negative")
    graph.add("Concat", ["negative", positive], "probabilities", axis=1)

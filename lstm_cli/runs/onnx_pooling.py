"""The parts of an ONNX graph that reduce steps to one vector for a text, without padding."""

from __future__ import annotations

import numpy as np

from lstm_cli.config.pooled import region_layer
from lstm_cli.config.schema import ModelSettings
from lstm_cli.runs.onnx_plan import ELEMENT_TYPES, GraphBuilder, TrainedConstant
from lstm_cli.text.token_ids import PAD_ID

# Added to the outputs at padding, so that a maximum never takes them.
_PADDING_PENALTY = -1e9
_FLOAT = ELEMENT_TYPES["float32"]


def add_pooling(graph: GraphBuilder, x: str, pooling: str, lengths: str) -> str:
    """Reduce `[time, batch, dim]` over the steps of each text.

    The LSTM operator writes zeros at padding. That is right for a sum; for a maximum, a large
    negative number is added there.
    """
    parts = []
    if pooling in ("max", "max_mean"):
        masked = graph.add("Add", [x, _add_padding_penalty(graph)], "masked") if lengths else x
        parts.append(graph.add("ReduceMax", [masked], "max_pooled", axes=(0,), keepdims=0))
    if pooling in ("mean", "max_mean") and not lengths:
        parts.append(graph.add("ReduceMean", [x], "mean_pooled", axes=(0,), keepdims=0))
    elif pooling in ("mean", "max_mean"):
        graph.constant("time_axis", np.array([0]))
        graph.add("ReduceSum", [x, "time_axis"], "sum_pooled", keepdims=0)
        parts.append(graph.add("Div", ["sum_pooled", add_lengths_column(graph)], "mean_pooled"))
    return parts[0] if len(parts) == 1 else graph.add("Concat", parts, "pooled", axis=1)


def add_regions(
    graph: GraphBuilder, settings: ModelSettings, x: str, dim: int, lengths: str
) -> list[str]:
    """Add the features of regions; return the names of the results, `[batch, units]`, by width.

    Args:
        graph: Receives the nodes.
        settings: Widths, and the number of features of each.
        x: The embedded input, `<float32>[time, batch, dim]`.
        dim: Its width.
        lengths: Name of the lengths of texts; empty for images, which have no padding.
    """
    if not settings.regions:
        return []
    graph.add("Transpose", [x], "embedded_by_text", perm=(1, 2, 0))
    penalty = ""
    if lengths:
        column = _add_padding_penalty(graph)
        penalty = graph.add("Transpose", [column], "padding_by_text", perm=(1, 2, 0))
    shape = (settings.region_units, dim)
    return [_add_regions_of_width(graph, width, shape, penalty) for width in settings.regions]


def _add_regions_of_width(
    graph: GraphBuilder, width: int, shape: tuple[int, int], penalty: str
) -> str:
    """Add a convolution of `[batch, dim, time]`, and its maximum over the steps of each text.

    ReLU and bias come after the maximum, which does not depend on that order.

    Args:
        graph: Receives the nodes.
        width: Steps in a region.
        shape: Units and dim.
        penalty: Name of what is added at padding, `[batch, 1, time]`; empty without padding.
    """
    name = region_layer(width)
    units, dim = shape
    source = f"{name}/kernel"
    kernel = f"{name}_kernel"
    graph.constants[kernel] = TrainedConstant(
        (units, dim, width),
        {source: (width, dim, units)},
        lambda weights: np.ascontiguousarray(weights[source].transpose(2, 1, 0)),
    )
    attributes = {"kernel_shape": (width,), "pads": (width - 1, 0)}
    outputs = graph.add("Conv", ["embedded_by_text", kernel], f"{name}_outputs", **attributes)
    if penalty:
        outputs = graph.add("Add", [outputs, penalty], f"{name}_masked")
    highest = graph.add("ReduceMax", [outputs], f"{name}_highest", axes=(2,), keepdims=0)
    bias = graph.array(f"{name}_bias", f"{name}/bias", units)
    return graph.add("Relu", [graph.add("Add", [highest, bias], f"{name}_sums")], name)


def _add_padding_penalty(graph: GraphBuilder) -> str:
    """Return 0 at tokens and a large negative number at padding, `[time, batch, 1]`."""
    if graph.has("padding_penalty_column"):
        return "padding_penalty_column"
    graph.add("Cast", [add_is_padding(graph)], "padding_mask", to=_FLOAT)
    graph.constant("min_value", np.array(_PADDING_PENALTY, np.float32))
    graph.add("Mul", ["padding_mask", "min_value"], "padding_penalty")
    return graph.add(
        "Unsqueeze", ["padding_penalty", add_feature_axis(graph)], "padding_penalty_column"
    )


def add_is_padding(graph: GraphBuilder) -> str:
    """Return where the padding is, `<bool>[time, batch]`."""
    if graph.has("is_padding"):
        return "is_padding"
    graph.constant("pad_id", np.array(PAD_ID, np.int32))
    return graph.add("Equal", ["time_major_tokens", "pad_id"], "is_padding")


def add_lengths_column(graph: GraphBuilder) -> str:
    """Return the lengths of texts, `<float32>[batch, 1]`."""
    if graph.has("lengths_column"):
        return "lengths_column"
    graph.add("Cast", ["lengths"], "float_lengths", to=_FLOAT)
    graph.constant("column_shape", np.array([-1, 1]))
    return graph.add("Reshape", ["float_lengths", "column_shape"], "lengths_column")


def add_feature_axis(graph: GraphBuilder) -> str:
    """Return the constant that names the last axis of `[time, batch, dim]`."""
    return graph.constant("feature_axis", np.array([2]))

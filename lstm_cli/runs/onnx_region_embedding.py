"""Region embeddings in the ONNX graph."""

from __future__ import annotations

import numpy as np

from lstm_cli.config.embedded import region_embedding
from lstm_cli.runs.onnx_plan import GraphBuilder
from lstm_cli.text.token_ids import PAD_ID

_LAST = np.iinfo(np.int64).max


def add_region_embedding(
    graph: GraphBuilder, tokens: str, shape: tuple[int, int], width: int
) -> str:
    """Add the vectors of regions of one width, `<float32>[time, batch, dim]`.

    The vector of `[PAD]` is 0, so padding adds nothing, on either side of a text.

    Args:
        graph: Receives the nodes.
        tokens: Name of the token ids, `<int32>[time, batch]`.
        shape: Of the table: words and dim.
        width: Words in a region.
    """
    name = region_embedding(width)
    before, after = width // 2, (width - 1) // 2
    pads = graph.constant(f"{name}_pads", np.array([before, 0, after, 0]))
    zero = graph.constant("pad_value", np.array(PAD_ID, np.int32))
    padded = graph.add("Pad", [tokens, pads, zero], f"{name}_tokens")
    table = graph.array(f"{name}_table", f"{name}/embeddings", *shape)
    vectors = graph.add("Gather", [table, padded], f"{name}_word_vectors")
    sums = _add_window_sums(graph, vectors, width, name)
    bias = graph.array(f"{name}_bias", f"{name}/bias", shape[1])
    return graph.add("Relu", [graph.add("Add", [sums, bias], f"{name}_biased")], name)


def _add_window_sums(graph: GraphBuilder, x: str, width: int, name: str) -> str:
    """Sum `width` neighbouring steps: sums of 1, 2, 4, ... steps are added up."""
    graph.constant("time_axis", np.array([0]))
    total, start, size = "", 0, 1
    while True:
        if width & size:
            # After these steps of a region come `width - start - size` more.
            part = _add_slice(graph, x, start, start + size - width, f"{name}_part_{size}")
            total = graph.add("Add", [total, part], f"{name}_total_{size}") if total else part
            start += size
        size *= 2
        if size > width:
            return total
        half = size // 2
        left = _add_slice(graph, x, 0, -half, f"{name}_left_{size}")
        right = _add_slice(graph, x, half, 0, f"{name}_right_{size}")
        x = graph.add("Add", [left, right], f"{name}_sums_of_{size}")


def _add_slice(graph: GraphBuilder, x: str, start: int, end: int, name: str) -> str:
    """Take steps from `start` to `end`, a negative number or 0 for the last step."""
    if not start and not end:
        return x
    first = graph.constant(f"{name}_start", np.array([start]))
    last = graph.constant(f"{name}_end", np.array([end or _LAST]))
    return graph.add("Slice", [x, first, last, "time_axis"], name)

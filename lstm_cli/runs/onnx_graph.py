"""Trained weights -> ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config, LinearSettings
from lstm_cli.text.ngrams import BIGRAM_FACTOR
from lstm_cli.text.tokenizer import PAD_ID

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8
# Element types by the numbers ONNX gives them.
ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7}
# What the table of evidence is called among the arrays of a model.
LINEAR_TABLE = "linear/table"
# And its weight.
LINEAR_SCALE = "linear/scale"
_LOWEST = -1e9

# msgspec structs, as the settings are: every `lstm predict` begins by making these classes, and a
# frozen dataclass takes fifty times as long to make.

Array = NDArray[Any]
Attribute = int | str | tuple[int, ...]


class Node(msgspec.Struct, frozen=True):
    """An operation.

    Attributes:
        op: Its name in ONNX' own domain.
        inputs: Names of values; an empty one is left out.
        outputs: Names of values.
        name: Of the node.
        attributes: How it is set.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str
    attributes: Mapping[str, Attribute]


class Value(msgspec.Struct, frozen=True):
    """What goes in or comes out: its name, a type of `ELEMENT_TYPES`, and its named axes."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Trained(msgspec.Struct, frozen=True):
    """A constant whose numbers training finds, `<float32>`.

    Attributes:
        shape: Of the constant.
        sources: Shapes of the arrays it is made of, as `models.get_weights` names them.
        make: Makes it from those arrays.
    """

    shape: tuple[int, ...]
    sources: Mapping[str, tuple[int, ...]]
    make: Callable[[Mapping[str, Array]], Array]


class Plan(msgspec.Struct, frozen=True):
    """The whole graph of a run, but for what training finds."""

    name: str
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array | Trained]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    @property
    def trained(self) -> dict[str, Trained]:
        """The constants that training finds."""
        return {k: v for k, v in self.constants.items() if isinstance(v, Trained)}

    @property
    def sources(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all arrays of the model, as `models.get_weights` names them."""
        return {k: shape for v in self.trained.values() for k, shape in v.sources.items()}


class _Graph:
    """Nodes and constants of a graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, Array | Trained] = {}

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Attribute) -> str:
        self.nodes.append(Node(op, tuple(inputs), (output,), output, attributes))
        return output

    def has(self, output: str) -> bool:
        """Whether an operation gives this value already."""
        return any(output in node.outputs for node in self.nodes)

    def constant(self, name: str, value: Array) -> str:
        self.constants[name] = value
        return name

    def array(self, name: str, source: str, *shape: int) -> str:
        """Add an array of the model as it is."""
        self.constants[name] = Trained(shape, {source: shape}, lambda weights: weights[source])
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
    from onnx import helper, numpy_helper

    vocab_size = len(weights["embedding/embeddings"]) if shape is None else None
    planned = plan(config, num_classes, vocab_size, shape)
    nodes = [
        helper.make_node(n.op, n.inputs, n.outputs, name=n.name, **n.attributes)
        for n in planned.nodes
    ]
    inputs, outputs = (
        [helper.make_tensor_value_info(v.name, ELEMENT_TYPES[v.dtype], v.shape) for v in values]
        for values in (planned.inputs, planned.outputs)
    )
    constants = [
        numpy_helper.from_array(v.make(weights) if isinstance(v, Trained) else v, name)
        for name, v in planned.constants.items()
    ]
    proto = helper.make_graph(nodes, planned.name, inputs, outputs, constants)
    return helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lstm",
    )


def plan(
    config: Config, num_classes: int, vocab_size: int | None, shape: tuple[int, int] | None
) -> Plan:
    """Lay out the graph of a run: `build` writes it, and loading holds a file to it.

    Args:
        config: Of the run.
        num_classes: At least 2.
        vocab_size: Of the tokenizer; None for images.
        shape: Rows and columns of an image; None for texts.
    """
    graph = _Graph()
    inputs: tuple[Value, ...]
    if vocab_size is not None:
        inputs = (
            Value("tokens", "int32", ("batch", "time")),
            Value("lengths", "int32", ("batch",)),
        )
        x, width = _embed(graph, config, vocab_size)
    else:
        assert shape is not None
        inputs = (Value("images", "uint8", ("batch", *shape)),)
        x, width = _rows(graph), shape[1]
    pooled, width = _recurrent(graph, config, x, width, "" if vocab_size is None else "lengths")
    weighed = ""
    if config.linear is not None:
        weighed = _linear(graph, config.linear, num_classes)
    _head(graph, pooled, width, num_classes, weighed)
    outputs = (Value("probabilities", "float32", ("batch", num_classes)),)
    return Plan(f"lstm_{config.kind}", tuple(graph.nodes), graph.constants, inputs, outputs)


def _embed(graph: _Graph, config: Config, vocab_size: int) -> tuple[str, int]:
    """Look up words and pairs, time first: `[time, batch, dim]`, as the LSTM operator wants."""
    settings = config.embedding
    assert settings is not None
    graph.add("Transpose", ["tokens"], "steps", perm=(1, 0))
    table = graph.array("embedding", "embedding/embeddings", vocab_size, settings.dim)
    words = graph.add("Gather", [table, "steps"], "words")
    if not settings.bigram_buckets:
        return words, settings.dim
    graph.constant("buckets", np.array(settings.bigram_buckets, np.int32))
    graph.add("Mod", [_pairs(graph), "buckets"], "pair_ids")
    table = graph.array(
        "pair_table", "bigrams/embeddings", settings.bigram_buckets, settings.bigram_dim
    )
    pairs = graph.add("Gather", [table, "pair_ids"], "bigrams")
    both = graph.add("Concat", [words, pairs], "embedded", axis=2)
    return both, settings.dim + settings.bigram_dim


def _pairs(graph: _Graph) -> str:
    """Return a number for each word with the one before it, `<int32>[time, batch]`."""
    if graph.has("pair_numbers"):
        return "pair_numbers"
    first, last = graph.constant("first", np.array([0])), graph.constant("last", np.array([-1]))
    graph.add("Slice", ["steps", first, last, first], "earlier")
    graph.constant("one_step", np.array([1, 0, 0, 0]))
    graph.constant("none", np.array(0, np.int32))
    graph.add("Pad", ["earlier", "one_step", "none"], "before")
    graph.constant("factor", np.array(BIGRAM_FACTOR, np.int32))
    graph.add("Mul", ["before", "factor"], "scaled")
    return graph.add("Add", ["scaled", "steps"], "pair_numbers")


def _linear(graph: _Graph, settings: LinearSettings, num_classes: int) -> str:
    """Sum what words and pairs say over the square root of the length, `[batch, outputs]`."""
    num_outputs = _num_outputs(num_classes)
    table = graph.array("linear_table", LINEAR_TABLE, settings.buckets, num_outputs)
    graph.constant("linear_buckets", np.array(settings.buckets, np.int32))
    graph.add("Mod", [_pairs(graph), "linear_buckets"], "linear_bigrams")
    graph.add("Mod", ["steps", "linear_buckets"], "linear_words")
    said = [
        graph.add("Gather", [table, f"linear_{of}"], f"said_by_{of}") for of in ("bigrams", "words")
    ]
    graph.add("Add", said, "said")
    # The network has words where a text goes on, and pairs of padding behind its end.
    graph.add("Cast", [graph.add("Not", [_ended(graph)], "going_on")], "going_on_number", to=1)
    graph.add("Unsqueeze", ["going_on_number", _depth_axis(graph)], "going_on_column")
    graph.add("Mul", ["said", "going_on_column"], "said_in_text")
    graph.constant("time_axis", np.array([0]))
    graph.add("ReduceSum", ["said_in_text", "time_axis"], "said_in_all", keepdims=0)
    graph.add("Sqrt", [_num_steps(graph)], "root_steps")
    graph.add("Div", ["said_in_all", "root_steps"], "linear")
    scale = graph.array("linear_scale", LINEAR_SCALE, 1)
    return graph.add("Mul", ["linear", scale], "linear_weighed")


def _rows(graph: _Graph) -> str:
    """Scale pixels to [0, 1] and put the rows first: `[rows, batch, columns]`."""
    graph.add("Cast", ["images"], "pixels", to=1)
    graph.constant("white", np.array(255.0, np.float32))
    graph.add("Div", ["pixels", "white"], "brightness")
    return graph.add("Transpose", ["brightness"], "embedded", perm=(1, 0, 2))


def _recurrent(graph: _Graph, config: Config, x: str, width: int, lengths: str) -> tuple[str, int]:
    """Add the LSTM layers and the pooling; the result is `[batch, width]`."""
    settings = config.model
    directions = ["forward", "backward"] if settings.bidirectional else ["forward"]
    for index in range(settings.layers):
        name = f"lstm_{index}"
        layers = [f"{name}_{direction}" for direction in directions]
        parts = _pack(graph, name, layers, width, settings.units)
        seen: tuple[str, ...] = ()
        if settings.cell == "peephole":
            # The states before the first step are left out: zeros.
            seen = ("", "", _peep(graph, name, layers, settings.units))
        graph.nodes.append(
            Node(
                "LSTM",
                (x, *parts, lengths, *seen),
                (f"{name}_outputs", f"{name}_ends"),
                name,
                {
                    "hidden_size": settings.units,
                    "direction": "bidirectional" if settings.bidirectional else "forward",
                },
            )
        )
        # [time, directions, batch, units] -> [time, batch, directions * units]
        graph.add("Transpose", [f"{name}_outputs"], f"{name}_sides", perm=(0, 2, 1, 3))
        graph.constant("flat", np.array([0, 0, -1]))
        x = graph.add("Reshape", [f"{name}_sides", "flat"], f"{name}_flat")
        width = settings.units * len(directions)
    if settings.pooling == "last":
        graph.add("Transpose", [f"{name}_ends"], "end_sides", perm=(1, 0, 2))
        graph.constant("flat_ends", np.array([0, -1]))
        return graph.add("Reshape", ["end_sides", "flat_ends"], "pooled"), width
    pooled = _pool(graph, x, settings.pooling, lengths)
    return pooled, width * (2 if settings.pooling == "max_mean" else 1)


def _pack(graph: _Graph, name: str, layers: list[str], width: int, units: int) -> list[str]:
    """Add W, R and B of an LSTM operator: the Keras arrays of one layer a direction, stacked."""
    num, gates = len(layers), 4 * units
    parts: list[tuple[str, tuple[int, ...], tuple[int, ...], Callable[[Array], Array]]] = [
        ("kernel", (width, gates), (num, gates, width), _decision_step),
        ("recurrent_kernel", (units, gates), (num, gates, units), _decision_step),
        ("bias", (gates,), (num, 2 * gates), _both),
    ]
    names = [f"{name}_{part}" for part in "WRB"]
    for constant, (array, source, shape, pack) in zip(names, parts, strict=True):
        sources = {f"{layer}/{array}": source for layer in layers}
        graph.constants[constant] = Trained(shape, sources, _stacked(list(sources), pack))
    return names


def _peep(graph: _Graph, name: str, layers: list[str], units: int) -> str:
    """Add P of an LSTM operator, `[directions, 3 * units]`: what its gates see of the cell."""
    sources = {f"{layer}/peepholes": (3, units) for layer in layers}
    make = _stacked(list(sources), lambda peepholes: peepholes[[0, 2, 1]].reshape(-1))
    graph.constants[f"{name}_P"] = Trained((len(layers), 3 * units), sources, make)
    return f"{name}_P"


def _stacked(
    sources: list[str], pack: Callable[[Array], Array]
) -> Callable[[Mapping[str, Array]], Array]:
    return lambda weights: np.stack([pack(weights[source]) for source in sources])


def _decision_step(kernel: Array) -> Array:
    return np.ascontiguousarray(_reorder(kernel).T)


def _both(bias: Array) -> Array:
    """Give the recurrence a bias of zeros, which Keras has not."""
    return np.concatenate([_reorder(bias), np.zeros_like(bias)])


def _reorder(array: Array) -> Array:
    """Bring gates i, f, c, o (Keras) into the order i, o, f, c (ONNX)."""
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
        parts.append(graph.add("ReduceMax", [kept], "highest", axes=(0,), keepdims=0))
    if pooling in ("mean", "max_mean") and not lengths:
        parts.append(graph.add("ReduceMean", [x], "average", axes=(0,), keepdims=0))
    elif pooling in ("mean", "max_mean"):
        graph.constant("time_axis", np.array([0]))
        graph.add("ReduceSum", [x, "time_axis"], "total", keepdims=0)
        parts.append(graph.add("Div", ["total", _num_steps(graph)], "average"))
    return parts[0] if len(parts) == 1 else graph.add("Concat", parts, "pooled", axis=1)


def _padding(graph: _Graph, x: str) -> str:
    """Return 0 where a text goes on and a very low number behind its end, `[time, batch, 1]`."""
    graph.add("Cast", [_ended(graph)], "ended_number", to=1)
    graph.constant("lowest", np.array(_LOWEST, np.float32))
    graph.add("Mul", ["ended_number", "lowest"], "penalty")
    return graph.add("Unsqueeze", ["penalty", _depth_axis(graph)], "penalty_column")


def _ended(graph: _Graph) -> str:
    """Return where texts have ended, `<bool>[time, batch]`."""
    if graph.has("ended"):
        return "ended"
    graph.constant("pad_id", np.array(PAD_ID, np.int32))
    return graph.add("Equal", ["steps", "pad_id"], "ended")


def _num_steps(graph: _Graph) -> str:
    """Return the lengths of texts, `<float32>[batch, 1]`."""
    if graph.has("num_steps_column"):
        return "num_steps_column"
    graph.add("Cast", ["lengths"], "num_steps", to=1)
    graph.constant("column", np.array([-1, 1]))
    return graph.add("Reshape", ["num_steps", "column"], "num_steps_column")


def _depth_axis(graph: _Graph) -> str:
    return graph.constant("depth_axis", np.array([2]))


def _num_outputs(num_classes: int) -> int:
    return 1 if num_classes == 2 else num_classes


def _head(graph: _Graph, pooled: str, width: int, num_classes: int, linear: str) -> None:
    """Add the dense layer and the evidence; two classes get both their probabilities."""
    num_outputs = _num_outputs(num_classes)
    kernel = graph.array("head_kernel", "head/kernel", width, num_outputs)
    bias = graph.array("head_bias", "head/bias", num_outputs)
    logits = graph.add("Gemm", [pooled, kernel, bias], "logits")
    if linear:
        logits = graph.add("Add", [logits, linear], "weighed_logits")
    if num_classes > 2:
        graph.add("Softmax", [logits], "probabilities", axis=1)
        return
    positive = graph.add("Sigmoid", [logits], "positive")
    graph.constant("certain", np.array(1.0, np.float32))
    graph.add("Sub", ["certain", positive], "negative")
    graph.add("Concat", ["negative", positive], "probabilities", axis=1)

"""Build the ONNX graph of a classifier from its settings and trained arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from lstm_cli.config.embedded import input_dim
from lstm_cli.config.pooled import pooled_width
from lstm_cli.config.schema import Config, EmbeddingSettings, LinearSettings
from lstm_cli.data.row_windows import row_windows
from lstm_cli.runs.arrays import Array
from lstm_cli.runs.onnx_plan import (
    ELEMENT_TYPES,
    GraphBuilder,
    GraphPlan,
    Node,
    TrainedConstant,
    Value,
)
from lstm_cli.runs.onnx_pooling import (
    add_feature_axis,
    add_is_padding,
    add_lengths_column,
    add_pooling,
    add_regions,
)
from lstm_cli.runs.onnx_region_embedding import add_region_embedding
from lstm_cli.text.ngrams import BIGRAM_FACTOR, TRIGRAM_MODULUS
from lstm_cli.text.token_ids import READ_AS, UNKNOWN_ID

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8
# Name of the factor on the logits of the linear model among the arrays of a classifier.
LINEAR_SCALE = "linear/scale"
_FLOAT = ELEMENT_TYPES["float32"]


def build(
    config: Config, weights: Mapping[str, Array], num_classes: int, shape: tuple[int, int] | None
) -> onnx.ModelProto:
    """Build the ONNX model of a run.

    Inputs of a text model: `tokens <int32>[batch, time]`, right-padded with 0, and
    `lengths <int32>[batch]`, each at least 1. With character n-grams, there is also
    `char_ngrams <int32>[batch, n-grams]`: the buckets of the unknown words, right-padded with 0.
    With `text.min_similarity`, an unknown word that the LSTM reads as a known one has the id of
    that word plus `READ_AS`; with the id of `[UNK]` both parts read it as unknown.
    Input of an image model: `images <uint8>[batch, rows, columns]`.

    Output: `probabilities <float32>[batch, classes]`, with two columns for two classes. In a
    multi-label run each column is the probability of a label.

    Args:
        config: Of the run.
        weights: Trained arrays, with the names of `models.get_weights`.
        num_classes: At least 2.
        shape: Rows and columns of an image; None for texts.
    """
    from onnx import helper, numpy_helper

    vocab_size = len(weights["embedding/embeddings"]) if shape is None else None
    graph_plan = plan(config, num_classes, vocab_size, shape)
    nodes = [
        helper.make_node(n.op, n.inputs, n.outputs, name=n.name, **n.attributes)
        for n in graph_plan.nodes
    ]
    inputs, outputs = (
        [helper.make_tensor_value_info(v.name, ELEMENT_TYPES[v.dtype], v.shape) for v in values]
        for values in (graph_plan.inputs, graph_plan.outputs)
    )
    constants = [
        numpy_helper.from_array(v.make(weights) if isinstance(v, TrainedConstant) else v, name)
        for name, v in graph_plan.constants.items()
    ]
    graph = helper.make_graph(nodes, graph_plan.name, inputs, outputs, constants)
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lstm",
    )


def plan(
    config: Config, num_classes: int, vocab_size: int | None, shape: tuple[int, int] | None
) -> GraphPlan:
    """Return the graph of a run: `build` writes it, and loading compares a file with it.

    Args:
        config: Of the run.
        num_classes: At least 2.
        vocab_size: Of the tokenizer; None for images.
        shape: Rows and columns of an image; None for texts.
    """
    graph = GraphBuilder()
    inputs: tuple[Value, ...]
    if vocab_size is not None:
        inputs = (
            Value("tokens", "int32", ("batch", "time")),
            Value("lengths", "int32", ("batch",)),
        )
        if config.char_buckets:
            inputs = (*inputs, Value("char_ngrams", "int32", ("batch", "ngrams")))
        x, width = _add_embedding(graph, config, vocab_size)
    else:
        assert shape is not None
        inputs = (Value("images", "uint8", ("batch", *shape)),)
        x, width = _add_windows(graph, config, shape)
    lengths = "" if vocab_size is None else "lengths"
    pooled = _add_pooled_vector(graph, config, x, width, lengths)
    linear_logits = ""
    if config.linear is not None:
        assert vocab_size is not None
        outputs_of_linear = _num_outputs(config, num_classes)
        tokens = _add_own_tokens(graph, config)
        linear_logits = _add_linear_model(
            graph, config.linear, tokens, vocab_size, outputs_of_linear
        )
    _add_head(graph, config, pooled, num_classes, linear_logits)
    outputs = (Value("probabilities", "float32", ("batch", num_classes)),)
    return GraphPlan(f"lstm_{config.kind}", tuple(graph.nodes), graph.constants, inputs, outputs)


def _add_embedding(graph: GraphBuilder, config: Config, vocab_size: int) -> tuple[str, int]:
    """Look up tokens and bigrams: `[time, batch, dim]`, time first as the LSTM operator wants."""
    settings = config.embedding
    assert settings is not None
    graph.add("Transpose", ["tokens"], "time_major_tokens", perm=(1, 0))
    table = graph.array("embedding", "embedding/embeddings", vocab_size, settings.dim)
    lstm_tokens = _add_lstm_tokens(graph, config)
    vectors = [graph.add("Gather", [table, lstm_tokens], "token_vectors")]
    if settings.bigram_buckets:
        vectors.append(_add_bigrams(graph, settings, lstm_tokens))
    shape = (vocab_size, settings.region_dim)
    for width in settings.region_widths:
        vectors.append(add_region_embedding(graph, lstm_tokens, shape, width))
    if len(vectors) == 1:
        return vectors[0], settings.dim
    return graph.add("Concat", vectors, "embedded", axis=2), input_dim(settings)


def _add_bigrams(graph: GraphBuilder, settings: EmbeddingSettings, tokens: str) -> str:
    """Look up the vectors of hashed bigrams, `<float32>[time, batch, bigram_dim]`."""
    graph.constant("bigram_buckets", np.array(settings.bigram_buckets, np.int32))
    graph.add("Mod", [_add_bigram_hashes(graph, tokens), "bigram_buckets"], "bigram_ids")
    table = graph.array(
        "bigram_embedding", "bigrams/embeddings", settings.bigram_buckets, settings.bigram_dim
    )
    return graph.add("Gather", [table, "bigram_ids"], "bigram_vectors")


def _add_lstm_tokens(graph: GraphBuilder, config: Config) -> str:
    """Return the ids that the LSTM reads, `<int32>[time, batch]`: those of similar words."""
    assert config.text is not None
    if not config.text.min_similarity:
        return "time_major_tokens"
    graph.constant("read_as", np.array(READ_AS, np.int32))
    return graph.add("Mod", ["time_major_tokens", "read_as"], "lstm_tokens")


def _add_own_tokens(graph: GraphBuilder, config: Config) -> str:
    """Return the ids that the linear model reads, `<int32>[time, batch]`: unknown is `[UNK]`."""
    assert config.text is not None
    if not config.text.min_similarity:
        return "time_major_tokens"
    graph.constant("unknown_id", np.array(UNKNOWN_ID, np.int32))
    graph.add("Less", ["time_major_tokens", "read_as"], "is_own_token")
    return graph.add("Where", ["is_own_token", "time_major_tokens", "unknown_id"], "own_tokens")


def _add_bigram_hashes(graph: GraphBuilder, tokens: str) -> str:
    """Hash each token together with the one before it, `<int32>[time, batch]`."""
    prefix = "" if tokens == "time_major_tokens" else f"{tokens}_"
    if graph.has(f"{prefix}bigram_hashes"):
        return f"{prefix}bigram_hashes"
    previous = _add_previous(graph, tokens, f"{prefix}previous_tokens")
    graph.constant("bigram_factor", np.array(BIGRAM_FACTOR, np.int32))
    scaled = graph.add("Mul", [previous, "bigram_factor"], f"{prefix}scaled_previous_tokens")
    return graph.add("Add", [scaled, tokens], f"{prefix}bigram_hashes")


def _add_trigram_hashes(graph: GraphBuilder, tokens: str) -> str:
    """Hash each token together with the two before it, `<int32>[time, batch]`.

    The two before it are the bigram of the step before; before the first step it is 0.
    """
    graph.constant("trigram_modulus", np.array(TRIGRAM_MODULUS, np.int32))
    graph.add("Mod", [_add_bigram_hashes(graph, tokens), "trigram_modulus"], "first_two_of_next")
    first_two = _add_previous(graph, "first_two_of_next", "first_two")
    graph.add("Mul", [first_two, "bigram_factor"], "scaled_first_two")
    return graph.add("Add", ["scaled_first_two", tokens], "trigram_hashes")


def _add_previous(graph: GraphBuilder, value: str, output: str) -> str:
    """Return the value one step before, `<int32>[time, batch]`; 0 at the first step."""
    start = graph.constant("slice_start", np.array([0]))
    end = graph.constant("slice_end", np.array([-1]))
    pads = graph.constant("pad_one_step", np.array([1, 0, 0, 0]))
    zero = graph.constant("pad_value", np.array(0, np.int32))
    graph.add("Slice", [value, start, end, start], f"{output}_without_first")
    return graph.add("Pad", [f"{output}_without_first", pads, zero], output)


def _add_linear_model(
    graph: GraphBuilder, settings: LinearSettings, tokens: str, vocab_size: int, outputs: int
) -> str:
    """Sum the weights over the root of the length, plus biases: `[batch, outputs]`."""
    words = graph.array("linear_words", "linear/words", vocab_size, outputs)
    ngrams = graph.array("linear_word_ngrams", "linear/word_ngrams", settings.buckets, outputs)
    graph.constant("linear_buckets", np.array(settings.buckets, np.int32))
    logits = graph.add("Gather", [words, tokens], "linear_step_logits")
    hashes = {"bigram": _add_bigram_hashes(graph, tokens)}
    if settings.word_ngrams == 3:
        hashes["trigram"] = _add_trigram_hashes(graph, tokens)
    for name, value in hashes.items():
        ids = graph.add("Mod", [value, "linear_buckets"], f"linear_{name}_ids")
        weights = graph.add("Gather", [ngrams, ids], f"linear_{name}_logits")
        logits = graph.add("Add", [logits, weights], f"linear_with_{name}s")
    # Padding has logits too, so they are multiplied by 0.
    graph.add(
        "Cast", [graph.add("Not", [add_is_padding(graph)], "is_token")], "token_mask", to=_FLOAT
    )
    graph.add("Unsqueeze", ["token_mask", add_feature_axis(graph)], "token_mask_column")
    graph.add("Mul", [logits, "token_mask_column"], "linear_masked_logits")
    graph.constant("time_axis", np.array([0]))
    total = graph.add("ReduceSum", ["linear_masked_logits", "time_axis"], "linear_sum", keepdims=0)
    if settings.num_char_buckets:
        total = _add_char_ngrams(graph, total, settings.num_char_buckets, outputs)
    graph.add("Sqrt", [add_lengths_column(graph)], "sqrt_lengths")
    graph.add("Div", [total, "sqrt_lengths"], "linear_normalized")
    biases = graph.array("linear_biases", "linear/biases", outputs)
    graph.add("Add", ["linear_normalized", biases], "linear_unscaled")
    scale = graph.array("linear_scale", LINEAR_SCALE, 1)
    return graph.add("Mul", ["linear_unscaled", scale], "linear_logits")


def _add_char_ngrams(graph: GraphBuilder, total: str, buckets: int, outputs: int) -> str:
    """Add the weights of the character n-grams of unknown words; those of padding are 0."""
    table = graph.array("linear_char_ngrams", "linear/char_ngrams", buckets, outputs)
    graph.add("Gather", [table, "char_ngrams"], "char_ngram_logits")
    graph.constant("ngram_axis", np.array([1]))
    graph.add("ReduceSum", ["char_ngram_logits", "ngram_axis"], "char_ngram_sum", keepdims=0)
    return graph.add("Add", [total, "char_ngram_sum"], "linear_sum_with_chars")


def _add_windows(graph: GraphBuilder, config: Config, shape: tuple[int, int]) -> tuple[str, int]:
    """Read the rows of each step, with pixels from 0 to 1: `[steps, batch, dim]`.

    Returns:
        The name of the result, and `dim`.
    """
    settings, pixels = config.image, "images"
    assert settings is not None
    if settings.window > 1:
        graph.constant("row_windows", row_windows(shape[0], settings))
        graph.add("Gather", ["images", "row_windows"], "pixels_by_row", axis=1)
        # [batch, steps, window, columns] -> [batch, steps, window * columns]
        graph.constant("pixels_shape", np.array([0, 0, -1]))
        pixels = graph.add("Reshape", ["pixels_by_row", "pixels_shape"], "pixels_by_step")
    graph.add("Cast", [pixels], "float_pixels", to=_FLOAT)
    graph.constant("max_pixel", np.array(255.0, np.float32))
    graph.add("Div", ["float_pixels", "max_pixel"], "scaled_pixels")
    embedded = graph.add("Transpose", ["scaled_pixels"], "embedded", perm=(1, 0, 2))
    return embedded, settings.window * shape[1]


def _add_pooled_vector(graph: GraphBuilder, config: Config, x: str, dim: int, lengths: str) -> str:
    """Add the input of the head, `[batch, width]`: the parts that `pooled_parts` names.

    Args:
        graph: Receives the nodes.
        config: Of the run.
        x: The embedded input, `<float32>[time, batch, dim]`.
        dim: Its width.
        lengths: Name of the lengths of texts; empty for images.
    """
    parts = [_add_lstms(graph, config, x, dim, lengths)]
    parts += add_regions(graph, config.model, x, dim, lengths)
    return graph.add("Concat", parts, "pooled_vector", axis=1) if len(parts) > 1 else parts[0]


def _add_lstms(graph: GraphBuilder, config: Config, x: str, width: int, lengths: str) -> str:
    """Add the LSTM layers and the pooling; return the name of the result, `[batch, width]`."""
    settings = config.model
    directions = ["forward", "backward"] if settings.bidirectional else ["forward"]
    for index in range(settings.layers):
        name = f"lstm_{index}"
        layers = [f"{name}_{direction}" for direction in directions]
        kernels = _add_kernels(graph, name, layers, width, settings.units)
        peepholes: tuple[str, ...] = ()
        if settings.cell == "peephole":
            # The two inputs that are left out are the initial states: zeros.
            peepholes = ("", "", _add_peepholes(graph, name, layers, settings.units))
        graph.nodes.append(
            Node(
                "LSTM",
                (x, *kernels, lengths, *peepholes),
                (f"{name}_outputs", f"{name}_final"),
                name,
                {
                    "hidden_size": settings.units,
                    "direction": "bidirectional" if settings.bidirectional else "forward",
                },
            )
        )
        # [time, directions, batch, units] -> [time, batch, directions * units]
        graph.add("Transpose", [f"{name}_outputs"], f"{name}_by_direction", perm=(0, 2, 1, 3))
        graph.constant("sequence_shape", np.array([0, 0, -1]))
        x = graph.add("Reshape", [f"{name}_by_direction", "sequence_shape"], f"{name}_sequence")
        width = settings.units * len(directions)
    if settings.pooling == "last":
        graph.add("Transpose", [f"{name}_final"], "final_by_batch", perm=(1, 0, 2))
        graph.constant("final_shape", np.array([0, -1]))
        return graph.add("Reshape", ["final_by_batch", "final_shape"], "pooled")
    return add_pooling(graph, x, settings.pooling, lengths)


def _add_kernels(
    graph: GraphBuilder, name: str, layers: list[str], width: int, units: int
) -> list[str]:
    """Add W, R and B of an LSTM operator: the arrays of one Keras layer per direction, stacked."""
    num, gates = len(layers), 4 * units
    parts: list[tuple[str, tuple[int, ...], tuple[int, ...], Callable[[Array], Array]]] = [
        ("kernel", (width, gates), (num, gates, width), _convert_kernel),
        ("recurrent_kernel", (units, gates), (num, gates, units), _convert_kernel),
        ("bias", (gates,), (num, 2 * gates), _convert_bias),
    ]
    names = [f"{name}_{part}" for part in "WRB"]
    for constant, (array, source_shape, shape, convert) in zip(names, parts, strict=True):
        sources = {f"{layer}/{array}": source_shape for layer in layers}
        graph.constants[constant] = TrainedConstant(shape, sources, _stack(list(sources), convert))
    return names


def _add_peepholes(graph: GraphBuilder, name: str, layers: list[str], units: int) -> str:
    """Add P of an LSTM operator, `[directions, 3 * units]`: weights from the cell to the gates."""
    sources = {f"{layer}/peepholes": (3, units) for layer in layers}
    make = _stack(list(sources), lambda peepholes: peepholes[[0, 2, 1]].reshape(-1))
    graph.constants[f"{name}_P"] = TrainedConstant((len(layers), 3 * units), sources, make)
    return f"{name}_P"


def _stack(
    sources: list[str], convert: Callable[[Array], Array]
) -> Callable[[Mapping[str, Array]], Array]:
    return lambda weights: np.stack([convert(weights[source]) for source in sources])


def _convert_kernel(kernel: Array) -> Array:
    return np.ascontiguousarray(_reorder_gates(kernel).T)


def _convert_bias(bias: Array) -> Array:
    """Append a recurrent bias of zeros, which Keras does not have."""
    return np.concatenate([_reorder_gates(bias), np.zeros_like(bias)])


def _reorder_gates(array: Array) -> Array:
    """Bring the gates from the order i, f, c, o (Keras) into i, o, f, c (ONNX)."""
    i, f, c, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


def _num_outputs(config: Config, num_classes: int) -> int:
    return 1 if num_classes == 2 and not config.is_multi_label else num_classes


def _add_head(
    graph: GraphBuilder,
    config: Config,
    pooled: str,
    num_classes: int,
    linear_logits: str,
) -> None:
    """Add the dense layer and the linear logits; the output has a column for each class.

    Args:
        graph: Receives the nodes.
        config: Of the run.
        pooled: The input of the dense layer.
        num_classes: Number of classes, or of labels.
        linear_logits: Those of the linear model; empty without one.
    """
    num_outputs = _num_outputs(config, num_classes)
    kernel = graph.array("head_kernel", "head/kernel", pooled_width(config.model), num_outputs)
    bias = graph.array("head_bias", "head/bias", num_outputs)
    logits = graph.add("Gemm", [pooled, kernel, bias], "logits")
    if linear_logits:
        logits = graph.add("Add", [logits, linear_logits], "combined_logits")
    if config.is_multi_label:
        graph.add("Sigmoid", [logits], "probabilities")
        return
    if num_classes > 2:
        graph.add("Softmax", [logits], "probabilities", axis=1)
        return
    second = graph.add("Sigmoid", [logits], "second_probability")
    graph.constant("one", np.array(1.0, np.float32))
    graph.add("Sub", ["one", second], "first_probability")
    graph.add("Concat", ["first_probability", second], "probabilities", axis=1)

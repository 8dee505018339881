"""Read what prediction needs from a run, and check that `train` could have written it.

The manifest shows damage. It does not prove who wrote the run: whoever can change a file can
change the manifest too. So no file is trusted. Each is read up to a limit. The settings determine
the graph, so every node and shape is compared with them. Parts that could do something else (the
patterns of a tokenizer, other operators) are compared with ours and then not used.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import onnx_graph, safetensors_reader
from lstm_cli.runs.arrays import Array, check_finite
from lstm_cli.runs.decode import Fraction
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.onnx_check import FileStamp, describe, max_model_bytes, read_model
from lstm_cli.runs.onnx_plan import GraphPlan
from lstm_cli.text import tokenizer_json
from lstm_cli.text.tokenizer import Tokenizer

_NOT_EMPTY = Meta(min_length=1)
_NUM_GOLDEN = Meta(min_length=1, max_length=64)
_Pixel = Annotated[int, Meta(ge=0, le=255)]
_Row = Annotated[list[_Pixel], _NOT_EMPTY]


class _GoldenTexts(msgspec.Struct):
    inputs: Annotated[list[Annotated[str, Meta(max_length=4096)]], _NUM_GOLDEN]
    probabilities: list[list[float]]


class _GoldenImages(msgspec.Struct):
    inputs: Annotated[list[Annotated[list[_Row], _NOT_EMPTY]], _NUM_GOLDEN]
    probabilities: list[list[float]]


class Golden(msgspec.Struct, frozen=True):
    """A few inputs and the probabilities that the model gave them at the end of training.

    Attributes:
        inputs: Texts, or images `<uint8>[num, rows, columns]`.
        probabilities: `<float32>[num, classes]`.
    """

    inputs: list[str] | NDArray[np.uint8]
    probabilities: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns of an image; None for texts."""
        if isinstance(self.inputs, np.ndarray):
            return self.inputs.shape[1], self.inputs.shape[2]
        return None


class ValidatedRun(msgspec.Struct, frozen=True):
    """What prediction needs from a run, after the checks.

    Attributes:
        config: The settings.
        labels: Class names.
        tokenizer: None for images.
        golden: Inputs with known probabilities.
        plan: The graph.
        model: Stamp of the ONNX file, which was found to hold that graph with finite values.
        thresholds: Of the labels of a multi-label run, `<float64>[labels]`; None for other runs.
    """

    config: Config
    labels: tuple[str, ...]
    tokenizer: Tokenizer | None
    golden: Golden
    plan: GraphPlan
    model: FileStamp
    thresholds: NDArray[np.float64] | None


def read(run: RunDir) -> ValidatedRun:
    """Read what prediction needs; each file is read once and checked against the manifest.

    Raises:
        LstmError: The run is a language model (exit code 2); or a file is missing, changed, or
            not one that `train` writes (exit code 5).
    """
    run.names()
    run = run.with_manifest()
    config = run.config()
    if config.language is not None:
        command = ["lstm", "train", config.data.name, "--init-from", run.name]
        raise LstmError(
            f"Run {run.name} is a language model: it has no classes to predict.",
            f"Train a classifier from it: {shlex.join(command)}. It writes texts: lstm generate",
            ExitCode.USAGE,
        )
    labels = run.labels()
    tokenizer = read_tokenizer(run, config)
    golden = read_golden(run, config, len(labels))
    plan = graph_plan(config, labels, tokenizer, golden)
    if run.file(runs.WEIGHTS).exists():
        check_weights_header(run, plan)
    stamp, _ = read_model(run, plan)
    thresholds = read_thresholds(run, config, len(labels))
    return ValidatedRun(config, labels, tokenizer, golden, plan, stamp, thresholds)


def read_thresholds(run: RunDir, config: Config, num_labels: int) -> NDArray[np.float64] | None:
    """Read the thresholds of the labels of a multi-label run; None for other runs.

    Raises:
        LstmError: They are missing, or not one number between 0 and 1 for each label
            (exit code 5).
    """
    if not config.is_multi_label:
        return None
    thresholds = run.decode(runs.LABEL_THRESHOLDS, tuple[Fraction, ...])
    if len(thresholds) != num_labels:
        raise run.integrity_error(
            f"{runs.LABEL_THRESHOLDS} has {len(thresholds):,} numbers for {num_labels:,} labels"
        )
    return np.array(thresholds, np.float64)


def graph_plan(
    config: Config, labels: tuple[str, ...], tokenizer: Tokenizer | None, golden: Golden
) -> GraphPlan:
    """Return the only graph that a run may hold."""
    vocab_size = tokenizer.vocab_size if tokenizer else None
    return onnx_graph.plan(config, len(labels), vocab_size, golden.shape)


def max_bytes(plan: GraphPlan) -> dict[str, int]:
    """Return the largest size allowed for the model file and the weights file of a graph."""
    return {runs.MODEL: max_model_bytes(plan), runs.WEIGHTS: max_weight_bytes(plan.sources)}


def read_tokenizer(run: RunDir, config: Config) -> Tokenizer | None:
    """Read the tokenizer of a text run; None for images.

    Raises:
        LstmError: It is missing, or not what `train` writes (exit code 5).
    """
    if (config.text is not None) != run.file(runs.TOKENIZER).exists():
        raise run.integrity_error(f"{runs.CONFIG} and {runs.TOKENIZER} do not belong together")
    if config.text is None:
        return None
    content = run.read_bytes(runs.TOKENIZER)
    try:
        return tokenizer_json.read(content, config.text, config.char_buckets)
    except ValueError as error:
        raise run.integrity_error(f"{runs.TOKENIZER} {describe(content) or error}") from None


def read_golden(run: RunDir, config: Config, num_classes: int) -> Golden:
    """Read the golden inputs and their probabilities.

    Raises:
        LstmError: They are of the other kind, too few, too many or too large (exit code 5).
    """
    value = run.read_json(runs.GOLDEN)
    inputs: list[str] | NDArray[np.uint8]
    try:
        golden: _GoldenTexts | _GoldenImages
        if config.kind == "text":
            golden = msgspec.convert(value, _GoldenTexts)
            inputs = golden.inputs
        else:
            golden = msgspec.convert(value, _GoldenImages)
            inputs = np.array(golden.inputs, np.uint8)
            _check_rows(config, inputs)
        probabilities = np.array(golden.probabilities, np.float32)
    except (ValueError, RecursionError, OverflowError) as error:
        raise run.integrity_error(f"{runs.GOLDEN} does not fit the model ({error})") from None
    if probabilities.shape != (len(inputs), num_classes):
        raise run.integrity_error(
            f"{runs.GOLDEN} has probabilities {list(probabilities.shape)} for {len(inputs)} "
            f"inputs and {num_classes} labels"
        )
    return Golden(inputs, probabilities)


def _check_rows(config: Config, images: NDArray[np.uint8]) -> None:
    """Check that images are large enough for the settings, or raise a ValueError."""
    window = 1 if config.image is None else config.image.window
    if images.ndim == 3 and images.shape[1] < window:
        raise ValueError(f"images of {images.shape[1]} rows, in steps of {window}")


def read_weights(run: RunDir, plan: GraphPlan) -> dict[str, Array]:
    """Read the arrays of a classifier, `<float32>`, with the names of `models.get_weights`.

    Raises:
        LstmError: The file holds other arrays, or values that are not finite (exit code 5).
    """
    return _read_arrays(run, plan.sources)


def read_language_weights(run: RunDir, config: Config, vocab_size: int) -> dict[str, Array]:
    """Read the arrays of a language model, `<float32>`.

    Args:
        run: The run.
        config: Its settings.
        vocab_size: Of its tokenizer.

    Raises:
        LstmError: As `read_weights`.
    """
    return _read_arrays(run, language_shapes(config, vocab_size))


def _read_arrays(run: RunDir, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    content = run.read_bytes(runs.WEIGHTS, max_weight_bytes(shapes))
    try:
        arrays = safetensors_reader.read(content, shapes)
        check_finite(arrays)
    except ValueError as error:
        raise run.integrity_error(f"{runs.WEIGHTS} {describe(content) or error}") from None
    return arrays


def check_weights_header(run: RunDir, plan: GraphPlan) -> None:
    """Check the header of the weights file; prediction does not read the data.

    Raises:
        LstmError: It is not a safetensors file, or describes other arrays (exit code 5).
    """
    limit = max_weight_bytes(plan.sources)
    head = run.read_head(runs.WEIGHTS, safetensors_reader.MAX_HEAD_BYTES, limit)
    try:
        safetensors_reader.check_header(run.file(runs.WEIGHTS), head, plan.sources)
    except ValueError as error:
        raise run.integrity_error(f"{runs.WEIGHTS} {describe(head) or error}") from None


def max_weight_bytes(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the largest size allowed for a file of arrays, `<float32>`."""
    data = sum(4 * math.prod(shape) for shape in shapes.values())
    return data + safetensors_reader.MAX_HEAD_BYTES


def language_shapes(config: Config, vocab_size: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all arrays of a language model, with the names of `get_weights`.

    Args:
        config: With a `language` section.
        vocab_size: Of its tokenizer.
    """
    assert config.language is not None
    assert config.embedding is not None
    embedding, model = config.embedding, config.model
    dim, units = embedding.dim, model.units
    shapes: dict[str, tuple[int, ...]] = {"embedding/embeddings": (vocab_size, dim)}
    width = dim
    if embedding.bigram_buckets:
        shapes["bigrams/embeddings"] = (embedding.bigram_buckets, embedding.bigram_dim)
        width += embedding.bigram_dim
    directions = ("forward", "backward") if model.bidirectional else ("forward",)
    if model.bidirectional:
        lstms = {f"lstm_0_{direction}": width for direction in directions}
    else:
        lstms = {f"lstm_{i}_forward": units if i else width for i in range(model.layers)}
    for name, input_dim in lstms.items():
        shapes[f"{name}/kernel"] = (input_dim, 4 * units)
        shapes[f"{name}/recurrent_kernel"] = (units, 4 * units)
        shapes[f"{name}/bias"] = (4 * units,)
        if model.cell == "peephole":
            shapes[f"{name}/peepholes"] = (3, units)
    for direction in directions:
        shapes |= {f"next_{direction}/kernel": (units, dim), f"next_{direction}/bias": (dim,)}
    if not config.language.tie_embeddings:
        shapes["next_words/embeddings"] = (vocab_size, dim)
    return shapes | {"next_bias/embeddings": (vocab_size, 1)}

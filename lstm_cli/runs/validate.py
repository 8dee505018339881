"""A run's files -> what prediction needs, each held to what `train` could have written.

The manifest shows damage; it is no proof of who wrote the run, for whoever changes a file can
change the manifest too. So nothing here is taken at its word. Every file is read to a bound; the
settings say what the graph must be, node by node and number by number; and the parts
that could carry anything else (a tokenizer's own patterns, other operators) are compared with
ours and then not used.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Mapping
from io import BufferedReader
from itertools import zip_longest
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError, command_line
from lstm_cli.io.safe_open import detect_file_type
from lstm_cli.runs import directory as runs
from lstm_cli.runs import onnx_graph, onnx_reader, safetensors_reader
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.onnx_graph import Node, Plan, Trained
from lstm_cli.text import tokenizer_json
from lstm_cli.text.tokenizer import Tokenizer

# What a model takes beside its numbers: names, nodes, shapes.
_FRAME_BYTES = 1 << 20
_CHUNK = 1 << 18

Array = NDArray[Any]
_Pixel = Annotated[int, Meta(ge=0, le=255)]
_SOME = Meta(min_length=1)


class _Texts(msgspec.Struct):
    inputs: Annotated[
        list[Annotated[str, Meta(max_length=4096)]], Meta(min_length=1, max_length=64)
    ]
    probabilities: list[list[float]]


class _Images(msgspec.Struct):
    inputs: Annotated[
        list[Annotated[list[Annotated[list[_Pixel], _SOME]], _SOME]],
        Meta(min_length=1, max_length=64),
    ]
    probabilities: list[list[float]]


class Golden(msgspec.Struct, frozen=True):
    """Inputs and what the network said of them when it was saved.

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


class FileStamp(msgspec.Struct, frozen=True):
    """A file as it was when it was checked: which one, of what size, last written when."""

    device: int
    inode: int
    num_bytes: int
    written: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStamp:
        """Take down what `stat` says."""
        where = (status.st_dev, status.st_ino, status.st_size)
        return cls(*where, status.st_mtime_ns, status.st_ctime_ns)


class ValidatedRun(msgspec.Struct, frozen=True):
    """What prediction needs of a run, checked.

    Attributes:
        config: The settings.
        labels: Class names.
        tokenizer: None for images.
        golden: What to replay.
        plan: What the graph is.
        model: The ONNX file that was found to hold that graph and finite numbers.
    """

    config: Config
    labels: tuple[str, ...]
    tokenizer: Tokenizer | None
    golden: Golden
    plan: Plan
    model: FileStamp


def read(run: RunDir) -> ValidatedRun:
    """Read what prediction needs, each file in one read and held to the manifest.

    Raises:
        LstmError: A file is missing, changed, or not one that `train` writes (exit code 5).
    """
    run.names()
    run = run.verified()
    config = run.config()
    if config.language is not None:
        raise not_a_classifier_error(run, config)
    labels = run.labels()
    tokenizer = read_tokenizer(run, config)
    golden = read_golden(run, config, len(labels))
    plan = graph_plan(config, labels, tokenizer, golden)
    if run.file(runs.WEIGHTS).exists():
        check_weights_header(run, plan)
    seen, _ = read_model(run, plan)
    return ValidatedRun(config, labels, tokenizer, golden, plan, seen)


def not_a_classifier_error(run: RunDir, config: Config) -> LstmError:
    """Build the error for a language model where a classifier is wanted."""
    return LstmError(
        f"Run {run.name} is a language model: it has no classes to choose from.",
        "Train a classifier that starts with it: "
        + command_line("lstm", "train", config.data.name, "--init-from", run.name),
        ExitCode.USAGE,
    )


def graph_plan(
    config: Config, labels: tuple[str, ...], tokenizer: Tokenizer | None, golden: Golden
) -> Plan:
    """Lay out the only graph that a run may hold."""
    vocab_size = tokenizer.vocab_size if tokenizer else None
    return onnx_graph.plan(config, len(labels), vocab_size, golden.shape)


def max_bytes(plan: Plan) -> dict[str, int]:
    """Return how many bytes the files of a graph may have: its numbers, and what frames them."""
    constants = sum(_num_bytes(value) for value in plan.constants.values())
    return {runs.MODEL: constants + _FRAME_BYTES, runs.WEIGHTS: max_weight_bytes(plan.sources)}


def read_tokenizer(run: RunDir, config: Config) -> Tokenizer | None:
    """Read the vocabulary of a text run; None for images.

    Raises:
        LstmError: It is missing, or not what `train` writes (exit code 5).
    """
    if (config.text is not None) != run.file(runs.TOKENIZER).exists():
        raise run.integrity_error(f"{runs.CONFIG} and {runs.TOKENIZER} do not belong together")
    if config.text is None:
        return None
    content = run.read_bytes(runs.TOKENIZER)
    try:
        return tokenizer_json.read(content, config.text)
    except ValueError as error:
        raise run.integrity_error(f"{runs.TOKENIZER} {_file_type(content) or error}") from None


def read_golden(run: RunDir, config: Config, num_classes: int) -> Golden:
    """Read the inputs to replay.

    Raises:
        LstmError: They are of the other kind, none, too many or too large (exit code 5).
    """
    value = run.read_json(runs.GOLDEN)
    inputs: list[str] | NDArray[np.uint8]
    try:
        golden: _Texts | _Images
        if config.kind == "text":
            golden = msgspec.convert(value, _Texts)
            inputs = golden.inputs
        else:
            golden = msgspec.convert(value, _Images)
            inputs = np.array(golden.inputs, np.uint8)
        probabilities = np.array(golden.probabilities, np.float32)
    except (ValueError, RecursionError, OverflowError) as error:
        raise run.integrity_error(f"{runs.GOLDEN} does not fit the model ({error})") from None
    if probabilities.shape != (len(inputs), num_classes):
        raise run.integrity_error(
            f"{runs.GOLDEN} has probabilities {list(probabilities.shape)} for {len(inputs)} "
            f"inputs and {num_classes} labels"
        )
    return Golden(inputs, probabilities)


def read_model(run: RunDir, plan: Plan) -> tuple[FileStamp, dict[str, Array]]:
    """Hold the ONNX file to the graph it must be.

    It is mapped and not copied: whoever opens it by its name afterwards asks `check_unchanged`.

    Returns:
        The file as it was, and its constants by name as they lie in it.

    Raises:
        LstmError: It is another graph, its numbers do not have the shapes the settings give, or
            some are not finite (exit code 5).
    """
    with run.held(runs.MODEL, max_bytes(plan)[runs.MODEL]) as file:
        seen = FileStamp.of(os.fstat(file.fileno()))
        content = _mapped(file, seen.num_bytes)
    try:
        found = onnx_reader.read_model(content, len(plan.nodes), len(plan.constants))
        _check_structure(found, plan)
        arrays = {name: _array(found, plan, name) for name in plan.constants}
        check_finite(arrays)
    except ValueError as error:
        told = _file_type(content) or error
        raise run.integrity_error(f"{runs.MODEL} {told}") from None
    return seen, arrays


def check_unchanged(run: RunDir, name: str, seen: FileStamp) -> None:
    """Hold that a file is the one that was checked.

    Raises:
        LstmError: It was exchanged or written to since (exit code 5).
    """
    try:
        now = FileStamp.of(run.file(name).lstat())
    except OSError:
        now = None
    if now != seen:
        raise run.integrity_error(f"{name} was changed while it was opened")


def read_weights(run: RunDir, plan: Plan) -> dict[str, Array]:
    """Read the arrays of the model, `<float32>`, named as `models.get_weights` names them.

    Raises:
        LstmError: The file holds anything else, or numbers that are not finite (exit code 5).
    """
    return _read_arrays(run, plan.sources)


def _read_arrays(run: RunDir, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    content = run.read_bytes(runs.WEIGHTS, max_weight_bytes(shapes))
    try:
        arrays = safetensors_reader.read(memoryview(content), shapes)
        check_finite(arrays)
    except ValueError as error:
        raise run.integrity_error(f"{runs.WEIGHTS} {_file_type(content) or error}") from None
    return arrays


def language_shapes(config: Config, vocab_size: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all arrays of a language model, as `models.get_weights` names them.

    Args:
        config: With a `language` section.
        vocab_size: Of its tokenizer.
    """
    assert config.language is not None
    assert config.embedding is not None
    dim, units = config.embedding.dim, config.model.units
    width = dim
    shapes: dict[str, tuple[int, ...]] = {"embedding/embeddings": (vocab_size, dim)}
    if config.embedding.bigram_buckets:
        shapes["bigrams/embeddings"] = (
            config.embedding.bigram_buckets,
            config.embedding.bigram_dim,
        )
        width += config.embedding.bigram_dim
    if config.model.bidirectional:
        lstms = {"lstm_0_forward": width, "lstm_0_backward": width}
    else:
        lstms = {f"lstm_{i}_forward": units if i else width for i in range(config.model.layers)}
    for name, read in lstms.items():
        shapes[f"{name}/kernel"] = (read, 4 * units)
        shapes[f"{name}/recurrent_kernel"] = (units, 4 * units)
        shapes[f"{name}/bias"] = (4 * units,)
        if config.model.cell == "peephole":
            shapes[f"{name}/peepholes"] = (3, units)
    for direction in ("forward", "backward") if config.model.bidirectional else ("forward",):
        shapes |= {f"next_{direction}/kernel": (units, dim), f"next_{direction}/bias": (dim,)}
    if not config.language.tie_embeddings:
        shapes["next_words/embeddings"] = (vocab_size, dim)
    return shapes | {"next_bias/embeddings": (vocab_size, 1)}


def read_language_weights(run: RunDir, config: Config, vocab_size: int) -> dict[str, Array]:
    """Read the arrays of a language model, `<float32>`.

    Args:
        run: Where.
        config: Its settings.
        vocab_size: Of its tokenizer.

    Raises:
        LstmError: The file holds anything else, or numbers that are not finite (exit code 5).
    """
    return _read_arrays(run, language_shapes(config, vocab_size))


def max_weight_bytes(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return how many bytes a file of arrays may have."""
    return sum(4 * math.prod(shape) for shape in shapes.values()) + safetensors_reader.MAX_HEAD


def check_weights_header(run: RunDir, plan: Plan) -> None:
    """Hold the head of the file of weights to the arrays it must hold; the rest is not read.

    Raises:
        LstmError: It is no safetensors file, or describes other arrays (exit code 5).
    """
    allowed = max_bytes(plan)[runs.WEIGHTS]
    head, num_bytes = run.read_head(runs.WEIGHTS, safetensors_reader.MAX_HEAD, allowed)
    try:
        safetensors_reader.places(memoryview(head), num_bytes, plan.sources)
    except ValueError as error:
        raise run.integrity_error(f"{runs.WEIGHTS} {_file_type(head) or error}") from None


def check_finite(arrays: dict[str, Array]) -> None:
    """Hold that every number is one.

    Raises:
        ValueError: Some are infinite or none; the words go on after a file's name.
    """
    finite = np.empty(_CHUNK, bool)
    for name, array in arrays.items():
        flat = array.reshape(-1)
        for start in range(0, len(flat), _CHUNK):
            chunk = flat[start : start + _CHUNK]
            # In pieces that stay in the cache: half the time of one pass over the whole.
            if not np.isfinite(chunk, out=finite[: len(chunk)]).all():
                raise ValueError(f"holds numbers in {name!r} that are infinite or none (NaN)")


def _check_structure(found: onnx_reader.Model, plan: Plan) -> None:
    """Hold the graph of a file to the plan: the same nodes in the same order, and no other."""
    if (found.ir_version, found.opset) != (onnx_graph.IR_VERSION, onnx_graph.OPSET):
        raise ValueError(
            f"is of ONNX version {found.ir_version} with operators {found.opset}, expected "
            f"{onnx_graph.IR_VERSION} with {onnx_graph.OPSET}"
        )
    for index, (node, expected) in enumerate(zip_longest(found.nodes, plan.nodes)):
        if node != expected:
            raise ValueError(
                f"is not the network that {runs.CONFIG} describes: node {index} is "
                f"{_told(node)}, expected {_told(expected)}"
            )
    if (found.name, found.inputs, found.outputs) != (plan.name, plan.inputs, plan.outputs):
        raise ValueError(
            f"takes or gives other values than {runs.CONFIG} and {runs.LABELS} describe: "
            f"{_values(found.inputs)} to {_values(found.outputs)}, expected "
            f"{_values(plan.inputs)} to {_values(plan.outputs)}"
        )
    for name in sorted(found.constants.keys() ^ plan.constants.keys()):
        raise ValueError(f"{'lacks' if name in plan.constants else 'holds a foreign'} {name!r}")


def _array(found: onnx_reader.Model, plan: Plan, name: str) -> Array:
    """Return a constant once its type, shape and size, and if it is fixed its value, are right."""
    tensor, expected = found.constants[name], plan.constants[name]
    dtype = np.dtype(np.float32) if isinstance(expected, Trained) else expected.dtype
    if (tensor.dtype, tensor.shape) != (dtype.name, expected.shape):
        raise ValueError(
            f"holds {name!r} as {tensor.dtype} {list(tensor.shape)}, expected {dtype.name} "
            f"{list(expected.shape)}: {runs.CONFIG}, {runs.LABELS} or {runs.TOKENIZER} is of "
            "another run"
        )
    if len(tensor.data) != _num_bytes(expected):
        raise ValueError(
            f"holds {len(tensor.data):,} bytes for {name!r}, expected {_num_bytes(expected):,}"
        )
    array = np.frombuffer(tensor.data, dtype.newbyteorder("<")).reshape(expected.shape)
    if not isinstance(expected, Trained) and array.tobytes() != expected.tobytes():
        raise ValueError(f"holds another value for {name!r} than {expected.tolist()}")
    return array


def _num_bytes(value: Array | Trained) -> int:
    item = 4 if isinstance(value, Trained) else value.dtype.itemsize
    return math.prod(value.shape) * item


def _mapped(file: BufferedReader, num_bytes: int) -> memoryview:
    """Return a file's content without reading it; it stays for as long as it is used."""
    if not num_bytes:
        return memoryview(b"")
    return memoryview(mmap.mmap(file.fileno(), num_bytes, access=mmap.ACCESS_READ))


def _file_type(content: bytes | memoryview) -> str | None:
    """Say what a file that could not be read is, where its first bytes give it away."""
    told = detect_file_type(bytes(content[:16]))
    return f"is {told}" if told else None


def _told(node: Node | None) -> str:
    if node is None:
        return "none"
    settings = "".join(f" {name}={value}" for name, value in sorted(node.attributes.items()))
    told = f"{node.op}({', '.join(node.inputs)}){settings} -> {', '.join(node.outputs)}"
    return told if len(told) <= 160 else f"{told[:157]}..."


def _values(values: tuple[onnx_graph.Value, ...]) -> str:
    told = ", ".join(f"{v.name} <{v.dtype}>{list(v.shape)}" for v in values)
    return told if len(told) <= 160 else f"{told[:157]}..."

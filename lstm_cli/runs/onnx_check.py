"""Check that an ONNX file is the graph that the settings describe, node by node."""

from __future__ import annotations

import math
import mmap
import os
from io import BufferedReader
from itertools import zip_longest

import msgspec
import numpy as np

from lstm_cli.io.safe_open import detect_file_type
from lstm_cli.runs import directory as runs
from lstm_cli.runs import onnx_graph, onnx_reader
from lstm_cli.runs.arrays import Array, check_finite
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.onnx_plan import GraphPlan, Node, TrainedConstant, Value

# For names, nodes and shapes, beside the constants.
_OVERHEAD_BYTES = 1 << 20
_MAX_SHOWN_CHARS = 160


class FileStamp(msgspec.Struct, frozen=True):
    """What identifies the state of a file: it changes if the file is replaced or written to."""

    device: int
    inode: int
    num_bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStamp:
        """Take the values from the result of `os.stat`."""
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )


def read_model(run: RunDir, plan: GraphPlan) -> tuple[FileStamp, dict[str, Array]]:
    """Compare the ONNX file of a run with the graph that it must hold.

    The file is mapped, not copied. Code that opens it by its name afterwards must call
    `check_unchanged`.

    Returns:
        The stamp of the file, and its constants by name.

    Raises:
        LstmError: It is another graph, its constants have other shapes, or some values are not
            finite (exit code 5).
    """
    with run.open_verified(runs.MODEL, max_model_bytes(plan)) as file:
        stamp = FileStamp.of(os.fstat(file.fileno()))
        content = _map(file, stamp.num_bytes)
    try:
        model = onnx_reader.read_model(content, len(plan.nodes), len(plan.constants))
        _check_structure(model, plan)
        arrays = {name: _constant(model, plan, name) for name in plan.constants}
        check_finite(arrays)
    except ValueError as error:
        raise run.integrity_error(f"{runs.MODEL} {describe(content) or error}") from None
    return stamp, arrays


def check_unchanged(run: RunDir, name: str, stamp: FileStamp) -> None:
    """Check that a file is still the one that was checked.

    Raises:
        LstmError: It was replaced or written to (exit code 5).
    """
    try:
        current = FileStamp.of(run.file(name).lstat())
    except OSError:
        current = None
    if current != stamp:
        raise run.integrity_error(f"{name} changed while it was opened")


def max_model_bytes(plan: GraphPlan) -> int:
    """Return the largest size allowed for the ONNX file of a graph."""
    return sum(_num_bytes(constant) for constant in plan.constants.values()) + _OVERHEAD_BYTES


def describe(content: bytes | memoryview) -> str | None:
    """Say what a file that could not be read is, if its first bytes tell."""
    file_type = detect_file_type(bytes(content[:16]))
    return f"is {file_type}" if file_type else None


def _check_structure(model: onnx_reader.Model, plan: GraphPlan) -> None:
    """Check that a file has the nodes of the plan, in the same order, and no others."""
    if (model.ir_version, model.opset) != (onnx_graph.IR_VERSION, onnx_graph.OPSET):
        raise ValueError(
            f"has ONNX version {model.ir_version} and operator set {model.opset}, expected "
            f"{onnx_graph.IR_VERSION} and {onnx_graph.OPSET}"
        )
    for index, (node, expected) in enumerate(zip_longest(model.nodes, plan.nodes)):
        if node != expected:
            raise ValueError(
                f"is not the network of {runs.CONFIG}: node {index} is {_format_node(node)}, "
                f"expected {_format_node(expected)}"
            )
    if (model.name, model.inputs, model.outputs) != (plan.name, plan.inputs, plan.outputs):
        raise ValueError(
            f"has another name, other inputs or other outputs than {runs.CONFIG} and "
            f"{runs.LABELS} describe: {_format_values(model.inputs)} to "
            f"{_format_values(model.outputs)}, expected {_format_values(plan.inputs)} to "
            f"{_format_values(plan.outputs)}"
        )
    for name in sorted(model.constants.keys() ^ plan.constants.keys()):
        state = "lacks the constant" if name in plan.constants else "has an unexpected constant"
        raise ValueError(f"{state} {name!r}")


def _constant(model: onnx_reader.Model, plan: GraphPlan, name: str) -> Array:
    """Return a constant; check dtype, shape and size, and the value if training does not set it."""
    tensor, expected = model.constants[name], plan.constants[name]
    dtype = np.dtype(np.float32) if isinstance(expected, TrainedConstant) else expected.dtype
    if (tensor.dtype, tensor.shape) != (dtype.name, expected.shape):
        raise ValueError(
            f"has {name!r} as {tensor.dtype} {list(tensor.shape)}, expected {dtype.name} "
            f"{list(expected.shape)}: {runs.CONFIG}, {runs.LABELS} or {runs.TOKENIZER} is of "
            "another run"
        )
    if len(tensor.data) != _num_bytes(expected):
        raise ValueError(
            f"has {len(tensor.data):,} bytes for {name!r}, expected {_num_bytes(expected):,}"
        )
    array = np.frombuffer(tensor.data, dtype.newbyteorder("<")).reshape(expected.shape)
    if not isinstance(expected, TrainedConstant) and array.tobytes() != expected.tobytes():
        raise ValueError(f"has another value for {name!r} than {expected.tolist()}")
    return array


def _num_bytes(constant: Array | TrainedConstant) -> int:
    item_size = 4 if isinstance(constant, TrainedConstant) else constant.dtype.itemsize
    return math.prod(constant.shape) * item_size


def _map(file: BufferedReader, num_bytes: int) -> memoryview:
    """Map a file into memory without reading it; the mapping lives as long as the view."""
    if not num_bytes:
        return memoryview(b"")
    return memoryview(mmap.mmap(file.fileno(), num_bytes, access=mmap.ACCESS_READ))


def _format_node(node: Node | None) -> str:
    if node is None:
        return "none"
    attributes = "".join(f" {name}={value}" for name, value in sorted(node.attributes.items()))
    return _shorten(f"{node.op}({', '.join(node.inputs)}){attributes} -> {', '.join(node.outputs)}")


def _format_values(values: tuple[Value, ...]) -> str:
    return _shorten(", ".join(f"{v.name} <{v.dtype}>{list(v.shape)}" for v in values))


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 3]}..."

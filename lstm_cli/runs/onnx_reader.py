"""An ONNX file -> its nodes and constants, read without `onnx` and without trust.

Protobuf is a list of (field, value) pairs, and a value may be a message again. Here nothing is
copied, no depth is entered that an ONNX model of ours has not, and each field of each message
stands at most as often as it may: what else a file holds is refused where it stands.

Source: protobuf.dev, "Encoding"; onnx/onnx.proto for the numbers of the fields.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lstm_cli.runs.onnx_graph import ELEMENT_TYPES, Attribute, Node, Value

_VARINT, _BYTES = 0, 2
_MAX_VARINT_BYTES = 10
_MAX_NAME = 256
_MAX_RANK = 8
_MAX_VALUES = 16
_INT, _STRING, _INTS = 2, 3, 7

Message = Mapping[int, list[int | memoryview]]


class Tensor(msgspec.Struct, frozen=True):
    """A constant as a file holds it.

    Attributes:
        dtype: A name of `ELEMENT_TYPES`, or the number of another type.
        shape: As declared; nothing says yet that the data fits it.
        data: The raw bytes, where they lie in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    data: memoryview


class Model(msgspec.Struct, frozen=True):
    """The graph of a file, in the words of `graph.Plan`."""

    ir_version: int
    opset: int
    name: str
    nodes: tuple[Node, ...]
    constants: Mapping[str, Tensor]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def read_model(content: memoryview, max_nodes: int, max_constants: int) -> Model:
    """Read an ONNX file that holds one plain graph and all of its data.

    Args:
        content: The file, `<uint8>[bytes]`.
        max_nodes: How many nodes there may be; no more are read.
        max_constants: How many constants there may be.

    Raises:
        ValueError: It is no such file; the words go on after its name: "is cut short".
    """
    model = _fields(
        content, {1: 1, 2: 1, 7: 1, 8: 2}, "the model", {20: "training_info", 25: "functions"}
    )
    opset = _fields(_message(model, 8, "the model"), {1: 1, 2: 1}, "its operator set")
    if _text(opset, 1) or len(model[8]) > 1:
        raise ValueError("uses operators of another domain than ONNX' own")
    parts = _fields(
        _message(model, 7, "the model"),
        {1: max_nodes, 2: 1, 5: max_constants, 11: _MAX_VALUES, 12: _MAX_VALUES},
        "the graph",
        {1: "nodes", 5: "constants", 14: "quantisation", 15: "sparse constants"},
    )
    constants: dict[str, Tensor] = {}
    for view in _messages(parts, 5):
        name, tensor = _tensor(view)
        if name in constants:
            raise ValueError(f"holds two constants named {name!r}")
        constants[name] = tensor
    return Model(
        _number(model, 1),
        _number(opset, 2),
        _text(parts, 2),
        tuple(_node(view) for view in _messages(parts, 1)),
        constants,
        tuple(_value(view) for view in _messages(parts, 11)),
        tuple(_value(view) for view in _messages(parts, 12)),
    )


def _node(view: memoryview) -> Node:
    limits = {1: _MAX_VALUES, 2: _MAX_VALUES, 3: 1, 4: 1, 5: _MAX_VALUES}
    parts = _fields(view, limits, "a node", {7: "an operator of another domain"})
    attributes: dict[str, Attribute] = {}
    for attribute in _messages(parts, 5):
        name, value = _attribute(attribute)
        if name in attributes:
            raise ValueError(f"sets {name!r} of a node twice")
        attributes[name] = value
    inputs, outputs = (tuple(_decoded(v) for v in _messages(parts, n)) for n in (1, 2))
    return Node(_text(parts, 4), inputs, outputs, _text(parts, 3), attributes)


def _attribute(view: memoryview) -> tuple[str, Attribute]:
    parts = _fields(
        view,
        {1: 1, 3: 1, 4: 1, 8: _MAX_RANK, 20: 1},
        "an attribute",
        {6: "a graph", 11: "graphs", 5: "a tensor", 10: "tensors", 21: "a reference"},
    )
    kind = _number(parts, 20)
    held = {number for number in (3, 4, 8) if parts[number]}
    name = _text(parts, 1)
    if kind == _INT and held <= {3}:
        return name, _number(parts, 3)
    if kind == _STRING and held <= {4}:
        return name, _text(parts, 4)
    if kind == _INTS and held <= {8}:
        return name, _numbers(parts, 8)
    raise ValueError(f"holds an attribute {name!r} of a kind that no run has")


def _tensor(view: memoryview) -> tuple[str, Tensor]:
    parts = _fields(
        view,
        {1: _MAX_RANK, 2: 1, 8: 1, 9: 1},
        "a constant",
        {13: "data outside the file", 14: "data outside the file", 3: "a segment"},
    )
    data = _messages(parts, 9) or [memoryview(b"")]
    return _text(parts, 8), Tensor(_dtype(_number(parts, 2)), _numbers(parts, 1), data[0])


def _value(view: memoryview) -> Value:
    """Read what goes in or comes out: ValueInfo, in it a type, in it a tensor, a shape, axes."""
    what = "an input or output"
    parts = _fields(view, {1: 1, 2: 1}, what)
    kind = _fields(_message(parts, 2, what), {1: 1}, f"the type of {what}")
    tensor = _fields(_message(kind, 1, what), {1: 1, 2: 1}, f"the type of {what}")
    shape = _fields(_message(tensor, 2, what), {1: _MAX_RANK}, f"the shape of {what}")
    axes: list[int | str] = []
    for axis in _messages(shape, 1):
        size = _fields(axis, {1: 1, 2: 1}, f"an axis of {what}")
        if bool(size[1]) == bool(size[2]):
            raise ValueError(f"has {what} with an axis of no size")
        axes.append(_number(size, 1) if size[1] else _text(size, 2))
    return Value(_text(parts, 1), _dtype(_number(tensor, 1)), tuple(axes))


def _fields(
    message: memoryview,
    limits: Mapping[int, int],
    what: str,
    known: Mapping[int, str] | None = None,
) -> dict[int, list[int | memoryview]]:
    """Read the fields of one message; those that are messages stay as they lie.

    Args:
        message: Its bytes.
        limits: How often each field may stand; one that is not named may not.
        what: The message, for errors.
        known: Names of fields that are refused, for errors.
    """
    found: dict[int, list[int | memoryview]] = {number: [] for number in limits}
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if len(found.get(number, ())) >= limits.get(number, 0):
            named = (known or {}).get(number, f"the field {number}")
            told = "more than it may" if number in limits else "which no run has"
            raise ValueError(f"holds {named} in {what}, {told}")
        value, position = _varint(message, position)
        if kind == _BYTES:
            if value > end - position:
                raise ValueError(f"is cut short: {what} says it goes on behind its end")
            found[number].append(message[position : position + value])
            position += value
        elif kind == _VARINT:
            found[number].append(value)
        else:
            raise ValueError(f"holds a number in {what} in a form that no run has")
    return found


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte, the lowest first; return it and where it ends."""
    value = 0
    for index in range(min(_MAX_VARINT_BYTES, len(message) - position)):
        byte = message[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError("is cut short, or no ONNX file: a number has no end")


def _messages(parts: Message, number: int) -> list[memoryview]:
    found = [value for value in parts[number] if isinstance(value, memoryview)]
    if len(found) != len(parts[number]):
        raise ValueError("holds a number in place of a message")
    return found


def _message(parts: Message, number: int, what: str) -> memoryview:
    found = _messages(parts, number)
    if not found:
        raise ValueError(f"is no ONNX model of a run: {what} lacks field {number}")
    return found[0]


def _numbers(parts: Message, number: int) -> tuple[int, ...]:
    """Return numbers of 64 bits with their sign."""
    found = [value for value in parts[number] if isinstance(value, int)]
    if len(found) != len(parts[number]):
        raise ValueError("holds a message in place of a number")
    return tuple(value - (1 << 64) if value >= 1 << 63 else value for value in found)


def _number(parts: Message, number: int) -> int:
    found = _numbers(parts, number)
    return found[0] if found else 0


def _text(parts: Message, number: int) -> str:
    found = _messages(parts, number)
    return _decoded(found[0]) if found else ""


def _decoded(view: memoryview) -> str:
    if len(view) > _MAX_NAME:
        raise ValueError(f"holds a name of {len(view):,} bytes")
    try:
        return str(view, "utf-8")
    except UnicodeDecodeError:
        raise ValueError("holds a name that is no UTF-8") from None


def _dtype(number: int) -> str:
    names = {value: name for name, value in ELEMENT_TYPES.items()}
    return names.get(number, f"type {number}")

"""Read the nodes and constants of an ONNX file without the package `onnx`.

The file may come from an attacker. Protobuf is a list of (field, value) pairs, and a value may be
a message again. No data is copied here, only the messages that a model of `lstm` has are read, and
each field may occur only as often as there. Everything else is refused at once.

Source: protobuf.dev, "Encoding"; onnx/onnx.proto for the numbers of the fields.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lstm_cli.runs.onnx_plan import ELEMENT_TYPES, Attribute, Node, Value

# Wire types of protobuf.
_VARINT, _BYTES = 0, 2
_MAX_VARINT_BYTES = 10
_MAX_NAME_BYTES = 256
_MAX_RANK = 8
_MAX_VALUES = 16
# Types of an attribute.
_INT, _STRING, _INTS = 2, 3, 7

Fields = Mapping[int, list[int | memoryview]]


class Tensor(msgspec.Struct, frozen=True):
    """A constant of the file.

    Attributes:
        dtype: A name of `ELEMENT_TYPES`, or `type <number>` for any other type.
        shape: As declared; the size of the data may not match it.
        data: The raw bytes, not copied.
    """

    dtype: str
    shape: tuple[int, ...]
    data: memoryview


class Model(msgspec.Struct, frozen=True):
    """The graph of a file; `onnx_plan.GraphPlan` is the one that is expected."""

    ir_version: int
    opset: int
    name: str
    nodes: tuple[Node, ...]
    constants: Mapping[str, Tensor]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def read_model(content: memoryview, max_nodes: int, max_constants: int) -> Model:
    """Read an ONNX file that holds one plain graph with all its data.

    Args:
        content: The file, `<uint8>[bytes]`.
        max_nodes: Largest number of nodes allowed.
        max_constants: Largest number of constants allowed.

    Raises:
        ValueError: The file holds anything else. The message continues after the name of the
            file: "is truncated".
    """
    model = _parse(
        content, {1: 1, 2: 1, 7: 1, 8: 2}, "the model", {20: "training_info", 25: "functions"}
    )
    opset = _parse(_message(model, 8, "the model"), {1: 1, 2: 1}, "the operator set")
    if _text(opset, 1) or len(model[8]) > 1:
        raise ValueError("uses operators of another domain than that of ONNX")
    graph = _parse(
        _message(model, 7, "the model"),
        {1: max_nodes, 2: 1, 5: max_constants, 11: _MAX_VALUES, 12: _MAX_VALUES},
        "the graph",
        {1: "nodes", 5: "constants", 14: "quantization", 15: "sparse constants"},
    )
    constants: dict[str, Tensor] = {}
    for message in _messages(graph, 5):
        name, tensor = _tensor(message)
        if name in constants:
            raise ValueError(f"has two constants named {name!r}")
        constants[name] = tensor
    return Model(
        _integer(model, 1),
        _integer(opset, 2),
        _text(graph, 2),
        tuple(_node(message) for message in _messages(graph, 1)),
        constants,
        tuple(_value(message) for message in _messages(graph, 11)),
        tuple(_value(message) for message in _messages(graph, 12)),
    )


def _node(message: memoryview) -> Node:
    limits = {1: _MAX_VALUES, 2: _MAX_VALUES, 3: 1, 4: 1, 5: _MAX_VALUES}
    fields = _parse(message, limits, "a node", {7: "an operator of another domain"})
    attributes: dict[str, Attribute] = {}
    for attribute in _messages(fields, 5):
        name, value = _attribute(attribute)
        if name in attributes:
            raise ValueError(f"sets the attribute {name!r} of a node twice")
        attributes[name] = value
    inputs, outputs = (tuple(_decode(m) for m in _messages(fields, n)) for n in (1, 2))
    return Node(_text(fields, 4), inputs, outputs, _text(fields, 3), attributes)


def _attribute(message: memoryview) -> tuple[str, Attribute]:
    fields = _parse(
        message,
        {1: 1, 3: 1, 4: 1, 8: _MAX_RANK, 20: 1},
        "an attribute",
        {6: "a graph", 11: "graphs", 5: "a tensor", 10: "tensors", 21: "a reference"},
    )
    attribute_type = _integer(fields, 20)
    values = {number for number in (3, 4, 8) if fields[number]}
    name = _text(fields, 1)
    if attribute_type == _INT and values <= {3}:
        return name, _integer(fields, 3)
    if attribute_type == _STRING and values <= {4}:
        return name, _text(fields, 4)
    if attribute_type == _INTS and values <= {8}:
        return name, _integers(fields, 8)
    raise ValueError(f"has an attribute {name!r} of a type that no run has")


def _tensor(message: memoryview) -> tuple[str, Tensor]:
    fields = _parse(
        message,
        {1: _MAX_RANK, 2: 1, 8: 1, 9: 1},
        "a constant",
        {13: "data outside the file", 14: "data outside the file", 3: "a segment"},
    )
    data = _messages(fields, 9) or [memoryview(b"")]
    return _text(fields, 8), Tensor(_dtype(_integer(fields, 2)), _integers(fields, 1), data[0])


def _value(message: memoryview) -> Value:
    """Read an input or output: ValueInfo, which nests a type, a tensor, a shape and axes."""
    where = "an input or output"
    fields = _parse(message, {1: 1, 2: 1}, where)
    value_type = _parse(_message(fields, 2, where), {1: 1}, f"the type of {where}")
    tensor = _parse(_message(value_type, 1, where), {1: 1, 2: 1}, f"the type of {where}")
    shape = _parse(_message(tensor, 2, where), {1: _MAX_RANK}, f"the shape of {where}")
    axes: list[int | str] = []
    for message in _messages(shape, 1):
        axis = _parse(message, {1: 1, 2: 1}, f"an axis of {where}")
        if bool(axis[1]) == bool(axis[2]):
            raise ValueError(f"has {where} with an axis that has no size")
        axes.append(_integer(axis, 1) if axis[1] else _text(axis, 2))
    return Value(_text(fields, 1), _dtype(_integer(tensor, 1)), tuple(axes))


def _parse(
    message: memoryview,
    limits: Mapping[int, int],
    where: str,
    names: Mapping[int, str] | None = None,
) -> dict[int, list[int | memoryview]]:
    """Read the fields of one message; messages in it are not parsed.

    Args:
        message: Its bytes.
        limits: How often each field may occur; a field that is not listed may not occur.
        where: Name of the message, for errors.
        names: Names of fields that may be refused, for errors.
    """
    fields: dict[int, list[int | memoryview]] = {number: [] for number in limits}
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if len(fields.get(number, ())) >= limits.get(number, 0):
            name = (names or {}).get(number, f"field {number}")
            reason = "more often than expected" if number in limits else "which no run has"
            raise ValueError(f"has {name} in {where}, {reason}")
        value, position = _varint(message, position)
        if wire_type == _BYTES:
            if value > end - position:
                raise ValueError(f"is truncated: {where} is longer than the file")
            fields[number].append(message[position : position + value])
            position += value
        elif wire_type == _VARINT:
            fields[number].append(value)
        else:
            raise ValueError(f"has wire type {wire_type} in {where}, which no run has")
    return fields


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Read an integer of 7 bits per byte, the lowest first; return it and its end."""
    value = 0
    for index in range(min(_MAX_VARINT_BYTES, len(message) - position)):
        byte = message[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError("is truncated or not an ONNX file: an integer has no end")


def _messages(fields: Fields, number: int) -> list[memoryview]:
    found = [value for value in fields[number] if isinstance(value, memoryview)]
    if len(found) != len(fields[number]):
        raise ValueError("has an integer in place of a message")
    return found


def _message(fields: Fields, number: int, where: str) -> memoryview:
    found = _messages(fields, number)
    if not found:
        raise ValueError(f"is not the ONNX model of a run: {where} lacks field {number}")
    return found[0]


def _integers(fields: Fields, number: int) -> tuple[int, ...]:
    """Return signed integers of 64 bits."""
    found = [value for value in fields[number] if isinstance(value, int)]
    if len(found) != len(fields[number]):
        raise ValueError("has a message in place of an integer")
    return tuple(value - (1 << 64) if value >= 1 << 63 else value for value in found)


def _integer(fields: Fields, number: int) -> int:
    found = _integers(fields, number)
    return found[0] if found else 0


def _text(fields: Fields, number: int) -> str:
    found = _messages(fields, number)
    return _decode(found[0]) if found else ""


def _decode(message: memoryview) -> str:
    if len(message) > _MAX_NAME_BYTES:
        raise ValueError(f"has a name of {len(message):,} bytes")
    try:
        return str(message, "utf-8")
    except UnicodeDecodeError:
        raise ValueError("has a name that is not UTF-8") from None


def _dtype(number: int) -> str:
    names = {value: name for name, value in ELEMENT_TYPES.items()}
    return names.get(number, f"type {number}")

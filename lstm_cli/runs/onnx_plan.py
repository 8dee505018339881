"""The parts of an ONNX graph: nodes, constants, inputs and outputs.

These are msgspec structs, as the settings are: every `lstm predict` creates these classes, and a
frozen dataclass takes fifty times as long to create.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from lstm_cli.runs.arrays import Array

# Element types by their number in ONNX.
ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7}

Attribute = int | str | tuple[int, ...]


class Node(msgspec.Struct, frozen=True):
    """An operation.

    Attributes:
        op: Name of the operator in the domain of ONNX.
        inputs: Names of values; an empty name is an input that is left out.
        outputs: Names of values.
        name: Of the node.
        attributes: Values by name.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str
    attributes: Mapping[str, Attribute]


class Value(msgspec.Struct, frozen=True):
    """An input or output of the graph: name, a type of `ELEMENT_TYPES`, and sizes or axis names."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class TrainedConstant(msgspec.Struct, frozen=True):
    """A constant that is made from trained arrays, `<float32>`.

    Attributes:
        shape: Of the constant.
        sources: Shapes of the trained arrays, by their name in `models.get_weights`.
        make: Makes the constant from the trained arrays.
    """

    shape: tuple[int, ...]
    sources: Mapping[str, tuple[int, ...]]
    make: Callable[[Mapping[str, Array]], Array]


class GraphPlan(msgspec.Struct, frozen=True):
    """The whole graph of a run, without the values of trained constants."""

    name: str
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array | TrainedConstant]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    @property
    def trained(self) -> dict[str, TrainedConstant]:
        """The constants that are made from trained arrays."""
        return {k: v for k, v in self.constants.items() if isinstance(v, TrainedConstant)}

    @property
    def sources(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all arrays of the model, by their name in `models.get_weights`."""
        return {k: shape for v in self.trained.values() for k, shape in v.sources.items()}


class GraphBuilder:
    """Collects the nodes and constants of a graph."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, Array | TrainedConstant] = {}

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Attribute) -> str:
        """Add a node with one output, and return the name of the output."""
        self.nodes.append(Node(op, tuple(inputs), (output,), output, attributes))
        return output

    def has(self, output: str) -> bool:
        """Return whether a node computes this value already."""
        return any(output in node.outputs for node in self.nodes)

    def constant(self, name: str, value: Array) -> str:
        """Add a constant with a fixed value, and return its name."""
        self.constants[name] = value
        return name

    def array(self, name: str, source: str, *shape: int) -> str:
        """Add a constant that is a trained array as it is, and return its name."""
        self.constants[name] = TrainedConstant(
            shape, {source: shape}, lambda weights: weights[source]
        )
        return name

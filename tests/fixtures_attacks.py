"""Runs as an attacker would make them: changed, with a manifest that matches."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.numpy
from fixtures_runs import image_config, make_image_run, make_text_run, text_config, write_results
from onnx import TensorProto, helper, numpy_helper

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction import predictor
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.verify import verify
from lstm_cli.runs import directory as runs


def text_run(path, **overrides):
    """A finished text run with bigrams and results, as `train` writes it."""
    settings = {"embedding__bigram_buckets": 11, "embedding__bigram_dim": 2, **overrides}
    return write_results(make_text_run(path, config=text_config(**settings)))


def image_run(path):
    """A finished image run of ten classes, 8 rows of 8."""
    assert image_config().kind == "image"
    return write_results(make_image_run(path))


def sign(run):
    """Write a manifest that matches the files, as an attacker can."""
    run.write_manifest()
    return run


def put(run, name, content):
    """Replace a file, and write the manifest anew."""
    run.file(name).write_bytes(content)
    return sign(run)


def put_json(run, name, value):
    return put(run, name, json.dumps(value).encode())


def edit_json(run, name, change):
    """Change a JSON file in place: `change` returns the new value, or None if it changed it."""
    value = json.loads(run.file(name).read_text())
    changed = change(value)
    return put_json(run, name, value if changed is None else changed)


def edit_model(run, change):
    """Change the ONNX file through `onnx` itself."""
    model = onnx.ModelProto.FromString(run.file(runs.MODEL).read_bytes())
    change(model)
    return put(run, runs.MODEL, model.SerializeToString())


def edit_weights(run, change):
    """Change the arrays of the safetensors file."""
    weights = dict(safetensors.numpy.load_file(run.file(runs.WEIGHTS)))
    change(weights)
    return put(run, runs.WEIGHTS, safetensors.numpy.save(weights))


def weights_with_header(header, data=b"", length=None):
    """Build a safetensors file from a header and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def refused(run, *words):
    """Check that a run is refused with exit code 5 before its model is opened, also by `verify`.

    Args:
        run: The run.
        words: The reason contains at least one of these.
    """
    with pytest.MonkeyPatch.context() as patch, within(10):
        patch.setattr(predictor, "open_session", None)
        with pytest.raises(LstmError) as caught:
            Predictor.load(run)
    error = caught.value
    assert error.exit_code == ExitCode.INTEGRITY
    assert any(word in error.message for word in words), error.message
    assert "\n" not in error.message
    assert len(error.message) < 1000
    with within(10):
        result = verify(run)
    assert not result.passed
    failed = [check.detail for check in result.failures]
    assert any(word in reason for word in words for reason in failed), failed
    return error


class within:  # noqa: N801  (reads as a word: `with within(10):`)
    """Fail instead of hanging."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        self.before = signal.signal(signal.SIGALRM, self._late)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)

    def _late(self, *_):
        raise AssertionError(f"still not done after {self.seconds} s")


class Tripwire:
    """A pickle of this makes a file where it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def pickled(path: Path) -> bytes:
    import pickle

    return pickle.dumps(Tripwire(path))


# Changes to an ONNX file


def node(op, **attributes):
    return helper.make_node(op, ["token_vectors"], ["evil"], name="evil", **attributes)


def subgraph():
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, [1])
    constant = numpy_helper.from_array(np.zeros(1, np.float32), "inner")
    return helper.make_graph([], "inner", [], [value], [constant])


def initializer(model, name):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def set_array(model, name, array):
    initializer(model, name).CopyFrom(numpy_helper.from_array(np.asarray(array), name))


def array(model, name):
    return numpy_helper.to_array(initializer(model, name)).copy()


def poison(name, index, value):
    def change(model):
        numbers = array(model, name)
        numbers.reshape(-1)[index] = value
        set_array(model, name, numbers)

    return change


def set_node(op, **fields):
    def change(model):
        found = next(n for n in model.graph.node if n.op_type == op)
        for name, value in fields.items():
            setattr(found, name, value)

    return change


def set_attribute(op, name, value):
    def change(model):
        found = next(n for n in model.graph.node if n.op_type == op)
        chosen = next(a for a in found.attribute if a.name == name)
        chosen.CopyFrom(helper.make_attribute(name, value))

    return change


def add_attribute(op, name, value):
    def change(model):
        found = next(n for n in model.graph.node if n.op_type == op)
        found.attribute.append(helper.make_attribute(name, value))

    return change


def set_tensor(constant, **fields):
    def change(model):
        tensor = initializer(model, constant)
        for key, value in fields.items():
            if isinstance(value, list):
                del getattr(tensor, key)[:]
                getattr(tensor, key).extend(value)
            else:
                setattr(tensor, key, value)

    return change


def outside(location):
    def change(model):
        tensor = initializer(model, "embedding")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def both_inside_and_outside(model):
    initializer(model, "embedding").external_data.add(key="location", value="/etc/passwd")


def as_type(dtype):
    return lambda model: set_array(model, "embedding", array(model, "embedding").astype(dtype))


def to_floats(model):
    tensor = initializer(model, "embedding")
    tensor.float_data.extend(array(model, "embedding").reshape(-1).tolist())
    tensor.ClearField("raw_data")


def cut(model):
    tensor = initializer(model, "embedding")
    tensor.raw_data = tensor.raw_data[:-4]


def twice(field):
    def change(model):
        values = getattr(model.graph, field)
        values.add().CopyFrom(values[0])

    return change


def without(field, index=-1):
    def change(model):
        del getattr(model.graph, field)[index]

    return change


def add_sparse(model):
    model.graph.sparse_initializer.add().dims.extend([2, 2])


def sequence_input(model):
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.INT32


def wide_input(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2**40


def reverse_lookup(model):
    """Look up other tokens: a model with the same shapes, but other results."""
    found = next(n for n in model.graph.node if n.output[0] == "token_vectors")
    found.input[1] = "tokens"


OTHER_GRAPHS = {
    "an operator there is not": (set_node("Gather", op_type="Evil"), "Evil"),
    "another operator": (set_node("ReduceMax", op_type="ReduceMin"), "ReduceMin"),
    "a domain of its own": (set_node("Gather", domain="com.evil"), "another domain"),
    "operators of another domain": (
        lambda m: m.opset_import.add(domain="ai.onnx.contrib", version=1),
        "another domain",
    ),
    "only operators of another domain": (
        lambda m: setattr(m.opset_import[0], "domain", "ai.onnx.ml"),
        "another domain",
    ),
    "another operator set": (lambda m: setattr(m.opset_import[0], "version", 1), "operator set 1"),
    "another version": (lambda m: setattr(m, "ir_version", 3), "ONNX version 3"),
    "If": (
        lambda m: m.graph.node.append(node("If", then_branch=subgraph(), else_branch=subgraph())),
        "more often",
    ),
    "Loop in place of a node": (
        lambda m: m.graph.node[0].CopyFrom(node("Loop", body=subgraph())),
        "a graph in an attribute",
    ),
    "Scan in place of a node": (
        lambda m: m.graph.node[0].CopyFrom(node("Scan", body=subgraph(), num_scan_inputs=1)),
        "a graph in an attribute",
    ),
    "a graph in an attribute": (add_attribute("Gather", "body", subgraph()), "a graph"),
    "graphs in an attribute": (add_attribute("Gather", "bodies", [subgraph()]), "graphs"),
    "a tensor in an attribute": (
        add_attribute("Gather", "value", numpy_helper.from_array(np.zeros(3), "x")),
        "a tensor",
    ),
    "a reference in an attribute": (
        lambda m: m.graph.node[0].attribute.add(name="a", ref_attr_name="b", type=2),
        "a reference",
    ),
    "a number with a point in an attribute": (add_attribute("Gemm", "alpha", 2.0), "attribute"),
    "an attribute more": (add_attribute("Gather", "axis", 1), "axis=1"),
    "an attribute twice": (add_attribute("Concat", "axis", 2), "twice"),
    "another attribute": (set_attribute("Transpose", "perm", [0, 1]), "perm"),
    "a hidden size of its own": (set_attribute("LSTM", "hidden_size", 2**40), "hidden_size"),
    "another direction": (set_attribute("LSTM", "direction", "reverse"), "reverse"),
    "functions": (
        lambda m: m.functions.add(name="f", domain="evil"),
        "functions in the model",
    ),
    "training": (lambda m: m.training_info.add(), "training_info"),
    "notes": (lambda m: m.metadata_props.add(key="a", value="b"), "field 14"),
    "a text in the model": (lambda m: setattr(m, "doc_string", "x" * 2000), "field 6"),
    "a node more": (lambda m: m.graph.node.append(node("Identity")), "more often"),
    "a node less": (without("node"), "none, expected"),
    "another name": (lambda m: setattr(m.graph.node[0], "name", "x"), "node 0"),
    "another graph name": (lambda m: setattr(m.graph, "name", "x"), "other inputs"),
    "other wires": (reverse_lookup, "tokens"),
    "a second input": (twice("input"), "other inputs"),
    "a second output": (twice("output"), "other inputs"),
    "no second input": (without("input"), "other inputs"),
    "an input that is a list": (sequence_input, "the type of an input"),
    "an input of another type": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 1),
        "other inputs",
    ),
    "an input of absurd size": (wide_input, "other inputs"),
    "an output of another size": (
        lambda m: setattr(m.graph.output[0].type.tensor_type.shape.dim[1], "dim_value", 3),
        "other inputs",
    ),
    "types of values in between": (
        lambda m: m.graph.value_info.append(m.graph.input[0]),
        "field 13",
    ),
    "sparse constants": (add_sparse, "sparse"),
    "a constant more": (
        lambda m: m.graph.initializer.append(numpy_helper.from_array(np.zeros(2), "evil")),
        "more often",
    ),
    "a constant less": (without("initializer"), "lacks"),
    "a constant of another name": (set_tensor("bigram_factor", name="evil"), "bigram_factor"),
    "a constant twice": (
        lambda m: m.graph.initializer[1].CopyFrom(m.graph.initializer[0]),
        "two constants",
    ),
    "another factor": (
        lambda m: set_array(m, "bigram_factor", np.array(7, np.int32)),
        "another value for 'bigram_factor'",
    ),
    "more pairs than rows": (
        lambda m: set_array(m, "bigram_buckets", np.array(2**31 - 1, np.int32)),
        "another value for 'bigram_buckets'",
    ),
    "other padding": (
        lambda m: set_array(m, "pad_one_step", np.array([2**40, 0, 0, 0])),
        "another value for 'pad_one_step'",
    ),
    "another shape for a reshape": (
        lambda m: set_array(m, "sequence_shape", np.array([-1, 0, 0])),
        "another value for 'sequence_shape'",
    ),
}

EXTERNAL_DATA = {
    "data in /etc": (outside("/etc/passwd"), "data outside the file"),
    "data above the run": (outside("../../../secret"), "data outside the file"),
    "data in another file of the run": (outside("weights.safetensors"), "data outside the file"),
    "data outside, and inside too": (both_inside_and_outside, "data outside the file"),
    "data said to be outside": (
        set_tensor("embedding", data_location=TensorProto.EXTERNAL),
        "data outside the file",
    ),
}

WRONG_SHAPES = {
    "dimensions changed about": (
        lambda m: set_array(m, "embedding", array(m, "embedding").T.copy()),
        "expected float32",
    ),
    "a dimension of its own": (set_tensor("embedding", dims=[2**31, 2**31]), "expected float32"),
    "dimensions that overflow": (set_tensor("embedding", dims=[2**62, 4]), "expected float32"),
    "a negative dimension": (set_tensor("embedding", dims=[-1, 4]), "expected float32"),
    "no dimensions": (set_tensor("embedding", dims=[]), "expected float32"),
    "dimensions without end": (set_tensor("embedding", dims=[1] * 9), "more often"),
    "less data than declared": (cut, "bytes for 'embedding'"),
    "more data than declared": (
        lambda m: setattr(initializer(m, "head_bias"), "raw_data", b"\0" * 400),
        "bytes for 'head_bias'",
    ),
    "no data": (lambda m: initializer(m, "embedding").ClearField("raw_data"), "0 bytes"),
    "a word less": (
        lambda m: set_array(m, "embedding", array(m, "embedding")[:-1]),
        "expected float32",
    ),
    "three classes": (
        lambda m: set_array(m, "head_bias", np.zeros(3, np.float32)),
        "expected float32",
    ),
}

WRONG_TYPES = {
    "doubles": (as_type(np.float64), "type 11"),
    "halves": (as_type(np.float16), "type 10"),
    "whole numbers": (as_type(np.int32), "int32"),
    "floats said to be whole numbers": (
        set_tensor("embedding", data_type=TensorProto.INT32),
        "int32",
    ),
    "no type": (set_tensor("embedding", data_type=0), "type 0"),
    "texts": (set_tensor("embedding", data_type=TensorProto.STRING), "type 8"),
    "a list of floats": (to_floats, "field 4"),
    "a part of a whole": (
        lambda m: setattr(initializer(m, "embedding").segment, "begin", 1),
        "a segment",
    ),
    "a factor with a point": (
        lambda m: set_array(m, "bigram_factor", np.array(32749, np.float32)),
        "'bigram_factor'",
    ),
}

NOT_FINITE = {
    "the first is none": (poison("embedding", 0, np.nan), "NaN"),
    "the last is none": (poison("embedding", -1, np.nan), "NaN"),
    "infinite": (poison("bigram_embedding", 5, np.inf), "infinite"),
    "infinite below zero": (poison("lstm_0_B", 3, -np.inf), "infinite"),
    "in the recurrence": (poison("lstm_0_R", 7, np.nan), "NaN"),
    "in the head": (poison("head_bias", 0, np.nan), "NaN"),
}

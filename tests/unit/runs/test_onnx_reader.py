"""Reading ONNX files gives what `onnx` reads, or an error for any other bytes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from fixtures_properties import relaxed
from fixtures_runs import image_config, random_weights, text_config
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import numpy_helper

from lstm_cli.config.load import load_preset, preset_names
from lstm_cli.runs import onnx_graph, onnx_reader

VOCAB = 9


def made(config, num_classes=2):
    shape = None if config.kind == "text" else (6, 5)
    weights = random_weights(config, num_classes, VOCAB, columns=5)
    plan = onnx_graph.plan(config, num_classes, None if shape else VOCAB, shape)
    return plan, onnx_graph.build(config, weights, num_classes, shape)


def read(content, plan):
    return onnx_reader.read_model(memoryview(content), len(plan.nodes), len(plan.constants))


PLAN, MODEL = made(text_config(embedding__bigram_buckets=11))
CONTENT = MODEL.SerializeToString()


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("num_classes", [2, 3])
def test_graph_of_a_preset_equals_its_plan(name, num_classes):
    config = load_preset(name, {"model.units": 3})
    if config.kind == "text":
        small = {"model.units": 3, "embedding.dim": 4, "embedding.bigram_dim": 2}
        buckets = min(config.embedding.bigram_buckets, 11)
        config = load_preset(name, {**small, "embedding.bigram_buckets": buckets})
    plan, model = made(config, num_classes)
    found = read(model.SerializeToString(), plan)
    assert found.nodes == plan.nodes
    assert (found.name, found.inputs, found.outputs) == (plan.name, plan.inputs, plan.outputs)
    assert list(found.constants) == list(plan.constants)
    for tensor in model.graph.initializer:
        expected, read_ = numpy_helper.to_array(tensor), found.constants[tensor.name]
        assert (read_.dtype, read_.shape) == (expected.dtype.name, expected.shape)
        assert bytes(read_.data) == expected.tobytes()


def test_constants_are_not_copied():
    found = read(CONTENT, PLAN)
    held = np.frombuffer(CONTENT, np.uint8)
    for tensor in found.constants.values():
        assert np.shares_memory(held, np.frombuffer(tensor.data, np.uint8))


def test_plan_has_the_shape_of_every_array():
    regions = {"model__regions": (2, 5), "model__region_units": 3}
    text = text_config(embedding__bigram_buckets=5, model__layers=2, **regions)
    for config in (text, image_config(**regions)):
        plan, _ = made(config, 3)
        weights = random_weights(config, 3, VOCAB, columns=5)
        assert plan.sources == {name: array.shape for name, array in weights.items()}
        for trained in plan.trained.values():
            assert trained.make(weights).shape == trained.shape


@pytest.mark.parametrize("end", [0, 1, 7, 8, 100, len(CONTENT) // 2, len(CONTENT) - 1])
def test_truncated_file_is_refused(end):
    with pytest.raises(ValueError, match=r"truncated|lacks"):
        read(CONTENT[:end], PLAN)


@relaxed
@given(st.binary(max_size=200))
@example(b"\x3a\x02\x0a\x00")
@example(b"\x08" + b"\x80" * 9 + b"\x01")
@example(b"\x08" + b"\x80" * 10 + b"\x01")
@example(b"\x0b" * 50)
def test_random_bytes_are_refused(content):
    with pytest.raises(ValueError, match=r"\w"):
        read(content, PLAN)


@st.composite
def changed(draw):
    """A model with bytes changed, inserted or removed."""
    content = bytearray(CONTENT)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content) - 1))
        with_ = draw(st.binary(max_size=3))
        content[at : at + draw(st.integers(0, 3))] = with_
    return bytes(content)


@relaxed
@given(changed())
@example(CONTENT)
def test_changed_file_is_refused_or_read_as_onnx_reads_it(content):
    try:
        found = read(content, PLAN)
    except ValueError as error:
        assert "\n" not in str(error)
        return
    model = onnx.ModelProto.FromString(content)
    assert (found.ir_version, found.opset) == (model.ir_version, model.opset_import[0].version)
    assert [n.op for n in found.nodes] == [n.op_type for n in model.graph.node]
    assert [n.inputs for n in found.nodes] == [tuple(n.input) for n in model.graph.node]
    assert [n.outputs for n in found.nodes] == [tuple(n.output) for n in model.graph.node]
    assert not any(n.domain for n in model.graph.node)
    assert [v.name for v in found.inputs] == [v.name for v in model.graph.input]
    for tensor in model.graph.initializer:
        assert found.constants[tensor.name].shape == tuple(tensor.dims)
        assert bytes(found.constants[tensor.name].data) == tensor.raw_data
        assert not tensor.external_data


def test_number_of_nodes_and_constants_is_limited():
    with pytest.raises(ValueError, match="nodes in the graph, more often"):
        onnx_reader.read_model(memoryview(CONTENT), len(PLAN.nodes) - 1, len(PLAN.constants))
    with pytest.raises(ValueError, match="constants in the graph, more often"):
        onnx_reader.read_model(memoryview(CONTENT), len(PLAN.nodes), len(PLAN.constants) - 1)


def test_long_name_is_refused():
    model = onnx.ModelProto.FromString(CONTENT)
    model.graph.node[0].op_type = "x" * 257
    with pytest.raises(ValueError, match="a name of 257 bytes"):
        read(model.SerializeToString(), PLAN)


def test_negative_integers_keep_their_sign():
    model = onnx.ModelProto.FromString(CONTENT)
    model.graph.node[0].attribute[0].ints[0] = -2
    model.graph.initializer[0].dims[0] = -3
    found = read(model.SerializeToString(), PLAN)
    assert found.nodes[0].attributes["perm"][0] == -2
    assert found.constants[model.graph.initializer[0].name].shape[0] == -3

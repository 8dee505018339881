"""The ONNX graph equals the LSTM equations, also with padding, for every kind of model."""

from __future__ import annotations

import itertools
import math

import fixtures_lstm as reference
import numpy as np
import onnx
import pytest
from fixtures_runs import image_config, random_weights, text_config

from lstm_cli.config.load import load_preset, preset_names
from lstm_cli.prediction.predictor import open_session
from lstm_cli.runs import onnx_graph
from lstm_cli.text.batching import pad_batch

VOCAB = 12
TEXTS = [np.array(ids, np.int32) for ids in ([5], [2, 9, 11, 1, 7], [3, 3], [1, 2, 3, 4])]
KINDS = list(itertools.product(("last", "max", "mean", "max_mean"), (1, 2), (True, False)))


def run(model, texts, width=0):
    tokens = pad_batch(texts)
    if width:
        tokens = np.pad(tokens, ((0, 0), (0, width - tokens.shape[1])))
    lengths = np.array([len(ids) for ids in texts], np.int32)
    session = open_session(model.SerializeToString())
    return session.run(None, {"tokens": tokens, "lengths": lengths})[0]


@pytest.mark.parametrize(("pooling", "layers", "bidirectional"), KINDS)
def test_graph_equals_the_equations_with_peepholes(pooling, layers, bidirectional):
    config = text_config(
        model__cell="peephole",
        model__pooling=pooling,
        model__layers=layers,
        model__bidirectional=bidirectional,
    )
    weights = random_weights(config, 2, VOCAB)
    model = onnx_graph.build(config, weights, 2, None)
    expected = [
        reference.probabilities(reference.embed(ids, weights, config), weights, config)
        for ids in TEXTS
    ]
    assert np.abs(run(model, TEXTS, width=9) - expected).max() < 1e-6
    assert np.abs(run(model, TEXTS[:1]) - expected[:1]).max() < 1e-6
    blind = {k: v * (not k.endswith("peepholes")) for k, v in weights.items()}
    assert not np.allclose(
        run(onnx_graph.build(config, blind, 2, None), TEXTS), expected, atol=1e-4
    )


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("bigram_buckets", [0, 13])
@pytest.mark.parametrize(("pooling", "layers", "bidirectional"), KINDS)
def test_graph_equals_the_equations(pooling, layers, bidirectional, bigram_buckets, num_classes):
    config = text_config(
        model__pooling=pooling,
        model__layers=layers,
        model__bidirectional=bidirectional,
        embedding__bigram_buckets=bigram_buckets,
        embedding__bigram_dim=3,
    )
    weights = random_weights(config, num_classes, VOCAB)
    model = onnx_graph.build(config, weights, num_classes, None)
    expected = [
        reference.probabilities(reference.embed(ids, weights, config), weights, config)
        for ids in TEXTS
    ]
    found = run(model, TEXTS)
    assert found.shape == (len(TEXTS), num_classes)
    assert np.abs(found - expected).max() < 1e-6
    assert np.abs(run(model, TEXTS, width=9) - expected).max() < 1e-6
    assert np.abs(run(model, TEXTS[:1]) - expected[:1]).max() < 1e-6


@pytest.mark.parametrize("pooling", ["last", "mean", "max_mean"])
@pytest.mark.parametrize("regions", [(1,), (2, 3), (4, 7)])
def test_graph_has_the_strongest_regions(regions, pooling):
    config = text_config(
        model__regions=regions,
        model__region_units=5,
        model__pooling=pooling,
        embedding__bigram_buckets=13,
    )
    weights = random_weights(config, 3, VOCAB)
    # Padding must not win, and some features must stay 0.
    weights["embedding/embeddings"][0] = 50
    for width in regions:
        weights[f"regions_{width}/bias"] -= 3
    model = onnx_graph.build(config, weights, 3, None)
    expected = [
        reference.probabilities(reference.embed(ids, weights, config), weights, config)
        for ids in TEXTS
    ]
    assert np.abs(run(model, TEXTS) - expected).max() < 1e-6
    assert np.abs(run(model, TEXTS, width=9) - expected).max() < 1e-6
    assert np.abs(run(model, TEXTS[:1]) - expected[:1]).max() < 1e-6


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("bigram_buckets", [0, 13])
@pytest.mark.parametrize("pooling", ["last", "max_mean"])
def test_graph_adds_the_linear_logits(pooling, bigram_buckets, num_classes):
    config = text_config(
        model__pooling=pooling,
        embedding__bigram_buckets=bigram_buckets,
        embedding__bigram_dim=3,
        linear__buckets=7,
    )
    weights = random_weights(config, num_classes, VOCAB)
    model = onnx_graph.build(config, weights, num_classes, None)
    expected = [
        reference.probabilities(
            reference.embed(ids, weights, config),
            weights,
            config,
            reference.linear(ids, weights, config.linear),
        )
        for ids in TEXTS
    ]
    assert np.abs(run(model, TEXTS) - expected).max() < 1e-6
    assert np.abs(run(model, TEXTS, width=9) - expected).max() < 1e-6
    assert np.abs(run(model, TEXTS[:1]) - expected[:1]).max() < 1e-6


@pytest.mark.parametrize(
    ("pooling", "layers", "bidirectional", "regions"),
    [*((*kind, ()) for kind in KINDS), ("max_mean", 2, True, (3, 8))],
)
def test_graph_reads_images_row_by_row(pooling, layers, bidirectional, regions):
    config = image_config(
        model__pooling=pooling,
        model__layers=layers,
        model__bidirectional=bidirectional,
        model__regions=regions,
        model__region_units=4,
    )
    weights = random_weights(config, 10, columns=5)
    images = np.random.default_rng(1).integers(0, 256, (3, 7, 5), dtype=np.uint8)
    session = open_session(onnx_graph.build(config, weights, 10, (7, 5)).SerializeToString())
    found = session.run(None, {"images": images})[0]
    expected = [reference.probabilities(image / 255, weights, config) for image in images]
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize(("window", "stride"), [(2, 1), (3, 2), (3, 3), (7, 1)])
def test_a_step_of_the_graph_reads_several_rows(window, stride):
    config = image_config(image__window=window, image__stride=stride)
    weights = random_weights(config, 10, columns=5)
    images = np.random.default_rng(1).integers(0, 256, (3, 7, 5), dtype=np.uint8)
    session = open_session(onnx_graph.build(config, weights, 10, (7, 5)).SerializeToString())
    steps = [reference.steps_of(image, window, stride) for image in images]
    expected = [reference.probabilities(each, weights, config) for each in steps]
    assert np.abs(session.run(None, {"images": images})[0] - expected).max() < 1e-6


def one_unit():
    """A model of one unit, small enough to compute by hand."""
    config = text_config(
        embedding__dim=1, model__units=1, model__bidirectional=False, model__pooling="last"
    )
    weights = {
        "embedding/embeddings": np.array([[9.0], [9.0], [1.0], [-2.0]], np.float32),
        "lstm_0_forward/kernel": np.array([[0.1, 0.2, 0.3, 0.4]], np.float32),
        "lstm_0_forward/recurrent_kernel": np.array([[0.5, 0.6, 0.7, 0.8]], np.float32),
        "lstm_0_forward/bias": np.array([0.01, 0.02, 0.03, 0.04], np.float32),
        "head/kernel": np.array([[2.0]], np.float32),
        "head/bias": np.array([0.5], np.float32),
    }
    return config, weights


def test_one_unit_gives_values_computed_by_hand():
    def sigma(z):
        return 1 / (1 + math.exp(-z))

    c1 = sigma(0.1 + 0.01) * math.tanh(0.3 + 0.03)
    h1 = sigma(0.4 + 0.04) * math.tanh(c1)
    c2 = sigma(-0.4 + 0.6 * h1 + 0.02) * c1
    c2 += sigma(-0.2 + 0.5 * h1 + 0.01) * math.tanh(-0.6 + 0.7 * h1 + 0.03)
    h2 = sigma(-0.8 + 0.8 * h1 + 0.04) * math.tanh(c2)
    expected = [sigma(2 * h1 + 0.5), sigma(2 * h2 + 0.5)]
    assert expected == pytest.approx(GOLDEN, abs=1e-9)
    config, weights = one_unit()
    texts = [np.array([2], np.int32), np.array([2, 3], np.int32)]
    found = run(onnx_graph.build(config, weights, 2, None), texts)
    assert found[:, 1] == pytest.approx(GOLDEN, abs=1e-6)
    assert found.sum(axis=1) == pytest.approx([1, 1])


# sigma(2 h + 0.5) after one word and after two.
GOLDEN = [0.668738856, 0.599597115]


def test_first_bigram_starts_with_padding():
    config = text_config(embedding__bigram_buckets=7, embedding__bigram_dim=2)
    weights = random_weights(config, 2, VOCAB)
    model = onnx_graph.build(config, weights, 2, None)
    before = run(model, [np.array([4], np.int32)])
    weights["bigrams/embeddings"][(0 * onnx_graph.BIGRAM_FACTOR + 4) % 7] += 1.0
    changed = run(onnx_graph.build(config, weights, 2, None), [np.array([4], np.int32)])
    assert np.abs(before - changed).max() > 1e-3


def test_largest_bigram_hash_fits_int32():
    assert 65_535 * onnx_graph.BIGRAM_FACTOR + 65_535 < 2**31
    config = text_config(embedding__bigram_buckets=1009, embedding__bigram_dim=2, embedding__dim=1)
    weights = random_weights(config, 2, 65_536)
    ids = np.array([65_535, 65_535, 65_534], np.int32)
    expected = reference.probabilities(reference.embed(ids, weights, config), weights, config)
    assert run(onnx_graph.build(config, weights, 2, None), [ids])[0] == pytest.approx(
        expected, abs=1e-6
    )


def test_padding_is_never_the_maximum():
    config = text_config(model__pooling="max", model__bidirectional=False)
    weights = random_weights(config, 2, VOCAB)
    # Output gate open, candidate low: every output is near -1, and padding must not be its maximum.
    weights["lstm_0_forward/bias"][:] = [20] * 3 + [20] * 3 + [-20] * 3 + [20] * 3
    model = onnx_graph.build(config, weights, 2, None)
    assert run(model, TEXTS, width=30) == pytest.approx(run(model, TEXTS), abs=1e-6)


@pytest.mark.parametrize("name", preset_names())
def test_graph_of_every_preset_is_valid_onnx(name):
    config = load_preset(name)
    small = {"model.units": 3}
    if config.kind == "text":
        small |= {"embedding.dim": 4, "embedding.bigram_dim": 2}
        small |= {"embedding.bigram_buckets": min(config.embedding.bigram_buckets, 11)}
    config = load_preset(name, small)
    shape = None if config.kind == "text" else (6, 5)
    weights = random_weights(config, 3, VOCAB, columns=5)
    onnx.checker.check_model(onnx_graph.build(config, weights, 3, shape), full_check=True)


def test_graph_names_its_inputs_and_outputs():
    config = text_config()
    model = onnx_graph.build(config, random_weights(config, 3, VOCAB), 3, None)
    session = open_session(model.SerializeToString())
    assert [i.name for i in session.get_inputs()] == ["tokens", "lengths"]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("probabilities", ["batch", 3])]
    assert not any(t.external_data for t in model.graph.initializer)


def test_graph_is_deterministic():
    config = text_config(embedding__bigram_buckets=5)
    weights = random_weights(config, 2, VOCAB)
    one, other = (onnx_graph.build(config, weights, 2, None).SerializeToString() for _ in range(2))
    assert one == other


def test_missing_array_is_named():
    config = text_config()
    weights = random_weights(config, 2, VOCAB)
    del weights["lstm_0_backward/bias"]
    with pytest.raises(KeyError, match="lstm_0_backward/bias"):
        onnx_graph.build(config, weights, 2, None)

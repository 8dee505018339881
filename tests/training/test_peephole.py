"""The Keras cell with peepholes against the NumPy equations and the ONNX graph."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from fixtures_runs import image_config, random_weights, text_config

from lstm_cli.models import classifier, lstm_equations, peephole
from lstm_cli.prediction.predictor import open_session
from lstm_cli.runs import onnx_graph
from lstm_cli.text.batching import pad_batch
from lstm_cli.training import device

BATCH, TIME, DIM, UNITS, VOCAB = 3, 7, 4, 5, 12
TEXTS = [np.array(ids, np.int32) for ids in ([5], [2, 9, 11, 7], [3, 3], [1, 2, 3])]
LENGTHS = np.array([len(ids) for ids in TEXTS], np.int32)


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(0, 0.5, shape).astype(np.float32)


@pytest.fixture
def layer():
    """A layer with random weights, in the order kernel, recurrent kernel, bias, peepholes."""
    result = peephole.peephole_lstm(UNITS, "lstm_0_forward")
    result.build((BATCH, TIME, DIM))
    result.set_weights([draw(*variable.shape) for variable in result.trainable_variables])
    return result


def test_hidden_states_equal_the_equations(layer):
    inputs = draw(BATCH, TIME, DIM)
    trace = lstm_equations.forward(lstm_equations.Weights(*layer.get_weights()), inputs)
    assert np.abs(np.asarray(layer(inputs)) - trace.hidden).max() < 1e-6


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs TensorFlow's gradients")
def test_gradients_equal_the_equations(layer):
    import tensorflow as tf

    inputs, d_hidden = tf.Variable(draw(BATCH, TIME, DIM)), draw(BATCH, TIME, UNITS, seed=1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs) * d_hidden)
    by = [inputs, *(variable.value for variable in layer.trainable_variables)]
    found = tape.gradient(loss, by)
    trace = lstm_equations.forward(lstm_equations.Weights(*layer.get_weights()), inputs.numpy())
    expected = lstm_equations.backward(trace, d_hidden)
    names = ("inputs", "kernel", "recurrent_kernel", "bias", "peepholes")
    for name, gradient in zip(names, found, strict=True):
        assert np.abs(getattr(expected, name) - np.asarray(gradient)).max() < 1e-5, name


def test_a_new_layer_equals_the_keras_lstm():
    """Initial weights have the same distribution, and peepholes are 0."""
    ours, theirs = (
        peephole.peephole_lstm(UNITS, "ours"),
        keras.layers.LSTM(UNITS, return_sequences=True),
    )
    inputs = draw(BATCH, TIME, DIM)
    hidden = np.asarray(ours(inputs))
    theirs.build(inputs.shape)
    kernel, recurrent, bias, peepholes = ours.get_weights()
    assert np.array_equal(bias, theirs.get_weights()[2])
    assert np.allclose(recurrent @ recurrent.T, np.eye(UNITS), atol=1e-5)
    assert np.abs(kernel).max() == pytest.approx(np.sqrt(6 / (DIM + 4 * UNITS)), rel=0.1)
    assert not peepholes.any()
    theirs.set_weights([kernel, recurrent, bias])
    assert np.abs(hidden - np.asarray(theirs(inputs))).max() < 1e-6


def built(config, num_classes, shape=None):
    model = classifier.build_classifier(config, num_classes, None if shape else VOCAB, shape)
    weights = random_weights(config, num_classes, VOCAB, shape and shape[1])
    classifier.set_weights(model, weights)
    return model, weights


@pytest.mark.parametrize("pooling", ["last", "max_mean"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_keras_and_onnx_agree(pooling, num_layers, bidirectional):
    config = text_config(
        model__cell="peephole",
        model__pooling=pooling,
        model__layers=num_layers,
        model__bidirectional=bidirectional,
        embedding__bigram_buckets=13,
    )
    model, weights = built(config, 3)
    tokens = pad_batch(TEXTS)
    session = open_session(onnx_graph.build(config, weights, 3, None).SerializeToString())
    expected = session.run(None, {"tokens": tokens, "lengths": LENGTHS})[0]
    assert np.abs(np.asarray(model(tokens)) - expected).max() < 1e-5


def test_keras_and_onnx_agree_on_images():
    config = image_config(model__cell="peephole")
    model, weights = built(config, 10, (4, 5))
    images = np.random.default_rng(1).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    session = open_session(onnx_graph.build(config, weights, 10, (4, 5)).SerializeToString())
    expected = session.run(None, {"images": images})[0]
    assert np.abs(np.asarray(model(images)) - expected).max() < 1e-5


def test_the_graph_expects_the_arrays_of_the_model():
    config = text_config(model__cell="peephole", model__layers=2)
    model, _ = built(config, 2)
    found = {name: array.shape for name, array in classifier.get_weights(model).items()}
    assert found == onnx_graph.plan(config, 2, VOCAB, None).sources
    assert found["lstm_1_backward/peepholes"] == (3, 3)


def test_training_changes_the_peepholes():
    config = text_config(model__cell="peephole", train__learning_rate=0.01)
    keras.utils.set_random_seed(0)
    model = classifier.build_classifier(config, 2, VOCAB, None)
    classifier.compile_classifier(model, config.train, 2)
    tokens = pad_batch(TEXTS)
    labels = classifier.encode_labels(np.array([0, 1, 1, 0], np.int32), 2)
    for _ in range(30):
        model.train_on_batch(tokens, labels)
    assert model.test_on_batch(tokens, labels, return_dict=True)["accuracy"] == 1
    assert (classifier.get_weights(model)["lstm_0_forward/peepholes"] != 0).all()


@pytest.mark.parametrize(
    ("backend", "loop"), [("tensorflow", "TensorFlow while loop"), ("jax", "XLA scan")]
)
def test_peepholes_do_not_use_the_cudnn_kernel(monkeypatch, backend, loop):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(device, "_gpus", lambda backend: ["a GPU"])
    assert device.select_device("auto", text_config()).kernel == "cuDNN LSTM"
    config = text_config(model__cell="peephole")
    assert device.select_device("auto", config).kernel == loop

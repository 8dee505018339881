"""BlockLSTM against Keras' LSTM: results, gradients, and when it is used."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from fixtures_runs import image_config, text_config
from keras import layers

from benchmarks import kernels
from lstm_cli.models.block_lstm import BlockLSTM, use_block_lstm
from lstm_cli.training import device

if keras.backend.backend() != "tensorflow":
    pytest.skip("BlockLSTM is for TensorFlow", allow_module_level=True)

import tensorflow as tf


def results(layer, inputs, factors):
    """Hidden states, and the gradients of their weighted sum by inputs and weights."""
    x = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        states = layer(x)
        total = tf.reduce_sum(states * factors)
    gradients = tape.gradient(total, [x, *layer.trainable_variables])
    return [np.asarray(array) for array in (states, *gradients)]


@pytest.mark.parametrize(
    ("batch", "time", "dim", "units"), [(1, 1, 1, 1), (3, 7, 5, 4), (8, 20, 3, 9)]
)
def test_results_and_gradients_are_those_of_keras(batch, time, dim, units):
    rng = np.random.default_rng(units)
    inputs = rng.normal(size=(batch, time, dim)).astype(np.float32)
    factors = rng.normal(size=(batch, time, units)).astype(np.float32)
    expected, actual = layers.LSTM(units, return_sequences=True), BlockLSTM(units, "lstm")
    expected.build(inputs.shape)
    actual.build(inputs.shape)
    weights = [rng.normal(size=w.shape).astype(np.float32) for w in expected.get_weights()]
    expected.set_weights(weights)
    actual.set_weights(weights)
    for ours, theirs in zip(
        results(actual, inputs, factors), results(expected, inputs, factors), strict=True
    ):
        assert np.abs(ours - theirs).max() < 1e-5


def test_the_benchmark_computes_the_gradients_of_all_weights():
    layer = layers.LSTM(2, return_sequences=True)
    gradients = kernels._gradients([layer], np.ones((1, 3, 2), np.float32))()
    expected = [(1, 3, 2), *(weight.shape for weight in layer.trainable_variables)]
    assert [tuple(gradient.shape) for gradient in gradients] == expected


def test_masks_and_initial_states_are_refused():
    layer = BlockLSTM(2, "lstm")
    inputs = np.zeros((1, 3, 2), np.float32)
    with pytest.raises(ValueError, match="neither an initial state nor a mask"):
        layer(inputs, mask=np.ones((1, 3), bool))


@pytest.mark.parametrize(
    ("changes", "kernel"),
    [
        ({}, "TensorFlow BlockLSTM"),
        ({"model__cell": "peephole"}, "TensorFlow while loop"),
        ({"model__units": 128, "train__batch_size": 128}, "TensorFlow while loop"),
        # The second layer reads both directions of the first.
        ({"model__units": 60, "train__batch_size": 64}, "TensorFlow BlockLSTM"),
        (
            {"model__units": 60, "train__batch_size": 64, "model__layers": 2},
            "TensorFlow while loop",
        ),
    ],
)
def test_small_networks_train_with_it(changes, kernel):
    assert device.select_device("cpu", text_config(**changes)).kernel == kernel


def test_networks_for_images_do_not_train_with_it():
    assert not use_block_lstm(image_config())

"""FusedAdam against Keras' Adam."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from lstm_cli.models.optimizer import FusedAdam

if keras.backend.backend() != "tensorflow":
    pytest.skip("on JAX FusedAdam is Keras' Adam", allow_module_level=True)

import tensorflow as tf

# Row 1 occurs twice, row 3 never.
ROWS = np.array([1, 0, 1, 2])


def trained(optimizer, is_sparse, num_steps=5):
    """A table that rows are looked up in and a matrix, after some steps."""
    rng = np.random.default_rng(0)
    table = keras.Variable(rng.normal(size=(4, 3)).astype(np.float32), name="table")
    matrix = keras.Variable(rng.normal(size=(2, 5)).astype(np.float32), name="matrix")
    optimizer.build([table, matrix])

    @tf.function(autograph=False)
    def step(values, dense):
        gradient = tf.IndexedSlices(values, tf.constant(ROWS), dense_shape=[4, 3])
        if not is_sparse:
            gradient = tf.convert_to_tensor(gradient)
        optimizer.apply([gradient, dense], [table, matrix])

    for _ in range(num_steps):
        step(rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(2, 5)).astype(np.float32))
    return table.numpy(), matrix.numpy()


@pytest.mark.parametrize(
    "options",
    [{}, {"global_clipnorm": 0.5}, {"weight_decay": 0.1}, {"use_ema": True, "ema_momentum": 0.9}],
)
def test_the_update_is_that_of_keras(options):
    # Without clipping, Keras squares the gradients of a repeated row before it adds them up.
    is_clipped = "global_clipnorm" in options
    expected = trained(keras.optimizers.Adam(0.05, **options), is_sparse=is_clipped)
    actual = trained(FusedAdam(0.05, **options), is_sparse=True)
    for ours, theirs in zip(actual, expected, strict=True):
        assert np.abs(ours - theirs).max() < 1e-5

"""Smaller weights: how far they are from those of the run."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_cli.export.quantize import store


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("quantize", ["none", "float16", "int8"])
def test_small_arrays_and_the_head_stay_as_they_are(quantize):
    arrays = {
        "head/kernel": draw(2000, 3),
        "lstm_0_forward/bias": draw(64),
        "lstm_0_forward/peepholes": draw(3, 400),
    }
    for name, stored in store(arrays, quantize).items():
        assert np.array_equal(stored.restore(), arrays[name])


def test_a_row_of_a_table_has_its_own_factor():
    table = draw(500, 8) * np.geomspace(0.05, 50, 500, dtype=np.float32)[:, None]
    stored = store({"embedding/embeddings": table}, "int8")["embedding/embeddings"]
    assert (stored.values.dtype, stored.scales.shape) == (np.int8, (500, 1))
    step = np.abs(table).max(axis=1, keepdims=True) / 127
    assert (np.abs(stored.restore() - table) <= 0.56 * step).all()


@pytest.mark.parametrize("shape", [(40, 64), (3, 20, 32)])
def test_a_column_of_a_kernel_has_its_own_factor(shape):
    kernel = draw(*shape) * np.geomspace(0.05, 5, shape[-1], dtype=np.float32)
    stored = store({"regions_3/kernel": kernel}, "int8")["regions_3/kernel"]
    assert stored.scales.shape == (1,) * (len(shape) - 1) + shape[-1:]
    step = np.abs(kernel).max(axis=tuple(range(len(shape) - 1))) / 127
    assert (np.abs(stored.restore() - kernel) <= 0.56 * step).all()


def test_small_weights_of_the_linear_model_survive_large_ones():
    table = draw(5000, 1) * 0.1
    table[7] = 16
    stored = store({"linear/word_ngrams": table}, "int8")["linear/word_ngrams"]
    error = np.abs(stored.restore() - table)
    assert np.median(error) < 0.006
    assert error.max() < 0.07
    assert (
        store({"linear/words": np.zeros((2000, 1), np.float32)}, "int8")["linear/words"]
        .restore()
        .max()
        == 0
    )

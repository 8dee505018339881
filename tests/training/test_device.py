"""The device of a training: what it runs on, and errors where a GPU is missing."""

from __future__ import annotations

import keras
import pytest
from fixtures_runs import text_config

from lstm_cli.errors import LstmError
from lstm_cli.training import device


@pytest.mark.parametrize(
    ("backend", "package"), [("tensorflow", "lstm-cli[gpu]"), ("jax", "jax[cuda13]")]
)
def test_without_a_gpu_the_hint_names_the_package_of_the_backend(monkeypatch, backend, package):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(device, "_gpus", lambda backend: [])
    with pytest.raises(LstmError, match=f"{backend} sees no GPU") as caught:
        device.select_device("gpu", text_config())
    assert package in str(caught.value)
    assert device.select_device("auto", text_config()).device == "cpu"


@pytest.mark.parametrize("error", [RuntimeError("Unable to start\nmore"), AssertionError()])
def test_a_backend_that_cannot_start_is_reported_in_one_line(monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(keras.distribution, "list_devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(LstmError, match="cannot start with JAX_PLATFORMS=cuda: ") as caught:
        device.load_keras("auto")
    assert "\n" not in caught.value.message
    assert "more" not in caught.value.message

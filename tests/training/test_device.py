"""The device of a training: what it runs on, and errors where a GPU is missing."""

from __future__ import annotations

import os
import sys

import keras
import pytest
from fixtures_checkpoints import WarningRecorder
from fixtures_runs import text_config

from lstm_cli.errors import LstmError
from lstm_cli.io import environment
from lstm_cli.io.progress import SilentReporter
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


FLAG = "--xla_gpu_deterministic_ops"


class Warnings(WarningRecorder, SilentReporter):
    """Records warnings."""


class Started:
    """Stands for JAX's own module, in a process in which JAX has started."""

    @staticmethod
    def backends_are_initialized():
        return True


@pytest.fixture
def jax(monkeypatch):
    """A process that has not imported JAX, with KERAS_BACKEND=jax; nothing is started."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    for name in ("jax", "jax._src.xla_bridge"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(environment, "check_backend", lambda: None)
    monkeypatch.setattr(keras.distribution, "list_devices", list)
    return monkeypatch


def flags():
    return os.environ.get("XLA_FLAGS")


def test_jax_starts_with_deterministic_operations_once_and_keeps_other_options(jax):
    device.load_keras("auto")
    assert flags() == f"{FLAG}=true"
    jax.setenv("XLA_FLAGS", "--xla_dump_to=/x  --xla_y=1")
    for _ in range(2):
        device.load_keras("gpu")
        assert flags() == f"--xla_dump_to=/x  --xla_y=1 {FLAG}=true"


@pytest.mark.parametrize("value", [FLAG, f"{FLAG}=false", f"--xla_y {FLAG}=1", "options.txt"])
def test_xla_flags_of_the_user_stay(jax, value):
    jax.setenv("XLA_FLAGS", value)
    device.load_keras("auto")
    assert flags() == value


def test_xla_flags_change_only_where_they_have_an_effect(jax):
    device.load_keras("auto", deterministic=False)
    assert flags() is None
    # One that is imported already sees every device.
    jax.setitem(sys.modules, "jax._src.xla_bridge", Started)
    device.load_keras("auto")
    assert flags() is None
    jax.delitem(sys.modules, "jax._src.xla_bridge")
    jax.setenv("CUDA_VISIBLE_DEVICES", "")
    jax.setenv("JAX_PLATFORMS", "")
    device.load_keras("cpu")
    assert flags() is None
    jax.setenv("KERAS_BACKEND", "tensorflow")
    device.load_keras("auto")
    assert flags() is None


@pytest.mark.parametrize(
    ("backend", "name", "value", "num"),
    [
        ("jax", "NVIDIA H200", "", 1),
        ("jax", "NVIDIA H200", f"{FLAG}=true {FLAG}=false", 1),
        ("jax", "NVIDIA H200", f"{FLAG}=false {FLAG}", 0),
        ("jax", "NVIDIA H200", f"--xla_y=1 {FLAG}=1", 0),
        ("jax", "cpu", "", 0),
        ("tensorflow", "NVIDIA H200", "", 0),
    ],
)
def test_a_training_that_is_not_deterministic_is_reported(monkeypatch, backend, name, value, num):
    monkeypatch.setenv("XLA_FLAGS", value)
    info = device.DeviceInfo(name, "cuDNN LSTM", "for a test", backend)
    monkeypatch.setattr(device, "select_device", lambda *_: info)
    monkeypatch.setattr(device, "make_deterministic", lambda: None)
    reporter = Warnings()
    assert device.configure_backend(text_config(), "auto", reporter) == info
    assert len(reporter.warnings) == num
    assert all(FLAG in warning for warning in reporter.warnings)
    device.configure_backend(text_config(train__deterministic=False), "auto", reporter)
    assert len(reporter.warnings) == num

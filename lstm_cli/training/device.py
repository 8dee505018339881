"""Which device trains, decided before Keras is imported and told afterwards."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Literal

from lstm_cli.data.readers.tfds_download import suppress_native_logs
from lstm_cli.errors import LstmError
from lstm_cli.io import environment

Device = Literal["auto", "cpu", "gpu"]


@dataclass(frozen=True)
class DeviceInfo:
    """What training really ran on.

    Attributes:
        device: `cpu`, or the GPUs by name.
        kernel: What computes the LSTM.
        why: The reason for both, as a sentence.
        backend: Keras' backend, `tensorflow` or `jax`.
    """

    device: str
    kernel: str
    why: str
    backend: str


def load_keras(device: Device) -> None:
    """Import Keras without the log lines of its backend, which are no news to a user.

    Args:
        device: `cpu` hides every GPU; that takes effect in the first import only.

    Raises:
        LstmError: `KERAS_BACKEND` names a backend that `lstm` does not run on.
    """
    environment.check_backend()
    if device == "cpu" and "tensorflow" not in sys.modules and "jax" not in sys.modules:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    with suppress_native_logs():
        import keras

        # Finding the devices is what logs.
        keras.distribution.list_devices()


def device_info(device: Device, cell: str = "lstm") -> DeviceInfo:
    """Say what Keras found, after it was imported.

    Args:
        device: What was asked for.
        cell: `lstm`, or a cell that is not in cuDNN.

    Raises:
        LstmError: A GPU was asked for and there is none.
    """
    import keras

    backend = str(keras.backend.backend())
    gpus = [] if device == "cpu" else _gpus(backend)
    if device == "gpu" and not gpus:
        raise LstmError(
            f"--device gpu: {backend} sees no GPU.",
            "Install the driver and 'pip install lstm-cli[gpu]', or use --device auto.",
        )
    loop = "TensorFlow while loop" if backend == "tensorflow" else "XLA scan"
    if gpus:
        kernel = "cuDNN LSTM" if backend == "tensorflow" and cell == "lstm" else loop
        asked = "asked for" if device == "gpu" else f"found by {backend}"
        return DeviceInfo(", ".join(gpus), kernel, f"a GPU was {asked}", backend)
    why = "asked for with --device cpu" if device == "cpu" else f"{backend} sees no GPU"
    return DeviceInfo("cpu", loop, why, backend)


def make_deterministic() -> None:
    """Have TensorFlow choose the ops that give the same bits each time; JAX on a CPU does so."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def _gpus(backend: str) -> list[str]:
    if backend == "tensorflow":
        import tensorflow

        found = tensorflow.config.list_physical_devices("GPU")
        details = [tensorflow.config.experimental.get_device_details(gpu) for gpu in found]
        return [str(d.get("device_name", "GPU")) for d in details]
    import jax

    return [str(d.device_kind) for d in jax.devices() if d.platform == "gpu"]

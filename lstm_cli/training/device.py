"""The device that trains: selected before Keras is imported, reported after it."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lstm_cli.config.schema import Config
from lstm_cli.data.readers.tfds_download import suppress_native_logs
from lstm_cli.errors import LstmError
from lstm_cli.io import environment
from lstm_cli.io.optional import require
from lstm_cli.io.progress import Reporter
from lstm_cli.training.cluster import Cluster, check_number, connect

Device = Literal["auto", "cpu", "gpu"]
_GPU_PACKAGE = {"tensorflow": "lstm-cli[gpu]", "jax": "jax[cuda13]"}
# Without this option, XLA sums gradients on a GPU in any order, and chooses kernels by their times.
_XLA_DETERMINISM = "--xla_gpu_deterministic_ops"


@dataclass(frozen=True)
class DeviceInfo:
    """The device and kernel of a training.

    Attributes:
        device: `cpu`, or the names of the GPUs.
        kernel: The implementation of the LSTM.
        why: Reason for the device, for people.
        backend: Backend of Keras, `tensorflow` or `jax`.
        processes: Number of processes that train together.
    """

    device: str
    kernel: str
    why: str
    backend: str
    processes: int = 1


def load_keras(device: Device, deterministic: bool = True, cluster: Cluster | None = None) -> None:
    """Import Keras without the log lines of its backend, and start the backend.

    Args:
        device: `cpu` hides every GPU. This works in the first import only.
        deterministic: `train.deterministic`. JAX must know it before it starts; for TensorFlow,
            `configure_backend` sets it.
        cluster: The processes to train with; None to train alone.

    Raises:
        LstmError: Keras or its backend is not installed, not supported, or cannot start; or the
            other processes cannot be reached.
    """
    environment.check_backend()
    require("keras")
    if device == "cpu" and "tensorflow" not in sys.modules and "jax" not in sys.modules:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    if deterministic and device != "cpu" and environment.backend() == "jax":
        _request_xla_determinism()
    with suppress_native_logs(), _without_garbage_collection():
        import keras  # noqa: F401

        if cluster is None:
            _start_backend()
    if cluster is not None:
        _join(cluster)


def _start_backend() -> None:
    """Start the backend, which logs when it looks for devices.

    Raises:
        LstmError: It does not start.
    """
    import keras

    try:
        keras.distribution.list_devices()
    except (RuntimeError, AssertionError) as error:
        raise _failed_start(error) from error


def _join(cluster: Cluster) -> None:
    """Start the backend with other processes.

    Its native logs are not hidden: if processes do not fit together, JAX may end them by an abort,
    and only these logs say why.

    Raises:
        LstmError: The other processes cannot be reached or do not fit, or it does not start.
    """
    from lstm_cli.models import process_group

    connect(cluster)
    _start_backend()
    check_number(cluster)
    process_group.join()


def _request_xla_determinism() -> None:
    """Add the option for deterministic GPU operations to XLA_FLAGS, which JAX reads when it starts.

    A value that the user set stays, and so does the name of a file with options, which XLA_FLAGS
    may be too. After the start the variable does not change: it shows what JAX started with.
    """
    flags = os.environ.get("XLA_FLAGS", "").strip()
    is_file = bool(flags) and not flags.startswith("-")
    if _xla_determinism() is None and not is_file and not _is_jax_started():
        os.environ["XLA_FLAGS"] = f"{flags} {_XLA_DETERMINISM}=true".strip()


def _xla_determinism() -> bool | None:
    """Return what XLA_FLAGS says about deterministic GPU operations; None if it says nothing."""
    options = [flag.partition("=") for flag in os.environ.get("XLA_FLAGS", "").split()]
    # The last one counts, and without a value it means true.
    values = [value or "true" for name, _, value in options if name == _XLA_DETERMINISM]
    return values[-1].lower() in ("true", "1") if values else None


def _is_jax_started() -> bool:
    """Return whether JAX has started in this process, as far as it can be known.

    JAX has no public function for this. Importing it starts nothing, but using it does.
    """
    bridge = sys.modules.get("jax._src.xla_bridge")
    if bridge is None:
        return "jax" in sys.modules
    return bool(getattr(bridge, "backends_are_initialized", lambda: True)())


def _failed_start(error: Exception) -> LstmError:
    """Return the error for a backend that finds none of the devices it was asked for."""
    platforms = os.environ.get("JAX_PLATFORMS")
    asked = f" with JAX_PLATFORMS={platforms[:80]}" if platforms else ""
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    return LstmError(
        f"{environment.backend()} cannot start{asked}: {first_line[:300]}",
        "Unset JAX_PLATFORMS, or use --device cpu.",
    )


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Import a large package without searching its half a million objects for garbage again.

    Without this, a fifth of the time to import TensorFlow is garbage collection.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def select_device(device: Device, config: Config) -> DeviceInfo:
    """Select the device and return what Keras will run on.

    Args:
        device: The requested device.
        config: The settings; cuDNN has a kernel for the cell `lstm` only.

    Raises:
        LstmError: A GPU was requested and there is none.
    """
    import keras

    from lstm_cli.models.block_lstm import use_block_lstm
    from lstm_cli.models.process_group import num_processes

    backend = str(keras.backend.backend())
    gpus = [] if device == "cpu" else _gpus(backend)
    if device == "gpu" and not gpus:
        raise LstmError(
            f"--device gpu: {backend} sees no GPU.",
            f"Install the driver and 'pip install {_GPU_PACKAGE[backend]}', or use --device auto.",
        )
    loop = "TensorFlow while loop" if backend == "tensorflow" else "XLA scan"
    if gpus:
        kernel = "cuDNN LSTM" if config.model.cell == "lstm" else loop
        why = "requested with --device gpu" if device == "gpu" else f"found by {backend}"
        return DeviceInfo(", ".join(gpus), kernel, why, backend, num_processes())
    why = "requested with --device cpu" if device == "cpu" else f"{backend} sees no GPU"
    kernel = "TensorFlow BlockLSTM" if use_block_lstm(config) else loop
    return DeviceInfo("cpu", kernel, why, backend, num_processes())


def configure_backend(config: Config, device: Device, reporter: Reporter) -> DeviceInfo:
    """Select the device, seed all random generators, and turn on determinism if it is set.

    Raises:
        LstmError: A GPU was requested and there is none.
    """
    import keras

    device_info = select_device(device, config)
    keras.utils.set_random_seed(config.seed)
    reporter.note(
        f"Training on {device_info.device} ({device_info.why}); LSTM kernel: {device_info.kernel}."
    )
    if config.train.deterministic:
        make_deterministic()
        if not _is_deterministic(device_info):
            reporter.warn(
                f"JAX started without {_XLA_DETERMINISM}=true in XLA_FLAGS, so train.deterministic "
                "has no effect: two trainings may differ, and so may a resumed one. Set it before "
                "JAX starts."
            )
    return device_info


def _is_deterministic(device_info: DeviceInfo) -> bool:
    """Return whether the backend is deterministic; JAX on a CPU always is."""
    if device_info.backend != "jax" or device_info.device == "cpu":
        return True
    return bool(_xla_determinism())


def make_deterministic() -> None:
    """Use only deterministic TensorFlow ops; for JAX, `load_keras` sets it."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def _gpus(backend: str) -> list[str]:
    """Return the names of the GPUs that a backend sees."""
    if backend == "tensorflow":
        import tensorflow

        devices = tensorflow.config.list_physical_devices("GPU")
        details = [tensorflow.config.experimental.get_device_details(gpu) for gpu in devices]
        return [str(d.get("device_name", "GPU")) for d in details]
    import jax

    return [str(d.device_kind) for d in jax.devices() if d.platform in ("gpu", "cuda", "rocm")]

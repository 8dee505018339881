"""The processes that train one model together: messages, and steps that all of them share.

Each process holds all weights and a share of the rows of each batch. A step is one program for the
whole batch, which `keras.distribution.DataParallel` spreads over the devices of all processes. So
random masks are drawn for the whole batch, as in one process.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError


class PeerLostError(LstmError):
    """Another process of the group ended, or can no longer be reached."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"Another process of this training ended or cannot be reached ({reason}).",
            "See what that process printed, then resume the run with all processes.",
        )


class ProcessGroup:
    """The processes of a distributed training, which all call the same methods in the same order.

    Attributes:
        num: Number of processes.
        index: The index of this one; process 0 writes the run.
        num_devices: Number of devices of all processes.
        data_parallel: How Keras spreads a batch over the devices.
    """

    def __init__(self) -> None:
        import jax

        self.num = int(jax.process_count())
        self.index = int(jax.process_index())
        self.num_devices = len(jax.devices())
        self.data_parallel = _DataParallel(devices=keras.distribution.list_devices())
        mesh = self.data_parallel.device_mesh.backend_mesh
        self._by_row = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
        self.replicated = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        self._maximum = jax.jit(lambda rows: rows.max(0), out_shardings=self.replicated)
        self._sum = jax.jit(lambda rows: rows.sum(0), out_shardings=self.replicated)

    # Messages

    def maximum(self, value: int) -> int:
        """Return the largest value that a process has passed.

        Raises:
            PeerLostError: Another process ended.
        """
        with lost_peers():
            rows = np.full((_num_local_devices(), 1), value, np.int32)
            return int(local_array(self._maximum(self._spread(rows)))[0])

    def combine(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array that has each value from the one process in which its bits are not zero.

        Values are added up as integers, so that they keep their bits.

        Args:
            array: Of a type with 4 or 8 bytes; in all processes of the same shape.

        Raises:
            PeerLostError: Another process ended.
        """
        bits = np.ascontiguousarray(array).reshape(-1).view(np.int32)
        rows = np.zeros((_num_local_devices(), len(bits)), np.int32)
        rows[0] = bits
        with lost_peers():
            total = local_array(self._sum(self._spread(rows)))
        return np.array(total, np.int32).view(array.dtype).reshape(array.shape)

    def from_first(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array that process 0 has passed; that of others has the same shape and type.

        Raises:
            PeerLostError: Another process ended.
        """
        array = np.asarray(array)
        if array.dtype.itemsize not in (4, 8):
            raise TypeError(f"expected a type of 4 or 8 bytes, found {array.dtype}")
        return self.combine(array if self.index == 0 else np.zeros_like(array))

    def text_from_first(self, text: str) -> str:
        """Return the text that process 0 has passed.

        Raises:
            PeerLostError: Another process ended.
        """
        content = text.encode() if self.index == 0 else b""
        size = self.maximum(len(content))
        padded = np.frombuffer(content.ljust(-(-max(size, 1) // 4) * 4, b"\0"), np.int32)
        return self.from_first(padded).tobytes()[:size].decode()

    def check_same(self, what: str, value: Mapping[str, Any]) -> None:
        """Check that all processes have the same value.

        Args:
            what: What it is, for people: "the training data".
            value: By name, of JSON types.

        Raises:
            LstmError: This process has another value than process 0.
            PeerLostError: Another process ended.
        """
        own = json.loads(json.dumps(value))
        first = json.loads(self.text_from_first(json.dumps(value)))
        differing = [key for key in first | own if first.get(key) != own.get(key)]
        if differing:
            key = differing[0]
            raise LstmError(
                f"Process {self.index} of {self.num} has another {what} than process 0: {key} is "
                f"{_excerpt(own.get(key))}, expected {_excerpt(first.get(key))}.",
                "Start all processes with the same options, data and version; the folder of runs "
                "must be on a file system that all of them share.",
            )

    def _spread(self, rows: NDArray[np.int32]) -> Any:
        import jax

        return jax.make_array_from_process_local_data(self._by_row, rows)

    # Models

    def share_from_first(self, model: Any) -> None:
        """Replace the variables of a model by those of process 0, held by all processes.

        Raises:
            PeerLostError: Another process ended.
        """
        for variable in training_variables(model):
            self.assign(variable, self.from_first(np.asarray(variable.numpy())))
        if model.train_function is None:
            model.train_function = self._compile_train_step(model.train_step)

    def share(self, model: Any) -> None:
        """Make one array of the equal arrays that all processes have; no message is sent."""
        for variable in training_variables(model):
            self.assign(variable, variable.numpy())

    def assign(self, variable: Any, value: Any) -> None:
        """Assign a value that is equal in all processes; no message is sent.

        Args:
            variable: A Keras variable.
            value: An array or a number.
        """
        import jax

        array = np.asarray(value, variable.dtype)
        shared = jax.make_array_from_process_local_data(self.replicated, array, array.shape)
        variable.assign(shared)

    def train_on_batch(self, model: Any, *batch: Any) -> dict[str, Any]:
        """Train on a batch that all processes have, each on its share of the rows.

        A batch whose rows cannot be divided among the devices, such as the last of an epoch, is
        trained by all devices alike.

        Args:
            model: A Keras model whose variables are shared.
            batch: Inputs, targets and sample weights of the whole batch; None if there are none.

        Returns:
            The loss and the metrics of the whole batch.

        Raises:
            PeerLostError: Another process ended; the model is as before the step.
        """
        before = [variable.value for variable in training_variables(model)]
        rows = {len(array) for array in keras.tree.flatten(batch) if array is not None}
        self.data_parallel.divides = not any(num % self.num_devices for num in rows)
        num, index = (self.num, self.index) if self.data_parallel.divides else (1, 0)
        try:
            with lost_peers(), self.data_parallel.scope():
                x, y, weights = keras.tree.map_structure(
                    lambda array: None if array is None else rows_of(array, num, index), batch
                )
                logs: dict[str, Any] = model.train_on_batch(x, y, weights, return_dict=True)
                return logs
        except PeerLostError:
            for variable, value in zip(training_variables(model), before, strict=True):
                variable.assign(value)
            raise

    def _compile_train_step(self, step: Any) -> Any:
        """Compile the training step of a Keras model.

        Keras would let a step overwrite the variables. Here they are kept until it has succeeded:
        it fails if another process ends.
        """
        import jax

        compiled = jax.jit(step, out_shardings=self.replicated)
        return lambda state, batches: compiled(state, next(batches))


def rows_of(array: NDArray[Any], num: int, index: int) -> NDArray[Any]:
    """Return the rows of a batch that belong to a process.

    Args:
        array: The whole batch; its number of rows can be divided by `num`.
        num: Number of processes.
        index: Index of the process.
    """
    size = len(array) // num
    return np.asarray(array)[index * size : (index + 1) * size]


@contextlib.contextmanager
def lost_peers() -> Iterator[None]:
    """Translate the errors of JAX that mean that another process has ended.

    Raises:
        PeerLostError: Another process ended, or the network failed.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        if not any(word in reason for word in ("Gloo", "NCCL", "coordination service")):
            raise
        raise PeerLostError(reason[:300]) from error


class _DataParallel(keras.distribution.DataParallel):  # type: ignore[misc]
    """Data parallelism that can also leave a batch undivided.

    Attributes:
        divides: Whether each device gets a part of the rows; else it gets all of them.
    """

    divides = True

    def get_data_layout(self, data_shape: Sequence[int]) -> Any:
        """Return how an array of a batch is spread over the devices."""
        if self.divides:
            return super().get_data_layout(data_shape)
        axes = [None] * len(data_shape)
        return keras.distribution.TensorLayout(axes, self.device_mesh)


def training_variables(model: Any) -> list[Any]:
    """Return all variables that a training step reads, each once."""
    found = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return list({id(variable): variable for variable in found}.values())


def local_array(array: Any) -> Any:
    """Return the array of the first device of this process."""
    return array.addressable_data(0)


def _num_local_devices() -> int:
    import jax

    return len(jax.local_devices())


def _excerpt(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."

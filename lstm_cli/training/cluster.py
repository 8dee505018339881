"""The processes of a distributed training, from options or from what JAX finds."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass

from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError

# JAX's default is 100 seconds; all processes should end within a minute after one was lost.
_HEARTBEAT_SECONDS = 30
# How long the processes wait for each other at the start.
_START_SECONDS = 300
# How much longer JAX waits, which ends the process without a message.
_MARGIN_SECONDS = 60
_PROBE_SECONDS = 5


@dataclass(frozen=True)
class Cluster:
    """The processes of a distributed training; None for what JAX finds by itself.

    Attributes:
        coordinator: `HOST:PORT` at which process 0 waits for the others.
        num_processes: Their number.
        process_id: The index of this one, from 0.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            LstmError: They are incomplete or do not fit each other (exit code 2).
        """
        values = (self.coordinator, self.num_processes, self.process_id)
        if None in values and values != (None, None, None):
            raise LstmError(
                "--coordinator, --num-processes and --process-id belong together, and one is "
                "missing.",
                "Give all three; or none, under SLURM and other systems that JAX knows.",
                ExitCode.USAGE,
            )
        if self.coordinator is None or self.num_processes is None or self.process_id is None:
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise LstmError(
                f"--coordinator is {self.coordinator[:80]!r}, expected HOST:PORT.",
                "Use the name of the machine of process 0 and a free port: node1:12355",
                ExitCode.USAGE,
            )
        if self.process_id >= self.num_processes:
            raise LstmError(
                f"--process-id is {self.process_id}, expected 0 to {self.num_processes - 1} for "
                f"--num-processes {self.num_processes}.",
                exit_code=ExitCode.USAGE,
            )


def connect(cluster: Cluster) -> None:
    """Connect this process to the others, before JAX starts.

    `keras.distribution.initialize` does the same, but passes no timeouts on.

    JAX waits in native code, and ends the process by an abort if the others do not come. So it
    waits in a thread, and this function ends first, also on a signal.

    Raises:
        LstmError: JAX finds no cluster, or the others did not come.
    """
    failures: list[Exception] = []
    thread = threading.Thread(target=_initialize, args=(cluster, failures), daemon=True)
    thread.start()
    thread.join(_START_SECONDS)
    if thread.is_alive():
        where = "" if cluster.coordinator is None else _describe_coordinator(cluster.coordinator)
        raise LstmError(
            f"The processes did not find each other within {_START_SECONDS} seconds{where}.",
            "Start all of them within that time, each with its own index and the same number; "
            "process 0 must run on the machine of --coordinator.",
        )
    if failures:
        raise _failed_connection(failures[0]) from failures[0]


def _initialize(cluster: Cluster, failures: list[Exception]) -> None:
    """Connect, and append the error if it fails."""
    import jax

    try:
        jax.distributed.initialize(
            cluster.coordinator,
            cluster.num_processes,
            cluster.process_id,
            initialization_timeout=_START_SECONDS + _MARGIN_SECONDS,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=_START_SECONDS,
        )
    except Exception as error:
        failures.append(error)


def _describe_coordinator(coordinator: str) -> str:
    """Return what a test of the address finds, as the end of a message."""
    host, _, port = coordinator.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PROBE_SECONDS):
            return f": process 0 answers at {coordinator}, but not all others have come"
    except OSError as error:
        return f": {coordinator} cannot be reached ({error.strerror or error})"


def _failed_connection(error: Exception) -> Exception:
    """Return the error for what JAX has raised; unexpected errors stay as they are."""
    reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
    if isinstance(error, KeyError):
        # JAX looks for one variable of a launcher, then reads the others.
        reason = f"the environment variable {reason} is missing"
    if isinstance(error, ValueError | KeyError):
        return LstmError(
            f"JAX finds no group of processes by itself: {reason}",
            "Give --coordinator HOST:PORT, --num-processes N and --process-id I, or start the "
            "command with srun, or with mpirun of Open MPI 4.",
            ExitCode.USAGE,
        )
    if isinstance(error, RuntimeError):
        return LstmError(
            f"The processes did not find each other: {reason}",
            f"Start all of them within {_START_SECONDS} seconds, each with its own index, and "
            "check that they reach --coordinator; its port must be free.",
        )
    return error


def check_number(cluster: Cluster) -> None:
    """Check that as many processes have come as this one was started for.

    JAX takes the number of process 0.

    Raises:
        LstmError: Process 0 was started for another number (exit code 2).
    """
    import jax

    expected, found = cluster.num_processes, jax.process_count()
    if expected is not None and expected != found:
        raise LstmError(
            f"Process {cluster.process_id} was started with --num-processes {expected}, process 0 "
            f"with {found}.",
            "Start all processes with the same number.",
            ExitCode.USAGE,
        )


def check_divisible(config: Config, num_devices: int) -> None:
    """Check that batches can be divided among the devices of all processes.

    Raises:
        LstmError: They cannot (exit code 2).
    """
    sizes = {"train.batch_size": config.train.batch_size}
    if config.language is not None:
        sizes["language.negatives"] = config.language.negatives
    for key, size in sizes.items():
        if size % num_devices:
            nearest = max(1, round(size / num_devices)) * num_devices
            raise LstmError(
                f"{key} is {size:,}, which cannot be divided among {num_devices} devices.",
                f"Use --set {key}={nearest}.",
                ExitCode.USAGE,
            )

"""Predict parts on a Ray cluster, by Ray Data.

The data set of Ray Data has one row for each part, its path. An actor reads and writes the part
itself, so texts do not pass through Ray's object store, and memory does not grow with them. Ray
Data starts the actors, gives each the next part, and gives the part of a lost machine to another
actor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lstm_cli import __version__
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.optional import require
from lstm_cli.io.paths import cache_dir
from lstm_cli.io.worker import num_cores
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.scale.parts import Part
from lstm_cli.scale.predict_part import PartOutcome, PartSettings, try_part
from lstm_cli.scale.run_files import RunFiles

# Of the object store of a cluster that this process starts. It holds the run and small records.
_STORE_BYTES = 128 << 20
# Names of Unix sockets have at most 107 bytes, and Ray appends up to 65.
_MAX_TEMP_DIR = 40
_START_TRIES = 3
_CONNECT_SECONDS = 10.0
_ADDRESS = "RAY_ADDRESS"


@dataclass(frozen=True)
class Cluster:
    """Where parts are predicted.

    Attributes:
        address: Of a cluster: `auto`, or `HOST:PORT`. None for that of RAY_ADDRESS, which
            `ray job submit` sets; without it, one is started on this machine and ends with the job.
        num_jobs: Largest number of workers; None for as many as the cores of the cluster allow.
        num_threads: Cores of a worker, and threads.
    """

    address: str | None
    num_jobs: int | None
    num_threads: int


class PartWorker:
    """An actor of Ray Data: loads the run once, then predicts one part after the other."""

    def __init__(self, run: Any, settings: PartSettings, num_threads: int, version: str) -> None:
        """Load the run, with all checks.

        Args:
            run: A list with the reference of a `RunFiles`.
            settings: How to predict parts.
            num_threads: Threads.
            version: Of the process that started the job.
        """
        import ray

        self._settings = settings
        self._predictor: Predictor | None = None
        self._error: LstmError | None = None
        try:
            _check_version(version)
            with ray.get(run[0]).unpacked() as run_dir:
                # The manifest is still needed after the folder was removed.
                self._predictor = Predictor.load(run_dir.with_manifest(), num_threads)
        except LstmError as error:
            self._error = error

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[bytes]]:
        """Predict the parts of a batch, which has one."""
        outcomes = []
        for row in rows["part"]:
            part = msgspec.json.decode(row, type=Part)
            if self._predictor is None:
                assert self._error is not None
                outcome = PartOutcome.failed(part, self._error)
            else:
                outcome = try_part(self._predictor, part, self._settings)
            outcomes.append(msgspec.json.encode(outcome))
        return {"outcome": outcomes}


def _check_version(version: str) -> None:
    """Check that this machine has the version of the one that started the job.

    Raises:
        LstmError: It has another.
    """
    if version != __version__:
        raise LstmError(
            f"{socket.gethostname()} has lstm {__version__}, and the job was started by {version}.",
            "Install one version on all machines.",
        )


def predict_on_ray(
    files: RunFiles, parts: Sequence[Part], settings: PartSettings, cluster: Cluster
) -> Iterator[PartOutcome]:
    """Predict parts on a cluster, and yield the outcomes as they come.

    Args:
        files: Of the run.
        parts: The parts; the machines of the cluster must reach them.
        settings: How to predict them.
        cluster: Where.

    Raises:
        LstmError: Ray is not installed, the cluster cannot be reached or is too small, or Ray
            fails.
    """
    require("ray")
    _set_environment()
    with _connected(cluster) as ray:
        num_workers = _num_workers(ray, cluster, len(parts))
        arguments = ([ray.put(files)], settings, cluster.num_threads, __version__)
        data = ray.data.from_items(
            [{"part": msgspec.json.encode(part)} for part in parts], override_num_blocks=len(parts)
        ).map_batches(
            PartWorker,
            fn_constructor_args=arguments,
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(
                # One at least, and not all: when no parts wait, actors without work end, and their
                # cores are free for the parts of a lost machine.
                min_size=1,
                initial_size=num_workers,
                max_size=num_workers,
                # A part that waits for one worker could be predicted by another.
                max_tasks_in_flight_per_actor=1,
            ),
            num_cpus=cluster.num_threads,
        )
        try:
            for row in data.iter_rows():
                yield msgspec.json.decode(row["outcome"], type=PartOutcome)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1:]
            raise LstmError(
                f"Ray could not go on: {''.join(reason):.300}",
                "Start the command again: it goes on after the parts that are finished.",
            ) from error


def _set_environment() -> None:
    """Keep Ray quiet, and from sending statistics; before it is imported."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


@contextlib.contextmanager
def _connected(cluster: Cluster) -> Iterator[Any]:
    """Connect to the cluster, or start one, for the duration of a block; give the module `ray`.

    Raises:
        LstmError: It cannot be reached or started.
    """
    address = cluster.address or os.environ.get(_ADDRESS) or None
    if address is not None and address.startswith("ray://"):
        raise LstmError(
            f"--address {address}: Ray Data does not run through a Ray client.",
            "Start the command on a machine of the cluster, with --address auto.",
            ExitCode.USAGE,
        )
    if address is not None:
        _check_reachable(address)
    import ray
    import ray.data

    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with contextlib.ExitStack() as stack:
        if address is None:
            num_jobs = cluster.num_jobs or max(1, num_cores() // cluster.num_threads)
            cores = num_jobs * cluster.num_threads
            options |= {
                "address": "local",
                "num_cpus": cores,
                "object_store_memory": _STORE_BYTES,
                "include_dashboard": False,
                "_temp_dir": stack.enter_context(_temp_dir()),
            }
        else:
            options["address"] = address
        _init(ray, address, options)
        stack.callback(ray.shutdown)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        # A worker has one part at a time, so all are busy at 1. None ends while parts wait.
        context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
        context.autoscaling_config.actor_pool_util_downscaling_threshold = -1.0
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield ray


def _check_reachable(address: str) -> None:
    """Check that something listens at an address: Ray itself would wait for minutes.

    Raises:
        LstmError: Nothing does, or it is not `auto` or `HOST:PORT`.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise LstmError(
            f"--address expects auto or HOST:PORT, found '{address}'.",
            "'ray start --head' prints the address.",
            ExitCode.USAGE,
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS):
            pass
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _init(ray: Any, address: str | None, options: dict[str, Any]) -> None:
    """Connect to a cluster, or start one.

    Ray gives the processes of a cluster half a minute to start, which is short on a busy machine.

    Raises:
        LstmError: It cannot be reached or started.
    """
    for tries_left in reversed(range(1 if address else _START_TRIES)):
        try:
            with _without_stderr():
                ray.init(**options)
        except Exception as error:
            if not tries_left:
                raise _unreachable(address, error) from error
            ray.shutdown()
        else:
            return


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Drop what native code prints to stderr in a block; errors are raised all the same."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _unreachable(address: str | None, error: Exception) -> LstmError:
    reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    if address is None:
        return LstmError(
            f"Ray cannot be started on this machine: {reason:.300}.",
            "If the machine is busy, try again, or predict without Ray: --jobs N.",
        )
    return LstmError(
        f"No Ray cluster can be reached at {address}: {reason:.300}.",
        "Start one with 'ray start --head', or leave out --address to use this machine alone.",
    )


@contextlib.contextmanager
def _temp_dir() -> Iterator[str]:
    """Make a folder for the files of a cluster, for the duration of a block.

    It is in the cache folder of the user, if Ray's sockets can have names there.
    """
    folder = cache_dir()
    if len(str(folder.absolute())) > _MAX_TEMP_DIR - len("/ray-12345678"):
        folder = Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    path = tempfile.mkdtemp(prefix="ray-", dir=folder)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _num_workers(ray: Any, cluster: Cluster, num_parts: int) -> int:
    """Return how many workers there may be.

    Raises:
        LstmError: No machine has the cores that one worker needs.
    """
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    largest = max(cores, default=0)
    if largest < cluster.num_threads:
        raise LstmError(
            f"--threads {cluster.num_threads}: the largest machine of the cluster has {largest} "
            "cores.",
            f"Choose {largest} or less.",
            ExitCode.USAGE,
        )
    fitting = sum(number // cluster.num_threads for number in cores)
    return min(cluster.num_jobs or fitting, num_parts)

"""The group of this process, if it trains a model with others by JAX; see `data_parallel`.

Without a group, each function does the same for a single process. Between two steps every process
computes by itself, with ordinary arrays of its own device.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from lstm_cli.io.native_output import drop_output
from lstm_cli.models.data_parallel import ProcessGroup, local_array, training_variables

_group: ProcessGroup | None = None


def process_group() -> ProcessGroup | None:
    """Return the group of this process; None if it trains alone."""
    return _group


def num_processes() -> int:
    """Return the number of processes that train together."""
    return 1 if _group is None else _group.num


def is_first() -> bool:
    """Return whether this process writes the run: it is alone, or the first of its group."""
    return _group is None or _group.index == 0


def join() -> ProcessGroup:
    """Make the group, after `jax.distributed.initialize`, and open the connections.

    The connections are opened now, because JAX lets a process wait for another one for 30 seconds
    only when it opens them, but for as long as it takes later.

    Raises:
        PeerLostError: Another process ended.
    """
    global _group
    group = ProcessGroup()
    # Gloo prints there that it is connected.
    sys.stdout.flush()
    with drop_output(1):
        group.maximum(0)
    _group = group
    return group


def leave() -> None:
    """End the group, after all processes have come here; nothing is done without one."""
    global _group
    if _group is None:
        return
    import jax

    try:
        # If another process has ended already, nothing is needed of it any more.
        with contextlib.suppress(RuntimeError):
            jax.distributed.shutdown()
    finally:
        _group = None


def is_waited_for() -> bool:
    """Return whether JAX would wait for the other processes at the end of this one."""
    jax = sys.modules.get("jax")
    return jax is not None and bool(jax.distributed.is_initialized())


@contextlib.contextmanager
def local_model(model: Any) -> Iterator[None]:
    """Let this process use a model by itself in a block, at the end of which all have it alike."""
    if _group is None:
        yield
        return
    localize(model)
    try:
        yield
    finally:
        _group.share(model)


def localize(model: Any) -> None:
    """Make the variables of a model ordinary arrays of this process."""
    for variable in training_variables(model):
        variable.assign(local_array(variable.value))


def train_on_batch(model: Any, inputs: Any, targets: Any = None, weights: Any = None) -> Any:
    """Train on a batch, in a group each process on its share; return loss and metrics by name."""
    if _group is None:
        return model.train_on_batch(inputs, targets, sample_weight=weights, return_dict=True)
    return _group.train_on_batch(model, inputs, targets, weights)


def is_mine(number: int) -> bool:
    """Return whether this process does a numbered part of work that a group divides."""
    return _group is None or number % _group.num == _group.index


def combine(array: NDArray[Any]) -> NDArray[Any]:
    """Return the results of all parts of work, each computed by the process that it belongs to.

    Args:
        array: The results, with zeros for the parts that are not of this process.

    Raises:
        PeerLostError: Another process ended.
    """
    return array if _group is None else _group.combine(array)


def largest(number: int) -> int:
    """Return the largest of the numbers of all processes.

    Raises:
        PeerLostError: Another process ended.
    """
    return number if _group is None else _group.maximum(number)


def assign(variable: Any, value: Any) -> None:
    """Assign a value, in a group to an array that all processes hold."""
    if _group is None:
        variable.assign(value)
    else:
        _group.assign(variable, value)

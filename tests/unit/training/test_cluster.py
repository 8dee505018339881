"""Options of a distributed training."""

from __future__ import annotations

import socket
import sys
import threading
import types

import pytest

from lstm_cli.cli.training_options import ProcessOptions
from lstm_cli.config import load as configs
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.training import cluster as clusters
from lstm_cli.training.cluster import Cluster, check_divisible, check_number, connect

TEXT = {"data": {"name": "texts"}, "text": {}, "embedding": {}, "model": {}, "train": {}}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (("node:1", 2, None), "belong together"),
        ((None, 2, 0), "belong together"),
        (("node", 2, 0), "HOST:PORT"),
        (("node:0", 2, 0), "HOST:PORT"),
        (("node:65536", 2, 0), "HOST:PORT"),
        ((":80", 2, 0), "HOST:PORT"),
        (("node:1", 2, 2), "expected 0 to 1"),
    ],
)
def test_values_that_do_not_fit_are_refused(values, named):
    with pytest.raises(LstmError, match=named) as refused:
        Cluster(*values)
    assert refused.value.exit_code == ExitCode.USAGE


def test_values_that_fit_are_taken_and_none_are_left_to_jax():
    assert Cluster("[::1]:65535", 2, 1).process_id == 1
    assert Cluster() == Cluster(None, None, None)


@pytest.mark.parametrize("option", ["coordinator", "num_processes", "process_id"])
def test_an_option_without_distributed_is_refused(option):
    options = ProcessOptions(**{option: 0})
    with pytest.raises(LstmError, match=f"--{option.replace('_', '-')} has no effect"):
        options.cluster()


def test_only_jax_trains_distributed(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(LstmError, match="JAX only") as refused:
        ProcessOptions(True).cluster()
    assert refused.value.exit_code == ExitCode.USAGE
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert ProcessOptions(True, "node:1", 2, 1).cluster() == Cluster("node:1", 2, 1)


def test_batches_must_be_divisible():
    config = configs.from_dict({**TEXT, "train": {"batch_size": 10}})
    check_divisible(config, 5)
    with pytest.raises(LstmError, match=r"train\.batch_size is 10") as refused:
        check_divisible(config, 4)
    assert refused.value.hint == "Use --set train.batch_size=8."


def test_negatives_must_be_divisible():
    settings = {**TEXT, "train": {"batch_size": 12}, "language": {"negatives": 16}}
    with pytest.raises(LstmError, match=r"language\.negatives is 16"):
        check_divisible(configs.from_dict(settings), 3)


@pytest.fixture
def initialize(monkeypatch):
    """Let a function take the place of `jax.distributed.initialize`."""

    def replace(function):
        jax = types.SimpleNamespace(distributed=types.SimpleNamespace(initialize=function))
        monkeypatch.setitem(sys.modules, "jax", jax)

    return replace


@pytest.mark.parametrize(
    ("error", "named", "code"),
    [
        (ValueError("coordinator_address should be defined."), "by itself: coord", ExitCode.USAGE),
        # Open MPI's address without its number of processes.
        (KeyError("OMPI_COMM_WORLD_SIZE"), "'OMPI_COMM_WORLD_SIZE' is missing", ExitCode.USAGE),
        (RuntimeError("port in use\nmore"), "each other: port in use", ExitCode.ERROR),
    ],
)
def test_what_jax_raises_becomes_an_error_with_a_hint(initialize, error, named, code):
    def fail(*_, **__):
        raise error

    initialize(fail)
    with pytest.raises(LstmError, match=named) as refused:
        connect(Cluster())
    assert refused.value.exit_code == code


def test_an_unexpected_error_is_not_hidden(initialize):
    initialize(lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        connect(Cluster())


def test_waiting_ends_before_jax_ends_the_process(initialize, monkeypatch):
    end, timeouts = threading.Event(), []

    def wait(*_, initialization_timeout, **__):
        timeouts.append(initialization_timeout)
        end.wait(60)

    initialize(wait)
    monkeypatch.setattr(clusters, "_START_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(LstmError, match=f"process 0 answers at {address}"):
            connect(Cluster(address, 2, 1))
    with pytest.raises(LstmError, match=f"{address} cannot be reached"):
        connect(Cluster(address, 2, 1))
    with pytest.raises(LstmError, match=r"within 0\.05 seconds\."):
        connect(Cluster())
    end.set()
    assert min(timeouts) > clusters._START_SECONDS + 30


def test_all_processes_are_started_for_the_same_number(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", types.SimpleNamespace(process_count=lambda: 2))
    check_number(Cluster("node:1", 2, 1))
    check_number(Cluster())
    with pytest.raises(LstmError, match="with --num-processes 3, process 0 with 2") as refused:
        check_number(Cluster("node:1", 3, 1))
    assert refused.value.exit_code == ExitCode.USAGE

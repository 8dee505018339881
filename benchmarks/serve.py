"""`lstm serve` under load: predictions per second, latency, failures, memory, start-up time.

Keep-alive clients in one process request one prediction at a time. They do it three times: alone;
beside faulty clients, which send bodies of 64 MiB and malformed JSON, and open connections on which
bytes arrive slowly or never; and beside eight hostile clients, which disconnect, never read,
pipeline requests in parts and send bodies that are too large.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import child, report
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.errors import LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir

OPTIONS = (
    Option("run", "a finished text run: its folder, DATASET/NAME or DATASET"),
    Option("seconds", "of each load", 60, 3),
    Option("clients", "connections, each with one request at a time", 32, 8),
    Option("tokens", "in each text", 200, 20),
    Option("starts", "of the server, to measure the time until it is ready", 10, 1),
)
_ROOT = Path(__file__).parents[1]
# Each load, and the kind of bad clients (`scripts/http_bad_clients.py`) beside it.
_LOADS = {"alone": None, "faulty clients": "faulty", "hostile clients": "hostile"}
_OPTIONS = ("--client-timeout", "3")
_START_SECONDS = 60.0
_SAMPLE_SECONDS = 0.25
# Growth of memory that the allocator alone can cause.
_MAX_MEMORY_GROWTH = 1.1


@dataclass(frozen=True)
class Server:
    """A server that is ready.

    Attributes:
        process: The process of `lstm serve`.
        host: Address it listens on.
        port: Port it listens on.
        ready_seconds: From the start of the process to the first 200 of /readyz.
    """

    process: subprocess.Popen[str]
    host: str
    port: int
    ready_seconds: float


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure the start-up time, then each load."""
    run = RunDir(find.find(runs.runs_root(), settings.run).path.absolute())
    if run.config().text is None:
        raise report.usage_error(
            f"Run {run.name} classifies images; this benchmark needs a text run."
        )
    report.log("starts")
    ready = []
    for _ in range(settings.starts):
        with serving(run, *_OPTIONS) as server:
            ready.append(server.ready_seconds)
    with serving(run, *_OPTIONS) as server:
        loads = {}
        for name in _LOADS:
            report.log(f"load, {name}")
            loads[name] = _load(server, run, settings, _LOADS[name])
    found = {"run": run.name, "ready_seconds": report.spread(ready), "loads": loads}
    notes = [
        f"Clients and server share the machine's {os.cpu_count()} cores; 'CPU' is CPU seconds per "
        "second of load. Every eighth prediction is compared with the predictor's.",
        *(
            f"Outcomes of {name}: {loads[name]['bad_clients']['outcomes']}"
            for name, kind in _LOADS.items()
            if kind
        ),
    ]
    tables = [_ready_table(found), _load_table(loads), _memory_table(loads)]
    return Outcome(found, tables, [] if settings.quick else _goals(found), notes)


@contextlib.contextmanager
def serving(run: RunDir, *options: str, api_key: str | None = None) -> Iterator[Server]:
    """Serve a run in a process of its own inside a `with` block.

    Args:
        run: The run.
        options: Further options of `lstm serve`.
        api_key: The key that clients must send.

    Raises:
        LstmError: The server does not start.
    """
    environment = {k: v for k, v in os.environ.items() if k != "LSTM_API_KEY"}
    if api_key is not None:
        environment["LSTM_API_KEY"] = api_key
    command = [sys.executable, "-m", "lstm_cli", "serve", "--run", str(run.path), "--port", "0"]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, *options], cwd=_ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield _wait_until_ready(process, started)
    finally:
        process.terminate()
        process.communicate(timeout=_START_SECONDS)


def _wait_until_ready(process: subprocess.Popen[str], started: float) -> Server:
    """Read the address from stderr, then wait for the first response of /readyz."""
    assert process.stderr is not None
    lines = []
    while not (
        match := re.search(r"Serving on http://([\d.]+):(\d+)", line := process.stderr.readline())
    ):
        lines.append(line)
        if not line:
            raise LstmError(f"lstm serve does not start: {''.join(lines).strip()}")
    host, port = match[1], int(match[2])
    with urllib.request.urlopen(f"http://{host}:{port}/readyz", timeout=_START_SECONDS) as response:
        response.read()
    return Server(process, host, port, time.perf_counter() - started)


def _load(
    server: Server, run: RunDir, settings: argparse.Namespace, kind: str | None
) -> dict[str, Any]:
    """Load the server; measure its memory and CPU time."""
    pid = server.process.pid
    with contextlib.ExitStack() as stack:
        bad_clients = (
            stack.enter_context(_bad_clients(server, settings.seconds, kind)) if kind else {}
        )
        samples = stack.enter_context(_memory_samples(pid))
        before, cpu = resident_mb(pid), _cpu_seconds(pid)
        found: dict[str, Any] = child.run_script(
            "http_load", str(run.path), server.host, str(server.port), str(settings.clients),
            str(settings.tokens), str(settings.seconds),
        )  # fmt: skip
        found["server_cpu_seconds"] = _cpu_seconds(pid) - cpu
        found["memory_mb"] = {"before": before, "after": resident_mb(pid)}
    found["memory_mb"]["peak"] = max(samples)
    found["memory_mb"]["samples"] = samples
    if kind:
        found["bad_clients"] = bad_clients
    return found


@contextlib.contextmanager
def _bad_clients(server: Server, seconds: int, kind: str) -> Iterator[dict[str, Any]]:
    """Run bad clients inside a `with` block; their outcomes are known after it."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as folder:
        out = Path(folder, "result.json")
        command = [sys.executable, "-m", "benchmarks.scripts.http_bad_clients", kind, server.host]
        process = subprocess.Popen(
            [*command, str(server.port), str(seconds + 3), str(out)], cwd=_ROOT
        )
        try:
            yield found
            process.wait(seconds + _START_SECONDS)
            found.update(json.loads(out.read_text()))
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _memory_samples(pid: int) -> Iterator[list[float]]:
    """Sample the resident memory of a process, in MiB, inside a `with` block."""
    samples = [resident_mb(pid)]
    stop_event = threading.Event()

    def sample() -> None:
        while not stop_event.wait(_SAMPLE_SECONDS):
            samples.append(resident_mb(pid))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        stop_event.set()
        thread.join()


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ready_table(found: dict[str, Any]) -> Table:
    ready = found["ready_seconds"]
    cells = (str(len(ready["values"])), *(f"{ready[key]:.2f}" for key in ("median", "min", "max")))
    columns = ("", "times", "s, median", "min", "max")
    return Table(
        "From a new process to the first 200 of /readyz", columns, [("lstm serve", *cells)]
    )


def _load_table(loads: dict[str, Any]) -> Table:
    rows = [
        (
            name,
            f"{found['per_second']:,.0f}",
            *(f"{found['latency_ms'][p]:,.0f}" for p in ("p50", "p90", "p99", "p99.9", "p100")),
            f"{found['num_failures']:,} of {found['responses']:,}",
            f"{found['server_cpu_seconds'] / found['seconds']:.2f}",
            f"{found['cpu_seconds'] / found['seconds']:.2f}",
        )
        for name, found in loads.items()
    ]
    columns = (
        "load", "predictions/s", "ms, p50", "p90", "p99", "p99.9", "max", "failures",
        "CPU, server", "clients",
    )  # fmt: skip
    return Table("Predictions under load", columns, rows)


def _memory_table(loads: dict[str, Any]) -> Table:
    rows = [
        (name, *(f"{found['memory_mb'][key]:,.0f}" for key in ("before", "peak", "after")))
        for name, found in loads.items()
    ]
    return Table("Resident memory of the server, MiB", ("load", "before", "peak", "after"), rows)


def _goals(found: dict[str, Any]) -> list[Goal]:
    goals = [report.at_most("ready, s, median", found["ready_seconds"]["median"], 1.5, 2)]
    for name, load in found["loads"].items():
        if name != "hostile clients":
            # Hostile clients are answered too, with the same cores.
            goals += [
                report.at_least(f"predictions/s, {name}", load["per_second"], 500, 0),
                report.at_most(f"p99, ms, {name}", load["latency_ms"]["p99"], 200, 0),
            ]
        goals.append(report.at_most(f"failures, {name}", load["num_failures"], 0, 0))
    memory = found["loads"]["faulty clients"]["memory_mb"]
    growth = memory["peak"] / found["loads"]["alone"]["memory_mb"]["peak"]
    outcomes = found["loads"]["hostile clients"]["bad_clients"]["outcomes"]
    resets = sum(count for name, count in outcomes.items() if name.endswith(("reset", "refused")))
    return [
        *goals,
        report.at_most("peak memory, faulty clients / alone", growth, _MAX_MEMORY_GROWTH, 2),
        report.at_most("resets of valid requests, hostile clients", resets, 0, 0),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("serve", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

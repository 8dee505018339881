"""`lstm serve` under load: predictions a second, latency, failures, memory, time to readiness.

Keep-alive clients ask for one prediction at a time, all from one process. Then they do it again
while another process sends bodies of 64 MiB, malformed JSON, and opens connections on which bytes
come slowly or never. And once more while eight clients, a quarter as many as behave, hang up, never
read, pipeline requests in parts and send bodies that are too large.
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
    Option("seconds", "of load, without and with trouble", 60, 3),
    Option("clients", "connections, each with one request at a time", 32, 8),
    Option("tokens", "in each text", 200, 20),
    Option("starts", "until the server is ready, each a new process", 10, 1),
)
_ROOT = Path(__file__).parents[1]
# Each load, and what `http_trouble` does beside it.
_LOADS = {"alone": None, "with trouble": "trouble", "with abuse": "abuse"}
_CLIENT_TIMEOUT = 3
_START_SECONDS = 60.0
_SAMPLE_SECONDS = 0.25
# The allocator's own back and forth.
_FLAT = 1.1


@dataclass(frozen=True)
class Server:
    """A server that is ready.

    Attributes:
        process: Of `lstm serve`.
        host: Where it listens.
        port: Where it listens.
        ready_seconds: From its start to the first 200 of /readyz.
    """

    process: subprocess.Popen[str]
    host: str
    port: int
    ready_seconds: float


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure starts, then load alone, then load with trouble."""
    run = RunDir(find.find(runs.runs_root(), settings.run).path.absolute())
    if run.config().text is None:
        raise report.usage_error(f"Run {run.name} reads images; this measures texts.")
    report.log("starts")
    ready = []
    for _ in range(settings.starts):
        with serving(run) as server:
            ready.append(server.ready_seconds)
    with serving(run) as server:
        loads = {}
        for name in _LOADS:
            report.log(f"load, {name}")
            loads[name] = _load(server, run, settings, _LOADS[name])
    found = {"run": run.name, "ready_seconds": report.spread(ready), "loads": loads}
    notes = [
        f"Clients and server share the machine's {os.cpu_count()} cores: 'CPU' is cores' seconds a "
        "second of load, of each. Every eighth answer was compared with the predictor's own.",
        f"How trouble ended: {loads['with trouble']['trouble']['ended']}",
        f"How abuse ended: {loads['with abuse']['trouble']['ended']}",
    ]
    tables = [_ready_table(found), _load_table(loads), _memory_table(loads)]
    return Outcome(found, tables, [] if settings.quick else _goals(found), notes)


@contextlib.contextmanager
def serving(run: RunDir) -> Iterator[Server]:
    """Serve a run in a process of its own during a block.

    Raises:
        LstmError: It does not start.
    """
    command = [sys.executable, "-m", "lstm_cli", "serve", "--run", str(run.path), "--port", "0"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--client-timeout", str(_CLIENT_TIMEOUT)],
        cwd=_ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield _wait(process, began)
    finally:
        process.terminate()
        process.communicate(timeout=_START_SECONDS)


def _wait(process: subprocess.Popen[str], began: float) -> Server:
    """Read where the server listens, and ask until it says that it is ready."""
    assert process.stderr is not None
    said = []
    while not (
        found := re.search(r"Serving on http://([\d.]+):(\d+)", line := process.stderr.readline())
    ):
        said.append(line)
        if not line:
            raise LstmError(f"lstm serve does not start: {''.join(said).strip()}")
    host, port = found[1], int(found[2])
    with urllib.request.urlopen(f"http://{host}:{port}/readyz", timeout=_START_SECONDS) as answer:
        answer.read()
    return Server(process, host, port, time.perf_counter() - began)


def _load(
    server: Server, run: RunDir, settings: argparse.Namespace, kind: str | None
) -> dict[str, Any]:
    """Load the server for some seconds; watch its memory and its CPU."""
    pid = server.process.pid
    with contextlib.ExitStack() as stack:
        trouble = stack.enter_context(_trouble(server, settings.seconds, kind)) if kind else {}
        samples = stack.enter_context(_sampled(pid))
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
        found["trouble"] = trouble
    return found


@contextlib.contextmanager
def _trouble(server: Server, seconds: int, kind: str) -> Iterator[dict[str, Any]]:
    """Make trouble during a block; what became of it is there afterwards."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as scratch:
        out = Path(scratch, "result.json")
        command = [sys.executable, "-m", "benchmarks.scripts.http_trouble", kind, server.host]
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
def _sampled(pid: int) -> Iterator[list[float]]:
    """Note the resident memory of a process in MiB, four times a second."""
    samples = [resident_mb(pid)]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            samples.append(resident_mb(pid))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
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
            f"{found['num_failures']:,} of {found['answers']:,}",
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
        if name != "with abuse":
            # Abusers are answered too, out of the same cores.
            goals += [
                report.at_least(f"predictions/s, {name}", load["per_second"], 500, 0),
                report.at_most(f"p99, ms, {name}", load["latency_ms"]["p99"], 200, 0),
            ]
        goals.append(report.at_most(f"failures, {name}", load["num_failures"], 0, 0))
    memory = found["loads"]["with trouble"]["memory_mb"]
    growth = memory["peak"] / found["loads"]["alone"]["memory_mb"]["peak"]
    ended = found["loads"]["with abuse"]["trouble"]["ended"]
    resets = sum(count for name, count in ended.items() if name.endswith(("reset", "refused")))
    return [
        *goals,
        report.at_most("peak memory, with trouble / alone", growth, _FLAT, 2),
        report.at_most("resets of valid requests, with abuse", resets, 0, 0),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("serve", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

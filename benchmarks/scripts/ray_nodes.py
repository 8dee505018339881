"""Start a Ray cluster of nodes of one core on this machine, and predict on it.

Usage: ray_nodes.py OUT NUM_NODES PARTS_BEFORE COMMAND... RESULT.json

The command gets `--address`. A node is removed when OUT has the records of PARTS_BEFORE parts; with
0, none is.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_STORE_BYTES = 100 << 20
_OPTIONS: dict[str, Any] = {
    "num_cpus": 1,
    "object_store_memory": _STORE_BYTES,
    "include_dashboard": False,
    "include_log_monitor": False,
}


def predict(out: Path, num_nodes: int, parts_before: int, command: Sequence[str]) -> dict[str, Any]:
    """Run the command on several nodes of one core each.

    Args:
        out: The output folder of the command.
        num_nodes: How many nodes.
        parts_before: How many parts are finished when a node is removed; 0 to keep all.
        command: Without `--address`.

    Returns:
        `exit_code`, `seconds`, `removed_after` (seconds), `finished_before` (parts), and
        `rewritten`: how many of these have other files at the end.
    """
    from ray.cluster_utils import Cluster

    head = {**_OPTIONS, **_agent_ports(), "no_monitor": True}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    others = [cluster.add_node(**_OPTIONS, **_agent_ports()) for _ in range(num_nodes - 1)]
    start = time.monotonic()
    process = subprocess.Popen([*command, "--address", cluster.address])
    before: dict[str, int] = {}
    removed_after = None
    while process.poll() is None:
        time.sleep(0.2)
        if removed_after is None and 0 < parts_before <= len(_finished(out)):
            cluster.remove_node(others[-1], allow_graceful=False)
            removed_after, before = time.monotonic() - start, _finished(out)
    seconds = time.monotonic() - start
    cluster.shutdown()
    after = _finished(out)
    return {
        "exit_code": process.returncode,
        "seconds": seconds,
        "removed_after": removed_after,
        "finished_before": len(before),
        "rewritten": sum(after.get(name) != time_ns for name, time_ns in before.items()),
    }


def _finished(out: Path) -> dict[str, int]:
    """Return when the answers of each finished part were written."""
    records = (out / "_lstm_predict" / "parts").glob("*.json")
    return {path.stem: (out / path.stem).stat().st_mtime_ns for path in records}


def _agent_ports() -> dict[str, int]:
    """Choose the ports of a node's agents: otherwise it waits for them, at most half a minute."""
    with socket.socket() as first, socket.socket() as second:
        for free in (first, second):
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in (first, second)]
    return dict(zip(("metrics_agent_port", "runtime_env_agent_port"), ports, strict=True))


if __name__ == "__main__":
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_agent_register_timeout_ms"] = "300000"  # noqa: SIM112
    out, num_nodes, parts_before, *command, result = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="lstm-", ignore_cleanup_errors=True) as temp_dir:
        os.environ["RAY_TMPDIR"] = temp_dir
        found = predict(Path(out), int(num_nodes), int(parts_before), command)
    Path(result).write_text(json.dumps(found))

"""A PostgreSQL server of its own for a test, on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

# Debian does not put these on the path.
_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]


@contextlib.contextmanager
def postgres():
    """Run an empty server during a block; yields the URL of its database, as SQLAlchemy takes it.

    The test is skipped where PostgreSQL is not installed. Nothing is kept on the disk.
    """
    path = os.pathsep.join([*map(str, _DEBIAN), os.environ.get("PATH", "")])
    initdb, server = shutil.which("initdb", path=path), shutil.which("postgres", path=path)
    if not (initdb and server):
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    pytest.importorskip("psycopg")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="lstm-postgres-") as folder:
        _hand_over(folder)
        data = f"{folder}/data"
        options = ["--pgdata", data, "--username", "lstm", "--auth", "trust", "--no-sync"]
        _run_to_end([initdb, *options, "--encoding", "UTF8", "--locale", "C"])
        quick = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB"]
        where = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
        command = _as_other_user([server, "-D", data, "-p", str(port), *where, *quick])
        log = Path(folder) / "log"
        with log.open("w") as file:
            process = subprocess.Popen(command, cwd=folder, stderr=file)
        try:
            _wait_until_ready(process, log)
            yield f"postgresql+psycopg://lstm@127.0.0.1:{port}/postgres"
        finally:
            # SIGINT: end now, without waiting for clients.
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def _as_other_user(command):
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return command
    ids = ["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    return ["setpriv", *ids, "--", *command]


def _hand_over(folder):
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")


def _run_to_end(command):
    done = subprocess.run(_as_other_user(command), cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _wait_until_ready(process, log):
    while "ready to accept connections" not in log.read_text():
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

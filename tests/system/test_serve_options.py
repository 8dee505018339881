"""Options of `lstm serve` that need a process: a Unix socket, SIGHUP, the access log."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys

import pytest
from fixtures_runs import TEXTS, make_text_run, text_config
from fixtures_serve import JSON, read_response, text_run
from typer.testing import CliRunner

from lstm_cli.cli import app
from lstm_cli.errors import ExitCode, LstmError

__all__ = ["text_run"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Unix sockets")


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


def predict(path):
    connection = UnixConnection(str(path))
    connection.request("POST", "/v1/predict", json.dumps({"text": TEXTS[0]}), JSON)
    response = read_response(connection.getresponse())
    connection.close()
    return response


def read_until(stream, text):
    lines = []
    while text not in (line := stream.readline()):
        assert line, "".join(lines)
        lines.append(line)
    return line


def test_a_socket_a_newer_run_and_the_access_log(text_run, tmp_path):
    """One server for all, since each takes a second to start."""
    shutil.copytree(text_run.path, tmp_path / "demo" / "old")
    command = [sys.executable, "-m", "lstm_cli", "serve", "--run", "demo", "--access-log", "json"]
    process = subprocess.Popen(
        [*command, "--unix-socket", "s", "--unix-socket-mode", "660"],
        cwd=tmp_path,
        env={**os.environ, "LSTM_RUNS_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    path = tmp_path / "s"
    try:
        read_until(process.stderr, "Run: demo/old")
        process.send_signal(signal.SIGHUP)  # Before the run is loaded.
        read_until(process.stderr, "Serving on s")
        read_until(process.stderr, "demo/old has not changed")
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        short = os.path.relpath(path)
        assert predict(short).json()["run"] == "demo/old"
        make_text_run(
            tmp_path / "demo" / "new",
            config=text_config(model__units=5),
            started="2027-01-01T00:00:00+00:00",
        )
        process.send_signal(signal.SIGHUP)
        read_until(process.stderr, "demo/new answers in place of demo/old")
        assert predict(short).json()["run"] == "demo/new"
        process.terminate()
        out, _ = process.communicate(timeout=20)
        assert process.returncode == 0
        assert not path.exists()
        lines = [json.loads(line) for line in out.splitlines()]
        assert [(line["path"], line["status"], line["texts"]) for line in lines] == [
            ("/v1/predict", 200, 1),
            ("/v1/predict", 200, 1),
        ]
        assert TEXTS[0] not in out
    finally:
        process.kill()
        process.communicate()


_LOG = ["--access-log", "json"]


@contextlib.contextmanager
def with_access_log(run):
    """Start a server whose access log goes to a pipe; yield it and a connection to it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lstm_cli", "serve", f"--run={run.path}", "--port=0", *_LOG],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        port = read_until(process.stderr, "Serving on").split(":")[-1].split()[0]
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(port))) as connection:
            yield process, connection
    finally:
        process.kill()
        process.communicate()


def ask(connection, num_requests):
    for _ in range(num_requests):
        connection.request("GET", "/healthz", headers={"X-Request-ID": 128 * "a"})
        assert connection.getresponse().read()


def test_the_server_ends_although_nobody_reads_its_access_log(text_run):
    with with_access_log(text_run) as (process, connection):
        ask(connection, 500)  # more lines than a pipe holds
        process.terminate()
        assert process.wait(20) == 0


def test_an_access_log_whose_reader_has_gone_is_reported_and_the_server_goes_on(text_run):
    with with_access_log(text_run) as (process, connection):
        process.stdout.close()
        ask(connection, 1)
        assert "Broken pipe" in read_until(process.stderr, "The access log ends here")
        ask(connection, 1)
        process.terminate()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


_TERMINAL = """
import asyncio, os, pty, signal, sys, time
from lstm_cli.io.signals import hold_hangup
from lstm_cli.serve import server
calls, when = [], sys.argv[1]

def is_ready():
    os.write(1, b"ready")

async def serve():
    ended = asyncio.Event()
    with server._signal_handlers(ended.set, lambda: calls.append(1)):
        assert calls == [1]
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
        assert calls == [1, 1] and not ended.is_set()
        is_ready()
        await asyncio.wait_for(ended.wait(), 20)

pid, terminal = pty.fork()
if pid == 0:
    with hold_hangup():
        os.kill(os.getpid(), signal.SIGHUP)
        if when == "before":
            is_ready()
            for _ in range(1000):
                time.sleep(0.01)
        else:
            asyncio.run(serve())
    os._exit(7)
while b"ready" not in os.read(terminal, 100):
    pass
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize(("when", "code"), [("before", -signal.SIGHUP), ("after", 7)])
def test_sighup_ends_the_server_only_if_its_terminal_was_closed(when, code):
    """Before the server is ready, and after."""
    command = [sys.executable, "-c", _TERMINAL, when]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert int(done.stdout) == code


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        (["--unix-socket", "s", "--port", "1"], "--port has no effect"),
        (["--unix-socket", "s", "--host", "::1"], "--host has no effect"),
        (["--unix-socket-mode", "660"], "--unix-socket-mode has no effect"),
        (["--cors-origin", "example.org"], "--cors-origin"),
        (["--run", "x=demo", "--run", "x=demo"], "'x'"),
    ],
)
def test_options_that_cannot_be_are_usage_errors(text_run, tmp_path, monkeypatch, options, detail):
    shutil.copytree(text_run.path, tmp_path / "demo" / "a")
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path))
    monkeypatch.delenv("LSTM_API_KEY", raising=False)
    done = CliRunner().invoke(app, ["serve", *options])
    error = done.exception
    assert isinstance(error, LstmError), done.output
    assert error.exit_code == ExitCode.USAGE
    assert detail in error.message

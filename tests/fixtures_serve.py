"""A server in a process or in a thread, and clients that behave or do not."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import safetensors.numpy
from fixtures_runs import make_text_run

from lstm_cli.explain.explainer import Explainer
from lstm_cli.runs import directory as runs
from lstm_cli.serve import app as serving
from lstm_cli.serve import server
from lstm_cli.serve.app import Settings
from lstm_cli.serve.hosts import Hosts
from lstm_cli.serve.middleware import Limits

JSON = {"Content-Type": "application/json"}
_ROOT = Path(__file__).parents[1]
# What requests written byte by byte call the server, beside localhost.
_NAME = "x"


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        found = self.json()["error"]
        assert found.keys() == {"message", "hint"}
        assert "Traceback" not in found["message"]
        return found["message"]


@dataclass
class Running:
    """A server's address, and the end of it."""

    host: str
    port: int
    stop: object

    def connect(self, timeout=20):
        return socket.create_connection((self.host, self.port), timeout)

    def ask(self, method, path, body=None, headers=None):
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            return reply(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, None, headers)

    def post(self, path, value, **headers):
        return self.ask("POST", path, json.dumps(value), {**JSON, **headers})

    def predict(self, value, **headers):
        return self.post("/v1/predict", value, **headers)


@dataclass
class Served(Running):
    """A server in a process of its own.

    Attributes:
        process: Of `lstm serve`.
        said: Lines of its stderr so far; a thread reads them, so that the pipe never fills.
    """

    process: subprocess.Popen
    said: list[str] = field(default_factory=list)

    @property
    def stderr(self):
        return "".join(self.said)

    @property
    def resident_mb(self):
        """Resident memory of the process, in MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def reply(response):
    return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def explainer_of(predictor):
    """Put an explainer around any predictor of a run, a slow or broken one too."""
    run = predictor.run
    weights = safetensors.numpy.load(run.file(runs.WEIGHTS).read_bytes())
    return Explainer(predictor, run.config(), weights)


@contextlib.contextmanager
def serving_run(predictor, key=None, examples=True, port=0, **limits):
    """Serve a run in a thread during a block."""
    ready, stops = threading.Event(), []
    sock = server.bind("127.0.0.1", port)
    host, port = sock.getsockname()
    settings = Settings(Limits(**limits), key, examples, Hosts(frozenset({_NAME})))

    def on_ready(stop):
        stops.append(stop)
        ready.set()

    thread = threading.Thread(
        target=serving.serve, args=(explainer_of(predictor), sock, settings, on_ready)
    )
    thread.start()
    try:
        assert ready.wait(20)
        yield Running(host, port, stops[0])
    finally:
        stops[0]()
        thread.join(30)
        sock.close()
        assert not thread.is_alive()


@contextlib.contextmanager
def served_process(run, *options, expected_exit=0, names=(_NAME,), **environment):
    """Serve a run by `python -m lstm_cli serve --run DIR --port 0` during a block.

    Signals, stderr, memory and the exit code are those of the real command, which a thread of
    pytest cannot show. Ended by SIGTERM, unless the block has ended it; an exit code other than
    `expected_exit` fails the test.

    Args:
        run: A `RunDir`, or its folder.
        options: Further ones of the command, such as "--client-timeout", 1.
        expected_exit: As `Popen.returncode` has it; None takes any.
        names: Values of --allowed-host.
        environment: Added to this process's own, from which LSTM_API_KEY is taken.

    Yields:
        A `Served`, once it listens: `connect`, `get`, `post`, `predict` are its clients.
    """
    command = [sys.executable, "-m", "lstm_cli", "serve", "--port", "0"]
    command += [f"--allowed-host={name}" for name in names]
    own = {name: value for name, value in os.environ.items() if name != "LSTM_API_KEY"}
    process = subprocess.Popen(
        [*command, "--run", str(getattr(run, "path", run)), *map(str, options)],
        cwd=_ROOT,
        env={**own, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    said, listens = [], threading.Event()
    reader = threading.Thread(target=_read, args=(process.stderr, said, listens), daemon=True)
    reader.start()
    try:
        assert listens.wait(60), "".join(said)
        found = re.search(r"Serving on http://(.*):(\d+)", "".join(said))
        assert found, "".join(said)

        def stop():
            process.send_signal(signal.SIGTERM)

        yield Served(found[1].strip("[]"), int(found[2]), stop, process, said)
        if process.poll() is None:
            stop()
        code = process.wait(60)
        reader.join(20)
        assert expected_exit in (None, code), (code, "".join(said))
    finally:
        process.kill()
        process.wait()
        reader.join(20)
        process.stderr.close()


def _read(lines, said, listens):
    """Keep what a server says; `listens` is set where it says so, and where it ends."""
    for line in lines:
        said.append(line)
        if "Serving on" in line:
            listens.set()
    listens.set()


@pytest.fixture(scope="session")
def text_server(tmp_path_factory):
    """A `Served` text run with small limits, for all tests of a module that import this.

    4,096 bytes, 4 texts, 50 tokens. For tests that leave the server as it was:
    one that counts, stops it or reads its memory starts its own by `served_process`.
    """
    run = make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "a")
    limits = ("--max-body", 4096, "--max-texts", 4, "--max-tokens", 50)
    with served_process(run, *limits) as served:
        yield served


def received(sock):
    """Everything until the other side closes; a reset counts as that."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            parts.append(part)
    return b"".join(parts)

"""A server in a process or in a thread, and its clients."""

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
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.serve import app as server_app
from lstm_cli.serve import server
from lstm_cli.serve.cors import CorsPolicy
from lstm_cli.serve.hosts import HostPolicy
from lstm_cli.serve.models import ModelSource
from lstm_cli.serve.settings import Limits, ServerSettings

JSON = {"Content-Type": "application/json"}
_ROOT = Path(__file__).parents[1]
# A host name that is allowed besides localhost.
_ALLOWED_HOST = "x"


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        error = self.json()["error"]
        assert error.keys() == {"message", "hint", "request_id"}
        assert error["request_id"] == self.headers["x-request-id"]
        assert "Traceback" not in error["message"]
        return error["message"]


@dataclass
class RunningServer:
    """A server's address, and a function that stops it."""

    host: str
    port: int
    stop: object

    def connect(self, timeout=20):
        return socket.create_connection((self.host, self.port), timeout)

    def request(self, method, path, body=None, headers=None):
        """Send one request on a new connection."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            return read_response(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, None, headers)

    def post(self, path, value, **headers):
        return self.request("POST", path, json.dumps(value), {**JSON, **headers})

    def predict(self, value, **headers):
        return self.post("/v1/predict", value, **headers)


@dataclass
class ServerProcess(RunningServer):
    """A server in its own process.

    Attributes:
        process: The process of `lstm serve`.
        stderr_lines: Lines of its stderr so far; a thread reads them, so that the pipe never fills.
    """

    process: subprocess.Popen
    stderr_lines: list[str] = field(default_factory=list)

    @property
    def stderr(self):
        return "".join(self.stderr_lines)

    @property
    def resident_mb(self):
        """Resident memory of the process, in MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def read_response(response):
    return Response(
        response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    )


def explainer_of(predictor):
    """Return an explainer with any predictor of a run, for example a blocking one."""
    run = predictor.run
    weights = safetensors.numpy.load(run.file(runs.WEIGHTS).read_bytes())
    return Explainer(predictor, run.config(), weights)


def source_of(predictor, name="a", find=None):
    """Return what a server needs of a run."""
    return ModelSource(name, predictor.run, lambda: explainer_of(predictor), find)


@contextlib.contextmanager
def server_thread(predictor, key=None, examples=True, port=0, **limits):
    """Serve a run in a thread inside a `with` block."""
    with sources_thread([source_of(predictor)], key, examples, port, **limits) as server:
        yield server


@contextlib.contextmanager
def sources_thread(
    sources, key=None, examples=True, port=0, cors=(), reload_seconds=None, log=None, report=None,
    **limits,
):  # fmt: skip
    """Serve some runs in a thread inside a `with` block."""
    ready, stops = threading.Event(), []
    sock = server.bind("127.0.0.1", port)
    host, port = sock.getsockname()
    policy = HostPolicy(frozenset({_ALLOWED_HOST}), cors=CorsPolicy(frozenset(cors)))
    settings = ServerSettings(
        Limits(**limits), key, examples, policy, reload_seconds=reload_seconds
    )

    def on_ready(stop):
        stops.append(stop)
        ready.set()

    thread = threading.Thread(
        target=server_app.serve,
        args=(sources, sock, settings, on_ready, log, report or (lambda _: None)),
    )
    thread.start()
    try:
        assert ready.wait(20)
        yield RunningServer(host, port, stops[0])
    finally:
        stops[0]()
        thread.join(30)
        sock.close()
        assert not thread.is_alive()


@contextlib.contextmanager
def server_process(run, *options, exit_code=0, names=(_ALLOWED_HOST,), **environment):
    """Serve a run with `python -m lstm_cli serve --run DIR --port 0` inside a `with` block.

    Signals, stderr, memory and the exit code are those of the real command. The block may stop the
    server; otherwise SIGTERM stops it. An exit code other than `exit_code` fails the test.

    Args:
        run: A `RunDir`, or its folder.
        options: Further options of the command, such as "--client-timeout", 1.
        exit_code: The expected `Popen.returncode`; None accepts any.
        names: Values of --allowed-host.
        environment: Added to the environment of this process without LSTM_API_KEY.

    Yields:
        A `ServerProcess` that listens.
    """
    command = [sys.executable, "-m", "lstm_cli", "serve", "--port", "0"]
    command += [f"--allowed-host={name}" for name in names]
    inherited = {name: value for name, value in os.environ.items() if name != "LSTM_API_KEY"}
    process = subprocess.Popen(
        [*command, "--run", str(getattr(run, "path", run)), *map(str, options)],
        cwd=_ROOT,
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    lines, listens = [], threading.Event()
    reader = threading.Thread(
        target=_read_lines, args=(process.stderr, lines, listens), daemon=True
    )
    reader.start()
    try:
        assert listens.wait(60), "".join(lines)
        match = re.search(r"Serving on http://(.*):(\d+)", "".join(lines))
        assert match, "".join(lines)

        def stop():
            process.send_signal(signal.SIGTERM)

        yield ServerProcess(match[1].strip("[]"), int(match[2]), stop, process, lines)
        if process.poll() is None:
            stop()
        returncode = process.wait(60)
        reader.join(20)
        assert exit_code in (None, returncode), (returncode, "".join(lines))
    finally:
        process.kill()
        process.wait()
        reader.join(20)
        process.stderr.close()


def _read_lines(stream, lines, listens):
    """Collect lines; set `listens` when the server says that it listens, and when it ends."""
    for line in stream:
        lines.append(line)
        if "Serving on" in line:
            listens.set()
    listens.set()


class BlockingPredictor:
    """A predictor of a text run that waits for an event, and fails on request.

    Attributes:
        started: Set by the first prediction.
        release: Predictions wait until this is set.
        fails: Whether predictions raise.
        num_calls: Number of batches.
    """

    def __init__(self, predictor):
        self._predictor = predictor
        self.started = threading.Event()
        self.release = threading.Event()
        self.fails = False
        self.num_calls = 0

    def __getattr__(self, name):
        return getattr(self._predictor, name)

    def run_texts(self, ids):
        self.num_calls += 1
        self.started.set()
        assert self.release.wait(20)
        if self.fails:
            raise ValueError("an internal detail")
        return self._predictor.run_texts(ids)


def in_thread(function, *arguments):
    """Call a function in a thread; return the thread and a list that will hold the result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)))
    thread.start()
    return thread, results


@pytest.fixture(scope="session")
def text_run(tmp_path_factory):
    return make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "a")


@pytest.fixture(scope="session")
def predictor(text_run):
    return Predictor.load(text_run)


@pytest.fixture
def blocking(predictor):
    """A `BlockingPredictor` that the end of the test releases."""
    blocking = BlockingPredictor(predictor)
    yield blocking
    blocking.release.set()


@pytest.fixture(scope="session")
def text_server(tmp_path_factory):
    """A `ServerProcess` of a text run with small limits: 4,096 bytes, 4 texts, 50 tokens.

    All tests share it. A test that reads its metrics or memory, or stops it, starts its own.
    """
    run = make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "a")
    limits = ("--max-body", 4096, "--max-texts", 4, "--max-tokens", 50)
    with server_process(run, *limits) as server:
        yield server


def receive_all(sock):
    """Receive until the server closes or resets the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            parts.append(part)
    return b"".join(parts)

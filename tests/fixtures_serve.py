"""A server in a thread, and clients that behave or do not."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from dataclasses import dataclass

import safetensors.numpy

from lstm_cli import listener
from lstm_cli import run as runs
from lstm_cli import serve as serving
from lstm_cli.explain import Explainer
from lstm_cli.gate import Limits
from lstm_cli.serve import Settings

JSON = {"Content-Type": "application/json"}


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
    sock = listener.bind("127.0.0.1", port)
    host, port = sock.getsockname()
    settings = Settings(Limits(**limits), key, examples)

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


def received(sock):
    """Everything until the other side closes; a reset counts as that."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            parts.append(part)
    return b"".join(parts)

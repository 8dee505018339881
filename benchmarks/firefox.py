"""Run the JavaScript of an exported page in Firefox, without a window and without a driver."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.export.javascript import prediction_script

_TIMEOUT_SECONDS = 600
_SEND = """
predictAll(DATA, INPUTS).then(JSON.stringify, (error) => JSON.stringify(String(error)))
  .then((body) => fetch("/", { method: "POST", body }));
"""
# No page of welcome, and nothing from the network.
_PREFERENCES = {
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "http://127.0.0.1:9/",
}


def predict_in_firefox(page: Path, inputs: Sequence[Any], program: str) -> NDArray[np.float64]:
    """Return the probabilities that a page computes in Firefox, `<float64>[num, classes]`.

    Firefox cannot print the content of a page, as Chromium does; the script sends its result to a
    server of this process.

    Args:
        page: A file that `lstm export --format html` wrote.
        inputs: Texts, or images as lists of rows.
        program: Path of Firefox.

    Raises:
        RuntimeError: The script ended by an error, or gave no result in ten minutes.
    """
    script = prediction_script(page, inputs) + _SEND
    content = f'<!doctype html><meta charset="utf-8"><body><script>{script}</script>'
    with _serve(content) as server, tempfile.TemporaryDirectory(prefix="lstm-firefox-") as folder:
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in _PREFERENCES.items()]
        (Path(folder) / "user.js").write_text("\n".join(lines), "utf-8")
        address = f"http://127.0.0.1:{server.server_port}/"
        browser = subprocess.Popen(
            [program, "--headless", "--no-remote", "--profile", folder, address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            server.answered.wait(_TIMEOUT_SECONDS)
        finally:
            browser.terminate()
            browser.wait()
    if not isinstance(server.answer, list):
        raise RuntimeError(f"the page gave no result: {server.answer}")
    return np.array(server.answer, np.float64)


class _Server(HTTPServer):
    """Serves one page, and keeps what its script sends."""

    def __init__(self, content: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content.encode()
        self.answer: Any = None
        self.answered = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Send the page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.server.content)

    def do_POST(self) -> None:
        """Keep the result."""
        self.server.answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.answered.set()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def _serve(content: str) -> Iterator[_Server]:
    server = _Server(content)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

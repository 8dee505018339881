"""The parts of Uvicorn that are not a public interface, and that `lstm_cli.serve` uses."""

from __future__ import annotations

import asyncio
import inspect

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from lstm_cli.serve.protocol import HttpProtocol

_ADVICE = (
    "but lstm_cli/serve uses it. Adapt lstm_cli/serve/protocol.py and server.py, or lower the "
    "upper bound of uvicorn in pyproject.toml."
)
# Methods that our classes override: a new name in Uvicorn would leave ours uncalled.
_OVERRIDDEN = (
    *("connection_made", "connection_lost", "eof_received", "data_received", "pause_writing"),
    *("resume_writing", "on_message_begin", "on_header", "on_headers_complete", "on_body"),
    *("on_message_complete", "on_response_complete", "send_400_response"),
    "timeout_keep_alive_handler",
)
_USED = {
    "protocol": (
        *("app", "loop", "connections", "transport", "flow", "headers", "cycle", "parser"),
        "_unset_keepalive_if_required",
    ),
    "flow": ("read_paused", "write_paused", "pause_reading", "resume_reading"),
    "cycle": (
        *("response_started", "response_complete", "keep_alive", "more_body", "disconnected"),
        *("message_event", "scope"),
    ),
    "parser": ("get_http_version", "should_upgrade"),
}


class Transport(asyncio.Transport):
    """A transport that drops what is written."""

    def write(self, data):
        pass

    def is_closing(self):
        return False

    def close(self):
        pass


@pytest.fixture(scope="module")
def objects():
    """Uvicorn's protocol in the middle of a request, and the objects it consists of."""

    async def app(scope, receive, send):
        pass

    async def receive_request():
        protocol = HttpToolsProtocol(uvicorn.Config(app, log_config=None), ServerState(), {})
        protocol.connection_made(Transport())
        protocol.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
        for task in protocol.tasks:
            task.cancel()
        return {
            "protocol": protocol,
            "flow": protocol.flow,
            "cycle": protocol.cycle,
            "parser": protocol.parser,
        }

    return asyncio.run(receive_request())


@pytest.mark.parametrize(
    ("name", "attribute"), [(name, attribute) for name in _USED for attribute in _USED[name]]
)
def test_uvicorn_has_the_attributes_that_we_use(objects, name, attribute):
    owner = type(objects[name]).__name__
    assert hasattr(objects[name], attribute), (
        f"Uvicorn {uvicorn.__version__} has no {owner}.{attribute} any more, {_ADVICE}"
    )


@pytest.mark.parametrize("method", _OVERRIDDEN)
def test_uvicorn_has_the_methods_that_we_override(method):
    missing = f"Uvicorn {uvicorn.__version__} has no HttpToolsProtocol.{method} any more, {_ADVICE}"
    assert callable(getattr(HttpToolsProtocol, method, None)), missing
    assert method in vars(HttpProtocol), f"HttpProtocol no longer overrides {method}: update this."


@pytest.mark.parametrize("method", ["capture_signals", "startup", "serve"])
def test_uvicorn_has_the_methods_of_its_server_that_we_use(method):
    missing = f"Uvicorn {uvicorn.__version__} has no Server.{method} any more, {_ADVICE}"
    assert callable(getattr(uvicorn.Server, method, None)), missing


def test_every_use_of_uvicorn_is_in_the_lists_above():
    """Attributes that the source of `HttpProtocol` uses and does not define itself."""
    source = inspect.getsource(HttpProtocol)
    names = {
        name
        for name in dir(FlowControl) + dir(HttpToolsProtocol)
        if not name.startswith("__") and f"self.{name}" in source and name not in vars(HttpProtocol)
    }
    assert names <= {attribute for attributes in _USED.values() for attribute in attributes}, (
        "Add these attributes of Uvicorn to _USED."
    )

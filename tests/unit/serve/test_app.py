from __future__ import annotations

import asyncio

from fixtures_serve import explainer_of, predictor, text_run

from lstm_cli.serve.app import Application
from lstm_cli.serve.settings import Limits, ServerSettings

__all__ = ["predictor", "text_run"]


def get_status(app, path):
    """Send a GET request to an ASGI application; return the status."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "headers": [(b"host", b"localhost")],
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
    }
    statuses = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    asyncio.run(app(scope, receive, send))
    return statuses[0]


def test_readiness_is_503_during_shutdown(predictor):
    app = Application(explainer_of(predictor), ServerSettings(Limits()))
    try:
        assert get_status(app.asgi, "/readyz") == 200
        app.shut_down()
        assert get_status(app.asgi, "/readyz") == 503
        assert get_status(app.asgi, "/healthz") == 200
    finally:
        app.close()

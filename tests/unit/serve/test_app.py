from __future__ import annotations

import asyncio

from fixtures_serve import predictor, server_thread, source_of, text_run

from lstm_cli.io.fields import SEPARATOR
from lstm_cli.prediction.decision import make_decision
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


def test_the_thresholds_of_the_run_are_in_the_description_and_decide(predictor):
    labels = predictor.labels
    predictor.decision = make_decision(labels, None, dict.fromkeys(labels, 1.0))
    with server_thread(predictor) as server:
        described = server.get("/v1/model").json()
        assert described["decision"] == {"min_probabilities": dict.fromkeys(labels, 1.0)}
        assert "thresholds" not in described
        (found,) = server.predict({"text": "a fine film"}).json()["predictions"]
        assert (found["label"], found["probability"]) == ("", max(found["probabilities"].values()))
        body = {"text": "a fine film", "min_probability": 0}
        assert server.predict(body).json()["predictions"][0]["label"] in labels
        explained = server.post("/v1/explain", {"text": "a fine film"}).json()
        assert explained["prediction"]["label"] in labels


def test_readiness_is_503_during_shutdown(predictor):
    app = Application([source_of(predictor)], ServerSettings(Limits()))
    try:
        assert get_status(app.asgi, "/readyz") == 200
        app.shut_down()
        assert get_status(app.asgi, "/readyz") == 503
        assert get_status(app.asgi, "/healthz") == 200
    finally:
        app.close()


def test_a_text_can_be_the_values_of_the_columns_of_the_run(predictor, monkeypatch):
    monkeypatch.setattr(predictor, "text_columns", ("title", "body"))
    fields, text = {"title": "a fine film", "body": None}, f"a fine film {SEPARATOR} "
    with server_thread(predictor) as server:
        assert server.get("/v1/model").json()["text_columns"] == ["title", "body"]
        found = [
            server.predict(body).json()["predictions"]
            for body in ({"text": fields}, {"texts": [fields]}, {"text": text})
        ]
        assert found[0] == found[1] == found[2]
        assert server.post("/v1/explain", {"text": fields}).json()["text"] == text
        for wrong in ({"titel": "a"}, {}):
            response = server.predict({"text": wrong})
            assert response.status == 422
            assert "title, body" in response.json()["error"]["message"]
        schemas = server.get("/openapi.json").json()["components"]["schemas"]
        by_column = schemas["ExplainTextRequest"]["properties"]["text"]["anyOf"][1]
        assert list(by_column["properties"]) == ["title", "body"]
        assert [part["required"] for part in by_column["anyOf"]] == [["title"], ["body"]]
        assert server.post("/v1/explain", {"text": {"title": "<br>", "body": None}}).status == 422


def test_a_run_without_columns_reads_strings_only(predictor):
    with server_thread(predictor) as server:
        response = server.predict({"text": {"text": "a fine film"}})
        assert response.status == 422
        assert "no columns" in response.json()["error"]["message"]
        assert "text_columns" not in server.get("/v1/model").json()

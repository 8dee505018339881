"""Requests to `lstm serve`: predictions, explanations, errors."""

from __future__ import annotations

import http.client
import json
import os
import re
import time

import pytest
from fixtures_runs import TEXTS, make_image_run, make_text_run, text_config
from fixtures_serve import (
    JSON,
    blocking,
    explainer_of,
    in_thread,
    predictor,
    read_response,
    receive_all,
    server_process,
    server_thread,
    text_run,
    text_server,
)

from lstm_cli.prediction.predictor import Predictor

__all__ = ["blocking", "predictor", "text_run", "text_server"]


@pytest.fixture
def server(text_server):
    return text_server


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    predictor = Predictor.load(make_image_run(tmp_path_factory.mktemp("runs") / "digits" / "a"))
    with server_process(predictor.run) as running:
        yield running, predictor


# Predictions


def test_response_equals_the_predictors_result(server, predictor):
    response = server.predict({"text": TEXTS[0]})
    assert response.status == 200
    (found,) = response.json()["predictions"]
    (expected,) = predictor.predict(TEXTS[0])
    assert found.pop("probabilities") == pytest.approx(expected.probabilities, abs=1e-6)
    assert found.pop("probability") == pytest.approx(expected.probability, abs=1e-6)
    assert found == {
        "label": expected.label,
        "num_tokens": 12,
        "truncated": False,
        "unknown": expected.unknown,
    }
    assert response.json()["run"] == predictor.run.name


def test_predictions_keep_the_order_of_the_texts(server, predictor):
    texts = [TEXTS[1], "", TEXTS[2], "never seen"]
    found = server.predict({"texts": texts}).json()["predictions"]
    expected = predictor.predict(texts)
    assert [p["probability"] for p in found] == pytest.approx([p.probability for p in expected])
    assert found[3]["unknown"] == 1


def test_top_k_and_threshold(server):
    (found,) = server.predict({"text": TEXTS[0], "top_k": 1}).json()["predictions"]
    assert list(found["probabilities"].values()) == [found["probability"]]
    labels = [
        server.predict({"text": TEXTS[0], "threshold": t}).json()["predictions"][0]["label"]
        for t in (0, 1)
    ]
    assert labels == ["positive", "negative"]


def test_images_are_rows_of_pixels(images):
    server, _ = images
    rows = [[(16 * r + c) % 256 for c in range(8)] for r in range(8)]
    found = server.predict({"images": [rows, rows], "top_k": 3}).json()["predictions"]
    assert found[0] == found[1]
    assert len(found[0]["probabilities"]) == 3
    assert found[0].keys() == {"label", "probability", "probabilities"}
    assert server.predict({"image": rows}).json()["predictions"][0]["label"] == found[0]["label"]
    response = server.predict({"image": rows[1:]})
    assert (response.status, "7 rows of 8" in response.error) == (422, True)
    assert server.predict({"image": [[256] * 8] * 8}).status == 422
    assert server.predict({"text": "a"}).status == 422
    response = server.predict({"image": rows, "threshold": 0.5})
    assert (response.status, "two classes" in response.error) == (422, True)


def test_concurrent_requests_share_batches(blocking, predictor):
    with server_thread(blocking) as server:
        cores = os.cpu_count() or 1
        busy = [in_thread(server.predict, {"text": TEXTS[0]})]
        assert blocking.started.wait(20)
        rest = [in_thread(server.predict, {"text": TEXTS[1]}) for _ in range(8 + cores)]
        time.sleep(0.3)
        blocking.release.set()
        for thread, _ in busy + rest:
            thread.join()
        assert {found[0].status for _, found in busy + rest} == {200}
        metrics = server.get("/metrics").body.decode()
    batches = float(re.search(r'lstm_batch_inputs_count{model="a"} (\S+)', metrics)[1])
    inputs = float(re.search(r'lstm_batch_inputs_sum{model="a"} (\S+)', metrics)[1])
    assert inputs == 9 + cores
    assert batches < inputs


def test_long_text_is_tokenized_in_a_thread(tmp_path):
    config = text_config(text__max_tokens=12)
    run = make_text_run(tmp_path / "demo" / "b", config=config)
    with server_process(run, "--max-tokens", 100_000) as server:
        (found,) = server.predict({"text": "fine " * 50_000}).json()["predictions"]
    assert found["num_tokens"] == 50_000
    assert found["truncated"]


# Explanations


def test_explanation_equals_the_explainers_result(server, predictor):
    response = server.post("/v1/explain", {"text": TEXTS[0]})
    assert response.status == 200
    expected = explainer_of(predictor).explain_text(TEXTS[0]).to_dict()
    found = response.json()
    assert found.keys() == expected.keys()
    assert found["tokens"] == expected["tokens"]
    effects = expected["token_effects"]["effects"]
    assert found["token_effects"]["effects"] == pytest.approx(effects, abs=1e-5)
    assert len(found["prefixes"]["steps"]) == len(found["tokens"])


def test_image_explanation_has_one_step_per_row(images):
    server, predictor = images
    rows = [[(16 * r + c) % 256 for c in range(8)] for r in range(8)]
    found = server.post("/v1/explain", {"image": rows}).json()
    assert len(found["prefixes"]["steps"]) == 8
    assert found["prediction"]["label"] in predictor.labels
    assert server.post("/v1/explain", {"image": rows[1:]}).status == 422


@pytest.mark.parametrize(
    ("value", "status", "detail"),
    [
        ({"text": " \n"}, 422, "tokens"),
        ({"text": "b " * 51}, 422, "51 tokens"),
        ({}, 422, "text"),
        ({"text": "a", "top_k": 1}, 422, "top_k"),
        ({"text": "a" * 5000}, 413, "4,096"),
    ],
)
def test_explain_rejects_invalid_requests(server, value, status, detail):
    found = server.post("/v1/explain", value)
    assert (found.status, detail in found.error) == (status, True), found.body


def test_queue_of_explanations_is_limited(blocking):
    with server_thread(blocking) as server:
        requests = [in_thread(server.post, "/v1/explain", {"text": TEXTS[0]}) for _ in range(12)]
        assert blocking.started.wait(20)
        deadline = time.monotonic() + 20
        while sum(len(found) for _, found in requests) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert {found[0].status for _, found in requests if found} == {429}
        blocking.release.set()
        for thread, _ in requests:
            thread.join()
        assert sorted(found[0].status for _, found in requests) == [200] * 8 + [429] * 4


def test_explanation_is_cancelled_when_the_client_disconnects(blocking):
    with server_thread(blocking) as server:
        first = in_thread(server.post, "/v1/explain", {"text": TEXTS[0]})
        assert blocking.started.wait(20)
        for _ in range(20):
            with server.connect() as sock:
                body = b'{"text": "fine"}'
                sock.sendall(
                    b"POST /v1/explain HTTP/1.1\r\nHost: localhost\r\n"
                    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(body), body)
                )
                time.sleep(0.02)
        time.sleep(0.2)
        last = in_thread(server.post, "/v1/explain", {"text": TEXTS[1]})
        blocking.release.set()
        for thread, found in (first, last):
            thread.join()
            assert found[0].status == 200
        both = blocking.num_calls
        assert server.post("/v1/explain", {"text": TEXTS[1]}).status == 200
        assert both == 2 * (blocking.num_calls - both)


# Errors


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 400, "JSON"),
        (b"\xff{}", 400, "JSON"),
        (b'{"text": "\\ud800"}', 400, "JSON"),
        (b"[" * 4000, 422, "request"),
        (b'{"text": ' + b"[" * 4000, 422, "request"),
        (b"[]", 422, "request"),
        (b"{}", 422, "found neither"),
        (b'{"text": "a", "texts": ["b"]}', 422, "found both"),
        (b'{"text": 1}', 422, "$.text"),
        (b'{"texts": []}', 422, "$.texts"),
        (b'{"texts": ["a", 1]}', 422, "$.texts[1]"),
        (b'{"texts": ["a", "b", "c", "d", "e"]}', 422, "at most 4 texts"),
        (b'{"text": "a", "top_k": 0}', 422, "$.top_k"),
        (b'{"text": "a", "threshold": 1.5}', 422, "$.threshold"),
        (b'{"text": "a", "treshold": 0.5}', 422, "treshold"),
        (b'{"image": [[1]]}', 422, "image"),
        (json.dumps({"texts": ["a", "b " * 51]}).encode(), 422, "Text 2 has 51 tokens"),
        (json.dumps({"text": "a" * 4096}).encode(), 413, "4,096 bytes"),
    ],
)
def test_predict_rejects_invalid_requests(server, body, status, detail):
    found = server.request("POST", "/v1/predict", body, JSON)
    assert (found.status, detail in found.error) == (status, True), found.body


def test_unknown_paths_methods_and_types_are_errors_in_json(server):
    assert (server.get("/nope").status, server.get("/v1/predict").status) == (404, 405)
    assert "GET /nope" in server.get("/nope").error
    assert server.get("/v1/predict").headers["allow"] == "POST"
    assert server.get("/../../etc/passwd").status == 404
    response = server.request(
        "POST", "/v1/predict", b'{"text": "a"}', {"Content-Type": "text/plain"}
    )
    assert (response.status, "text/plain" in response.error) == (415, True)


def test_chunked_body_that_is_too_large_is_413(server):
    def chunks():
        for _ in range(64):
            yield b"x" * 1024

    response = server.request("POST", "/v1/predict", chunks(), JSON)
    assert (response.status, "4,096" in response.error) == (413, True)


def test_connection_stays_open_after_413(server):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
    connection.request("POST", "/v1/predict", b"x" * (8 << 20), JSON)
    assert read_response(connection.getresponse()).status == 413
    connection.request("POST", "/v1/predict", b'{"text": "fine"}', JSON)
    assert read_response(connection.getresponse()).status == 200
    connection.close()


def test_expect_100_continue_is_rejected_before_the_body(server):
    with server.connect() as sock:
        sock.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
        )
        started = time.monotonic()
        response = receive_all(sock)
    assert response.startswith(b"HTTP/1.1 413")
    assert time.monotonic() - started < 3


def test_full_queue_is_429_with_retry_after(blocking):
    with server_thread(blocking, max_queue=4, max_texts=4) as server:
        full = [in_thread(server.predict, {"texts": ["a"] * 4}) for _ in range(30)]
        deadline = time.monotonic() + 20
        response = server.predict({"texts": ["a"] * 4})
        while response.status == 504 and time.monotonic() < deadline:
            response = server.predict({"texts": ["a"] * 4})
        blocking.release.set()
        for thread, _ in full:
            thread.join()
        assert (response.status, response.headers["retry-after"]) == (429, "1")
        assert "4 inputs" in response.error
        assert {found[0].status for _, found in full} == {200, 429}
        assert server.predict({"text": "a"}).status == 200


def test_timeout_is_504_and_the_server_recovers(blocking):
    with server_thread(blocking, timeout=0.2) as server:
        response = server.predict({"text": "a"})
        assert (response.status, "0.2 s" in response.error) == (504, True)
        blocking.release.set()
        deadline = time.monotonic() + 20
        while (status := server.predict({"text": "a"}).status) != 200:
            assert status == 504
            assert time.monotonic() < deadline


def test_internal_error_is_500_and_reveals_nothing(blocking, capfd):
    blocking.fails = True
    blocking.release.set()
    with server_thread(blocking) as server:
        response = server.predict({"text": "a"})
        assert response.status == 500
        assert "internal detail" not in response.error
        blocking.fails = False
        assert server.predict({"text": "a"}).status == 200
    assert "internal detail" not in capfd.readouterr().err


def test_api_key_is_required_except_on_public_paths(text_run):
    with server_process(text_run, LSTM_API_KEY="open sesame, old key,") as server:
        for headers in (
            {},
            {"Authorization": "open sesame"},
            {"Authorization": "Bearer open sesam"},
            {"Authorization": "Bearer open sesame, old key,"},
            {"Authorization": "Bearer "},
            {"Authorization": "Basic open sesame"},
            {"Authorization": "Bearer \xe4"},
        ):
            response = server.predict({"text": "a"}, **headers)
            assert response.status == 401, headers
            assert response.headers["www-authenticate"] == "Bearer"
        for key in ("open sesame", "old key"):
            assert server.predict({"text": "a"}, Authorization=f"Bearer {key}").status == 200
        closed = {path: server.get(path).status for path in ("/v1/model", "/metrics", "/nope")}
        assert set(closed.values()) == {401}, closed
        for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz"):
            assert server.get(path).status == 200


# Information about the server


def test_model_describes_the_run(server, images, predictor):
    response = server.get("/v1/model").json()
    assert (response["run"], response["kind"]) == (predictor.run.name, "text")
    assert response["labels"] == ["negative", "positive"]
    assert response["limits"]["max_body"] == 4096
    assert response["max_tokens"] == 12
    assert sorted(response["examples"]) == sorted(TEXTS)
    response = images[0].get("/v1/model").json()
    assert (response["kind"], response["shape"]) == ("image", [8, 8])
    assert len(response["examples"]) == 2


def test_no_examples_hides_the_data(text_run):
    with server_process(text_run, "--no-examples") as server:
        assert "examples" not in server.get("/v1/model").json()


def test_health_and_readiness(predictor):
    with server_process(predictor.run) as server:
        assert server.get("/healthz").json() == {"status": "ok"}
        assert server.get("/readyz").json() == {"status": "ready"}


def test_metrics_count_requests_by_route_and_status(text_run):
    with server_process(text_run) as server:
        server.predict({"text": "a"})
        server.predict({"text": 1})
        server.get("/some/where")
        response = server.get("/metrics")
    metrics = response.body.decode()
    assert response.headers["content-type"].startswith("text/plain")
    assert 'lstm_requests_total{model="a",path="/v1/predict",status="200"} 1.0' in metrics
    assert 'lstm_requests_total{model="a",path="/v1/predict",status="422"} 1.0' in metrics
    assert 'lstm_requests_total{model="",path="other",status="404"} 1.0' in metrics
    assert "somewhere" not in metrics
    assert "process_resident_memory_bytes" in metrics


def test_openapi_document_and_its_page(server):
    response = server.get("/openapi.json").json()
    assert response["openapi"] == "3.1.0"
    assert {
        "/v1/predict",
        "/v1/explain",
        "/v1/model",
        "/healthz",
        "/readyz",
        "/metrics",
    } <= response["paths"].keys()
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(response))
    assert {"TextRequest", "PredictResponse", "TextExplanation", "ErrorResponse"} <= set(references)
    assert set(references) <= response["components"]["schemas"].keys()
    page = server.get("/docs").body.decode()
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert "/v1/predict" in page
    for path in response["paths"]:
        assert server.get(path).status in (200, 405)


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/model", "/nope"])
def test_every_response_has_security_headers(server, path):
    headers = server.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "access-control-allow-origin" not in headers

"""Several runs in one server."""

from __future__ import annotations

import time

import pytest
from fixtures_runs import TEXTS, make_image_run, make_multi_label_run
from fixtures_serve import (
    BlockingPredictor,
    in_thread,
    predictor,
    source_of,
    sources_thread,
    text_run,
)

from lstm_cli.prediction.predictor import Predictor

__all__ = ["predictor", "text_run"]
_ROWS = [[(16 * r + c) % 256 for c in range(8)] for r in range(8)]


@pytest.fixture(scope="module")
def sources(predictor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [
        source_of(predictor, "a"),
        source_of(Predictor.load(make_multi_label_run(folder / "moods" / "m")), "moods"),
        source_of(Predictor.load(make_image_run(folder / "digits" / "d")), "im ages"),
        source_of(predictor, "again"),
    ]


@pytest.fixture(scope="module")
def server(sources):
    with sources_thread(sources) as running:
        yield running


def test_models_are_listed_and_the_first_one_answers_paths_without_a_name(server):
    models = server.get("/v1/models").json()["models"]
    assert [(m["name"], m["run"], m["kind"]) for m in models] == [
        ("a", "demo/a", "text"),
        ("moods", "moods/m", "text"),
        ("im ages", "digits/d", "image"),
        ("again", "demo/a", "text"),
    ]
    assert server.get("/v1/model").json() == models[0] == server.get("/v1/models/a").json()
    assert server.get("/v1/models/moods").json() == models[1]
    body = {"text": TEXTS[0]}
    assert server.predict(body).json() == server.post("/v1/models/a/predict", body).json()


def test_each_model_answers_its_paths(server):
    moods = server.post("/v1/models/moods/predict", {"text": TEXTS[0]}).json()
    assert moods["run"] == "moods/m"
    assert "labels" in moods["predictions"][0]
    assert server.post("/v1/models/moods/explain", {"text": "fine", "label": "joy"}).status == 200
    assert server.post("/v1/models/a/explain", {"text": "fine", "label": "joy"}).status == 422
    for verb in ("predict", "explain"):
        assert server.post(f"/v1/models/im%20ages/{verb}", {"image": _ROWS}).status == 200
    assert server.post("/v1/models/im%20ages/predict", {"text": "fine"}).status == 422


def test_an_unknown_model_is_404_with_the_names(server):
    for response in (
        server.post("/v1/models/b/predict", {"text": "a"}),
        server.get("/v1/models/b"),
    ):
        assert response.status == 404
        assert "'b'" in response.error
        assert "a, moods, im ages" in response.json()["error"]["hint"]
    assert server.get("/v1/models/a/predict").status == 405
    assert server.get("/v1/models/").status == 404


def test_metrics_have_the_model(server):
    server.post("/v1/models/again/predict", {"texts": ["a", "b"]})
    server.post("/v1/models/unknown/predict", {"text": "a"})
    found = server.get("/metrics").body.decode()
    labels = 'model="again",path="/v1/models/{model}/predict",status="200"'
    assert f"lstm_requests_total{{{labels}}} 1.0" in found
    assert 'lstm_batch_inputs_sum{model="again"} 2.0' in found
    assert 'lstm_model_info{model="moods",run="moods/m"} 1.0' in found
    assert "unknown" not in found


def test_the_documents_show_requests_and_answers_of_each_run(server):
    document = server.get("/openapi.json").json()
    page = server.get("/docs").body.decode()
    for path, methods in document["paths"].items():
        if "post" not in methods:
            continue
        request = methods["post"]["requestBody"]["content"]["application/json"]["examples"]
        answer = methods["post"]["responses"]["200"]["content"]["application/json"]["examples"]
        assert request.keys() == answer.keys() != set()
        for title, example in request.items():
            found = server.post(path, example["value"])
            assert found.status == 200, (path, found.body)
            assert found.json() == approx(answer[title]["value"])
        assert f"http://localhost:8000{path}" in page
    assert "curl" in page
    assert set(document["paths"]) >= {"/v1/models/moods/explain", "/v1/models/im%20ages/predict"}
    references = {
        path: methods["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        for path, methods in document["paths"].items()
        if path.endswith("predict")
    }
    assert references["/v1/models/a/predict"] == references["/v1/models/again/predict"]
    assert len(set(references.values())) == 3


def test_examples_of_data_are_not_in_public_documents(predictor):
    for options in ({"examples": False}, {"key": "sesame"}):
        with sources_thread([source_of(predictor)], **options) as server:
            content = server.get("/openapi.json").body + server.get("/docs").body
            assert b"a dull film" not in content
            assert b"a fine film" not in content
            assert b"This is an example" in content
            assert b"sesame" not in content


def test_the_queue_is_shared(predictor):
    """The inputs of one model fill the queue of all."""
    first, second = BlockingPredictor(predictor), BlockingPredictor(predictor)
    sources = [source_of(first, "a"), source_of(second, "b")]
    with sources_thread(sources, max_queue=4, max_texts=4) as server:
        busy = [in_thread(server.predict, {"texts": ["a"] * 4}) for _ in range(30)]
        assert first.started.wait(20)
        deadline = time.monotonic() + 20
        while not any(found for _, found in busy):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert {found[0].status for _, found in busy if found} == {429}
        refused = server.post("/v1/models/b/predict", {"text": "a"})
        assert refused.status == 429, refused.body
        first.release.set()
        second.release.set()
        for thread, _ in busy:
            thread.join()
        assert server.post("/v1/models/b/predict", {"text": "a"}).status == 200


def approx(value):
    """Return JSON that is equal to one whose numbers are nearly the same."""
    if isinstance(value, dict):
        return {name: approx(part) for name, part in value.items()}
    if isinstance(value, list):
        return [approx(part) for part in value]
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value

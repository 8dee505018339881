"""The OpenAPI document agrees with the server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fixtures_runs import TEXTS, make_image_run, make_text_run
from fixtures_serve import JSON, receive_all, server_process, text_server
from hypothesis import example, given
from hypothesis import strategies as st

import lstm_cli
from benchmarks import openapi as benchmark
from lstm_cli.explain.result import ImageExplanation, TextExplanation
from lstm_cli.serve import openapi, openapi_schemas
from lstm_cli.text import tokenizer

__all__ = ["text_server"]
_ROWS = [[(16 * r + c) % 256 for c in range(8)] for r in range(8)]
_KEY = "open sesame"
_TYPE = b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    return make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "a")


@pytest.fixture(scope="module")
def image_run(tmp_path_factory):
    return make_image_run(tmp_path_factory.mktemp("runs") / "digits" / "a")


@pytest.fixture(scope="module")
def image_server(image_run):
    with server_process(image_run, "--max-texts", 4) as served:
        yield served


@pytest.fixture(scope="module")
def keyed_server(text_run):
    with server_process(text_run, LSTM_API_KEY=_KEY) as served:
        yield served


def validator(server, path):
    """Return a validator with the document's schema of a body."""
    rust = pytest.importorskip("jsonschema_rs")
    document = server.get("/openapi.json").json()
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    components = {"components": document["components"]}
    return rust.Draft202012Validator({**body["schema"], **components})


def address(server):
    return f"http://{server.host}:{server.port}"


# schemathesis


@pytest.mark.parametrize(("kind", "key"), [("text", _KEY), ("image", None)])
def test_schemathesis_finds_no_failure(text_run, image_run, kind, key):
    """A few hundred cases with all checks; `benchmarks.openapi` sends thousands."""
    pytest.importorskip("schemathesis")
    run = text_run if kind == "text" else image_run
    with server_process(run, "--max-texts", 4, **{"LSTM_API_KEY": key} if key else {}) as server:
        document = server.get("/openapi.json").json()
        if kind == "image":
            # The paths with a name have the same schemas; one check of them is enough.
            paths = document["paths"].items()
            document["paths"] = {name: path for name, path in paths if "/models/" not in name}
        found = benchmark.check(address(server), key, cases=10, seed=1, document=document)
    assert not found.failures, found.details
    assert found.num_cases > 150
    # If it cannot read a schema, it sends no valid requests and reports nothing.
    assert found.num_valid["POST /v1/predict"] >= 10
    assert found.num_valid["POST /v1/explain"] >= 5
    assert len(found.num_valid) == (13 if kind == "text" else 10)


def test_schemathesis_finds_a_wrong_document(text_server):
    """The check above can fail."""
    pytest.importorskip("schemathesis")
    document = text_server.get("/openapi.json").json()
    document["components"]["schemas"]["ExplainTextRequest"]["properties"]["text"] = {
        "type": "string"
    }
    explain = document["paths"]["/v1/explain"]
    # With an example, fewer random texts are tried.
    del explain["post"]["requestBody"]["content"]["application/json"]["examples"]
    document["paths"] = {"/v1/explain": explain}
    found = benchmark.check(address(text_server), None, cases=5, seed=1, document=document)
    assert any("POST /v1/explain" in line for line in found.failures)
    assert "[422]" in found.details


@pytest.mark.slow
def test_benchmark_reports_four_servers(text_run, image_run, tmp_path, capsys):
    path = tmp_path / "result.json"
    named = ("--run", str(text_run.path), "--image-run", str(image_run.path))
    assert benchmark.main(["--quick", "--cases", "5", *named, "--json", str(path)]) == 0
    record = json.loads(path.read_text())
    assert len(record["measurements"]) == 4
    assert all(one["num_cases"] > 100 for one in record["measurements"].values())
    assert [goal["met"] for goal in record["goals"]] == [True]
    assert "valid ones" in capsys.readouterr().out


# Bodies: valid by the document, or rejected


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/explain", {"text": ""}, 422),
        ("/v1/explain", {"text": " \n\t"}, 422),
        ("/v1/explain", {"text": "\x00\u200d\u0378"}, 422),
        ("/v1/explain", {"text": "<br>\n<BR />"}, 422),
        ("/v1/explain", {"text": "<br"}, 200),
        ("/v1/explain", {"text": "\u6f22"}, 200),
        ("/v1/explain", {"text": "!"}, 200),
        ("/v1/explain", {"text": None}, 422),
        ("/v1/predict", {}, 422),
        ("/v1/predict", {"text": None}, 422),
        ("/v1/predict", {"text": None, "texts": None}, 422),
        ("/v1/predict", {"text": "a", "texts": ["a"]}, 422),
        ("/v1/predict", {"text": "a", "texts": None}, 200),
        ("/v1/predict", {"text": None, "texts": ["a"]}, 200),
        ("/v1/predict", {"texts": [None]}, 422),
        ("/v1/predict", {"texts": []}, 422),
        ("/v1/predict", {"texts": ["a"] * 4}, 200),
        ("/v1/predict", {"texts": ["a"] * 5}, 422),
        ("/v1/predict", {"text": "", "top_k": None, "threshold": None}, 200),
        ("/v1/predict", {"text": "a", "top_k": 0}, 422),
        ("/v1/predict", {"text": "a", "top_k": 1.0}, 200),
        ("/v1/predict", {"text": "a", "top_k": 1.5}, 422),
        ("/v1/predict", {"text": "a", "top_k": 10**30}, 200),
        ("/v1/predict", {"text": "a", "top_k": True}, 422),
        ("/v1/predict", {"text": "a", "threshold": 1}, 200),
        ("/v1/predict", {"text": "a", "threshold": -1e-9}, 422),
        ("/v1/predict", {"text": "a", "min_probability": 0.5}, 200),
        ("/v1/predict", {"text": "a", "min_probability": 1.5}, 422),
        ("/v1/predict", {"text": "a", "image": [[1]]}, 422),
    ],
)
def test_text_schema_accepts_exactly_what_the_server_accepts(text_server, path, body, status):
    assert text_server.post(path, body).status == status
    assert validator(text_server, path).is_valid(body) == (status == 200)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/predict", {"image": [[254]]}, 422),
        ("/v1/explain", {"image": [[254]]}, 422),
        ("/v1/predict", {"image": _ROWS}, 200),
        ("/v1/explain", {"image": _ROWS}, 200),
        ("/v1/predict", {"images": [_ROWS] * 4, "image": None}, 200),
        ("/v1/predict", {"images": [_ROWS] * 5}, 422),
        ("/v1/predict", {"images": [_ROWS, _ROWS[1:]]}, 422),
        ("/v1/predict", {"image": [row[1:] for row in _ROWS]}, 422),
        ("/v1/predict", {"image": [[256] * 8] * 8}, 422),
        ("/v1/predict", {"image": [[1.0] * 8] * 8}, 200),
        ("/v1/predict", {"image": [[0.5] * 8] * 8}, 422),
        ("/v1/predict", {"image": [[None] * 8] * 8}, 422),
        ("/v1/predict", {"image": _ROWS, "threshold": None}, 200),
        ("/v1/predict", {"image": _ROWS, "threshold": 0.5}, 422),
        ("/v1/predict", {"text": "a"}, 422),
        ("/v1/explain", {"text": "a"}, 422),
    ],
)
def test_image_schema_accepts_exactly_what_the_server_accepts(image_server, path, body, status):
    assert image_server.post(path, body).status == status
    assert validator(image_server, path).is_valid(body) == (status == 200)


# Unassigned characters differ between the Unicode versions of the two engines.
_ASSIGNED = st.characters(exclude_categories=["Cn", "Cs"])


@given(
    st.text(_ASSIGNED, max_size=8)
    | st.lists(st.sampled_from(["<br>", "<BR/>", "<", " "])).map("".join)
)
@example("<br\n/>\x1f")
@example("\ufeff\u00a0\u2028")
def test_pattern_of_texts_with_tokens_agrees_with_the_tokenizer(value):
    rust = pytest.importorskip("jsonschema_rs")
    schema = rust.Draft202012Validator(openapi_schemas._TEXT_WITH_TOKENS)
    assert schema.is_valid(value) == bool(tokenizer.tokenize(value))


def test_responses_match_their_schemas(text_server, image_server):
    rust = pytest.importorskip("jsonschema_rs")
    for server, explanation, body in (
        (text_server, TextExplanation, {"text": TEXTS[0]}),
        (image_server, ImageExplanation, {"image": _ROWS}),
    ):
        document = server.get("/openapi.json").json()
        for path in document["paths"]:
            response = server.post(path, body) if "v1/" in path else server.get(path)
            response = server.get(path) if response.status == 405 else response
            method = "post" if "post" in document["paths"][path] else "get"
            content = document["paths"][path][method]["responses"][str(response.status)]["content"]
            ((media, described),) = content.items()
            assert response.headers["content-type"].startswith(media)
            schema = {**described["schema"], "components": document["components"]}
            value = response.json() if "json" in media else response.body.decode()
            rust.Draft202012Validator(schema).validate(value)
        assert explanation.__name__ in document["components"]["schemas"]


# Statuses and security


def test_key_is_required_exactly_where_the_document_says_so(keyed_server):
    document = keyed_server.get("/openapi.json").json()
    assert document["security"] == [{"key": []}]
    for path, methods in document["paths"].items():
        ((method, operation),) = methods.items()
        is_open = operation.get("security") == []
        assert ("401" in operation["responses"]) != is_open, path
        response = keyed_server.request(method.upper(), path, b"{}", JSON)
        assert (response.status != 401) == is_open, path
    assert "401" in document["paths"]["/metrics"]["get"]["responses"]
    assert "401" in document["paths"]["/v1/model"]["get"]["responses"]
    assert document["paths"]["/healthz"]["get"]["security"] == []


def test_document_without_a_key_has_no_security(text_server):
    response = text_server.get("/openapi.json").body
    assert b'"401"' not in response
    assert b"security" not in response


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (400, b"Host: a\r\nHost: a"),
        (400, b"Host: localhost\r\nUpgrade: h2c\r\nConnection: upgrade"),
        (403, b"Host: localhost\r\nOrigin: http://a"),
        (413, b"Host: localhost\r\n" + _TYPE + b"Content-Length: 99999999"),
        (415, b"Host: localhost\r\n" + _TYPE + b"Content-Encoding: gzip"),
        (421, b"Host: attacker.example"),
        (
            501,
            b"Host: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: a, chunked",
        ),
    ],
)
def test_error_statuses_are_described(text_server, status, headers):
    with text_server.connect() as sock:
        sock.sendall(b"POST /v1/predict HTTP/1.1\r\nExpect: 100-continue\r\n" + headers)
        sock.sendall(b"\r\n\r\n")
        start, _, body = receive_all(sock).partition(b"\r\n\r\n")
    assert int(start.split()[1]) == status
    document = text_server.get("/openapi.json").json()
    described = document["paths"]["/v1/predict"]["post"]["responses"]
    assert str(status) in described
    assert json.loads(body)["error"].keys() == {"message", "hint", "request_id"}


def test_every_path_lists_the_common_error_statuses(text_server):
    document = text_server.get("/openapi.json").json()
    always = {"200", "400", "403", "408", "421", "431", "500", "503", "505"}
    posted = always | {"413", "415", "422", "429", "501", "504"}
    for methods in document["paths"].values():
        for method, operation in methods.items():
            assert operation["responses"].keys() == (posted if method == "post" else always)
    assert "404" in document["info"]["description"]
    assert "405" in document["info"]["description"]


def test_every_status_of_an_error_in_the_code_is_described():
    """404 and 405 are of all paths; the description of the document mentions them."""
    modules = (Path(lstm_cli.__file__).parent / "serve").glob("*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in modules)
    statuses = {int(status) for status in re.findall(r"ApiError\(\s*(\d{3})\b", source)}
    named = {400, 403, 404, 408, 413, 415, 421, 422, 429, 431, 500, 501, 503, 504, 505, 401}
    assert named == statuses
    described = openapi._STATUSES.keys() | openapi._POST_STATUSES.keys() | {401, 404}
    assert statuses <= described

from __future__ import annotations

import pytest
from fixtures_serve import predictor, source_of, sources_thread, text_run

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.serve import cors
from lstm_cli.serve.cors import CorsPolicy

__all__ = ["predictor", "text_run"]
_PAGE = "https://app.example.org"
_ASK = {"Origin": _PAGE, "Access-Control-Request-Method": "POST"}


def allow_headers(response):
    return {name: value for name, value in response.headers.items() if "access-control" in name}


@pytest.fixture(scope="module")
def server(predictor):
    """A server with a key that pages of one origin may use."""
    origins = [cors.parse_origin(_PAGE)]
    with sources_thread([source_of(predictor)], key="sesame", cors=origins) as running:
        yield running


@pytest.mark.parametrize(
    "text",
    [
        *["", "null", "app.example.org", "https://", "https://app.example.org/", "ftp://a", "**"],
        *["https://a/b", "https://a b", "https://*.example.org", "https://a:99999", "file://"],
    ],
)
def test_what_is_not_an_origin_is_a_usage_error(text):
    with pytest.raises(LstmError) as caught:
        cors.parse_origin(text)
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("allowed", "origin", "expected"),
    [
        (_PAGE, _PAGE, True),
        (_PAGE, "https://APP.example.org:443", True),
        ("https://app.example.org:443", _PAGE, True),
        ("http://[::1]:3000", "http://[::1]:3000", True),
        (_PAGE, "http://app.example.org", False),
        (_PAGE, "https://app.example.org:8443", False),
        (_PAGE, "https://app.example.org.evil.example", False),
        (_PAGE, "https://evil.example/https://app.example.org", False),
        (_PAGE, "null", False),
        ("*", "null", True),
        ("*", "https://evil.example", True),
    ],
)
def test_origins_are_compared_whole(allowed, origin, expected):
    assert CorsPolicy(frozenset({cors.parse_origin(allowed)})).allows(origin) == expected


def test_a_preflight_needs_no_key_and_allows_the_header_of_the_key(server):
    response = server.request("OPTIONS", "/v1/predict", None, _ASK)
    assert (response.status, response.body) == (204, b"")
    found = allow_headers(response)
    assert found["access-control-allow-origin"] == _PAGE
    assert "Authorization" in found["access-control-allow-headers"]
    assert "POST" in found["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in found
    assert response.headers["vary"] == "Origin"


def test_the_page_can_read_answers_and_errors(server):
    key = {"Authorization": "Bearer sesame"}
    answered = server.predict({"text": "fine"}, Origin=_PAGE, **key)
    refused = server.predict({"text": "fine"}, Origin=_PAGE)
    assert (answered.status, refused.status) == (200, 401)
    for response in (answered, refused):
        found = allow_headers(response)
        assert found["access-control-allow-origin"] == _PAGE
        assert "X-Request-ID" in found["access-control-expose-headers"]
        assert b"sesame" not in response.body
        assert "sesame" not in str(response.headers)


def test_other_pages_get_403_and_no_headers(server):
    ask = {**_ASK, "Origin": "https://evil.example"}
    for response in (
        server.request("OPTIONS", "/v1/predict", None, ask),
        server.predict({"text": "fine"}, Origin="https://evil.example"),
    ):
        assert response.status == 403
        assert not allow_headers(response)


def test_without_an_origin_nothing_changes(server):
    assert server.request("OPTIONS", "/v1/predict").status == 401
    assert not allow_headers(server.get("/healthz"))


def test_every_page_is_allowed_only_by_a_star(predictor):
    with sources_thread([source_of(predictor)], cors=["*"]) as server:
        for origin in ("null", "https://evil.example"):
            response = server.predict({"text": "fine"}, Origin=origin)
            assert allow_headers(response)["access-control-allow-origin"] == "*"

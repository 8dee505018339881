from __future__ import annotations

import re

import pytest
from fixtures_serve import blocking, predictor, receive_all, server_thread, text_run

from lstm_cli.serve import request_record

__all__ = ["blocking", "predictor", "text_run"]


@pytest.fixture(scope="module")
def server(predictor):
    with server_thread(predictor) as running:
        yield running


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b"abc-1"], "abc-1"),
        ([b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], ...),
        ([b"Zm9v+/=="], ...),
        ([b"a" * 128], ...),
        ([b"a" * 129], None),
        ([b""], None),
        ([b"a b"], None),
        ([b'a"b'], None),
        ([b"a\x1b[31m"], None),
        ([b"\xe4"], None),
        ([b"a", b"b"], None),
        ([], None),
    ],
)
def test_only_one_safe_id_is_accepted(values, expected):
    found = request_record.read_id([(b"x-request-id", value) for value in values])
    assert found == (values[0].decode() if expected is ... else expected)


def test_the_id_is_in_the_response_and_in_errors(server):
    for status, response in (
        (200, server.predict({"text": "fine"}, **{"X-Request-ID": "abc-1"})),
        (422, server.predict({"text": 1}, **{"X-Request-ID": "abc-1"})),
    ):
        assert (response.status, response.headers["x-request-id"]) == (status, "abc-1")
    assert response.json()["error"]["request_id"] == "abc-1"


def test_an_unsafe_id_is_replaced(server):
    ids = {server.get("/healthz", **{"X-Request-ID": "a b"}).headers["x-request-id"] for _ in "ab"}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", found) for found in ids)


def test_a_request_that_is_not_http_gets_an_id(server):
    with server.connect() as sock:
        sock.sendall(b"\x16\x03\x01\r\n\r\n")
        head, _, body = receive_all(sock).partition(b"\r\n\r\n")
    found = re.search(rb"x-request-id: ([0-9a-f]{32})", head)[1]
    assert b'"request_id":"' + found in body


def test_a_failure_is_on_stderr_with_its_id_and_without_its_message(blocking, capfd):
    blocking.fails = True
    blocking.release.set()
    with server_thread(blocking) as server:
        assert server.predict({"text": "a"}, **{"X-Request-ID": "abc-1"}).status == 500
    line = capfd.readouterr().err
    assert "abc-1" in line
    assert "ValueError" in line
    assert "internal detail" not in line

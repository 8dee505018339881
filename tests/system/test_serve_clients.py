"""Clients of `lstm serve` that misbehave."""

from __future__ import annotations

import select
import socket
import time

import pytest
from fixtures_runs import TEXTS
from fixtures_serve import (
    JSON,
    blocking,
    in_thread,
    predictor,
    receive_all,
    server_process,
    server_thread,
    text_run,
    text_server,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

__all__ = ["blocking", "predictor", "text_run", "text_server"]
_HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def server(text_server):
    return text_server


@pytest.fixture(scope="module")
def impatient_server(text_run):
    """A server with a short client timeout."""
    with server_process(text_run, "--client-timeout", 0.5) as server:
        yield server


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b"408"),
        (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"408"),
        (
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{",
            b"408",
        ),
        (b"\x16\x03\x01\x02\x00\x01", b"400"),
        (b"GET /" + b"a" * 100_000, b"431"),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 100_000, b"431"),
    ],
    ids=["silent", "half a head", "half a body", "not HTTP", "long target", "long head"],
)
def test_incomplete_or_oversized_requests_end_the_connection(impatient_server, sent, status):
    with impatient_server.connect() as sock:
        sock.sendall(sent)
        started = time.monotonic()
        response = receive_all(sock)
        assert response.split(b" ")[1] == status, response
        assert b'{"error":' in response
        assert time.monotonic() - started < 8


def test_slow_heads_and_idle_connections_time_out(text_run):
    with server_process(text_run, "--client-timeout", 1) as server:
        with server.connect() as sock:
            started = time.monotonic()
            for byte in b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"y" * 1000:
                try:
                    sock.sendall(bytes([byte]))
                except OSError:
                    break
                if select.select([sock], [], [], 0.05)[0]:
                    break
            assert time.monotonic() - started < 8
        with server.connect() as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert receive_all(sock).startswith(b"HTTP/1.1 200")
        with server.connect() as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
            sock.sendall(b"G")
            assert b"408" in receive_all(sock)


def test_bad_clients_do_not_disturb_others(predictor):
    with server_process(predictor.run, "--max-body", 65536, "--client-timeout", 2) as server:
        idle = [server.connect() for _ in range(20)]
        for index, sock in enumerate(idle):
            sock.sendall(
                (b"", b"GET / HT", b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n")[index % 3]
            )
        bad = [
            in_thread(server.request, "POST", "/v1/predict", body, JSON)
            for body in (b"x" * (4 << 20), b"{", b'{"text": 1}', b"x" * (4 << 20))
        ]
        expected = predictor.predict(TEXTS[0])[0].probability
        for _ in range(20):
            (found,) = server.predict({"text": TEXTS[0]}).json()["predictions"]
            assert found["probability"] == pytest.approx(expected, abs=1e-6)
        for thread, _ in bad:
            thread.join()
        assert sorted(found[0].status for _, found in bad) == [400, 413, 413, 422]
        for sock in idle:
            sock.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300), st.sampled_from([b"", _HEAD, _HEAD + b"Content-Length: 20\r\n\r\n"])
)
def test_random_bytes_do_not_disturb_the_next_client(server, junk, before):
    with server.connect() as sock:
        sock.sendall(before + junk)
        sock.shutdown(socket.SHUT_WR)
        receive_all(sock)
    assert server.predict({"text": "fine"}).status == 200


def test_upgrade_with_a_body_is_400(server):
    body = b'{"text": "fine"}'
    with server.connect() as sock:
        sock.sendall(
            _HEAD + b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        response = receive_all(sock)
    assert response.startswith(b"HTTP/1.1 400")
    assert b"--http1.1" in response
    headers = {"Connection": "Upgrade", "Upgrade": "h2c"}
    assert server.get("/healthz", **headers).status == 200


def test_errors_of_clients_are_not_logged(text_run):
    with server_process(text_run) as server:
        for sent in (b"\x16\x03\x01", b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"):
            with server.connect() as sock:
                sock.sendall(sent)
                sock.shutdown(socket.SHUT_WR)
                receive_all(sock)
        assert server.get("/healthz").status == 200
    assert len(server.stderr_lines) == 2, server.stderr


def test_connections_beyond_the_limit_are_503(text_run):
    with server_process(text_run, "--max-connections", 2) as server:
        kept = [server.connect() for _ in range(2)]
        for sock in kept:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        with server.connect() as sock:
            assert receive_all(sock).startswith(b"HTTP/1.1 503")
        for sock in kept:
            sock.close()
        deadline = time.monotonic() + 20
        while server.get("/v1/model").status != 200:
            assert time.monotonic() < deadline


def test_disconnect_during_a_prediction_does_not_disturb_others(blocking):
    with server_thread(blocking) as server:
        with server.connect() as sock:
            body = b'{"text": "fine"}'
            sock.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )
            assert blocking.started.wait(20)
        blocking.release.set()
        assert server.predict({"text": "fine"}).status == 200

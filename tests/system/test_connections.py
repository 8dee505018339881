"""Connections of `lstm serve`: clients that disconnect, do not read, or pipeline requests."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixtures_runs import make_text_run
from fixtures_serve import receive_all, server_process, text_server  # noqa: F401

from lstm_cli.runs.directory import runs_root

ROOT = Path(__file__).parents[2]
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEALTH = GET % b"/healthz"
POST = (
    b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "a")


def predict(text="fine"):
    body = json.dumps({"text": text}).encode()
    return POST % (b"/v1/predict", len(body), body)


def statuses(response):
    """Return the status of each response in a stream."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", response)]


def read_responses(sock, number):
    """Read until `number` responses are complete, or the connection ends."""
    response, responses = b"", []
    while len(responses) < number:
        head, found, rest = response.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1]) if found else 0
        if found and len(rest) >= length:
            responses.append((head, rest[:length]))
            response = rest[length:]
        elif part := sock.recv(65536):
            response += part
        else:
            break
    return responses


def close_with_reset(sock):
    """Close with a reset, like a client that is killed before it reads a response."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# Clients that disconnect


@pytest.mark.parametrize("key", [{}, {"LSTM_API_KEY": "k"}], ids=["open", "with a key"])
def test_disconnects_do_not_stop_the_server(run, key):
    large = json.dumps({"texts": ["fine words " * 350] * 128}).encode()
    with server_process(run, **key) as server:
        for index in range(40):
            with server.connect() as sock:
                # The first response is reset by the closed socket; the second meets a broken pipe.
                sock.sendall(
                    GET % b"/docs" * 20 if index % 2 else POST % (b"/v1/predict", len(large), large)
                )
                time.sleep(0.002 * (index % 5))
                close_with_reset(sock) if index % 4 == 0 else None
        assert server.get("/healthz").status == 200
        assert server.process.poll() is None
    assert "Traceback" not in server.stderr


def test_requests_of_disconnected_clients_are_not_computed(run):
    large = json.dumps({"texts": ["fine words " * 350] * 128}).encode()
    with server_process(run) as server:
        for _ in range(30):
            with server.connect() as sock:
                sock.sendall(POST % (b"/v1/predict", len(large), large))
                time.sleep(0.005)
        assert server.predict({"text": "fine"}).status == 200
        metrics = server.get("/metrics").body.decode()
    assert float(re.search(r"lstm_batch_inputs_sum\S* (\S+)", metrics)[1]) < 30 * 128 / 2
    assert 'path="/v1/predict",status="499"' in metrics


def test_closed_stderr_does_not_stop_the_server(run):
    process = subprocess.Popen(
        [sys.executable, "-m", "lstm_cli", "serve", "--port", "0", "--run", run.path],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "Run" in process.stderr.readline()
        process.stderr.close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("config", "schema"), -signal.SIGPIPE),
        (("data", "list"), -signal.SIGPIPE),
        (("train", "few.csv", "--epochs", "1", "--set", "data.folds=0"), 0),
    ],
    ids=["config schema", "data list", "train"],
)
def test_closed_stdout_ends_filters_but_not_training(arguments, expected, tmp_path):
    table = tmp_path / "few.csv"
    table.write_text("text,label\n" + "fine film,1\ndull film,0\n" * 60)
    arguments = [table if word == table.name else word for word in arguments]
    process = subprocess.Popen(
        [sys.executable, "-m", "lstm_cli", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    process.stdout.close()
    try:
        assert process.wait(120) == expected
    finally:
        process.kill()
        process.wait()
    if arguments[0] == "train":
        assert list(runs_root().glob("few/*/manifest.json"))


# Clients that do not read


def connect_without_reading(server, requests=GET % b"/" * 2000, buffer=4096):
    """Connect, request more than any buffer holds, and read nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(20)
    sock.connect((server.host, server.port))
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.send(requests)
    return sock


def num_sockets(server):
    """Return the number of open sockets of the server."""
    found = []
    for entry in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(entry.readlink()).startswith("socket:"))
    return sum(found)


@pytest.fixture
def sockets():
    """A list of sockets that are closed after the test; raises the limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    found = []
    yield found
    for sock in found:
        sock.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("number", [64, pytest.param(512, marks=pytest.mark.slow)])
def test_clients_that_never_read_are_aborted(run, sockets, number):
    with server_process(run, "--client-timeout", 1, "--max-connections", number) as server:
        assert server.get("/docs").status == 200
        before, peak, health, own = server.resident_mb, 0, [], num_sockets(server)
        for _ in range(number):
            sockets.append(connect_without_reading(server))
        started = time.monotonic()
        while num_sockets(server) > own or not health:
            asked = time.monotonic()
            assert server.get("/healthz").status == 200
            health.append(time.monotonic() - asked)
            peak = max(peak, server.resident_mb)
            assert time.monotonic() - started < 120
        assert server.predict({"text": "fine"}).status == 200
        assert max(health) < 10
        assert peak - before < 150, (before, peak)
    assert len(server.stderr_lines) < 10, server.stderr[-2000:]


def test_slow_reader_gets_the_whole_response(run):
    """A client that reads something within each write timeout is never aborted."""
    number = 300
    with (
        server_process(run, "--client-timeout", 1) as server,
        connect_without_reading(server, b"", 1 << 16) as sock,
    ):
        sock.settimeout(20)
        sock.sendall(GET % b"/docs" * number)
        response, started = b"", time.monotonic()
        while response.count(b"HTTP/1.1 200") < number:
            pause = time.monotonic() - started < 4
            part = sock.recv(65536 if pause else 1 << 20)
            assert part, len(response)
            response += part
            time.sleep(0.05 if pause else 0)
        assert time.monotonic() - started > 3
    assert len(server.stderr_lines) < 10, server.stderr


def test_half_closed_and_last_responses_have_a_write_timeout(run):
    with server_process(run, "--client-timeout", 1, "--max-connections", 4) as server:
        own = num_sockets(server)
        half = [connect_without_reading(server) for _ in range(2)]
        for sock in half:
            sock.shutdown(socket.SHUT_WR)
        last = [
            connect_without_reading(server, GET % b"/docs" * 200 + b"GET / HTTP/1.0\r\n\r\n")
            for _ in "ab"
        ]
        wait_until(lambda: num_sockets(server) == own)
        assert server.predict({"text": "fine"}).status == 200
        for sock in half + last:
            sock.close()


def test_health_checks_are_answered_beyond_the_connection_limit(run):
    with server_process(run, "--max-connections", 2, "--client-timeout", 20) as server:
        kept = [server.connect() for _ in range(2)]
        for sock in kept:
            sock.sendall(HEALTH)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        assert [server.get(path).status for path in ("/healthz", "/readyz")] == [200, 200]
        response = server.predict({"text": "fine " * 20_000})
        assert (response.status, response.headers["connection"]) == (503, "close")
        started = time.monotonic()
        with server.connect() as sock:
            assert receive_all(sock).startswith(b"HTTP/1.1 503")
        assert time.monotonic() - started < 5
        for sock in kept:
            sock.close()


# Pipelined requests


@pytest.mark.parametrize("cut", [1, 20, 70, 110, 130])
def test_request_that_arrives_in_two_parts(text_server, cut):  # noqa: F811
    with text_server.connect() as sock:
        whole = predict()
        sock.sendall(whole + whole[:cut])
        (first,) = read_responses(sock, 1)
        time.sleep(0.05)
        sock.sendall(whole[cut:])
        (second,) = read_responses(sock, 1)
    assert first[0].startswith(b"HTTP/1.1 200")
    assert first[1] == second[1]


def test_connection_survives_many_bodies_that_are_too_large(run):
    body = b"x" * 1_500_000
    with server_process(run) as server, server.connect() as sock:
        for _ in range(6):
            sock.sendall(POST % (b"/v1/predict", len(body), body))
            (answer,) = read_responses(sock, 1)
            assert answer[0].startswith(b"HTTP/1.1 413")
            assert b"connection: close" not in answer[0].lower()
        sock.sendall((POST % (b"/v1/predict", len(body), body)) * 6 + predict())
        responses = read_responses(sock, 7)
    assert [head[9:12] for head, _ in responses] == [b"413"] * 6 + [b"200"]


def test_pipelined_requests_are_answered_in_order(text_server):  # noqa: F811
    chunked = (
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b'Transfer-Encoding: chunked\r\n\r\n5\r\n{\n\r\n\n\r\n10\r\n  "text": "fine"\r\n1\r\n}\r\n'
        b"0\r\nX-Trailer: 1\r\n\r\n"
    )
    kinds = [
        (HEALTH, 200), (predict(), 200), (chunked, 200), (GET % b"/nope", 404),
        (POST % (b"/v1/predict", 5000, b"y" * 5000), 413), (POST % (b"/nope", 3, b"abc"), 404),
        (b"\r\n" + HEALTH, 200), (POST % (b"/v1/explain", 16, b'{"text": "fine"}'), 200),
    ]  # fmt: skip
    sent = [kinds[index % len(kinds)] for index in range(64)]
    stream = b"".join(request for request, _ in sent)
    for size in (len(stream), 997, 61):
        with text_server.connect() as sock:
            for start in range(0, len(stream), size):
                sock.sendall(stream[start : start + size])
            responses = read_responses(sock, len(sent))
        assert [int(head[9:12]) for head, _ in responses] == [status for _, status in sent]


def test_unread_body_closes_the_connection(text_server):  # noqa: F811
    with text_server.connect() as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n")
        time.sleep(0.1)
        with contextlib.suppress(OSError):
            sock.sendall(b"z" * 300_000 + HEALTH)
        response = receive_all(sock)
    assert statuses(response) == [200]
    assert b"connection: close" in response.lower()


def test_pending_bytes_of_all_connections_are_limited(run, sockets):
    explain = POST % (b"/v1/explain", 2000, json.dumps({"text": "fine " * 397 + "a"}).encode())
    with server_process(run) as server:
        before = server.resident_mb
        for _ in range(300):
            sockets.append(connect_without_reading(server, explain + HEALTH * 20_000))
        time.sleep(2)
        assert server.get("/healthz").status == 200
        assert server.resident_mb - before < 150


# Size limits


@pytest.mark.parametrize(
    ("size", "status"), [(60_000, 200), (65_536, 200), (65_537, 431), (70_000, 431)]
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in parts"])
def test_head_size_limit(text_server, size, status, at_once):  # noqa: F811
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: %s\r\n\r\n"
    head %= b"a" * (size - len(head) + 2)
    assert len(head) == size
    with text_server.connect() as sock:
        for start in range(0, size, size if at_once else 7000):
            sock.sendall(head[start : start + (size if at_once else 7000)])
        if status == 200:
            sock.sendall(HEALTH)
            assert [a[0][9:12] for a in read_responses(sock, 2)] == [b"200", b"200"]
        else:
            assert statuses(receive_all(sock)) == [431]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /healthz", 400),
        (b"GET /healthz HTTP/0.9", 400),
        (b"GET /healthz HTTP/2.0", 505),
        (b"GET /healthz HTTP/1.0", 200),
        (b"GET  HTTP/1.1", 400),
    ],
)
def test_http_version_of_the_request_line(text_server, line, status):  # noqa: F811
    with text_server.connect() as sock:
        sock.sendall(line + b"\r\nHost: localhost\r\n\r\n")
        response = receive_all(sock)
    assert statuses(response) == [status]
    assert b"connection: close" in response.lower()


def test_trailers_and_chunk_extensions_are_limited(text_server):  # noqa: F811
    for flood in (b"0\r\n" + b"X-Trailer: %s\r\n" % (b"t" * 1000) * 2000, b"1;" + b"e" * 2_000_000):
        with text_server.connect() as sock:
            sock.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
                b"Content-Type: application/json\r\n\r\n"
            )
            with contextlib.suppress(OSError):
                sock.sendall(flood)
            assert statuses(receive_all(sock)) == [431]


@pytest.mark.slow
def test_body_limit_can_exceed_256_mib(run):
    body = b'{"text": "fine", "x": "%s"}' % (b"y" * (300 << 20))
    with server_process(run, "--max-body", 400 << 20, "--client-timeout", 60) as server:
        response = server.request("POST", "/v1/predict", body, {"Content-Type": "application/json"})
        assert response.status == 422

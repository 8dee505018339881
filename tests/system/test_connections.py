"""Connections of `lstm serve`, the real command: clients that hang up, never read, pipeline."""

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


def statuses(told):
    """Status of each answer in a stream of them."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", told)]


def read_answers(sock, number):
    """Read until so many answers have come whole, or the connection ends."""
    told, answers = b"", []
    while len(answers) < number:
        head, found, rest = told.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1]) if found else 0
        if found and len(rest) >= length:
            answers.append((head, rest[:length]))
            told = rest[length:]
        elif part := sock.recv(65536):
            told += part
        else:
            break
    return answers


def hang_up(sock):
    """Close with a reset, as a client that is killed with answers unread."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def wait_until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# Clients that hang up


@pytest.mark.parametrize("key", [{}, {"LSTM_API_KEY": "k"}], ids=["open", "with a key"])
def test_a_client_that_hangs_up_does_not_end_the_server(run, key):
    large = json.dumps({"texts": ["fine words " * 350] * 128}).encode()
    with server_process(run, **key) as server:
        for place in range(40):
            with server.connect() as sock:
                # The first answer meets a closed socket, which resets it; the second a broken pipe.
                sock.sendall(
                    GET % b"/docs" * 20 if place % 2 else POST % (b"/v1/predict", len(large), large)
                )
                time.sleep(0.002 * (place % 5))
                hang_up(sock) if place % 4 == 0 else None
        assert server.get("/healthz").status == 200
        assert server.process.poll() is None
    assert "Traceback" not in server.stderr


def test_what_nobody_waits_for_any_more_is_not_computed(run):
    large = json.dumps({"texts": ["fine words " * 350] * 128}).encode()
    with server_process(run) as server:
        for _ in range(30):
            with server.connect() as sock:
                sock.sendall(POST % (b"/v1/predict", len(large), large))
                time.sleep(0.005)
        assert server.predict({"text": "fine"}).status == 200
        shown = server.get("/metrics").body.decode()
    assert float(re.search(r"lstm_batch_inputs_sum (\S+)", shown)[1]) < 30 * 128 / 2
    assert 'path="/v1/predict",status="499"' in shown


def test_a_reader_of_its_stderr_that_goes_does_not_end_the_server(run):
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
        (("train", "demo", "--epochs", "1", "--set", "train.max_steps=2"), 0),
    ],
    ids=["config schema", "data list", "train"],
)
def test_a_filter_ends_with_its_reader_and_a_training_does_not(arguments, expected, tmp_path):
    if arguments[0] == "train":
        (tmp_path / "few.csv").write_text("text,label\n" + "fine film,1\ndull film,0\n" * 60)
        arguments = ("train", tmp_path / "few.csv", "--epochs", "1", "--runs-dir", tmp_path / "r")
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
        assert list(tmp_path.glob("r/*/*/manifest.json"))


# Clients that do not read


def never_reading(server, requests=GET % b"/" * 2000, buffer=4096):
    """Connect, ask for more than any buffer holds, and take nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(20)
    sock.connect((server.host, server.port))
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.send(requests)
    return sock


def num_sockets(server):
    """Count the sockets that the server has open."""
    found = []
    for entry in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(entry.readlink()).startswith("socket:"))
    return sum(found)


@pytest.fixture
def sockets():
    """A list of sockets that are closed after the test, and room for many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    found = []
    yield found
    for sock in found:
        sock.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("number", [64, pytest.param(512, marks=pytest.mark.slow)])
def test_clients_that_never_read_are_aborted_and_others_answered(run, sockets, number):
    with server_process(run, "--client-timeout", 1, "--max-connections", number) as server:
        assert server.get("/docs").status == 200
        before, peak, health, own = server.resident_mb, 0, [], num_sockets(server)
        for _ in range(number):
            sockets.append(never_reading(server))
        began = time.monotonic()
        while num_sockets(server) > own or not health:
            asked = time.monotonic()
            assert server.get("/healthz").status == 200
            health.append(time.monotonic() - asked)
            peak = max(peak, server.resident_mb)
            assert time.monotonic() - began < 120
        assert server.predict({"text": "fine"}).status == 200
        assert max(health) < 10
        assert peak - before < 150, (before, peak)
    assert len(server.stderr_lines) < 10, server.stderr[-2000:]


def test_a_client_that_reads_slowly_gets_its_whole_answer(run):
    """Taking something in each interval is enough, however long the whole takes."""
    number = 300
    with (
        server_process(run, "--client-timeout", 1) as server,
        never_reading(server, b"", 1 << 16) as sock,
    ):
        sock.settimeout(20)
        sock.sendall(GET % b"/docs" * number)
        told, began = b"", time.monotonic()
        while told.count(b"HTTP/1.1 200") < number:
            pause = time.monotonic() - began < 4
            part = sock.recv(65536 if pause else 1 << 20)
            assert part, len(told)
            told += part
            time.sleep(0.05 if pause else 0)
        assert time.monotonic() - began > 3
    assert len(server.stderr_lines) < 10, server.stderr


def test_an_idle_end_and_a_half_closed_one_that_do_not_read_go_too(run):
    with server_process(run, "--client-timeout", 1, "--max-connections", 4) as server:
        own = num_sockets(server)
        half = [never_reading(server) for _ in range(2)]
        for sock in half:
            sock.shutdown(socket.SHUT_WR)
        last = [
            never_reading(server, GET % b"/docs" * 200 + b"GET / HTTP/1.0\r\n\r\n") for _ in "ab"
        ]
        wait_until(lambda: num_sockets(server) == own)
        assert server.predict({"text": "fine"}).status == 200
        for sock in half + last:
            sock.close()


def test_probes_are_answered_where_there_are_too_many_connections(run):
    with server_process(run, "--max-connections", 2, "--client-timeout", 20) as server:
        kept = [server.connect() for _ in range(2)]
        for sock in kept:
            sock.sendall(HEALTH)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        assert [server.get(path).status for path in ("/healthz", "/readyz")] == [200, 200]
        told = server.predict({"text": "fine " * 20_000})
        assert (told.status, told.headers["connection"]) == (503, "close")
        began = time.monotonic()
        with server.connect() as sock:
            assert receive_all(sock).startswith(b"HTTP/1.1 503")
        assert time.monotonic() - began < 5
        for sock in kept:
            sock.close()


# Requests that follow each other


@pytest.mark.parametrize("cut", [1, 20, 70, 110, 130])
def test_a_request_of_which_a_part_has_come_is_answered(text_server, cut):  # noqa: F811
    with text_server.connect() as sock:
        whole = predict()
        sock.sendall(whole + whole[:cut])
        (first,) = read_answers(sock, 1)
        time.sleep(0.05)
        sock.sendall(whole[cut:])
        (second,) = read_answers(sock, 1)
    assert first[0].startswith(b"HTTP/1.1 200")
    assert first[1] == second[1]


def test_bodies_that_are_too_large_are_refused_one_after_the_other(run):
    body = b"x" * 1_500_000
    with server_process(run) as server, server.connect() as sock:
        for _ in range(6):
            sock.sendall(POST % (b"/v1/predict", len(body), body))
            (answer,) = read_answers(sock, 1)
            assert answer[0].startswith(b"HTTP/1.1 413")
            assert b"connection: close" not in answer[0].lower()
        sock.sendall((POST % (b"/v1/predict", len(body), body)) * 6 + predict())
        answers = read_answers(sock, 7)
    assert [head[9:12] for head, _ in answers] == [b"413"] * 6 + [b"200"]


def test_pipelined_requests_of_all_kinds_are_answered_in_order(text_server):  # noqa: F811
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
    sent = [kinds[place % len(kinds)] for place in range(64)]
    stream = b"".join(request for request, _ in sent)
    for size in (len(stream), 997, 61):
        with text_server.connect() as sock:
            for start in range(0, len(stream), size):
                sock.sendall(stream[start : start + size])
            answers = read_answers(sock, len(sent))
        assert [int(head[9:12]) for head, _ in answers] == [status for _, status in sent]


def test_a_body_that_nobody_reads_ends_the_connection_as_announced(text_server):  # noqa: F811
    with text_server.connect() as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n")
        time.sleep(0.1)
        with contextlib.suppress(OSError):
            sock.sendall(b"z" * 300_000 + HEALTH)
        told = receive_all(sock)
    assert statuses(told) == [200]
    assert b"connection: close" in told.lower()


def test_what_waits_is_bounded_for_all_connections_together(run, sockets):
    explain = POST % (b"/v1/explain", 2000, json.dumps({"text": "fine " * 397 + "a"}).encode())
    with server_process(run) as server:
        before = server.resident_mb
        for _ in range(300):
            sockets.append(never_reading(server, explain + HEALTH * 20_000))
        time.sleep(2)
        assert server.get("/healthz").status == 200
        assert server.resident_mb - before < 150


# Sizes


@pytest.mark.parametrize(
    ("size", "status"), [(60_000, 200), (65_536, 200), (65_537, 431), (70_000, 431)]
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in parts"])
def test_a_head_has_the_size_that_is_documented(text_server, size, status, at_once):  # noqa: F811
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: %s\r\n\r\n"
    head %= b"a" * (size - len(head) + 2)
    assert len(head) == size
    with text_server.connect() as sock:
        for start in range(0, size, size if at_once else 7000):
            sock.sendall(head[start : start + (size if at_once else 7000)])
        if status == 200:
            sock.sendall(HEALTH)
            assert [a[0][9:12] for a in read_answers(sock, 2)] == [b"200", b"200"]
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
def test_a_request_line_has_a_version_that_is_spoken(text_server, line, status):  # noqa: F811
    with text_server.connect() as sock:
        sock.sendall(line + b"\r\nHost: localhost\r\n\r\n")
        told = receive_all(sock)
    assert statuses(told) == [status]
    assert b"connection: close" in told.lower()


def test_what_follows_the_chunks_is_bounded(text_server):  # noqa: F811
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
def test_a_body_of_more_than_256_mib_is_legal_where_it_is_allowed(run):
    body = b'{"text": "fine", "x": "%s"}' % (b"y" * (300 << 20))
    with server_process(run, "--max-body", 400 << 20, "--client-timeout", 60) as server:
        told = server.request("POST", "/v1/predict", body, {"Content-Type": "application/json"})
        assert told.status == 422

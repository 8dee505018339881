"""The `Host`, `Origin` and encodings that `lstm serve` accepts."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys

import pytest
from fixtures_runs import TEXTS, make_text_run
from fixtures_serve import JSON, receive_all, server_process, text_server

from lstm_cli.errors import ExitCode

__all__ = ["text_server"]


def head(server, *lines, target=b"/v1/model", method=b"GET", version=b"1.1"):
    """Send a request head as written; return status and body."""
    with server.connect() as sock:
        rows = [b"%s %s HTTP/%s" % (method, target, version), *lines, b"Connection: close"]
        sock.sendall(b"\r\n".join(rows) + b"\r\n\r\n")
        response = receive_all(sock)
    start, _, body = response.partition(b"\r\n\r\n")
    return int(start.split()[1]), body


def status(server, *lines, **asked):
    found, body = head(server, *lines, **asked)
    if found != 200:
        error = json.loads(body)["error"]
        assert error.keys() == {"message", "hint", "request_id"}
        assert TEXTS[0].encode() not in body
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "a")


# Host


@pytest.mark.parametrize(
    "host",
    b"localhost localhost:1 LocalHost:8000 localhost. localhost: 127.0.0.1 127.0.0.1:65535 "
    b"[::1] [::1]:80 [0:0::1]:80".split(),
)
def test_loopback_names_are_allowed_with_any_port(text_server, host):
    assert status(text_server, b"Host: " + host) == 200


@pytest.mark.parametrize(
    "host",
    b"attacker.example attacker.example:8000 localhost.attacker.example 127.0.0.1.attacker.example "
    b"0.0.0.0 127.0.0.2 192.0.2.1 [::2] 127.1 2130706433 _ xn--80ak6aa92e.com".split(),
)
@pytest.mark.parametrize("target", [b"/v1/model", b"/", b"/healthz", b"/nope"])
def test_other_names_are_421_on_every_path(text_server, host, target):
    assert status(text_server, b"Host: " + host, target=target) == 421


@pytest.mark.parametrize(
    "names",
    [
        *[(), (b"localhost", b"localhost"), (b"a", b"localhost"), (b"",), (b".",), (b"[::1",)],
        *[(b"localhost:65536",), (b"localhost:8o",), (b"local host",), (b"localhost, b",)],
        *[(b"a@localhost",), (b"localhost/",), (b"[g::]",), (b"::1",), (b"\xff",), (b"a" * 300,)],
    ],
)
def test_missing_repeated_or_malformed_host_is_400(text_server, names):
    assert status(text_server, *(b"Host: " + name for name in names)) == 400


def test_white_space_around_the_host_is_ignored(text_server):
    assert status(text_server, b"Host:\t localhost \t") == 200


def test_missing_host_is_400_in_http_1_0_too(text_server):
    assert status(text_server, version=b"1.0") == 400


def test_allowed_hosts_and_loopback_names_are_allowed(run):
    options = ("--allowed-host", "LSTM.example.org", "--allowed-host", "2001:DB8::1")
    with server_process(run, *options) as server:
        for host in (
            b"lstm.example.org",
            b"lstm.example.org:443",
            b"[2001:db8:0::1]",
            b"localhost",
        ):
            assert status(server, b"Host: " + host) == 200, host
        for host in (b"example.org", b"a.lstm.example.org"):
            assert status(server, b"Host: " + host) == 421, host


@pytest.mark.parametrize(
    ("options", "key", "expected"),
    [((), None, 421), ((), "k", 200), (("--host", "0.0.0.0"), None, 200)],
    ids=["loopback", "key", "elsewhere"],
)
def test_command_chooses_the_policy_by_key_and_address(run, options, key, expected):
    environment = {"LSTM_API_KEY": key} if key else {}
    with server_process(run, *options, names=(), **environment) as server:
        lines = (b"Host: other.example", b"Authorization: Bearer k")
        assert status(server, *lines) == expected
        assert status(server, *lines, b"Origin: http://other.example:80") == expected
        assert status(server, b"Host: localhost", *lines[1:]) == 200
        assert status(server, *lines, b"Origin: http://a") == (421 if expected == 421 else 403)
        assert status(server) == 400


# Origin


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"localhost:8000", b"http://localhost:8000"),
        (b"localhost", b"http://localhost:80"),
        (b"localhost:443", b"https://localhost"),
        (b"localhost", b"https://localhost"),  # behind a proxy that terminates TLS
        (b"[::1]:8000", b"http://[::1]:8000"),
        (b"127.0.0.1", b"https://x:8443"),  # the proxy's name, allowed by `server_process`
    ],
)
def test_same_origin_is_allowed(text_server, host, origin):
    assert status(text_server, b"Host: " + host, b"Origin: " + origin) == 200


@pytest.mark.parametrize(
    "origin",
    [
        *[b"http://attacker.example", b"null", b"", b"file://", b"chrome-extension://abc"],
        *[b"http://localhost:3000", b"http://localhost", b"http://127.0.0.1:8000", b"\xff"],
        *[b"localhost:8000", b"http://localhost:8000/", b"http://localhost:8000 http://a"],
        *[b"http://a@localhost:8000", b"https://localhost"],
    ],
)
def test_other_origins_are_403(text_server, origin):
    assert status(text_server, b"Host: localhost:8000", b"Origin: " + origin) == 403
    lines = (b"Host: localhost:8000", b"Origin: http://localhost:8000", b"Origin: null")
    assert status(text_server, *lines) == 403


def test_cross_origin_predict_is_403(text_server):
    response = text_server.predict({"text": TEXTS[0]}, Origin="http://attacker.example")
    assert (response.status, "attacker.example" in response.error) == (403, True)
    own = f"http://{text_server.host}:{text_server.port}"
    assert text_server.predict({"text": TEXTS[0]}, Origin=own).status == 200


# Encodings of a body


@pytest.mark.parametrize(
    "coding", ["gzip", "x-gzip", "deflate", "br", "GZip", "identity, gzip", "nonsense", "\xff"]
)
def test_compressed_body_is_415(text_server, coding):
    body = gzip.compress(b'{"text": "fine"}')
    for content in (body, b'{"text": "fine"}'):
        headers = {**JSON, "Content-Encoding": coding}
        response = text_server.request("POST", "/v1/predict", content, headers)
        assert (response.status, response.headers["accept-encoding"]) == (415, "identity")
        assert "Content-Encoding" in response.error


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content-Encoding": "identity"}, 200),
        ({"Content-Encoding": " Identity , identity"}, 200),
        ({"Content-Encoding": ""}, 200),
        ({"Content-Type": "application/json; charset=UTF-8"}, 200),
        ({"Content-Type": 'application/json;Charset="utf-8"'}, 200),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": "application/jsonx"}, 415),
    ],
)
def test_body_must_be_json_in_utf_8(text_server, headers, expected):
    headers = {**JSON, **headers}
    response = text_server.request("POST", "/v1/predict", b'{"text": "fine"}', headers)
    assert response.status == expected, response.body


def test_transfer_coding_is_501_and_repeated_type_is_415(text_server):
    lines = (b"Host: localhost", b"Content-Type: application/json", b"Connection: close")
    asked = {"method": b"POST", "target": b"/v1/predict"}
    coding = b"Transfer-Encoding: gzip, chunked\r\n\r\n0"
    assert status(text_server, *lines, coding, **asked) == 501
    assert status(text_server, *lines, b"Content-Type: text/plain", **asked) == 415


# The API key


def test_white_space_around_the_key_is_ignored(run):
    with server_process(run, LSTM_API_KEY=" open sesame\r\n") as server:
        assert server.predict({"text": "a"}).status == 401
        assert server.predict({"text": "a"}, Authorization="Bearer open sesame").status == 200


def test_key_that_is_not_text_is_a_usage_error(run):
    done = subprocess.run(
        [sys.executable, "-m", "lstm_cli", "serve", "--run", str(run.path), "--port", "0"],
        env={**os.environ, "LSTM_API_KEY": os.fsdecode(b"\xff\xfe")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == ExitCode.USAGE
    assert "LSTM_API_KEY" in done.stderr
    assert "defect" not in done.stderr

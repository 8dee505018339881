from __future__ import annotations

import io
import json
import os
import threading
from datetime import datetime

import pytest
from fixtures_serve import (
    in_thread,
    predictor,
    receive_all,
    source_of,
    sources_thread,
    text_run,
)

from lstm_cli.serve import access_log
from lstm_cli.serve.access_log import AccessLog
from lstm_cli.serve.request_record import RequestRecord

__all__ = ["predictor", "text_run"]


class Stream(io.BytesIO):
    """A stream that waits for an event before it is written, or fails."""

    def __init__(self, fails=False):
        super().__init__()
        self.release = threading.Event()
        self.fails = fails

    def write(self, data):
        assert self.release.wait(20)
        if self.fails:
            raise BrokenPipeError("nobody reads")
        return super().write(data)

    @property
    def lines(self):
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def stream():
    stream = Stream()
    yield stream
    stream.release.set()


def test_each_request_is_a_line_without_texts_and_keys(predictor, stream):
    stream.release.set()
    log = AccessLog(stream, pytest.fail)
    with sources_thread([source_of(predictor)], key="sesame", log=log) as server:
        key = {"Authorization": "Bearer sesame", "X-Request-ID": "abc-1"}
        server.predict({"texts": ["a secret", "another secret"]}, **key)
        server.post("/v1/explain", {"text": "a secret"}, **key)
        server.predict({"text": "a secret"}, Authorization="Bearer wrong sesame")
        server.get("/v1/predict/secret?key=sesame", **key)
        server.get("/healthz")
        with server.connect() as sock:
            sock.sendall(b"a secret\r\n\r\n")
            receive_all(sock)
    log.close()
    found = [[line.get(k) for k in ("method", "path", "status", "texts")] for line in stream.lines]
    assert found == [
        ["POST", "/v1/predict", 200, 2],
        ["POST", "/v1/explain", 200, 1],
        ["POST", "/v1/predict", 401, None],
        ["GET", "other", 404, None],
        ["GET", "/healthz", 200, None],
        ["", "other", 400, None],
    ]
    first = stream.lines[0]
    assert (first["id"], first["model"]) == ("abc-1", "a")
    assert 0 < first["ms"] < 20_000
    assert abs(datetime.fromisoformat(first["time"]).timestamp() - datetime.now().timestamp()) < 60
    assert not {b"secret", b"sesame"} & set(stream.getvalue().replace(b'"', b" ").split())
    assert b"secret" not in stream.getvalue()


def test_a_slow_reader_loses_lines_and_learns_how_many(stream, monkeypatch):
    monkeypatch.setattr(access_log, "_MAX_LINES", 3)
    monkeypatch.setattr(access_log, "_WRITE_SECONDS", 0.001)
    log = AccessLog(stream, pytest.fail)
    for _ in range(20):
        log.add(RequestRecord())
    stream.release.set()
    log.close()
    dropped = sum(line.get("dropped", 0) for line in stream.lines)
    assert dropped > 0
    assert dropped + sum("id" in line for line in stream.lines) == 20


def test_a_reader_that_has_stopped_does_not_keep_the_server(stream, monkeypatch):
    monkeypatch.setattr(access_log, "_CLOSE_SECONDS", 0.01)
    log = AccessLog(stream, pytest.fail)
    log.add(RequestRecord())
    log.close()
    assert stream.getvalue() == b""


def test_a_stream_that_breaks_is_reported_once_and_nothing_is_kept_for_it():
    stream, errors = Stream(fails=True), []
    stream.release.set()
    log = AccessLog(stream, errors.append)
    log.add(RequestRecord())
    log.close()
    assert len(errors) == 1
    assert "nobody reads" in errors[0]
    log.add(RequestRecord())
    assert not log._records


@pytest.mark.parametrize("blocks", [True, False])
def test_a_full_pipe_that_is_read_later_gets_all_lines(blocks):
    reader, writer = os.pipe()
    os.set_blocking(writer, blocks)
    with os.fdopen(reader, "rb") as source, os.fdopen(writer, "wb", buffering=0) as stream:
        log = AccessLog(stream, pytest.fail)
        for _ in range(2000):
            log.add(RequestRecord())
        closing, _ = in_thread(log.close)
        for _ in range(2000):
            assert json.loads(source.readline())["path"] == "other"
        closing.join()

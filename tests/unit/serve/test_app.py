from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from fixtures_runs import TEXTS, make_image_run, make_text_run, text_config
from fixtures_serve import JSON, explainer_of, received, reply, served_process, serving_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import serve as benchmark
from lstm_cli.errors import LstmError
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.serve import app as serving
from lstm_cli.serve import security_headers
from lstm_cli.serve import server as listener
from lstm_cli.serve.middleware import Limits
from lstm_cli.serve.schemas import ApiError

_HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Held:
    """A text run whose network waits until it may go on, and fails where it is told to."""

    def __init__(self, predictor):
        self._predictor = predictor
        self.entered = threading.Event()
        self.may_go_on = threading.Event()
        self.fails = False
        self.num_calls = 0

    def __getattr__(self, name):
        return getattr(self._predictor, name)

    def run_texts(self, ids):
        self.num_calls += 1
        self.entered.set()
        assert self.may_go_on.wait(20)
        if self.fails:
            raise ValueError("a secret of the network")
        return self._predictor.run_texts(ids)


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    return make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "a")


@pytest.fixture(scope="module")
def predictor(text_run):
    return Predictor.load(text_run)


@pytest.fixture(scope="module")
def server(text_run):
    limits = ("--max-body", 4096, "--max-texts", 4, "--max-tokens", 50)
    with served_process(text_run, *limits) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(text_run):
    """A server that gives clients little time."""
    with served_process(text_run, "--client-timeout", 0.5) as running:
        yield running


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    predictor = Predictor.load(make_image_run(tmp_path_factory.mktemp("runs") / "digits" / "a"))
    with served_process(predictor.run) as running:
        yield running, predictor


@pytest.fixture
def held(predictor):
    held = Held(predictor)
    yield held
    held.may_go_on.set()


def in_thread(work, *arguments):
    """Begin work in a thread; the list has what it returned once the thread has ended."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work(*arguments)))
    thread.start()
    return thread, found


# Predictions


def test_one_text_is_answered_as_by_the_predictor(server, predictor):
    told = server.predict({"text": TEXTS[0]})
    assert told.status == 200
    (found,) = told.json()["predictions"]
    (expected,) = predictor.predict(TEXTS[0])
    assert found.pop("probabilities") == pytest.approx(expected.probabilities, abs=1e-6)
    assert found.pop("probability") == pytest.approx(expected.probability, abs=1e-6)
    assert found == {
        "label": expected.label,
        "num_tokens": 12,
        "truncated": False,
        "unknown": expected.unknown,
    }
    assert told.json()["run"] == predictor.run.name


def test_many_texts_are_answered_in_order_empty_ones_included(server, predictor):
    texts = [TEXTS[1], "", TEXTS[2], "never seen"]
    found = server.predict({"texts": texts}).json()["predictions"]
    expected = predictor.predict(texts)
    assert [p["probability"] for p in found] == pytest.approx([p.probability for p in expected])
    assert found[3]["unknown"] == 1


def test_top_k_orders_and_cuts_and_a_threshold_chooses(server):
    (found,) = server.predict({"text": TEXTS[0], "top_k": 1}).json()["predictions"]
    assert list(found["probabilities"].values()) == [found["probability"]]
    labels = [
        server.predict({"text": TEXTS[0], "threshold": t}).json()["predictions"][0]["label"]
        for t in (0, 1)
    ]
    assert labels == ["positive", "negative"]


def test_images_are_answered_as_rows_of_pixels(images):
    server, _ = images
    rows = [[(16 * r + c) % 256 for c in range(8)] for r in range(8)]
    found = server.predict({"images": [rows, rows], "top_k": 3}).json()["predictions"]
    assert found[0] == found[1]
    assert len(found[0]["probabilities"]) == 3
    assert found[0].keys() == {"label", "probability", "probabilities"}
    assert server.predict({"image": rows}).json()["predictions"][0]["label"] == found[0]["label"]
    told = server.predict({"image": rows[1:]})
    assert (told.status, "7 rows of 8" in told.error) == (422, True)
    assert server.predict({"image": [[256] * 8] * 8}).status == 422
    assert server.predict({"text": "a"}).status == 422
    told = server.predict({"image": rows, "threshold": 0.5})
    assert (told.status, "two classes" in told.error) == (422, True)


def test_requests_at_the_same_time_share_batches(held, predictor):
    """With the only workers busy, what comes meanwhile is computed together."""
    with serving_run(held) as server:
        cores = os.cpu_count() or 1
        busy = [in_thread(server.predict, {"text": TEXTS[0]}) for _ in range(1)]
        assert held.entered.wait(20)
        rest = [in_thread(server.predict, {"text": TEXTS[1]}) for _ in range(8 + cores)]
        time.sleep(0.3)
        held.may_go_on.set()
        for thread, _ in busy + rest:
            thread.join()
        assert {found[0].status for _, found in busy + rest} == {200}
        shown = server.get("/metrics").body.decode()
    batches = float(re.search(r"lstm_batch_inputs_count (\S+)", shown)[1])
    inputs = float(re.search(r"lstm_batch_inputs_sum (\S+)", shown)[1])
    assert inputs == 9 + cores
    assert batches < inputs


# Explanations


def test_a_text_is_explained_as_by_the_explainer(server, predictor):
    told = server.post("/v1/explain", {"text": TEXTS[0]})
    assert told.status == 200
    expected = explainer_of(predictor).explain_text(TEXTS[0]).to_dict()
    found = told.json()
    assert found.keys() == expected.keys()
    assert found["tokens"] == expected["tokens"]
    effects = expected["token_effects"]["effects"]
    assert found["token_effects"]["effects"] == pytest.approx(effects, abs=1e-5)
    assert len(found["prefixes"]["steps"]) == len(found["tokens"])


def test_an_image_is_explained_row_by_row(images):
    server, predictor = images
    rows = [[(16 * r + c) % 256 for c in range(8)] for r in range(8)]
    found = server.post("/v1/explain", {"image": rows}).json()
    assert len(found["prefixes"]["steps"]) == 8
    assert found["prediction"]["label"] in predictor.labels
    assert server.post("/v1/explain", {"image": rows[1:]}).status == 422


@pytest.mark.parametrize(
    ("value", "status", "told"),
    [
        ({"text": " \n"}, 422, "no word"),
        ({"text": "b " * 51}, 422, "51 tokens"),
        ({}, 422, "text"),
        ({"text": "a", "top_k": 1}, 422, "top_k"),
        ({"text": "a" * 5000}, 413, "4,096"),
    ],
)
def test_what_cannot_be_explained_is_refused(server, value, status, told):
    found = server.post("/v1/explain", value)
    assert (found.status, told in found.error) == (status, True), found.body


def test_explanations_wait_for_each_other_to_a_bound_and_predictions_do_not(held):
    with serving_run(held) as server:
        asked = [in_thread(server.post, "/v1/explain", {"text": TEXTS[0]}) for _ in range(12)]
        assert held.entered.wait(20)
        deadline = time.monotonic() + 20
        while sum(len(found) for _, found in asked) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert {found[0].status for _, found in asked if found} == {429}
        held.may_go_on.set()
        for thread, _ in asked:
            thread.join()
        assert sorted(found[0].status for _, found in asked) == [200] * 8 + [429] * 4


def test_an_explanation_nobody_waits_for_any_more_is_not_computed(held):
    with serving_run(held) as server:
        first = in_thread(server.post, "/v1/explain", {"text": TEXTS[0]})
        assert held.entered.wait(20)
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
        held.may_go_on.set()
        for thread, found in (first, last):
            thread.join()
            assert found[0].status == 200
        both = held.num_calls
        assert server.post("/v1/explain", {"text": TEXTS[1]}).status == 200
        assert both == 2 * (held.num_calls - both)


# Refusals


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 400, "no JSON"),
        (b"\xff{}", 400, "no JSON"),
        (b'{"text": "\\ud800"}', 400, "no JSON"),
        (b"[" * 4000, 422, "form"),
        (b'{"text": ' + b"[" * 4000, 422, "form"),
        (b"[]", 422, "form"),
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
def test_a_bad_request_is_refused_with_what_is_wrong(server, body, status, told):
    found = server.ask("POST", "/v1/predict", body, JSON)
    assert (found.status, told in found.error) == (status, True), found.body


def test_what_is_not_there_is_told_in_json(server):
    assert (server.get("/nope").status, server.get("/v1/predict").status) == (404, 405)
    assert "GET /nope" in server.get("/nope").error
    assert server.get("/v1/predict").headers["allow"] == "POST"
    assert server.get("/../../etc/passwd").status == 404
    told = server.ask("POST", "/v1/predict", b'{"text": "a"}', {"Content-Type": "text/plain"})
    assert (told.status, "text/plain" in told.error) == (415, True)


def test_a_body_is_counted_as_it_streams_without_content_length(server):
    def chunks():
        for _ in range(64):
            yield b"x" * 1024

    told = server.ask("POST", "/v1/predict", chunks(), JSON)
    assert (told.status, "4,096" in told.error) == (413, True)


def test_a_huge_body_gets_its_answer_and_the_connection_goes_on(server):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
    connection.request("POST", "/v1/predict", b"x" * (8 << 20), JSON)
    assert reply(connection.getresponse()).status == 413
    connection.request("POST", "/v1/predict", b'{"text": "fine"}', JSON)
    assert reply(connection.getresponse()).status == 200
    connection.close()


def test_a_client_that_asks_before_it_sends_is_told_at_once(server):
    with server.connect() as sock:
        sock.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
        )
        began = time.monotonic()
        told = received(sock)
    assert told.startswith(b"HTTP/1.1 413")
    assert time.monotonic() - began < 3


def test_a_full_queue_is_429_with_a_time_to_come_back(held):
    with serving_run(held, max_queue=4, max_texts=4) as server:
        full = [in_thread(server.predict, {"texts": ["a"] * 4}) for _ in range(30)]
        deadline = time.monotonic() + 20
        told = server.predict({"texts": ["a"] * 4})
        while told.status == 504 and time.monotonic() < deadline:
            told = server.predict({"texts": ["a"] * 4})
        held.may_go_on.set()
        for thread, _ in full:
            thread.join()
        assert (told.status, told.headers["retry-after"]) == (429, "1")
        assert "4 inputs wait" in told.error
        assert {found[0].status for _, found in full} == {200, 429}
        assert server.predict({"text": "a"}).status == 200


def test_an_answer_that_takes_too_long_is_504_and_the_next_is_right(held):
    with serving_run(held, timeout=0.2) as server:
        told = server.predict({"text": "a"})
        assert (told.status, "0.2 s" in told.error) == (504, True)
        held.may_go_on.set()
        deadline = time.monotonic() + 20
        while (status := server.predict({"text": "a"}).status) != 200:
            assert status == 504
            assert time.monotonic() < deadline


def test_a_defect_is_500_without_a_word_of_what_happened(held, capfd):
    held.fails = True
    held.may_go_on.set()
    with serving_run(held) as server:
        told = server.predict({"text": "a"})
        assert told.status == 500
        assert "secret" not in told.error
        held.fails = False
        assert server.predict({"text": "a"}).status == 200
    assert "secret" not in capfd.readouterr().err


def test_limits_that_no_request_can_meet_are_refused():
    with pytest.raises(LstmError, match="queue holds 10 inputs"):
        serving.check_limits(Limits(max_queue=10, max_texts=11))
    serving.check_limits(Limits(max_queue=10, max_texts=10))


# The key


def test_with_a_key_only_those_who_bring_it_are_answered(text_run):
    with served_process(text_run, LSTM_API_KEY="open sesame") as server:
        for headers in (
            {},
            {"Authorization": "open sesame"},
            {"Authorization": "Bearer open sesam"},
            {"Authorization": "Bearer "},
            {"Authorization": "Basic open sesame"},
            {"Authorization": "Bearer \xe4"},
        ):
            told = server.predict({"text": "a"}, **headers)
            assert (told.status, told.headers["www-authenticate"]) == (401, "Bearer"), headers
        assert server.predict({"text": "a"}, Authorization="Bearer open sesame").status == 200
        closed = {path: server.get(path).status for path in ("/v1/model", "/metrics", "/nope")}
        assert set(closed.values()) == {401}, closed
        for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz"):
            assert server.get(path).status == 200


# Clients that do not behave


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
    ids=["silent", "half a head", "half a body", "no HTTP", "long target", "long head"],
)
def test_a_client_that_never_finishes_is_told_and_left(hasty, sent, status):
    with hasty.connect() as sock:
        sock.sendall(sent)
        began = time.monotonic()
        told = received(sock)
        assert told.split(b" ")[1] == status, told
        assert b'{"error":' in told
        assert time.monotonic() - began < 8


def test_a_head_that_drips_ends_in_time_and_so_does_an_idle_connection(text_run):
    with served_process(text_run, "--client-timeout", 1) as server:
        with server.connect() as sock:
            began = time.monotonic()
            for byte in b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"y" * 1000:
                try:
                    sock.sendall(bytes([byte]))
                except OSError:
                    break
                if select.select([sock], [], [], 0.05)[0]:
                    break
            assert time.monotonic() - began < 8
        with server.connect() as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert received(sock).startswith(b"HTTP/1.1 200")
        with server.connect() as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
            sock.sendall(b"G")
            assert b"408" in received(sock)


def test_neighbours_of_bad_clients_are_answered_as_ever(predictor):
    with served_process(predictor.run, "--max-body", 65536, "--client-timeout", 2) as server:
        idle = [server.connect() for _ in range(20)]
        for place, sock in enumerate(idle):
            sock.sendall(
                (b"", b"GET / HT", b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n")[place % 3]
            )
        bad = [
            in_thread(server.ask, "POST", "/v1/predict", body, JSON)
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
def test_whatever_bytes_come_the_next_client_is_answered(server, junk, before):
    with server.connect() as sock:
        sock.sendall(before + junk)
        sock.shutdown(socket.SHUT_WR)
        received(sock)
    assert server.predict({"text": "fine"}).status == 200


def test_a_client_that_would_rather_speak_another_protocol_is_told(server):
    body = b'{"text": "fine"}'
    with server.connect() as sock:
        sock.sendall(
            _HEAD + b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        told = received(sock)
    assert told.startswith(b"HTTP/1.1 400")
    assert b"--http1.1" in told
    headers = {"Connection": "Upgrade", "Upgrade": "h2c"}
    assert server.get("/healthz", **headers).status == 200


def test_what_bad_clients_send_is_not_logged(text_run):
    with served_process(text_run) as server:
        for sent in (b"\x16\x03\x01", b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"):
            with server.connect() as sock:
                sock.sendall(sent)
                sock.shutdown(socket.SHUT_WR)
                received(sock)
        assert server.get("/healthz").status == 200
    assert len(server.said) == 2, server.stderr


def test_more_connections_than_allowed_are_turned_away(text_run):
    with served_process(text_run, "--max-connections", 2) as server:
        kept = [server.connect() for _ in range(2)]
        for sock in kept:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        with server.connect() as sock:
            assert received(sock).startswith(b"HTTP/1.1 503")
        for sock in kept:
            sock.close()
        deadline = time.monotonic() + 20
        while server.get("/v1/model").status != 200:
            assert time.monotonic() < deadline


def test_a_client_that_goes_away_disturbs_nobody(held):
    with serving_run(held) as server:
        with server.connect() as sock:
            body = b'{"text": "fine"}'
            sock.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )
            assert held.entered.wait(20)
        held.may_go_on.set()
        assert server.predict({"text": "fine"}).status == 200


# What is told of the server


def test_the_model_tells_of_the_run_its_limits_and_examples(server, images, predictor):
    told = server.get("/v1/model").json()
    assert (told["run"], told["kind"]) == (predictor.run.name, "text")
    assert told["labels"] == ["negative", "positive"]
    assert told["limits"]["max_body"] == 4096
    assert told["max_tokens"] == 12
    assert told["examples"] == list(TEXTS)
    told = images[0].get("/v1/model").json()
    assert (told["kind"], told["shape"]) == ("image", [8, 8])
    assert len(told["examples"]) == 2


def test_inputs_of_the_data_are_not_shown_where_they_are_not_wanted(text_run):
    with served_process(text_run, "--no-examples") as server:
        assert "examples" not in server.get("/v1/model").json()


def test_health_and_readiness_and_their_end(predictor):
    with served_process(predictor.run) as server:
        assert server.get("/healthz").json() == {"status": "ok"}
        assert server.get("/readyz").json() == {"status": "ready"}
    service = serving.Service(explainer_of(predictor), serving.Settings(Limits()))
    service.drain()
    with pytest.raises(ApiError) as refused:
        import asyncio

        asyncio.run(service._get_readiness(None))
    assert refused.value.status == 503
    service.close()


def test_metrics_count_requests_by_route_and_status_and_no_other_names(text_run):
    with served_process(text_run) as server:
        server.predict({"text": "a"})
        server.predict({"text": 1})
        server.get("/some/where")
        told = server.get("/metrics")
    shown = told.body.decode()
    assert told.headers["content-type"].startswith("text/plain")
    assert 'lstm_requests_total{path="/v1/predict",status="200"} 1.0' in shown
    assert 'lstm_requests_total{path="/v1/predict",status="422"} 1.0' in shown
    assert 'lstm_requests_total{path="other",status="404"} 1.0' in shown
    assert "somewhere" not in shown
    assert "process_resident_memory_bytes" in shown


def test_openapi_describes_every_route_and_its_page_needs_nothing_else(server):
    told = server.get("/openapi.json").json()
    assert told["openapi"] == "3.1.0"
    assert {"/v1/predict", "/v1/explain", "/v1/model", "/healthz", "/readyz", "/metrics"} <= told[
        "paths"
    ].keys()
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(told))
    assert {"TextRequest", "PredictAnswer", "TextExplanation", "ErrorAnswer"} <= set(references)
    assert set(references) <= told["components"]["schemas"].keys()
    page = server.get("/docs").body.decode()
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert "/v1/predict" in page
    for path in told["paths"]:
        assert server.get(path).status in (200, 405)


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/model", "/nope"])
def test_every_answer_has_the_headers_that_keep_a_browser_safe(server, path):
    headers = server.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "access-control-allow-origin" not in headers


def test_the_policy_of_a_page_allows_its_own_script_alone():
    policy = security_headers.content_policy("<style>a{}</style><script>1</script>")
    # printf 1 | openssl dgst -sha256 -binary | base64
    assert "script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='" in policy
    assert policy.count("sha256-") == 2


# The command


def start(*arguments, **environment):
    """Start `lstm serve` on a free port; return the process and where it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lstm_cli", "serve", "--port", "0", *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    said = []
    while "Serving on" not in (line := process.stderr.readline()):
        assert line, "".join(said)
        said.append(line)
    host, port = re.search(r"http://(.*):(\d+)", line).groups()
    return process, (host.strip("[]"), int(port)), "".join(said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_in_flight_be_answered_and_ends_with_0(text_run, number):
    process, address, _ = start("--run", text_run.path)
    try:
        with socket.create_connection(address, 20) as sock, socket.create_connection(address) as _:
            body = b'{"text": "fine"}'
            sock.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            time.sleep(0.3)
            process.send_signal(number)
            deadline = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(address, 5).close()
                except (ConnectionRefusedError, ConnectionResetError):
                    break
                assert time.monotonic() < deadline
            sock.sendall(body)
            assert received(sock).startswith(b"HTTP/1.1 200")
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def test_a_second_signal_ends_at_once(text_run):
    process, address, _ = start("--run", text_run.path)
    try:
        with socket.create_connection(address, 20) as sock:
            sock.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n")
            sock.sendall(b"Content-Type: application/json\r\n\r\n")
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == -signal.SIGTERM
    finally:
        process.kill()
        process.communicate()


REFUSE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
"""


def test_serving_imports_neither_tensorflow_nor_keras(text_run):
    code = REFUSE.replace("NAMES", "('tensorflow', 'keras', 'onnx', 'matplotlib', 'sklearn')") + (
        "from lstm_cli.cli import main\n"
        f"sys.argv = ['lstm', 'serve', '--port', '0', '--run', {str(text_run.path)!r}]\n"
        "main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    try:
        said = [process.stderr.readline() for _ in range(2)]
        assert "Serving on" in said[1], said
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def test_without_the_extra_the_command_says_what_to_install(text_run, monkeypatch):
    monkeypatch.setattr(serving, "find_spec", lambda name: None if name == "uvicorn" else name)
    with pytest.raises(LstmError, match="uvicorn, which is not installed") as caught:
        serving.require_extra()
    assert caught.value.hint == "pip install 'lstm-cli[serve]'"


def test_an_address_that_is_taken_or_not_ours_is_told():
    with listener.bind("127.0.0.1", 0) as sock:
        sock.listen()
        with pytest.raises(LstmError, match=r"Cannot listen on 127.0.0.1, port \d+"):
            listener.bind(*sock.getsockname())
    with pytest.raises(LstmError, match="Cannot listen"):
        listener.bind("192.0.2.1", 0)


def test_elsewhere_than_loopback_without_a_key_there_is_a_warning(text_run):
    for arguments, key, warned in (
        (("--host", "0.0.0.0"), {}, True),
        (("--host", "0.0.0.0"), {"LSTM_API_KEY": "k"}, False),
        ((), {}, False),
    ):
        process, _, said = start("--run", text_run.path, *arguments, **key)
        process.terminate()
        assert process.wait(20) == 0
        process.communicate()
        assert ("Warning" in said) == warned, (arguments, said)


def test_a_key_that_is_set_and_empty_is_a_mistake(text_run):
    done = subprocess.run(
        [sys.executable, "-m", "lstm_cli", "serve", "--run", str(text_run.path)],
        env={**os.environ, "LSTM_API_KEY": " "},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, "LSTM_API_KEY is set, and empty" in done.stderr) == (2, True)


def test_long_texts_are_tokenised_beside_the_others(tmp_path):
    config = text_config(text__max_tokens=12)
    run = make_text_run(tmp_path / "demo" / "b", config=config)
    with served_process(run, "--max-tokens", 100_000) as server:
        (found,) = server.predict({"text": "fine " * 50_000}).json()["predictions"]
    assert found["num_tokens"] == 50_000
    assert found["truncated"]


def test_the_benchmark_counts_answers_failures_and_trouble(text_run, tmp_path, capsys):
    path = tmp_path / "result.json"
    arguments = ["--quick", "--seconds", "1", "--clients", "2", "--tokens", "5"]
    assert benchmark.main([*arguments, "--run", str(text_run.path), "--json", str(path)]) == 0
    found = json.loads(path.read_text())["measurements"]
    for load in found["loads"].values():
        assert load["answers"] > 0
        assert load["compared"] > 0
        assert load["failures"] == []
        assert load["memory_mb"]["peak"] > 20
    ended = found["loads"]["with trouble"]["trouble"]["ended"]
    assert {"malformed: 400", "malformed: 422"} <= ended.keys()
    assert ended["64 MiB: 413"] >= 1
    ended = found["loads"]["with abuse"]["trouble"]["ended"]
    assert {"pipelined: 200", "1.5 MB: 413", "hang-up: done"} <= ended.keys()
    assert not {"pipelined: reset", "1.5 MB: reset", "connect: refused"} & ended.keys()
    assert "predictions/s" in capsys.readouterr().out

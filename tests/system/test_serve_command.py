"""The command `lstm serve`: start, signals, warnings."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from fixtures_serve import receive_all, text_run

from benchmarks import serve as benchmark
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.serve import server as server_module

__all__ = ["text_run"]


def start(*arguments, **environment):
    """Start `lstm serve` on a free port; return the process, its address, and earlier lines."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lstm_cli", "serve", "--port", "0", *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    lines = []
    while "Serving on" not in (line := process.stderr.readline()):
        assert line, "".join(lines)
        lines.append(line)
    host, port = re.search(r"http://(.*):(\d+)", line).groups()
    return process, (host.strip("[]"), int(port)), "".join(lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_finishes_open_requests_and_exits_with_0(text_run, number):
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
            assert receive_all(sock).startswith(b"HTTP/1.1 200")
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def test_second_signal_stops_at_once(text_run):
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


_IMPORT_HOOK = """
import sys
class RefuseImports:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, RefuseImports())
"""


def test_serve_imports_neither_tensorflow_nor_keras(text_run):
    code = _IMPORT_HOOK.replace(
        "NAMES", "('tensorflow', 'keras', 'onnx', 'jinja2', 'matplotlib', 'sklearn')"
    ) + (
        "from lstm_cli.cli import main\n"
        f"sys.argv = ['lstm', 'serve', '--port', '0', '--run', {str(text_run.path)!r}]\n"
        "main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    try:
        lines = [process.stderr.readline() for _ in range(2)]
        assert "Serving on" in lines[1], lines
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "httptools", "prometheus_client"])
def test_missing_extra_names_the_package_to_install(text_run, package):
    code = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from lstm_cli.cli import main\n"
        f"sys.argv = ['lstm', 'serve', '--port', '0', '--run', {str(text_run.path)!r}]\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == ExitCode.ERROR
    assert package.replace("_", "-") in done.stderr
    assert "pip install 'lstm-cli[serve]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_bind_errors():
    with server_module.bind("127.0.0.1", 0) as sock:
        sock.listen()
        host, port = sock.getsockname()
        with pytest.raises(LstmError, match=f"{host}, port {port}"):
            server_module.bind(host, port)
    with pytest.raises(LstmError, match=r"192\.0\.2\.1"):
        server_module.bind("192.0.2.1", 0)


def test_warning_without_a_key_on_a_public_address(text_run):
    for arguments, key, warned in (
        (("--host", "0.0.0.0"), {}, True),
        (("--host", "0.0.0.0"), {"LSTM_API_KEY": "k"}, False),
        ((), {}, False),
    ):
        process, _, lines = start("--run", text_run.path, *arguments, **key)
        process.terminate()
        assert process.wait(20) == 0
        process.communicate()
        assert ("Warning" in lines) == warned, (arguments, lines)


def test_empty_key_is_a_usage_error(text_run):
    done = subprocess.run(
        [sys.executable, "-m", "lstm_cli", "serve", "--run", str(text_run.path)],
        env={**os.environ, "LSTM_API_KEY": " "},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, "LSTM_API_KEY" in done.stderr) == (ExitCode.USAGE, True)


def test_benchmark_counts_responses_and_failures(text_run, tmp_path, capsys):
    path = tmp_path / "result.json"
    arguments = ["--quick", "--seconds", "1", "--clients", "2", "--tokens", "5"]
    assert benchmark.main([*arguments, "--run", str(text_run.path), "--json", str(path)]) == 0
    found = json.loads(path.read_text())["measurements"]
    for load in found["loads"].values():
        assert load["responses"] > 0
        assert load["compared"] > 0
        assert load["failures"] == []
        assert load["memory_mb"]["peak"] > 20
    outcomes = found["loads"]["faulty clients"]["bad_clients"]["outcomes"]
    assert {"malformed: 400", "malformed: 422"} <= outcomes.keys()
    assert outcomes["64 MiB: 413"] >= 1
    outcomes = found["loads"]["hostile clients"]["bad_clients"]["outcomes"]
    assert {"pipelined: 200", "1.5 MB: 413", "disconnect: done"} <= outcomes.keys()
    assert not {"pipelined: reset", "1.5 MB: reset", "connect: refused"} & outcomes.keys()
    assert "predictions/s" in capsys.readouterr().out

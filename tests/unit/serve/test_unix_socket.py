from __future__ import annotations

import os
import socket
import stat
import sys

import pytest

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.serve import server, unix_socket

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Unix sockets")


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A short path: that of a test may be longer than a socket may have."""
    monkeypatch.chdir(tmp_path)
    return tmp_path.relative_to(tmp_path) / "s"


@pytest.mark.parametrize(("text", "mode"), [("600", 0o600), ("0660", 0o660), ("666", 0o666)])
def test_the_file_has_the_permissions_and_goes_at_the_end(path, text, mode):
    previous = os.umask(0o022)
    try:
        with unix_socket.bind_unix(path, unix_socket.parse_mode(text)) as sock:
            assert stat.S_IMODE(path.stat().st_mode) == mode
            assert server.is_loopback(sock)
            assert server.curl_url(sock) == "--unix-socket s http://localhost"
        assert not path.exists()
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(previous)


@pytest.mark.parametrize("text", ["", "6", "999", "rw", "1777", "-60"])
def test_a_mode_is_three_octal_digits(text):
    with pytest.raises(LstmError) as caught:
        unix_socket.parse_mode(text)
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(path):
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    with unix_socket.bind_unix(path, 0o600):
        with pytest.raises(LstmError, match="another server"):
            unix_socket.bind_unix(path, 0o600).__enter__()
        assert path.exists()


def test_another_file_is_kept(path):
    path.write_text("a file")
    with pytest.raises(LstmError, match="not a socket"):
        unix_socket.bind_unix(path, 0o600).__enter__()
    assert path.read_text() == "a file"


def test_the_socket_of_a_later_server_is_not_removed(path):
    with unix_socket.bind_unix(path, 0o600):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.exists()


def test_paths_that_cannot_be_are_errors(tmp_path):
    for path in (tmp_path / ("a" * 200), tmp_path.relative_to(tmp_path) / "none" / "s"):
        with pytest.raises(LstmError):
            unix_socket.bind_unix(path, 0o600).__enter__()

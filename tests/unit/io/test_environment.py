"""Environment variables that are blank, have white space, or are not text."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from fixtures_runs import TEXTS, make_text_run

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import environment
from lstm_cli.prediction.predictor import Predictor

_NO_TEXT = os.fsdecode(b"\xff\xfe")


def lstm(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "lstm_cli", *map(str, arguments)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("blank", ["", " ", "\t\r\n"])
def test_a_blank_variable_counts_as_not_set(monkeypatch, blank):
    for name in environment._VARIABLES:
        monkeypatch.setenv(name, blank)
    environment.strip_variables()
    assert not [name for name in environment._VARIABLES if os.environ.get(name)]


def test_white_space_around_a_folder_is_stripped(tmp_path, monkeypatch):
    monkeypatch.setenv("LSTM_RUNS_DIR", f" {tmp_path / 'my runs'}\n")
    environment.strip_variables()
    assert os.environ["LSTM_RUNS_DIR"] == str(tmp_path / "my runs")
    done = lstm("runs", "list", LSTM_RUNS_DIR=f" {tmp_path}\n")
    assert (done.returncode, f"No runs under {tmp_path}." in done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize("name", ["LSTM_RUNS_DIR", "LSTM_CACHE_DIR", "TFDS_DATA_DIR"])
def test_a_folder_whose_name_is_not_text_is_used(tmp_path, name):
    """The name is valid, and no message must fail on it."""
    for arguments in (("runs", "list"), ("data", "list")):
        done = lstm(*arguments, **{name: str(tmp_path / _NO_TEXT)})
        assert (done.returncode, "defect" in done.stderr) == (0, False), done.stderr


def test_a_run_in_a_folder_whose_name_is_not_text_is_used(tmp_path):
    """onnxruntime accepts only UTF-8 paths."""
    run = make_text_run(tmp_path / _NO_TEXT / "demo" / "a")
    (there,) = Predictor.load(run).predict(TEXTS[0])
    (here,) = Predictor.load(make_text_run(tmp_path / "demo" / "a")).predict(TEXTS[0])
    assert there == here
    done = lstm("predict", "--run", "a", "fine", LSTM_RUNS_DIR=str(tmp_path / _NO_TEXT))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("value", ["\n secret\t", "secret ", "secret"])
def test_a_secret_is_stripped(monkeypatch, value):
    monkeypatch.setenv("KEY", value)
    assert environment.read_secret("KEY") == "secret"


@pytest.mark.parametrize("value", ["", " ", ", ,", _NO_TEXT, "a\nb", "a\x1b[31mb", "a\x7f"])
def test_an_invalid_secret_is_refused_and_not_shown(monkeypatch, value):
    monkeypatch.setenv("KEY", value)
    with pytest.raises(LstmError) as caught:
        environment.read_secret("KEY")
    assert caught.value.exit_code == ExitCode.USAGE
    assert "KEY" in caught.value.message
    assert not value.strip() or value not in caught.value.message
    assert environment.read_secret("NO_SUCH_KEY") is None


def test_an_empty_variable_name_is_refused():
    """This happens with `--api-key-env "$UNSET"`."""
    with pytest.raises(LstmError, match="is empty") as caught:
        environment.read_secret("")
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("value", ["torch", "numpy", "Jax", _NO_TEXT, "x" * 100_000])
def test_an_unsupported_backend_is_refused_in_one_line(value):
    done = lstm("train", "demo", "--dry-run", KERAS_BACKEND=value)
    assert done.returncode == ExitCode.USAGE
    assert "expected tensorflow or jax" in done.stderr
    assert "defect" not in done.stderr
    assert len(done.stderr) < 1000


def test_a_backend_is_stripped_and_must_be_installed(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", " tensorflow\n")
    environment.strip_variables()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    environment.check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LstmError, match="needs JAX, which is not installed") as caught:
        environment.check_backend()
    assert caught.value.exit_code == ExitCode.ERROR


@pytest.mark.parametrize(
    ("installed", "hint"), [((), "pip install lstm-cli"), (("jax",), "KERAS_BACKEND=jax")]
)
def test_without_tensorflow_the_hint_names_what_is_installed(monkeypatch, installed, hint):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name in installed or None)
    with pytest.raises(LstmError, match="needs TensorFlow, which is not installed") as caught:
        environment.check_backend()
    assert hint in str(caught.value)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    if installed:
        environment.check_backend()

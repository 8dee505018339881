"""`lstm export`: formats, paths, and what is printed."""

from __future__ import annotations

import json

import pytest
from fixtures_attacks import text_run
from fixtures_runs import make_language_run

from lstm_cli.errors import ExitCode
from lstm_cli.export.export import default_path, export


@pytest.fixture
def run(tmp_path):
    return text_run(tmp_path / "runs" / "demo" / "one")


def test_the_path_is_the_result_and_what_was_checked_is_on_stderr(run, lstm, tmp_path):
    out = tmp_path / "a.zip"
    code, stdout, stderr = lstm("export", run.path, "--format", "zip", "--out", out)
    assert (code, stdout) == (0, f"{out}\n")
    assert "Golden inputs: 5" in stderr
    code, stdout, _ = lstm("export", run.path, "--format", "zip", "-o", out, "--force", "--json")
    written = json.loads(stdout)
    assert (code, written["path"], written["num_bytes"]) == (0, str(out), out.stat().st_size)
    assert written["golden"] == {"num": 5, "max_difference": 0.0, "engine": "onnxruntime"}


def test_what_exists_is_kept(run, lstm, tmp_path):
    out = tmp_path / "a.zip"
    out.write_text("mine")
    assert lstm("export", run.path, "--format", "zip", "--out", out)[0] == ExitCode.USAGE
    assert out.read_text() == "mine"


def test_the_name_of_the_run_names_the_file(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path / "cache"))
    assert default_path(run, "zip").name == "demo-one.zip"
    assert export(run, "zip").path.is_file()
    # The copy that was checked does not stay unpacked.
    assert [path for path in (tmp_path / "cache" / "temp").iterdir() if path.is_dir()] == []


def test_a_language_model_has_a_zip_without_golden_inputs(tmp_path):
    run = make_language_run(tmp_path / "runs" / "words" / "lm")
    assert export(run, "zip", tmp_path / "a.zip").golden is None

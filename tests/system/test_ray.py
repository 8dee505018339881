"""Prediction on a Ray cluster that the command starts on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures_runs import make_text_run

pytest.importorskip("ray", reason="Ray is not installed")

TIMEOUT = 300


def test_ray_writes_the_same_bits_as_this_machine(tmp_path):
    make_text_run(tmp_path / "runs/x/tiny", ("no", "yes"))
    for number in range(3):
        rows = "".join(f"{number}{i},a fine film {i}\n" for i in range(5))
        (tmp_path / f"p-{number}.csv").write_text(f"id,text\n{rows}bad\n")
    env = {**os.environ, "LSTM_RUNS_DIR": "runs", "LSTM_CACHE_DIR": "c"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-m", "lstm_cli", "predict", "--run", "tiny", "--file", "p-*.csv"]

    def predict(*options):
        return subprocess.run(
            [*command, *options], cwd=tmp_path, env=env, capture_output=True, text=True,
            timeout=TIMEOUT,
        )  # fmt: skip

    local = predict("--out", "local")
    ray = predict("--out", "ray", "--engine", "ray", "--jobs", "2")
    assert (ray.returncode, ray.stdout) == (0, ""), ray.stderr
    # Nothing but our own notes, and no files of Ray are left.
    notes = [line for line in ray.stderr.splitlines() if not line.endswith("records/s")]
    assert [line.replace("/ray ", "/local ") for line in notes] == local.stderr.splitlines()
    assert not any(Path(tmp_path, "c").glob("ray-*"))
    for number in range(3):
        name = f"p-{number}.csv"
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    again = predict("--out", "ray")
    assert "3 of 3 parts were finished before" in again.stderr

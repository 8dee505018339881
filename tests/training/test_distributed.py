"""`--distributed`: two processes train as one does, and save the state if one of them is killed.

Real processes: JAX connects to the others once, when it starts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys

import fixtures_distributed
import fixtures_jax
import numpy as np
import pytest
import safetensors.numpy

from lstm_cli.models.data_parallel import rows_of
from lstm_cli.prediction.verify import verify
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is not installed (the extra 'jax')"
)

SECONDS = 900


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def pair(stage, folder, kind):
    """Run a stage in two processes; return their exit codes and what each found."""
    port, environment = free_port(), {**os.environ, "LSTM_CACHE_DIR": str(folder / "cache")}
    environment |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    script = fixtures_distributed.__file__
    started = [
        subprocess.Popen(
            [sys.executable, script, stage, str(folder), port, str(index), kind],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in (0, 1)
    ]
    try:
        outputs = [process.communicate(timeout=SECONDS) for process in started]
    finally:
        for process in started:
            process.kill()
    files = [folder / f"{stage}-{kind}-{index}.json" for index in (0, 1)]
    found = [json.loads(file.read_text()) if file.exists() else outputs for file in files]
    return [process.returncode for process in started], found, outputs


@pytest.mark.parametrize("num", [1, 2, 3])
def test_the_rows_of_all_processes_are_the_batch(num):
    batch = np.arange(12.0).reshape(6, 2)
    shares = [rows_of(batch, num, index) for index in range(num)]
    assert {len(share) for share in shares} == {6 // num}
    assert np.array_equal(np.concatenate(shares), batch)


@pytest.fixture
def folder(tmp_path):
    fixtures_jax.write_texts(tmp_path / "texts")
    return tmp_path


def check_together(folder, kind):
    """Check a training by two processes against one by one process."""
    codes, (first, second), outputs = pair("together", folder, kind)
    assert codes == [0, 0], outputs
    assert first["steps"] >= 50
    assert first["difference"] < 1e-5
    # Process 0 writes the run, and nothing is printed on standard output.
    assert second["path"] == first["path"]
    assert not second["own_folder"]
    assert [stdout for stdout, _ in outputs] == ["", ""]
    run = RunDir(folder / "runs0" / "texts" / f"{kind}-two")
    assert str(run.path) == first["path"]
    assert run.read_json(runs.RUN)["processes"] == 2
    assert verify(run).passed


def test_two_processes_train_a_classifier_as_one_does(folder):
    check_together(folder, "text")


@pytest.mark.slow
def test_two_processes_train_a_language_model_as_one_does(folder):
    check_together(folder, "language")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "language"])
def test_a_killed_process_ends_the_other_and_both_resume_to_the_same_bits(folder, kind):
    codes, _, outputs = pair("together", folder, kind)
    assert codes == [0, 0], outputs
    codes, (first, _), outputs = pair("killed", folder, kind)
    assert codes == [0, -9], outputs
    # Nothing is lost but the step that was being computed.
    assert f"Saved at {fixtures_distributed.KILLED_AT}" in first["error"]
    codes, _, outputs = pair("resumed", folder, kind)
    assert codes == [0, 0], outputs
    whole, resumed = (
        RunDir(folder / "runs0" / "texts" / f"{kind}-{name}") for name in ("two", "killed")
    )
    assert resumed.read_bytes(runs.WEIGHTS) == whole.read_bytes(runs.WEIGHTS)
    assert safetensors.numpy.load(whole.read_bytes(runs.WEIGHTS))

"""`--distributed`: several processes train as one does, and save the state if one is killed.

Real processes: JAX connects to the others once, when it starts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
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


def group(stage, kind, folder, num=2):
    """Run a stage in several processes.

    Returns:
        Their exit codes, what each of them found (None if it ended before that), and their output.
    """
    port, environment = free_port(), {**os.environ, "LSTM_CACHE_DIR": str(folder / "cache")}
    environment |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, fixtures_distributed.__file__, stage, kind, str(folder), port]
    started = [
        subprocess.Popen(
            [*command, str(num), str(index)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(num)
    ]
    try:
        outputs = [process.communicate(timeout=SECONDS) for process in started]
    finally:
        for process in started:
            process.kill()
    files = [folder / f"{stage}-{kind}-{index}.json" for index in range(num)]
    found = [json.loads(file.read_text()) if file.exists() else None for file in files]
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


def check_together(kind, folder, num=2):
    """Check a training by several processes against one by one process."""
    codes, found, outputs = group("together", kind, folder, num)
    assert codes == [0] * num, outputs
    first, *others = found
    assert first["steps"] >= 50
    assert first["difference"] < 1e-5
    # Process 0 writes the run, and nothing is printed on standard output.
    assert {other["path"] for other in others} == {first["path"]}
    assert not any(other["own_folder"] for other in others)
    assert {stdout for stdout, _ in outputs} == {""}
    run = RunDir(folder / "runs0" / "texts" / f"{kind}-group")
    assert str(run.path) == first["path"]
    assert run.read_json(runs.RUN)["processes"] == num
    assert verify(run).passed


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "num"), [("text", 2), ("text", 3), ("text", 4), ("language", 2)])
def test_several_processes_train_as_one_does(folder, kind, num):
    check_together(kind, folder, num)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "language"])
def test_processes_without_one_that_was_killed_resume_to_the_same_bits(folder, kind):
    codes, _, outputs = group("together", kind, folder)
    assert codes == [0, 0], outputs
    codes, (first, _), outputs = group("last_killed", kind, folder)
    assert codes == [0, -9], outputs
    # Nothing is lost but the step that was being computed.
    assert f"Saved at {fixtures_distributed.KILLED_AT[kind]}" in first["error"]
    check_resumed(kind, folder)
    for run in (folder / "runs0").glob(f"*/{kind}-killed"):
        shutil.rmtree(run)
    codes, (_, second), outputs = group("first_killed", kind, folder)
    # JAX may end process 1 before it can see the error, as process 0 was the coordinator.
    assert codes in ([-9, 0], [-9, -6]), outputs
    assert second is None or "Saved" not in second["error"]
    check_resumed(kind, folder)


def check_resumed(kind, folder):
    """Resume the run whose process was killed; compare it with the one that was not disturbed."""
    codes, _, outputs = group("resumed", kind, folder)
    assert codes == [0, 0], outputs
    whole, resumed = (
        RunDir(folder / "runs0" / "texts" / f"{kind}-{name}") for name in ("group", "killed")
    )
    assert safetensors.numpy.load(whole.read_bytes(runs.WEIGHTS))
    assert resumed.read_bytes(runs.WEIGHTS) == whole.read_bytes(runs.WEIGHTS)

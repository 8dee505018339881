"""`KERAS_BACKEND=jax`: each kind of training, uninterrupted and resumed.

Real processes: Keras chooses its backend once, when it is imported.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import fixtures_jax
import numpy as np
import pytest
import safetensors.numpy

from lstm_cli.prediction.verify import verify
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is not installed (the extra 'jax')"
)

KINDS = ("text", "image", "language")
SECONDS = 900


def process(stage, folder):
    """Start a stage, which writes its results into the folder."""
    places = {"LSTM_CACHE_DIR": str(folder / "cache"), "LSTM_RUNS_DIR": str(folder / "whole")}
    return subprocess.Popen(
        [sys.executable, fixtures_jax.__file__, stage, str(folder)],
        env={**os.environ, **places, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def account(stage, folder, started):
    """Wait for a stage and read its results."""
    try:
        _, errors = started.communicate(timeout=SECONDS)
    finally:
        started.kill()
    assert started.returncode == 0, errors
    return json.loads((folder / f"{stage}.json").read_text())


@pytest.fixture(scope="module")
def stages(tmp_path_factory, request):
    """Results of each kind of training, by stage; those of a resume only for the slow tests."""
    folder = tmp_path_factory.mktemp("jax")
    fixtures_jax.write_texts(folder / "texts")
    whole = process("whole", folder)
    if "slow" not in request.config.getoption("markexpr"):
        return {"whole": account("whole", folder, whole)}
    try:
        found = {"begun": account("begun", folder, process("begun", folder))}
        found["resumed"] = account("resumed", folder, process("resumed", folder))
    except BaseException:
        whole.kill()
        raise
    return found | {"whole": account("whole", folder, whole)}


def finished(stages, stage, kind):
    """The run of a stage."""
    result = stages[stage][kind]
    assert "path" in result, result
    return RunDir(Path(result["path"]))


def weights_of(run):
    return safetensors.numpy.load(run.file(runs.WEIGHTS).read_bytes())


def history_of(run):
    lines = [json.loads(line) for line in run.read_text(runs.HISTORY).splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.mark.parametrize("kind", [*KINDS, "lowered"])
def test_training_ends_with_a_valid_run(stages, kind):
    run = finished(stages, "whole", kind)
    verified = verify(run)
    assert verified.passed, verified
    assert run.read_json(runs.RUN)["backend"] == "jax"
    assert len(history_of(run)) == fixtures_jax.SETTINGS[kind]["train"]["epochs"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_training_ends_with_the_same_bits(stages, kind):
    begun = stages["begun"][kind]
    assert "epoch 2, step 1 of" in begun.get("interrupted", ""), begun
    whole, resumed = (finished(stages, stage, kind) for stage in ("whole", "resumed"))
    assert resumed.read_bytes(runs.WEIGHTS) == whole.read_bytes(runs.WEIGHTS)
    assert history_of(resumed) == history_of(whole)


def test_jax_starts_with_deterministic_gpu_operations(stages):
    assert "--xla_gpu_deterministic_ops=true" in stages["whole"]["xla_flags"].split()


@pytest.mark.parametrize("kind", ["text", "image"])
def test_the_saved_weights_are_averages(stages, kind):
    run = finished(stages, "whole", kind)
    (best,) = [line["epoch"] for line in history_of(run) if line["best"]][-1:]
    expected = np.array(stages["whole"][kind]["averages"][best - 1], np.float32)
    assert np.abs(weights_of(run)["lstm_0_forward/kernel"] - expected).max() < 1e-6


def test_pseudo_labels_are_predicted_anew_between_epochs(stages):
    run = finished(stages, "whole", "text")
    assert run.read_json(runs.RUN)["dataset"]["sizes"]["unlabeled"] == 8
    notes = [note for note in stages["whole"]["text"]["notes"] if "pseudo-labels" in note]
    assert len(notes) == 2


def test_peepholes_are_trained(stages):
    run = finished(stages, "whole", "image")
    assert np.abs(weights_of(run)["lstm_0_forward/peepholes"]).min() > 0


def test_a_language_model_learns(stages):
    held_out = finished(stages, "whole", "language").read_json(runs.METRICS)["held_out"]
    assert held_out["perplexity"] < 0.7 * held_out["unigram_perplexity"]


def test_arrays_with_a_learning_rate_of_zero_do_not_change(stages):
    before, after = (weights_of(finished(stages, "whole", k)) for k in ("language", "lowered"))
    taken = finished(stages, "whole", "lowered").read_json(runs.RUN)["init_from"]["arrays"]
    assert {"embedding/embeddings", "lstm_0_backward/kernel"} <= set(taken)
    assert all(np.array_equal(before[name], after[name]) for name in taken)
    assert np.abs(after["head/bias"]).max() > 0

"""`lstm train --no-test`: a run without results on test, which `--resume` adds."""

from __future__ import annotations

import pytest
from fixtures_training import CONFIG, without_keras

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import record
from lstm_cli.training import pipeline, replay


@pytest.fixture
def untested(monkeypatch, tmp_path):
    """A finished run that was not scored on test; a table stands for the model."""
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path / "runs"))
    without_keras(monkeypatch)
    monkeypatch.setattr(replay, "load_training_data", pipeline.load_training_data)
    return pipeline.train(
        CONFIG, name="x", score_test=False, command="lstm train demo --no-test --name x"
    )


def test_the_run_is_finished_and_has_no_results_on_test(untested):
    assert untested.status == "finished"
    assert record.read(untested).test is None
    assert record.summarize(untested).accuracy is None
    card = untested.read_text(runs.CARD)
    assert "|  | validation |\n" in card
    assert "on validation | precision" in card
    assert "test" not in untested.read_json(runs.RUN)["dataset"]["sizes"]
    with pytest.raises(LstmError, match="was not scored on test") as caught:
        record.read_tested(untested)
    assert (caught.value.exit_code, "--resume x" in caught.value.hint) == (ExitCode.USAGE, True)


def test_a_resume_adds_the_results_that_the_run_would_have_had(untested):
    tested = pipeline.train(CONFIG, name="y")
    weights = untested.read_bytes(runs.WEIGHTS)
    with pytest.raises(LstmError, match="nothing to resume"):
        pipeline.resume(untested, score_test=False)
    pipeline.resume(untested)
    assert untested.read_json(runs.METRICS) == tested.read_json(runs.METRICS)
    assert untested.read_bytes(runs.WEIGHTS) == weights == tested.read_bytes(runs.WEIGHTS)
    assert untested.read_json(runs.RUN)["command"] == "lstm train demo --name x"
    assert record.read_tested(untested)[1].num_examples > 0
    with pytest.raises(LstmError, match="nothing to resume"):
        pipeline.resume(untested)


def test_a_replay_does_not_look_at_test_either(untested):
    assert replay.replay(untested).identical

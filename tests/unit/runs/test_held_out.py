"""The predictions for rows held out: what is written is read, and damage is named."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
from fixtures_runs import make_text_run

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import held_out

LABELS = np.array([0, 1, 1], np.int32)
PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], np.float32)


@pytest.fixture
def run(tmp_path):
    return make_text_run(tmp_path / "demo" / "one")


def signed(run):
    run.write_manifest()
    return run.with_manifest()


def test_what_is_written_is_read(run):
    held_out.write(run, LABELS, PROBABILITIES)
    found = held_out.read(signed(run), 2)
    assert found.labels.tolist() == LABELS.tolist()
    assert found.labels.dtype == np.int32
    np.testing.assert_array_equal(found.probabilities, PROBABILITIES)


def test_of_very_many_rows_an_even_part_is_written(run, monkeypatch):
    monkeypatch.setattr(held_out, "_MAX_VALUES", 40)
    monkeypatch.setattr(held_out, "_MIN_ROWS", 5)
    labels = (np.arange(1000) >= 500).astype(np.int32)
    held_out.write(run, labels, np.tile(PROBABILITIES[:1], (1000, 1)))
    assert np.bincount(held_out.read(signed(run), 2).labels).tolist() == [10, 10]


def test_a_run_without_them_says_what_to_do(run):
    with pytest.raises(LstmError) as caught:
        held_out.read(run.with_manifest(), 2)
    assert runs.HELD_OUT in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        ([0, 1], PROBABILITIES),
        ([0, 1, 2], PROBABILITIES),
        ([0, 1, -1], PROBABILITIES),
        ([0, 0.5, 1], PROBABILITIES),
        ([0, 1, 1], PROBABILITIES + 0.1),
        ([0, 1, 1], PROBABILITIES * np.array([-1, 1])),
        ([0, 1, 1], PROBABILITIES * np.nan),
        ([0, 1, 1], PROBABILITIES[:, :1]),
        ([], PROBABILITIES[:0]),
        (5.0, PROBABILITIES),
    ],
)
def test_other_content_is_refused(run, labels, probabilities):
    arrays = {"labels": np.array(labels, np.float32)}
    arrays["probabilities"] = np.array(probabilities, np.float32)
    run.write_bytes(runs.HELD_OUT, safetensors.numpy.save(arrays))
    with pytest.raises(LstmError) as caught:
        held_out.read(signed(run), 2)
    assert caught.value.exit_code == ExitCode.INTEGRITY
    assert runs.HELD_OUT in caught.value.message


def test_a_file_that_is_no_safetensors_file_is_refused(run):
    run.write_bytes(runs.HELD_OUT, b"\x00" * 20)
    with pytest.raises(LstmError) as caught:
        held_out.read(signed(run), 2)
    assert caught.value.exit_code == ExitCode.INTEGRITY

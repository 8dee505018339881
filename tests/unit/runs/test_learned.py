"""The hashes of what a run has learned from: what is written is read, and damage is named."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
from fixtures_runs import make_text_run

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import learned

INPUTS = np.array([1, 2**63, 2**64 - 1], np.uint64)


@pytest.fixture
def run(tmp_path):
    return make_text_run(tmp_path / "demo" / "one")


def signed(run):
    run.write_manifest()
    return run.with_manifest()


def test_what_is_written_is_read_and_as_the_library_writes_it(run):
    learned.write(run, INPUTS, INPUTS[:1])
    expected = safetensors.numpy.save({"inputs": INPUTS, "labeled": INPUTS[:1]})
    assert run.read_bytes(runs.LEARNED, 1000) == expected
    inputs, labeled = learned.read(signed(run))
    assert inputs.tolist() == INPUTS.tolist()
    assert labeled.tolist() == [1]


@pytest.mark.parametrize(
    "arrays",
    [
        {"inputs": INPUTS},
        {"inputs": INPUTS, "labeled": INPUTS, "more": INPUTS},
        {"inputs": INPUTS, "labeled": INPUTS.astype(np.int64)},
        {"inputs": INPUTS, "labeled": INPUTS[None]},
    ],
)
def test_other_arrays_are_refused(run, arrays):
    run.write_bytes(runs.LEARNED, safetensors.numpy.save(arrays))
    with pytest.raises(LstmError, match=runs.LEARNED) as caught:
        learned.read(signed(run))
    assert caught.value.exit_code == ExitCode.INTEGRITY

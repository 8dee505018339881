"""What the run that training starts from has learned from: its rows cannot test the new run."""

from __future__ import annotations

import contextlib
from pathlib import Path

from lstm_cli.checks import Learned
from lstm_cli.errors import LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find, learned
from lstm_cli.runs.rename import find_referenced
from lstm_cli.training.init_weights import InitialWeights


def learned_by_initial_run(init: InitialWeights) -> tuple[Learned | None, str]:
    """Return the hashes of the examples that the run to start from has learned from, and its name.

    None without such a run, or if it keeps no record of them, as a language model. A training that
    is resumed does not need that run, which may have been removed.

    Args:
        init: What training starts from.

    Raises:
        LstmError: The record of a run that a new training starts from is damaged (exit code 5).
    """
    if not init.record:
        return None, ""
    with contextlib.suppress(*(() if init.kind == "run" else (LstmError,))):
        path = find_referenced(Path(str(init.record["path"])), init.record.get("weights_sha256"))
        run = find.find(path.parent.parent, str(path), language=True).with_manifest()
        if runs.LEARNED in (run.manifest or {}):
            inputs, labeled = learned.read(run)
            return Learned(inputs, labeled), str(init.record["run"])
    return None, ""

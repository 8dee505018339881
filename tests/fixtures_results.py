"""The result files of a finished run, and a check of all its files."""

from __future__ import annotations

import hashlib

from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs

RESULTS = (runs.WEIGHTS, runs.MODEL, runs.METRICS, runs.HISTORY, runs.GOLDEN, runs.CONFIG)


def results(run):
    return {name: run.file(name).read_bytes() for name in RESULTS}


def whole(run):
    """Return whether a run is finished; if so, check its files by the manifest, and predict."""
    if run.status != "finished":
        return False
    for name, listed in run.read_json(runs.MANIFEST)["files"].items():
        content = run.file(name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == listed["sha256"], name
    assert Predictor.load(run).predict("a fine film")
    return True

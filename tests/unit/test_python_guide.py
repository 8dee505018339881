"""The examples of docs/python.md, executed on runs of random weights."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from fixtures_reports import text_run
from fixtures_runs import make_language_run

import lstm_cli

GUIDE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.fixture
def run():
    root = Path(os.environ["LSTM_RUNS_DIR"])
    make_language_run(root / "texts" / "words")
    return text_run(root / "reviews" / "one")


def test_the_examples_run(run, monkeypatch, capsys):
    pytest.importorskip("pandas")
    trained = []

    def train(dataset, *, settings):
        trained.append((dataset, settings))
        return run

    # Training and plots are tested elsewhere, and take long.
    monkeypatch.setattr("lstm_cli.api.train", train)
    monkeypatch.setattr("lstm_cli.evaluation.evaluate.draw_results", lambda *args: [])
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
    assert trained == [("reviews.csv", {"train.epochs": 3})]
    assert isinstance(names["model"], lstm_cli.Model)
    assert names["probabilities"].shape == (3, 2)
    assert set(names["table"]["predicted"]) <= set(names["model"].labels)
    assert np.isfinite(names["explanation"].token_effects.effects).all()
    assert names["score"].perplexity > 1
    assert "precision" in capsys.readouterr().out

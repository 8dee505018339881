"""`benchmarks.multi_label`, on a small folder of tables."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from benchmarks import multi_label


@pytest.fixture
def folder(tmp_path):
    """Texts with a word for each of two labels; the second is rare and often without its word."""
    rng = np.random.default_rng(0)
    for name, num in (("train", 400), ("test", 200)):
        rows = []
        for i in range(num):
            joy, pride = rng.random() < 0.5, rng.random() < 0.15
            words = ["glad"] * joy + ["proud"] * (pride and rng.random() < 0.6)
            labels = ["joy"] * joy + ["pride"] * pride
            rows.append((f"day {i % 50} {' '.join(words)}", "|".join(labels)))
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    return tmp_path


@pytest.mark.parametrize("options", [(), ("--held-out",)])
def test_linear_models_and_lstm_train_are_compared(folder, monkeypatch, options):
    tests = []

    def train(_, test, __):
        tests.append(test)
        return multi_label._Scores(0.6, 0.5, 0.4, 1.0)

    monkeypatch.setattr(multi_label, "_train", train)
    path = folder / "result.json"
    command = [str(folder), "--kinds", "words", "--json", str(path), *options]
    assert multi_label.main(command) == 0
    results = json.loads(path.read_text())["measurements"]["results"]
    assert list(results) == ["linear, words", "linear, words, chosen thresholds", "lstm train"]
    assert results["linear, words"]["micro_f1"] > 0.8
    assert tests == [None if options else folder / "test.csv"]

"""`benchmarks.calibration`, on a small folder of tables and logits that are made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import calibration
from benchmarks.own_data import write_table
from lstm_cli.models.calibration import LINEAR, LSTM_BESIDE_LINEAR, SplitLogits


def logits(num, lstm_scale, seed):
    """Logits of a linear model that are right, and of an LSTM that are too large by a factor."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(num) % 2).astype(np.int32)
    parts = [2 * (labels[:, None] - 0.5) + rng.normal(size=(num, 1)) for _ in range(2)]
    return SplitLogits(lstm_scale * parts[0], 2 * parts[1].astype(np.float32)), labels


def test_the_prior_whose_center_is_right_has_the_lowest_loss():
    few, many = logits(16, 2 / 0.3, 0), logits(4000, 2 / 0.3, 1)
    losses = calibration.losses_of((*few, *many))
    near = [losses[name] for name, (lstm, _) in calibration.PAIRS.items() if lstm == (0.3, 0.25)]
    far = [losses[name] for name, (lstm, _) in calibration.PAIRS.items() if lstm == (1.0, 0.25)]
    assert max(near) < min(far)
    assert min(near) < losses["not calibrated"]


def test_the_pair_in_use_is_among_those_that_are_compared():
    assert (LSTM_BESIDE_LINEAR, LINEAR) in calibration.PAIRS.values()


def test_each_fold_is_new_to_the_rows_that_are_trained_on(tmp_path, monkeypatch, capsys):
    (tmp_path / "sets" / "days").mkdir(parents=True)
    rows = [(f"day {n}", "good" if n % 2 else "bad") for n in range(40)]
    write_table(tmp_path / "sets" / "days" / "train.csv", rows)
    calls = []

    def train(text_set, rows, new_rows):
        calls.append((set(rows.tolist()), set(new_rows.tolist())))
        return (*logits(12, 6, 0), *logits(40, 6, 1))

    monkeypatch.setattr(calibration, "train", train)
    path = tmp_path / "result.json"
    options = ["--folds", "4", "--rows", "20", "--json", str(path)]
    assert calibration.main([str(tmp_path / "sets"), *options]) == 0
    assert [(len(seen), len(new)) for seen, new in calls] == [(20, 10)] * 4
    assert not any(seen & new for seen, new in calls)
    assert set().union(*(new for _, new in calls)) == set(range(40))
    losses = json.loads(path.read_text())["measurements"]["sets"]["days"]
    assert losses.keys() == {"not calibrated", *calibration.PAIRS}
    assert "in use" in capsys.readouterr().out


@pytest.mark.slow
def test_the_benchmark_trains(tmp_path):
    (tmp_path / "sets" / "days").mkdir(parents=True)
    rows = [(f"a {('fine', 'dull')[n % 2]} day, number {n}", str(n % 2)) for n in range(120)]
    write_table(tmp_path / "sets" / "days" / "train.csv", rows)
    assert calibration.main([str(tmp_path / "sets"), "--quick"]) == 0

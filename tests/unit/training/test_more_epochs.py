"""The note on a training that ends while validation still improves."""

from __future__ import annotations

import pytest

from lstm_cli.io.progress import Epoch
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.training import more_epochs


def history(*losses, stage=1):
    best = [loss == min(losses[: i + 1]) for i, loss in enumerate(losses)]
    return [
        Epoch(n, 3, 1.0, 0.5, loss, 0.5, 0.1, 1.0, is_best, stage)
        for n, (loss, is_best) in enumerate(zip(losses, best, strict=True), 1)
    ]


CASES = {
    "it falls until the end": ((1.7, 1.5, 1.4, 1.3), 4, 4, True),
    "the last epochs change little": ((1.7, 0.5, 0.4, 0.399), 4, 4, False),
    "half of the loss, but little of what was learned": ((2.0, 0.3, 0.2, 0.15), 4, 4, False),
    "an earlier epoch is the best": ((1.7, 1.5, 1.3, 1.4), 3, 4, False),
    "it stopped before the limit": ((1.7, 1.5, 1.4), 3, 9, False),
    "one epoch shows nothing": ((1.7,), 1, 1, False),
}


@pytest.mark.parametrize("name", CASES)
def test_only_a_limit_that_cuts_off_improvement_is_reported(name):
    losses, best, epochs, expected = CASES[name]
    assert more_epochs.still_improves(history(*losses), best, epochs) is expected


def test_of_folds_the_mean_counts():
    refit = [Epoch(n, 3, 1.0, 0.5, None, None, 0.1, 1.0, True, 3) for n in (1, 2)]
    falling = history(1.7, 1.5) + history(1.7, 1.4, stage=2) + refit
    assert more_epochs.still_improves(falling, 2, 2)
    mixed = history(1.7, 1.5) + history(1.7, 1.9, stage=2) + refit
    assert not more_epochs.still_improves(mixed, 2, 2)


def test_the_command_resumes_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path))
    run = RunDir(tmp_path / "my films" / "x")
    run.path.mkdir(parents=True)
    run.write_json(runs.RUN, {"status": "running", "data": "/data/my films.csv"})
    note = more_epochs.describe(run, history(1.7, 1.5), 6, False, "lstm train it")
    assert note.endswith(": lstm train '/data/my films.csv' --resume x --epochs 12")
    assert "1.7000 at epoch 1, 1.5000 at the end" in note


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "lstm train 'a b.csv' --epochs 3 --name x --set data.folds=2",
            "lstm train 'a b.csv' --set data.folds=2 --epochs 12",
        ),
        ("lstm train a.csv --epochs=3 --name=x", "lstm train a.csv --epochs 12"),
        (None, "train.epochs=12"),
    ],
)
def test_a_refitted_run_is_trained_anew(command, expected, tmp_path):
    note = more_epochs.describe(RunDir(tmp_path), history(1.7, 1.5), 6, True, command)
    assert note.endswith(f"More epochs may help: {expected}")

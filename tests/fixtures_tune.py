"""Searches whose trials train nothing: `trainer.py` stands for `lstm train`."""

from __future__ import annotations

from pathlib import Path

from lstm_cli.io.progress import SilentReporter
from lstm_cli.tune import ask, process, study
from lstm_cli.tune.storage import load_study, open_storage

TRAINER = Path(__file__).with_name("trainer.py")
SPACE = """
model.units: {low: 8, high: 120}
train.learning_rate: {low: 0.001, high: 0.02, log: true}
"""


def use_trainer(monkeypatch, tmp_path):
    """Let searches in this process start the trainer; return the file with its starts."""
    log = tmp_path / "starts"
    monkeypatch.setattr(process, "LSTM", ("-S", str(TRAINER)))
    monkeypatch.setenv("TRAINER_LOG", str(log))
    return log


def question(tmp_path, space=SPACE, **changes):
    """What a person asks; the keys of `ask.Question`."""
    file = tmp_path / "space.yaml"
    file.write_text(space)
    asked = {
        "dataset": "demo", "config": None, "overrides": {}, "metric": "accuracy", "space": file,
        "name": "s", "trials": 4, "seconds": None, "jobs": 1, "storage": None, "device": "auto",
        "data_dir": None,
    }  # fmt: skip
    return ask.Question(**asked | changes)


def search(tmp_path, reporter=None, **changes):
    """Search, and return what was found."""
    asked = question(tmp_path, **changes)
    folder, request = ask.make_request(asked, tmp_path / "runs")
    return study.start(folder, request, asked.storage, reporter or SilentReporter())


def trials_of(folder, url=None):
    """The trials of a study, as Optuna stores them."""
    return load_study(open_storage(folder, url), folder.request()).trials


def drawn(trials):
    """What a search did: parameters, state and value of each trial."""
    return [(trial.params, trial.state, trial.value) for trial in trials]

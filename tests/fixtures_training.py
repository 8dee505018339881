"""Training without Keras: everything of `lstm_cli.training.train` but the network itself.

What a step does to the weights is a table, so that a whole run takes milliseconds and thousands of
them can be killed.
"""

from __future__ import annotations

import functools
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
from fixtures_runs import LABELS, TEXTS, random_weights, text_config

from lstm_cli.config import load as configs
from lstm_cli.config.load import to_dict
from lstm_cli.data import Dataset
from lstm_cli.data.dataset import Split
from lstm_cli.evaluation import metrics
from lstm_cli.evaluation.evaluate import ScoredSplit
from lstm_cli.io.progress import Epoch
from lstm_cli.prediction import predictor
from lstm_cli.runs import directory as runs
from lstm_cli.text import corpus
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training import artifacts, pipeline, train
from lstm_cli.training.checkpoint import Checkpoint
from lstm_cli.training.device import DeviceInfo
from lstm_cli.training.loop import TrainingResult
from lstm_cli.training.objectives.classification import Examples
from lstm_cli.training.prepare import Prepared

CONFIG = text_config(train__epochs=2)
USED = DeviceInfo("cpu", "none", "nothing is computed", "none")


def weights_of(epoch, vocab_size):
    """What the weights are after some epochs."""
    return random_weights(CONFIG, len(LABELS), vocab_size, seed=epoch)


def progress(loop):
    """What a checkpoint says of how far training is."""
    return {
        "epoch": loop.epoch,
        "step": 0,
        "sums": [0.0, 0.0, 0.0],
        "best_loss": 1 / loop.epoch,
        "best_epoch": loop.epoch,
        "stop_requested": False,
        "history": [asdict(line) for line in loop.history],
        "seconds": 1.0,
        "epoch_seconds": 0.0,
        "settings": to_dict(loop.config),
    }


class TableLoop:
    """Stands in for `fit.TrainingLoop`: an epoch is a step along the table."""

    seconds = 1.0
    earlier_seconds = 0.0

    def __init__(self, model, config, work, reporter, save, signals):
        self.config, self.model, self._save = config, model, save
        self.work = SimpleNamespace(num_steps=1, rate=4)
        self.epoch = 0

    @property
    def history(self):
        """One line an epoch."""
        return [Epoch(n, 1, 1 / n, 0.5, 1 / n, 0.5, 0.1, 0.0, True) for n in self._epochs()]

    @property
    def best_epoch(self):
        """The last is the best."""
        return self.epoch

    @property
    def position(self):
        """Where training stands."""
        return f"epoch {self.epoch}"

    def _epochs(self):
        return range(1, self.epoch + 1)

    def stop_reason(self):
        """Say why no further epoch is trained."""
        return "the last epoch is done" if self.epoch >= self.config.train.epochs else ""

    def run(self, _callbacks=()):
        """Go on to the last epoch, saving after each."""
        while not self.stop_reason():
            self.epoch += 1
            self.save()
        return self.fitted(self.stop_reason())

    def fitted(self, stopped):
        """Return what was found."""
        weights = weights_of(self.epoch, self.model.vocab_size)
        return TrainingResult(tuple(self.history), weights, self.epoch, stopped)

    def save(self):
        """Save a checkpoint."""
        tensors = {"model/0": np.full(3, self.epoch, np.float32)}
        tensors["best/x"] = tensors["model/0"]
        self._save(Checkpoint(tensors, progress(self)))

    def restore(self, found):
        """Go back to a checkpoint."""
        self.epoch = found.progress["epoch"]


def _by_content(open_session):
    """Open each graph once, whatever file it is in."""
    opened = functools.cache(open_session)

    def open_(model):
        if isinstance(model, bytes):
            return opened(model)
        # As onnxruntime does: past Python, and so past the disk of `fixtures_faults`.
        with open(model, "rb") as file:  # noqa: PTH123
            return opened(file.read())

    return open_


def without_keras(monkeypatch):
    """Put the table in place of the network, and one small file in place of the pictures."""
    tokenizer = Tokenizer.fit(TEXTS, CONFIG.text)
    labels = np.array([1, 0, 1, 0], np.int32)
    split = Split(TEXTS, labels)
    splits = {"train": split, "validation": split}
    dataset = Dataset("demo", "four texts", "text", LABELS, splits, "f" * 64)
    examples = Examples(corpus.encode(TEXTS, tokenizer), labels)
    model = SimpleNamespace(trainable_variables=[], vocab_size=tokenizer.vocab_size)

    def prepare(config, *_, **__):
        return Prepared(config, dataset, tokenizer, examples, examples, model, USED, {})

    reports = {}

    def score(predictor, inputs, labels):
        probabilities = predictor.probabilities(inputs)
        key = probabilities.tobytes()
        if key not in reports:
            reports[key] = metrics.compute(labels, probabilities, LABELS)
        return ScoredSplit(labels, probabilities, reports[key])

    def draw(run, *_):
        run.write_bytes("plots/curves.png", b"a picture")
        return ["curves.png"]

    monkeypatch.setattr(pipeline, "start", lambda *_: USED)
    for module in (pipeline, train):
        monkeypatch.setattr(module, "load_data", lambda *_: dataset)
    monkeypatch.setattr(train, "prepare", prepare)
    monkeypatch.setattr(train, "encode", lambda *_: examples)
    monkeypatch.setattr(pipeline, "TrainingLoop", TableLoop)
    monkeypatch.setattr(train.classifier, "set_weights", lambda *_: None)
    monkeypatch.setattr(artifacts, "check_parity", lambda *_: None)
    # What is computed anew for each of a thousand runs, though nothing of it has changed.
    monkeypatch.setattr(train, "score_encoded", score)
    monkeypatch.setattr(runs, "from_yaml", functools.cache(runs.from_yaml))
    monkeypatch.setattr(configs, "to_yaml", functools.cache(configs.to_yaml))
    monkeypatch.setattr(predictor, "open_session", _by_content(predictor.open_session))
    monkeypatch.setattr(artifacts, "_draw", draw)
    monkeypatch.setattr(artifacts, "_commit", lambda: None)
    monkeypatch.setattr(artifacts, "versions", dict)

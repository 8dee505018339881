"""Training without Keras: the training pipeline with a table in place of the model.

The weights after each epoch come from a table. So a run takes milliseconds, and tests can kill
thousands of them.
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
from lstm_cli.evaluation.scored_split import ScoredSplit
from lstm_cli.io.progress import Epoch
from lstm_cli.prediction import predictor
from lstm_cli.runs import directory as runs
from lstm_cli.text import corpus
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training import artifacts, classifier_task, pipeline
from lstm_cli.training.checkpoint import Checkpoint
from lstm_cli.training.classifier_task import ClassifierTask
from lstm_cli.training.device import DeviceInfo
from lstm_cli.training.loop import TrainingResult
from lstm_cli.training.objectives.classification import Examples

CONFIG = text_config(train__epochs=2)
DEVICE_INFO = DeviceInfo("cpu", "none", "nothing is computed", "none")


def weights_of(epoch, vocab_size):
    """Weights after some epochs."""
    return random_weights(CONFIG, len(LABELS), vocab_size, seed=epoch)


def progress(loop):
    """The progress in a checkpoint."""
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
    """Replaces `loop.TrainingLoop`; an epoch takes the next weights of the table."""

    seconds = 1.0
    earlier_seconds = 0.0

    def __init__(self, model, config, objective, reporter, save_checkpoint, signals, stage):
        self.config, self.model, self._save = config, model, save_checkpoint
        self.objective = SimpleNamespace(num_steps=1, step_size=4)
        self.epoch = 0

    @property
    def history(self):
        """One entry per epoch."""
        return [Epoch(n, 1, 1 / n, 0.5, 1 / n, 0.5, 0.1, 0.0, True) for n in self._epochs()]

    @property
    def best_epoch(self):
        """The last epoch is the best."""
        return self.epoch

    @property
    def position(self):
        """The position, for people."""
        return f"epoch {self.epoch}"

    def _epochs(self):
        return range(1, self.epoch + 1)

    def stop_reason(self):
        """Return why no further epoch is trained."""
        return "the last epoch is done" if self.epoch >= self.config.train.epochs else ""

    def run(self, _callbacks=()):
        """Train to the last epoch, with a checkpoint after each."""
        while not self.stop_reason():
            self.epoch += 1
            self.save()
        return self.result(self.stop_reason())

    def result(self, stop_reason):
        """Return the result so far."""
        weights = weights_of(self.epoch, self.model.vocab_size)
        return TrainingResult(tuple(self.history), weights, self.epoch, stop_reason)

    def save(self):
        """Save a checkpoint."""
        tensors = {"model/0": np.full(3, self.epoch, np.float32)}
        tensors["best/x"] = tensors["model/0"]
        self._save(Checkpoint(tensors, progress(self)))

    def restore(self, checkpoint):
        """Restore a checkpoint."""
        self.epoch = checkpoint.progress["epoch"]

    def extend(self, epochs_before):
        """Do nothing."""


def _by_content(open_session):
    """Open each graph once, also if it is in several files."""
    opened = functools.cache(open_session)

    def open_(model):
        if isinstance(model, bytes):
            return opened(model)
        # `Path.open`, unlike this, would go through the faulty disk of `fixtures_faults`.
        with open(model, "rb") as file:  # noqa: PTH123
            return opened(file.read())

    return open_


def without_keras(monkeypatch):
    """Replace the model by the table, and the plots by one small file."""
    tokenizer = Tokenizer.fit(TEXTS, CONFIG.text)
    labels = np.array([1, 0, 1, 0], np.int32)
    split = Split(TEXTS, labels)
    splits = {"train": split, "validation": split}
    dataset = Dataset("demo", "four texts", "text", LABELS, splits, "f" * 64)
    examples = Examples(corpus.encode(TEXTS, tokenizer), labels)
    model = SimpleNamespace(trainable_variables=[], vocab_size=tokenizer.vocab_size)

    def prepare(config, *_):
        return ClassifierTask(
            config, dataset, tokenizer, examples, examples, model, DEVICE_INFO, {}, {}
        )

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

    monkeypatch.setattr(pipeline, "configure_backend", lambda *_: DEVICE_INFO)
    monkeypatch.setattr(pipeline, "load_with_labels_of_run", lambda *_: (dataset, ()))
    monkeypatch.setattr(pipeline, "load_training_data", lambda *_: dataset)
    monkeypatch.setattr(classifier_task, "load_data", lambda *_: dataset)
    monkeypatch.setattr(pipeline, "prepare", prepare)
    monkeypatch.setattr(classifier_task, "encode", lambda *_: examples)
    monkeypatch.setattr(pipeline, "TrainingLoop", TableLoop)
    monkeypatch.setattr(pipeline.classifier, "set_weights", lambda *_: None)
    monkeypatch.setattr(artifacts, "check_parity", lambda *_: None)
    # Cached, because thousands of runs compute the same.
    monkeypatch.setattr(classifier_task, "score_encoded", score)
    monkeypatch.setattr(runs, "from_yaml", functools.cache(runs.from_yaml))
    monkeypatch.setattr(configs, "to_yaml", functools.cache(configs.to_yaml))
    monkeypatch.setattr(predictor, "open_session", _by_content(predictor.open_session))
    monkeypatch.setattr(artifacts, "_draw", draw)
    monkeypatch.setattr(artifacts, "_commit", lambda: None)
    monkeypatch.setattr(artifacts, "versions", dict)


class Notes:
    """A reporter that keeps notes and warnings."""

    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)

    warn = note

    def step(self, _):
        pass

    def epoch(self, _):
        pass

    def fold(self, _):
        pass

    def __contains__(self, text):
        return any(text in line for line in self.lines)

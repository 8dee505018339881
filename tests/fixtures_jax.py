"""Trainings on JAX, a few in each process: `python fixtures_jax.py STAGE FOLDER`, for `test_jax`.

Compiling is what takes the time, so every training has one size of batch and one width.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path

UNLABELED = ["not fine , so it is dull", "a triumph , so it is fine"] * 4
WORDS = {"pos": ("fine", "a triumph"), "neg": ("dull", "a bore")}
MOMENTUM = 0.6

TEXT = {
    "text": {"min_count": 1, "max_tokens": 12},
    "embedding": {"dim": 4, "dropout": 0.1, "word_dropout": 0.1},
    "linear": {"buckets": 31, "folds": 2},
    "model": {"units": 3, "dropout": 0.1},
    "train": {
        "epochs": 3, "batch_size": 40, "learning_rate": 0.05, "patience": 0, "weight_decay": 0.01,
        "ema_momentum": MOMENTUM, "self_training": True,
    },
}  # fmt: skip
IMAGE = {
    "data": {"name": "digits", "limit": 60},
    "image": {"window": 2, "stride": 2, "shift": 1, "rotate": 5.0},
    "model": {
        "cell": "peephole",
        "units": 4,
        "bidirectional": False,
        "regions": [2],
        "region_units": 3,
    },
    "train": {"epochs": 2, "batch_size": 30, "learning_rate": 0.05, "ema_momentum": MOMENTUM},
}  # fmt: skip
LANGUAGE = {
    **TEXT,
    "linear": None,
    "language": {"window": 12, "negatives": 16, "validation_fraction": 0.2},
    "train": {"epochs": 20, "batch_size": 8, "learning_rate": 0.05, "patience": 0},
}
# Starts from the language model, with arrays that must not change.
LOWERED = {
    **TEXT,
    "linear": None,
    "train": {
        "epochs": 1, "batch_size": 36, "learning_rate": 0.05, "weight_decay": 0.01,
        "init_from": "texts/language", "init_lr_factor": 0.0,
    },
}  # fmt: skip
SETTINGS = {"text": TEXT, "image": IMAGE, "language": LANGUAGE, "lowered": LOWERED}
# The first step of the second epoch; there are more in that epoch.
INTERRUPTED_AFTER = {"text": 3, "image": 3, "language": 9}


def write_texts(folder):
    """Write 80 labeled texts, 8 of them for validation, and 12 test texts."""
    for split, num in (("train", 40), ("test", 6)):
        for label, (first, second) in WORDS.items():
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(num):
                text = f"film {number} is {first} , so it is {second} for me"
                (place / f"{number}.txt").write_text(text)


def stage(name, folder):
    """Run a stage; return the results or the error of each training."""
    from lstm_cli import data
    from lstm_cli.config import load as configs
    from lstm_cli.training import device

    # JAX_PLATFORMS hides a GPU; "cpu" would leave out what `load_keras` does for one.
    device.load_keras("auto")
    # A folder has no unlabeled texts.
    data.load_unlabeled = lambda _: UNLABELED
    found = {"xla_flags": os.environ.get("XLA_FLAGS", "")}
    for kind, settings in SETTINGS.items():
        if name != "whole" and kind not in INTERRUPTED_AFTER:
            continue
        if "data" not in settings:
            settings = {**settings, "data": {"name": str(folder / "texts")}}
        try:
            found[kind] = _trained(name, kind, configs.from_dict(settings), folder)
        except Exception:
            found[kind] = {"failed": traceback.format_exc()}
    return found


def _trained(name, kind, config, folder):
    """Train or resume."""
    from lstm_cli.io.signals import Interrupted
    from lstm_cli.runs import directory as runs
    from lstm_cli.training import pipeline

    root, notes = folder / ("whole" if name == "whole" else "parts"), Notes()
    watch = _watch(INTERRUPTED_AFTER[kind] if name == "begun" else 0)
    options = {"callbacks": [watch], "device": "cpu", "reporter": notes}
    try:
        if name == "resumed":
            (record,) = root.glob(f"*/{kind}/{runs.RUN}")
            run = pipeline.resume(runs.RunDir(record.parent), **options)
        else:
            run = pipeline.train(config, runs_dir=root, name=kind, **options)
    except Interrupted as interrupted:
        return {"interrupted": interrupted.message, "steps": watch.steps}
    return {"path": str(run.path), "notes": notes.notes, "averages": watch.averages}


class Notes:
    """A reporter that records notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)

    warn = note

    def step(self, step):
        pass

    def epoch(self, epoch):
        pass

    def fold(self, fold):
        pass


def _watch(interrupted_after):
    """Return a callback that averages one array, and interrupts the training."""
    import keras
    import numpy as np

    class Watch(keras.callbacks.Callback):
        """Averages after each step."""

        def __init__(self):
            super().__init__()
            self.steps = 0
            self.average = None
            self.averages = []

        def on_train_batch_end(self, batch, logs=None):
            (array,) = (
                np.array(v.value)
                for v in self.model.trainable_variables
                if v.path.endswith("_forward/lstm_cell/kernel")
            )
            last = array if self.average is None else self.average
            self.average = MOMENTUM * last + (1 - MOMENTUM) * array
            self.steps += 1
            if self.steps == interrupted_after:
                os.kill(os.getpid(), signal.SIGTERM)

        def on_epoch_end(self, epoch, logs=None):
            self.averages.append(self.average.tolist())

    return Watch()


if __name__ == "__main__":
    where = Path(sys.argv[2])
    result = stage(sys.argv[1], where)
    (where / f"{sys.argv[1]}.json").write_text(json.dumps(result))

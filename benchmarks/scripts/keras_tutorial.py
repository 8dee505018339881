"""The plain Keras script: an LSTM on IMDB as the tutorials write it.

Embedding(20000, 128) -> LSTM(128) -> Dense(1, sigmoid), Adam, binary cross-entropy, batches of 32,
200 tokens padded in front, no mask. Nothing of `lstm_cli` is in it but the data under `--quick`.

Beyond the tutorial it keeps the weights of every epoch on disk with the time they were ready, and
scores them on test when all is over, so that scoring costs the clock nothing.

Usage: keras_tutorial.py imdb|demo SEED EPOCHS RESULT.json
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.scripts import clock

VOCABULARY = 20_000
TOKENS = 200


def load(data: str) -> tuple[Any, Any, Any, Any]:
    """Return texts and labels of train and test."""
    if data == "demo":
        from lstm_cli import data as datasets

        splits = datasets.load(datasets.DataSource(data, limit=200), ("train", "test")).splits
        return *_pair(splits["train"]), *_pair(splits["test"])
    import tensorflow_datasets as tfds

    train, test = tfds.load(
        "imdb_reviews", split=["train", "test"], batch_size=-1, as_supervised=True, download=False
    )
    return *tfds.as_numpy(train), *tfds.as_numpy(test)


def _pair(split: Any) -> tuple[Any, Any]:
    return np.array(split.inputs, dtype=object), split.labels


def tokens(vectorize: Any, texts: Any) -> Any:
    """Turn texts into ids, `<int32>[num, 200]`, the last 200 of each, padded in front."""
    return keras.utils.pad_sequences(vectorize(texts).numpy(), maxlen=TOKENS)


class Snapshots(keras.callbacks.Callback):
    """Keeps the weights of every epoch on disk, with the time they were ready."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.taken: list[dict[str, Any]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep them."""
        self.taken.append({"seconds": clock.age(), "epoch": epoch + 1})
        np.savez(self.folder / f"{epoch}.npz", *self.model.get_weights())

    def score(self, inputs: Any, labels: Any) -> None:
        """Compute the test accuracy of each."""
        for index, snapshot in enumerate(self.taken):
            with np.load(self.folder / f"{index}.npz") as weights:
                self.model.set_weights([weights[name] for name in weights.files])
            _, snapshot["accuracy"] = self.model.evaluate(inputs, labels, batch_size=256, verbose=0)


def main(data: str, seed: int, epochs: int, out: str) -> None:
    """Train, then score."""
    keras.utils.set_random_seed(seed)
    train_texts, train_labels, test_texts, test_labels = load(data)
    vectorize = keras.layers.TextVectorization(max_tokens=VOCABULARY, ragged=True)
    vectorize.adapt(train_texts)
    train, test = tokens(vectorize, train_texts), tokens(vectorize, test_texts)
    ready = clock.age()

    model = keras.Sequential(
        [
            keras.layers.Embedding(VOCABULARY, 128),
            keras.layers.LSTM(128),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    with tempfile.TemporaryDirectory() as folder:
        snapshots = Snapshots(folder)
        model.fit(
            train, train_labels, batch_size=32, epochs=epochs, callbacks=[snapshots], verbose=2
        )
        model.evaluate(test, test_labels, verbose=2)
        total, peak = clock.age(), clock.peak_mb()
        snapshots.score(test, test_labels)
    result = {"ready_seconds": ready, "total_seconds": total, "peak_mb": peak}
    clock.write(out, {**result, "snapshots": snapshots.taken})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])

"""The Keras script: an LSTM on IMDB as in the tutorials.

Embedding(20000, 128) -> LSTM(128) -> Dense(1, sigmoid), Adam, binary cross-entropy, batches of 32,
200 tokens padded at the start, no mask. It uses `lstm_cli` only for the data under `--quick`.

In addition to the tutorial, it writes the weights of each epoch to disk with the time at which they
were ready. They are evaluated on test after training, so that their evaluation is not timed.

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
        return *_arrays(splits["train"]), *_arrays(splits["test"])
    import tensorflow_datasets as tfds

    train, test = tfds.load(
        "imdb_reviews", split=["train", "test"], batch_size=-1, as_supervised=True, download=False
    )
    return *tfds.as_numpy(train), *tfds.as_numpy(test)


def _arrays(split: Any) -> tuple[Any, Any]:
    return np.array(split.inputs, dtype=object), split.labels


def tokens(vectorize: Any, texts: Any) -> Any:
    """Return the last 200 token ids of each text, `<int32>[num, 200]`, padded at the start."""
    return keras.utils.pad_sequences(vectorize(texts).numpy(), maxlen=TOKENS)


class Snapshots(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the weights of each epoch to disk, with the time at which they were ready."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.entries: list[dict[str, Any]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the weights."""
        self.entries.append({"seconds": clock.age(), "epoch": epoch + 1})
        np.savez(self.folder / f"{epoch}.npz", *self.model.get_weights())

    def evaluate(self, inputs: Any, labels: Any) -> None:
        """Add the test accuracy of each snapshot."""
        for index, snapshot in enumerate(self.entries):
            with np.load(self.folder / f"{index}.npz") as weights:
                self.model.set_weights([weights[name] for name in weights.files])
            _, snapshot["accuracy"] = self.model.evaluate(inputs, labels, batch_size=256, verbose=0)


def main(data: str, seed: int, epochs: int, out: str) -> None:
    """Train, then evaluate the snapshots."""
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
        snapshots.evaluate(test, test_labels)
    result = {"ready_seconds": ready, "total_seconds": total, "peak_mb": peak}
    clock.write(out, {**result, "snapshots": snapshots.entries})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])

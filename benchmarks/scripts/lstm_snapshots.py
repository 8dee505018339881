"""Snapshots of the weights during training, and their test accuracy; see `lstm_preset`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors.numpy

from benchmarks.scripts import clock
from lstm_cli.config.schema import Config
from lstm_cli.evaluation.scored_split import score_encoded
from lstm_cli.models import classifier
from lstm_cli.models.linear_features import LinearTables
from lstm_cli.prediction.predictor import Predictor, open_session
from lstm_cli.runs import directory as runs
from lstm_cli.runs import onnx_graph
from lstm_cli.runs.directory import RunDir
from lstm_cli.training.objectives.classification import Examples
from lstm_cli.training.prepare import encode, load_data

_PER_EPOCH = 4


class Snapshots(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the weights to disk as training would keep them if it ended at that step."""

    def __init__(self, folder: Path, averaging: bool) -> None:
        super().__init__()
        self.folder = folder
        self.averaging = averaging
        self.epoch = 0
        self.entries: list[dict[str, Any]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Store the number of the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Write the weights after the first step, several times an epoch, and at its end."""
        steps = self.params["steps"]
        is_due = (batch + 1) % -(-steps // _PER_EPOCH) == 0
        if not is_due and batch + 1 != steps and self.entries:
            return
        path = self.folder / f"{len(self.entries)}.safetensors"
        safetensors.numpy.save_file(self._weights(), path)
        epochs = self.epoch + (batch + 1) / steps
        self.entries.append({"seconds": clock.age(), "epoch": round(epochs, 3)})

    def _weights(self) -> dict[str, Any]:
        raw = classifier.get_weights(self.model)
        if not self.averaging:
            return raw
        # Training keeps the averaged weights, but continues from the raw ones.
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        averaged = classifier.get_weights(self.model)
        classifier.set_weights(self.model, raw)
        return averaged


def evaluate(run: RunDir, config: Config, snapshots: Snapshots) -> None:
    """Add the test accuracy of each snapshot, computed with the ONNX graph of a run."""
    predictor = Predictor.load(run)
    dataset = load_data(config, ("test",), None)
    test: Examples = encode(config, dataset, "test", predictor.tokenizer)
    # The linear model is fitted before the first step and does not change.
    final = safetensors.numpy.load_file(run.file(runs.WEIGHTS))
    linear = LinearTables.from_arrays(final).arrays() if config.linear else {}
    for index, entry in enumerate(snapshots.entries):
        weights = safetensors.numpy.load_file(snapshots.folder / f"{index}.safetensors") | linear
        graph = onnx_graph.build(config, weights, len(predictor.labels), predictor.shape)
        session = open_session(graph.SerializeToString())
        snapshot = Predictor(run, session, predictor.tokenizer, predictor.labels)
        scored = score_encoded(snapshot, test.inputs, test.labels)
        entry["accuracy"] = float(np.mean(scored.probabilities.argmax(1) == test.labels))

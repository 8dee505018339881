"""`lstm` on a preset: the same training as `lstm train`, with the weights kept on the way.

After the first step and about every quarter of an epoch the weights go to disk with the time they
were ready; the last entry is the finished run, exported and scored, as the command leaves it.
Scoring the others waits until all is over, so that it costs the clock nothing.

Usage: lstm_preset.py PRESET SEED LIMIT RESULT.json   (a limit of 0 is none)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scripts import clock
from lstm_cli.config.load import load_preset
from lstm_cli.config.schema import Config
from lstm_cli.training.device import load_keras

_PER_EPOCH = 4

load_keras("auto")

import keras  # noqa: E402 -- after load_keras, as the command line does
import safetensors.numpy  # noqa: E402

from lstm_cli.evaluation.evaluate import score_encoded  # noqa: E402
from lstm_cli.models import classifier  # noqa: E402
from lstm_cli.prediction.predictor import Predictor, open_session  # noqa: E402
from lstm_cli.runs import directory as runs  # noqa: E402
from lstm_cli.runs import onnx_graph  # noqa: E402
from lstm_cli.runs.directory import RunDir  # noqa: E402
from lstm_cli.training.objectives.classification import Examples  # noqa: E402
from lstm_cli.training.pipeline import train  # noqa: E402
from lstm_cli.training.prepare import encode, load_data  # noqa: E402


class Snapshots(keras.callbacks.Callback):
    """Keeps weights on disk on the way, as training would leave them if it ended there."""

    def __init__(self, folder: Path, averaging: bool) -> None:
        super().__init__()
        self.folder = folder
        self.averaging = averaging
        self.epoch = 0
        self.taken: list[dict[str, Any]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Remember where we are."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keep the weights after the first step, on the way, and at the end of an epoch."""
        steps = self.params["steps"]
        on_the_way = (batch + 1) % -(-steps // _PER_EPOCH) == 0
        if not on_the_way and batch + 1 != steps and self.taken:
            return
        path = self.folder / f"{len(self.taken)}.safetensors"
        safetensors.numpy.save_file(self._weights(), path)
        done = self.epoch + (batch + 1) / steps
        self.taken.append({"seconds": clock.age(), "epoch": round(done, 3)})

    def _weights(self) -> dict[str, Any]:
        raw = classifier.get_weights(self.model)
        if not self.averaging:
            return raw
        # The average is what training keeps; it goes on from the raw weights.
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        averaged = classifier.get_weights(self.model)
        classifier.set_weights(self.model, raw)
        return averaged


def score(run: RunDir, config: Config, snapshots: Snapshots) -> None:
    """Compute the test accuracy of each snapshot, through the graph that ships."""
    predictor = Predictor.load(run)
    dataset = load_data(config, ("test",), None)
    test: Examples = encode(dataset, "test", predictor.tokenizer)
    # The evidence is counted before the first step and stays.
    final = safetensors.numpy.load_file(run.file(runs.WEIGHTS))
    pluralize = {name: final[name] for name in final if name == onnx_graph.LINEAR_TABLE}
    for index, snapshot in enumerate(snapshots.taken):
        weights = safetensors.numpy.load_file(snapshots.folder / f"{index}.safetensors") | pluralize
        built = onnx_graph.build(config, weights, len(predictor.labels), predictor.shape)
        session = open_session(built.SerializeToString())
        then = Predictor(run, session, predictor.tokenizer, predictor.labels)
        scored = score_encoded(then, test.inputs, test.labels)
        snapshot["accuracy"] = float(np.mean(scored.probabilities.argmax(1) == test.labels))


def main(preset: str, seed: int, limit: int, out: str) -> None:
    """Train, then score."""
    overrides = {"seed": seed, **({"data.limit": limit, "train.epochs": 1} if limit else {})}
    config = load_preset(preset, overrides)
    with tempfile.TemporaryDirectory() as folder:
        snapshots = Snapshots(Path(folder), bool(config.train.averaging))
        run = train(config, runs_dir=Path(folder, "runs"), callbacks=[snapshots])
        total, peak = clock.age(), clock.peak_mb()
        score(run, config, snapshots)
        accuracy = run.read_json("metrics.json")["test"]["accuracy"]
    finished = {"seconds": total, "epoch": "finished", "accuracy": accuracy}
    result = {"total_seconds": total, "peak_mb": peak, "run_accuracy": accuracy}
    clock.write(out, {**result, "snapshots": [*snapshots.taken, finished]})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])

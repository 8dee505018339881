"""Train a preset as `lstm train` does, with snapshots of the weights during training.

After the first step and about every quarter of an epoch, the weights are written to disk with the
time at which they were ready. The last entry is the finished run, exported and evaluated. The
snapshots are evaluated only after training, so that their evaluation is not timed.

Usage: lstm_preset.py PRESET SEED LIMIT RESULT.json   (a limit of 0 means none)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.scripts import clock
from lstm_cli.config.load import load_preset
from lstm_cli.training.device import load_keras


def main(preset: str, seed: int, limit: int, out: str) -> None:
    """Train, then evaluate the snapshots."""
    load_keras("auto")
    # Keras must be imported after load_keras, as in `lstm train`.
    from benchmarks.scripts.lstm_snapshots import Snapshots, evaluate
    from lstm_cli.training.pipeline import train

    overrides = {"seed": seed, **({"data.limit": limit, "train.epochs": 1} if limit else {})}
    config = load_preset(preset, overrides)
    with tempfile.TemporaryDirectory() as folder:
        snapshots = Snapshots(Path(folder), config.train.ema_momentum > 0)
        run = train(config, runs_dir=Path(folder, "runs"), callbacks=[snapshots])
        total, peak = clock.age(), clock.peak_mb()
        evaluate(run, config, snapshots)
        accuracy = run.read_json("metrics.json")["test"]["accuracy"]
    finished = {"seconds": total, "epoch": "finished", "accuracy": accuracy}
    result = {"total_seconds": total, "peak_mb": peak, "run_accuracy": accuracy}
    clock.write(out, {**result, "snapshots": [*snapshots.entries, finished]})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])

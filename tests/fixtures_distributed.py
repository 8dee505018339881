"""One of two processes that train together, for `test_distributed`.

`python fixtures_distributed.py STAGE FOLDER PORT INDEX` writes what it found into the folder.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import fixtures_jax
import numpy as np

# 72 texts and 7 unlabeled ones: 8 batches, the last of 9 rows, which two processes cannot divide.
TEXT = {
    **fixtures_jax.TEXT,
    "train": {**fixtures_jax.TEXT["train"], "epochs": 7, "batch_size": 10},
}
# 8 batches too.
LANGUAGE = {
    **fixtures_jax.LANGUAGE,
    "train": {**fixtures_jax.LANGUAGE["train"], "epochs": 7},
}
# The last step that the process does before it is killed, and where process 0 then saves.
KILLED_AFTER = 20
KILLED_AT = "epoch 3, step 4 of 8"


def start(folder, port, index):
    """Join the other process; return nothing that is not in the folder."""
    from lstm_cli import data
    from lstm_cli.training import device
    from lstm_cli.training.cluster import Cluster

    cluster = Cluster(f"127.0.0.1:{port}", 2, index)
    device.load_keras("cpu", cluster=cluster)
    data.load_unlabeled = lambda _: fixtures_jax.UNLABELED[:7]


def train(settings, folder, root, name, kill=False):
    """Train a run, and return its path and the tensors of its last checkpoint."""
    from lstm_cli.config import load as configs
    from lstm_cli.training import pipeline

    config = configs.from_dict({**settings, "data": {"name": str(folder / "texts")}})
    callbacks = [_killer()] if kill else []
    return pipeline.train(
        config, runs_dir=folder / root, name=name, device="cpu", callbacks=callbacks
    )


def _killer():
    """Return a callback that kills the process after a step."""
    import keras

    class Killer(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if self.steps == KILLED_AFTER:
                os.kill(os.getpid(), signal.SIGKILL)

    return Killer()


def difference(first, second):
    """Return the largest difference between the last weights of two runs, and their steps."""
    from lstm_cli.io.progress import SilentReporter
    from lstm_cli.runs.directory import CHECKPOINTS
    from lstm_cli.training import checkpoint

    both = [checkpoint.newest(run.file(CHECKPOINTS), SilentReporter()) for run in (first, second)]
    names = [name for name in both[0].tensors if name.startswith("model/")]
    assert both[0].tensors.keys() == both[1].tensors.keys()
    values = [np.abs(both[0].tensors[n] - both[1].tensors[n]).max() for n in names]
    steps = sum(line["steps"] for line in both[0].progress["history"])
    return {"difference": float(max(values)), "steps": steps, "arrays": len(names)}


def together(folder, port, index, kind):
    """Train a run with the other process, then, in process 0, the same run alone."""
    start(folder, port, index)
    settings = {"text": TEXT, "language": LANGUAGE}[kind]
    run = train(settings, folder, f"runs{index}", f"{kind}-two")
    found = {"path": str(run.path), "own_folder": (folder / f"runs{index}").exists()}
    if index == 0:
        found |= difference(run, train(settings, folder, "runs0", f"{kind}-one"))
    return found


def killed(folder, port, index, kind):
    """Train with the other process, and kill process 1 after some steps."""
    from lstm_cli.models.data_parallel import PeerLostError

    start(folder, port, index)
    settings = {"text": TEXT, "language": LANGUAGE}[kind]
    begin = time.monotonic()
    try:
        train(settings, folder, "runs0", f"{kind}-killed", kill=index == 1)
    except PeerLostError as error:
        return {"error": error.message, "seconds": time.monotonic() - begin}
    return {"error": "none"}


def resumed(folder, port, index, kind):
    """Resume the killed run with both processes."""
    from lstm_cli.runs.directory import RunDir
    from lstm_cli.training import pipeline

    start(folder, port, index)
    (record,) = (folder / "runs0").glob(f"*/{kind}-killed/run.json")
    run = pipeline.resume(RunDir(record.parent), device="cpu")
    return {"path": str(run.path)}


if __name__ == "__main__":
    # Keras would import it although it is not needed, which takes longer than the training.
    sys.modules["tensorflow"] = None
    stage, where, coordinator_port, own_index, run_kind = sys.argv[1:]
    path = Path(where)
    found = {"together": together, "killed": killed, "resumed": resumed}[stage](
        path, coordinator_port, int(own_index), run_kind
    )
    (path / f"{stage}-{run_kind}-{own_index}.json").write_text(json.dumps(found))
    sys.stdout.flush()
    # A process that has lost another one would wait for it at its end.
    os._exit(0)

"""One of several processes that train together, for `test_distributed`.

`python fixtures_distributed.py STAGE KIND FOLDER PORT NUM INDEX` writes what it found into the
folder.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import fixtures_jax
import numpy as np

# 72 texts and 7 unlabeled ones: 7 batches, the last of 7 rows, which two to four processes cannot
# divide.
TEXT = {
    **fixtures_jax.TEXT,
    "train": {**fixtures_jax.TEXT["train"], "epochs": 8, "batch_size": 12},
}
# 8 batches.
LANGUAGE = {
    **fixtures_jax.LANGUAGE,
    "train": {**fixtures_jax.LANGUAGE["train"], "epochs": 7},
}
SETTINGS = {"text": TEXT, "language": LANGUAGE}
# The last step that a process does before it is killed, and where process 0 then saves.
KILLED_AFTER = 20
KILLED_AT = {"text": "epoch 3, step 6 of 7", "language": "epoch 3, step 4 of 8"}


@dataclass(frozen=True)
class Member:
    """A process of the group: what it trains, and which of them it is."""

    kind: str
    folder: Path
    port: str
    num: int
    index: int

    def start(self):
        """Join the other processes; read nothing that is not in the folder."""
        from lstm_cli import data
        from lstm_cli.training import device
        from lstm_cli.training.cluster import Cluster

        cluster = Cluster(f"127.0.0.1:{self.port}", self.num, self.index)
        device.load_keras("cpu", cluster=cluster)
        data.load_unlabeled = lambda _: fixtures_jax.UNLABELED[:7]

    def train(self, root, name, kill=False):
        """Train a run; return it."""
        from lstm_cli.config import load as configs
        from lstm_cli.training import pipeline

        settings = {**SETTINGS[self.kind], "data": {"name": str(self.folder / "texts")}}
        return pipeline.train(
            configs.from_dict(settings),
            runs_dir=self.folder / root,
            name=f"{self.kind}-{name}",
            device="cpu",
            callbacks=[_killer()] if kill else [],
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


def together(member):
    """Train a run with the other processes, then, in process 0, the same run alone."""
    member.start()
    run = member.train(f"runs{member.index}", "group")
    found = {
        "path": str(run.path),
        "own_folder": (member.folder / f"runs{member.index}").exists(),
    }
    if member.index == 0:
        found |= difference(run, member.train("runs0", "one"))
    return found


def killed(member, victim):
    """Train with the other processes, and kill one of them after some steps."""
    from lstm_cli.models.data_parallel import PeerLostError

    member.start()
    try:
        member.train("runs0", "killed", kill=member.index == victim)
    except PeerLostError as error:
        return {"error": error.message}
    return {"error": "none"}


def resumed(member):
    """Resume the killed run with all processes."""
    from lstm_cli.runs.directory import RunDir
    from lstm_cli.training import pipeline

    member.start()
    (record,) = (member.folder / "runs0").glob(f"*/{member.kind}-killed/run.json")
    run = pipeline.resume(RunDir(record.parent), device="cpu")
    return {"path": str(run.path)}


STAGES = {
    "together": together,
    "first_killed": functools.partial(killed, victim=0),
    "last_killed": functools.partial(killed, victim=1),
    "resumed": resumed,
}

if __name__ == "__main__":
    # Keras would import it although it is not needed, which takes longer than the training.
    sys.modules["tensorflow"] = None
    stage, run_kind, path, coordinator_port, number, own_index = sys.argv[1:]
    own = Member(run_kind, Path(path), coordinator_port, int(number), int(own_index))
    results = STAGES[stage](own)
    (own.folder / f"{stage}-{run_kind}-{own_index}.json").write_text(json.dumps(results))
    sys.stdout.flush()
    # A process that has lost another one would wait for it at its end.
    os._exit(0)

"""Power cuts: kill training at random moments, resume it, and compare the bits.

Real `lstm train` processes of a small text and a small image model get SIGKILL at moments drawn
uniformly over the time an undisturbed one takes, start-up and finishing included, and are resumed
until they end by themselves. What then lies in the run must have the SHA-256 of the undisturbed
run's: weights, graph, golden inputs, metrics, and the history without its wall-clock times.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.report import Option, Outcome, Table
from lstm_cli.errors import LstmError
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir

OPTIONS = (
    Option("kills", "processes to kill, over all models and seeds", 100, 4),
    Option("seeds", "seeds of each model", 3, 1),
)

_ROOT = Path(__file__).parents[1]
# Small, so that start-up and finishing do not drown training, with all in use that has a state.
_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("demo", {
        "data.demo_train": 1000, "data.demo_test": 200, "text.max_tokens": 30,
        "embedding.dim": 8, "embedding.bigram_buckets": 500, "embedding.bigram_dim": 4,
        "embedding.word_dropout": 0.1, "model.units": 8, "train.ema_momentum": 0.9,
        "train.class_weights": "balanced", "train.weight_decay": 0.01,
    }),
    "image": ("digits", {
        "data.limit": 1000, "image.shift": 1, "model.units": 12, "model.bidirectional": False,
        "train.batch_size": 64,
    }),
}  # fmt: skip
_SHARED = {"train.epochs": 10, "train.patience": 0, "train.checkpoint_seconds": 0.2}
_SAME = (runs.WEIGHTS, runs.MODEL, runs.GOLDEN, runs.METRICS, runs.HISTORY)
_PHASES = ("before the run", "before a checkpoint", "training", "finishing", "finished")
# Enough for one that is killed, and for the slowest machine.
_MOST_SECONDS = 600


@dataclass(frozen=True)
class Model:
    """What is trained: a preset with small settings, and a seed."""

    kind: str
    seed: int

    def start(self, folder: Path, name: str) -> subprocess.Popen[bytes]:
        """Start training, or go on with it, as a user would after a power cut."""
        preset, settings = _MODELS[self.kind]
        command = [sys.executable, "-m", "lstm_cli", "train", preset, "--runs-dir", str(folder)]
        if self.run(folder, name).file(runs.RUN).exists():
            command += ["--resume", name]
        else:
            every = {**settings, **_SHARED, "seed": self.seed}
            command += ["--name", name, *(f"--set={k}={v}" for k, v in every.items())]
        environment = {**os.environ, "LSTM_CACHE_DIR": str(folder / f"cache-{name}"), "CI": "1"}
        with (folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env=environment,
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, folder: Path, name: str) -> RunDir:
        """Return where its run lies."""
        return RunDir(folder / _MODELS[self.kind][0] / name)


@dataclass
class Life:
    """A run from its start to its end.

    Attributes:
        kills: When each of its processes was killed, in seconds, and what it was doing.
        resumes: How often it was gone on with.
        lost: What was not as in the undisturbed run; None where all was.
    """

    kills: list[tuple[float, str]] = field(default_factory=list)
    resumes: int = 0
    lost: str | None = None


def measure(settings: argparse.Namespace) -> Outcome:
    """Kill and resume until as many processes were killed as asked for."""
    models = [Model(kind, seed) for seed in range(settings.seeds) for kind in _MODELS]
    dice = random.Random(0)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="lstm-crash-") as scratch:
        for number, model in enumerate(models):
            share = settings.kills * (number + 1) // len(models) - sum(f["kills"] for f in found)
            folder = Path(scratch, f"{model.kind}-{model.seed}")
            folder.mkdir()
            found.append(_campaign(model, share, folder, dice))
    kills, losses = (sum(f[key] for f in found) for key in ("kills", "losses"))
    notes = [f"A loss is a run that did not end, or not with the same {', '.join(_SAME)}."]
    goals = [
        report.at_least("processes killed", kills, settings.kills, 0),
        report.at_most("runs lost", losses, 0, 0),
    ]
    return Outcome({"models": found}, [_table(found)], goals, notes)


def _campaign(model: Model, num_kills: int, folder: Path, dice: random.Random) -> dict[str, Any]:
    """Kill processes of one model; every run is gone on with to its end."""
    seconds = _undisturbed(model, folder)
    expected = _digests(model.run(folder, "undisturbed"))
    report.say(f"{model.kind}, seed {model.seed}: {seconds:.1f} s undisturbed")
    lives: list[Life] = []
    while (left := num_kills - sum(len(life.kills) for life in lives)) > 0:
        life = _live(model, folder, f"run-{len(lives)}", seconds, left, dice)
        life.lost = life.lost or _difference(model.run(folder, f"run-{len(lives)}"), expected)
        lives.append(life)
        told = ", ".join(f"{at:.1f} s ({phase})" for at, phase in life.kills)
        report.say(f"  killed at {told}: {life.lost or 'the same bits'}")
    phases = Counter(phase for life in lives for _, phase in life.kills)
    return {
        "kind": model.kind,
        "seed": model.seed,
        "undisturbed_seconds": seconds,
        "runs": len(lives),
        "kills": sum(len(life.kills) for life in lives),
        "resumes": sum(life.resumes for life in lives),
        "losses": sum(life.lost is not None for life in lives),
        "phases": {phase: phases[phase] for phase in _PHASES},
        "lives": [{"kills": life.kills, "lost": life.lost} for life in lives],
        "sha256": expected,
    }


def _undisturbed(model: Model, folder: Path) -> float:
    """Train to the end; return how long that took, the second time, when files are in memory."""
    seconds = 0.0
    for name in ("first", "undisturbed"):
        began = time.monotonic()
        if model.start(folder, name).wait(_MOST_SECONDS):
            raise LstmError(f"Training fails undisturbed: {_last_words(folder, name)}")
        seconds = time.monotonic() - began
    if _digests(model.run(folder, "first")) != _digests(model.run(folder, "undisturbed")):
        raise LstmError("Two undisturbed trainings differ: there is nothing to compare with.")
    return seconds


def _live(
    model: Model, folder: Path, name: str, seconds: float, num_kills: int, dice: random.Random
) -> Life:
    """Train one run to its end, killing its processes on the way."""
    life, run = Life(), model.run(folder, name)
    while True:
        process = model.start(folder, name)
        at = dice.uniform(0, seconds) if len(life.kills) < num_kills else _MOST_SECONDS
        began = time.monotonic()
        try:
            exit_code = process.wait(at)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            life.kills.append((round(time.monotonic() - began, 2), _phase(run)))
            if at == _MOST_SECONDS:
                life.lost = "did not end"
                return life
            if run.status == "finished":
                return life
            life.resumes += run.file(runs.RUN).exists()
            continue
        if exit_code:
            life.lost = f"exit code {exit_code}: {_last_words(folder, name)}"
            return life
        if life.kills:
            return life
        # It got away before its time: nothing is shown by it, so once more under another name.
        run.path.rename(run.path.with_name(f"{name}-unharmed-{time.monotonic_ns()}"))


def _phase(run: RunDir) -> str:
    """Say what a process that was killed was doing, by what it left."""
    if not run.file(runs.RUN).exists():
        return _PHASES[0]
    if run.status == "finished":
        return _PHASES[4]
    records = sorted(run.file(runs.CHECKPOINTS).glob("*.json"))
    if not records:
        return _PHASES[1]
    progress = json.loads(json.loads(records[-1].read_text())["body"])["progress"]
    return _PHASES[2 if progress["epoch"] < progress["settings"]["train"]["epochs"] else 3]


def _difference(run: RunDir, expected: Mapping[str, str]) -> str | None:
    """Say what of a run is not as it would have been; None where all is."""
    if run.status != "finished":
        return f"its status is {run.status}"
    try:
        Predictor.load(run)
    except LstmError as error:
        return error.message
    found = _digests(run)
    changed = [name for name in expected if found[name] != expected[name]]
    return f"another {', '.join(changed)}" if changed else None


def _digests(run: RunDir) -> dict[str, str]:
    contents = {name: run.file(name).read_bytes() for name in _SAME}
    lines = [json.loads(line) for line in contents[runs.HISTORY].splitlines()]
    untimed = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    contents[runs.HISTORY] = json.dumps(untimed).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _last_words(folder: Path, name: str) -> str:
    return (folder / f"{name}.log").read_text(errors="replace")[-2000:].strip()


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            f"{f['kind']}, seed {f['seed']}",
            f"{f['undisturbed_seconds']:.1f}",
            *(str(f[key]) for key in ("runs", "kills", "resumes", "losses")),
            *(str(f["phases"][phase]) for phase in _PHASES),
        )
        for f in found
    ]
    total = [str(sum(f[key] for f in found)) for key in ("runs", "kills", "resumes", "losses")]
    phases = [str(sum(f["phases"][phase] for f in found)) for phase in _PHASES]
    rows.append(("all", "", *total, *phases))
    columns = ("model", "seconds", "runs", "kills", "resumes", "losses", *_PHASES)
    return Table("SIGKILL at random moments, then resumed to the end", columns, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("crash", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

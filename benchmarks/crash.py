"""Power cuts: kill training at random moments, resume it, and compare the results bit by bit.

`lstm train` processes of a small text and a small image model get SIGKILL at random moments, drawn
uniformly over the duration of an uninterrupted process, start and end included. They are resumed
until they finish. The files of the run must then have the same SHA-256 as those of an uninterrupted
run: weights, graph, golden inputs, metrics, and the history without its times.
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
    Option("kills", "processes to kill, all models and seeds together", 100, 4),
    Option("seeds", "seeds of each model", 3, 1),
)

_ROOT = Path(__file__).parents[1]
# Small, so that most of the time is training; with every feature that has a state.
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
# Enough for the slowest machine.
_TIMEOUT = 600


@dataclass(frozen=True)
class Model:
    """A preset with small settings, and a seed."""

    kind: str
    seed: int

    def start(self, folder: Path, name: str) -> subprocess.Popen[bytes]:
        """Start training, or resume it, as a user would after a power cut."""
        preset, settings = _MODELS[self.kind]
        command = [sys.executable, "-m", "lstm_cli", "train", preset, "--runs-dir", str(folder)]
        if self.run(folder, name).file(runs.RUN).exists():
            command += ["--resume", name]
        else:
            values = {**settings, **_SHARED, "seed": self.seed}
            command += ["--name", name, *(f"--set={k}={v}" for k, v in values.items())]
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
        """Return the run."""
        return RunDir(folder / _MODELS[self.kind][0] / name)


@dataclass
class Trial:
    """A run whose processes are killed, from its start to its end.

    Attributes:
        kills: When each of its processes was killed, in seconds, and in which phase.
        resumes: How often the run was resumed.
        failure: How the run differs from an uninterrupted one; None if it does not.
    """

    kills: list[tuple[float, str]] = field(default_factory=list)
    resumes: int = 0
    failure: str | None = None


def measure(settings: argparse.Namespace) -> Outcome:
    """Kill and resume until the requested number of processes was killed."""
    models = [Model(kind, seed) for seed in range(settings.seeds) for kind in _MODELS]
    rng = random.Random(0)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="lstm-crash-") as temp_dir:
        for number, model in enumerate(models):
            num_kills = settings.kills * (number + 1) // len(models) - sum(
                f["kills"] for f in results
            )
            folder = Path(temp_dir, f"{model.kind}-{model.seed}")
            folder.mkdir()
            results.append(_run_trials(model, num_kills, folder, rng))
    kills, losses = (sum(f[key] for f in results) for key in ("kills", "losses"))
    notes = [f"A run is lost if it did not finish, or with another {', '.join(_SAME)}."]
    goals = [
        report.at_least("processes killed", kills, settings.kills, 0),
        report.at_most("runs lost", losses, 0, 0),
    ]
    return Outcome({"models": results}, [_table(results)], goals, notes)


def _run_trials(model: Model, num_kills: int, folder: Path, rng: random.Random) -> dict[str, Any]:
    """Kill processes of one model, and resume every run until it finishes."""
    seconds = _run_uninterrupted(model, folder)
    expected = digests(model.run(folder, "uninterrupted"))
    report.log(f"{model.kind}, seed {model.seed}: {seconds:.1f} s uninterrupted")
    trials: list[Trial] = []
    while (num_left := num_kills - sum(len(trial.kills) for trial in trials)) > 0:
        trial = _run_trial(model, folder, f"run-{len(trials)}", seconds, num_left, rng)
        trial.failure = trial.failure or _difference(
            model.run(folder, f"run-{len(trials)}"), expected
        )
        trials.append(trial)
        kills = ", ".join(f"{at:.1f} s ({phase})" for at, phase in trial.kills)
        report.log(f"  killed at {kills}: {trial.failure or 'bit-identical'}")
    phases = Counter(phase for trial in trials for _, phase in trial.kills)
    return {
        "kind": model.kind,
        "seed": model.seed,
        "uninterrupted_seconds": seconds,
        "runs": len(trials),
        "kills": sum(len(trial.kills) for trial in trials),
        "resumes": sum(trial.resumes for trial in trials),
        "losses": sum(trial.failure is not None for trial in trials),
        "phases": {phase: phases[phase] for phase in _PHASES},
        "trials": [{"kills": trial.kills, "failure": trial.failure} for trial in trials],
        "sha256": expected,
    }


def _run_uninterrupted(model: Model, folder: Path) -> float:
    """Train twice without interruption; return the seconds of the second run, with a warm cache."""
    seconds = 0.0
    for name in ("first", "uninterrupted"):
        start = time.monotonic()
        if model.start(folder, name).wait(_TIMEOUT):
            raise LstmError(f"Training without interruption fails: {_log_tail(folder, name)}")
        seconds = time.monotonic() - start
    if digests(model.run(folder, "first")) != digests(model.run(folder, "uninterrupted")):
        raise LstmError("Two uninterrupted runs differ, so there is nothing to compare with.")
    return seconds


def _run_trial(
    model: Model, folder: Path, name: str, seconds: float, num_kills: int, rng: random.Random
) -> Trial:
    """Train one run until it finishes, and kill its processes at random moments."""
    trial, run = Trial(), model.run(folder, name)
    while True:
        process = model.start(folder, name)
        at = rng.uniform(0, seconds) if len(trial.kills) < num_kills else _TIMEOUT
        start = time.monotonic()
        try:
            exit_code = process.wait(at)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            trial.kills.append((round(time.monotonic() - start, 2), _phase(run)))
            if at == _TIMEOUT:
                trial.failure = "did not end"
                return trial
            if run.status == "finished":
                return trial
            trial.resumes += run.file(runs.RUN).exists()
            continue
        if exit_code:
            trial.failure = f"exit code {exit_code}: {_log_tail(folder, name)}"
            return trial
        if trial.kills:
            return trial
        # The process finished before it was killed, which shows nothing: try again.
        run.path.rename(run.path.with_name(f"{name}-not-killed-{time.monotonic_ns()}"))


def _phase(run: RunDir) -> str:
    """Return the phase in which a process was killed, judging by its files."""
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
    """Return how a run differs from an uninterrupted one; None if it does not."""
    if run.status != "finished":
        return f"its status is {run.status}"
    try:
        Predictor.load(run)
    except LstmError as error:
        return error.message
    found = digests(run)
    changed = [name for name in expected if found[name] != expected[name]]
    return f"another {', '.join(changed)}" if changed else None


def digests(run: RunDir) -> dict[str, str]:
    """Return the SHA-256 of the files that training writes, without the times in the history."""
    contents = {name: run.file(name).read_bytes() for name in _SAME}
    lines = [json.loads(line) for line in contents[runs.HISTORY].splitlines()]
    untimed = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    contents[runs.HISTORY] = json.dumps(untimed).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _log_tail(folder: Path, name: str) -> str:
    return (folder / f"{name}.log").read_text(errors="replace")[-2000:].strip()


def _table(results: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            f"{f['kind']}, seed {f['seed']}",
            f"{f['uninterrupted_seconds']:.1f}",
            *(str(f[key]) for key in ("runs", "kills", "resumes", "losses")),
            *(str(f["phases"][phase]) for phase in _PHASES),
        )
        for f in results
    ]
    total = [str(sum(f[key] for f in results)) for key in ("runs", "kills", "resumes", "losses")]
    phases = [str(sum(f["phases"][phase] for f in results)) for phase in _PHASES]
    rows.append(("all", "", *total, *phases))
    columns = ("model", "seconds", "runs", "kills", "resumes", "losses", *_PHASES)
    return Table("SIGKILL at random moments, then resumed until finished", columns, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("crash", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

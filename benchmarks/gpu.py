"""A GPU in training: steps compared with the CPU, parity with the exported graph, determinism.

With the backend of KERAS_BACKEND. Steps: two processes, one on the GPU and one on the CPU, take
training steps in turn on random texts. Parity: the probabilities of a run, computed by Keras on the
GPU and by the ONNX graph on the CPU, in the GPU's default precision and in float32. Determinism:
`lstm train` with the same seed twice; then once more, with SIGKILL and `--resume`. Without a GPU
this is skipped.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import child, crash, report, step_worker
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.config import load as configs
from lstm_cli.errors import LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir

OPTIONS = (
    Option("preset", "preset of the model; the linear part is left out", "imdb", "demo"),
    Option("data", "data set or file that 'lstm train' reads", "imdb", "demo"),
    Option("limit", "texts of each split of the data", 6000, 300),
    Option("units", "units of the LSTM in each direction, separated by commas", "64,128,512", "4"),
    Option("lengths", "lengths in tokens, separated by commas", "200,600", "16"),
    Option("rounds", "rounds of steps, in turn on both devices", 4, 2),
    Option("steps", "steps per round on the GPU; on the CPU one", 5, 2),
    Option("parity", "texts whose probabilities are compared", 1024, 64),
    Option("device", "gpu; cpu tries the script without a GPU", "gpu", "gpu"),
)
_FLOAT32 = {"JAX_DEFAULT_MATMUL_PRECISION": "float32", "NVIDIA_TF32_OVERRIDE": "0"}
_MAX_DIFFERENCES = {"default": 2e-3, "float32": 1e-5}
_TRAINING = {"text.max_tokens": 256, "train.epochs": 4, "train.patience": 0}
_KILLED_AFTER_EPOCH = 2
# Enough for the slowest machine.
_TIMEOUT = 1800


def measure(settings: argparse.Namespace) -> Outcome:
    """Find the GPU, then measure steps, parity and determinism."""
    found = child.run_script("gpus")
    if settings.device == "gpu" and not found["gpus"]:
        raise report.SkippedError(
            f"{found['backend']} sees no GPU. KERAS_BACKEND selects another backend; "
            "--device cpu tries the script."
        )
    report.require_data(settings.data)
    steps = _steps(settings)
    with tempfile.TemporaryDirectory(prefix="lstm-gpu-") as temp_dir:
        training = _Training(Path(temp_dir), settings)
        runs_of = training.run_all()
        parity = _parity(runs_of["first"], settings)
        trainings = compare_runs({name: crash.digests(run) for name, run in runs_of.items()})
    return Outcome(
        {"found": found, "steps": steps, "parity": parity, "identical": trainings},
        [_step_table(steps), _parity_table(parity), _training_table(trainings)],
        _goals(parity, trainings),
        [f"{found['backend']}, {', '.join(found['gpus']) or 'CPU'}, {found['kernel']}."],
    )


def _steps(settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Time training steps on both devices for all units and lengths."""
    return [
        _time(units, length, settings)
        for units in report.parse_numbers(settings.units)
        for length in report.parse_numbers(settings.lengths)
    ]


def _time(units: int, length: int, settings: argparse.Namespace) -> dict[str, Any]:
    """Return the milliseconds of steps on the GPU and on the CPU, taken in turn."""
    report.log(f"steps with {units} units, {length} tokens")
    times: dict[str, list[float]] = {"gpu": [], "cpu": []}
    start, preset, changes = step_worker.start, settings.preset, [f"model.units={units}"]
    with (
        start(preset, "on", length, settings.device, changes) as on_gpu,
        start(preset, "on", length, "cpu", changes) as on_cpu,
    ):
        for _ in range(settings.rounds):
            times["gpu"] += on_gpu.take(settings.steps)
            times["cpu"] += on_cpu.take(1)
    milliseconds = {device: report.spread(values) for device, values in times.items()}
    return {"units": units, "length": length, **milliseconds}


@dataclass(frozen=True)
class _Training:
    """`lstm train` of one model, in a folder for runs, settings and logs."""

    folder: Path
    settings: argparse.Namespace

    def run_all(self) -> dict[str, RunDir]:
        """Train with determinism three times, one of them interrupted, and twice without."""
        for deterministic in (True, False):
            self._write_settings(deterministic)
        names = {"first": True, "second": True, "killed": True, "free-1": False, "free-2": False}
        for name, deterministic in names.items():
            report.log(f"training: {name}")
            process = self._start(name, deterministic)
            if name == "killed":
                self._kill(process)
                process = self._start(name, deterministic, resume=True)
            self._wait(process, name)
        return {name: self._run(name) for name in names}

    def _write_settings(self, deterministic: bool) -> None:
        changes = {**_TRAINING, "data.limit": self.settings.limit}
        changes["train.deterministic"] = deterministic
        config = configs.load_preset(self.settings.preset, changes)
        # Its logits are the same on both devices, and would hide differences of the network.
        config = msgspec.structs.replace(config, linear=None)
        self._settings_path(deterministic).write_text(configs.to_yaml(config), encoding="utf-8")

    def _settings_path(self, deterministic: bool) -> Path:
        return self.folder / f"{'on' if deterministic else 'off'}.yaml"

    def _start(
        self, name: str, deterministic: bool, resume: bool = False
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "lstm_cli", "train", self.settings.data]
        command += ["--device", self.settings.device, "--runs-dir", str(self.folder / "runs")]
        config = str(self._settings_path(deterministic))
        command += ["--resume", name] if resume else ["--name", name, "--config", config]
        environment = {"LSTM_CACHE_DIR": str(self.folder / "cache"), "CI": "1"}
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self, process: subprocess.Popen[bytes], name: str) -> None:
        if process.wait(_TIMEOUT):
            log = (self.folder / f"{name}.log").read_text(errors="replace")
            raise LstmError(f"Training fails: {log[-2000:].strip()}")

    def _run(self, name: str) -> RunDir:
        (record,) = self.folder.glob(f"runs/*/{name}/{runs.RUN}")
        return RunDir(record.parent)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a training in the epoch after `_KILLED_AFTER_EPOCH`."""
        while process.poll() is None:
            time.sleep(0.02)
            for history in self.folder.glob(f"runs/*/killed/{runs.HISTORY}"):
                if history.read_text().count("\n") >= _KILLED_AFTER_EPOCH:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    return
        raise LstmError("A training ended before it could be killed.", "Use a larger --limit.")


def compare_runs(digests: Mapping[str, Mapping[str, str]]) -> dict[str, bool]:
    """Return which trainings with the same seed ended with the same files, by what was done."""
    return {
        "twice": digests["first"] == digests["second"],
        "SIGKILL and --resume": digests["first"] == digests["killed"],
        "twice, train.deterministic=false": digests["free-1"] == digests["free-2"],
    }


def _parity(run: RunDir, settings: argparse.Namespace) -> dict[str, Any]:
    """Compare probabilities in the default precision and in float32."""
    arguments = ("gpu_parity", str(run.path), settings.device, str(settings.parity))
    report.log("parity")
    return {
        "default": child.run_script(*arguments),
        "float32": child.run_script(*arguments, environment=_FLOAT32),
    }


def _step_table(steps: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            str(step["units"]),
            str(step["length"]),
            f"{step['gpu']['median']:.1f}",
            f"{step['cpu']['median']:.1f}",
            f"{step['cpu']['median'] / step['gpu']['median']:.1f}",
        )
        for step in steps
    ]
    return Table("A training step", ("units", "tokens", "ms, GPU", "ms, CPU", "CPU / GPU"), rows)


def _parity_table(parity: Mapping[str, Any]) -> Table:
    rows = [
        (
            precision,
            str(found["num"]),
            f"{found['max']:.1e}",
            f"{found['mean']:.1e}",
            str(found["labels_changed"]),
        )
        for precision, found in parity.items()
    ]
    columns = ("precision", "texts", "max", "mean", "labels changed")
    return Table("Probabilities of Keras and of the exported graph, differences", columns, rows)


def _training_table(trainings: Mapping[str, bool]) -> Table:
    rows = [(name, "yes" if same else "no") for name, same in trainings.items()]
    return Table("Trainings with the same seed", ("", "the same bits"), rows)


def _goals(parity: Mapping[str, Any], trainings: Mapping[str, bool]) -> list[Goal]:
    """Return the goals; without determinism the bits may be the same or not."""
    differences = [
        report.at_most(
            f"difference of a probability, {precision}", parity[precision]["max"], most, 6
        )
        for precision, most in _MAX_DIFFERENCES.items()
    ]
    kept = ("twice", "SIGKILL and --resume")
    return [*differences, report.at_most("other bits", sum(not trainings[k] for k in kept), 0, 0)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("gpu", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

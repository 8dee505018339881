"""The cost of determinism: training steps with and without `train.deterministic`.

TensorFlow's setting for deterministic ops is permanent for a process. So each preset has two
processes, one with each setting, with the same model and the same random batches. They take a few
steps in turn, and one waits while the other computes, so that other load on the machine affects
both.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from benchmarks import report
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.config.load import load_preset
from lstm_cli.errors import LstmError

OPTIONS = (
    Option(
        "presets",
        "presets, separated by commas",
        "imdb,mnist",
        "digits",
    ),
    Option("length", "length of the texts, in tokens", 200, 16),
    Option("rounds", "rounds of each process", 16, 3),
    Option("steps", "steps per round", 4, 2),
    Option("device", "auto, cpu or gpu", "auto", "cpu"),
)
_ROOT = Path(__file__).parents[1]
_KINDS = ("off", "on")
_MAX_RATIO = 1.1
_TAIL_CHARACTERS = 3000


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure every preset."""
    presets = settings.presets.split(",")
    for preset in presets:
        # Reports a mistyped name before the measurement.
        load_preset(preset)
    results = {preset: _measure_preset(preset, settings) for preset in presets}
    return Outcome(
        {"presets": results},
        [_table(results)],
        [] if settings.quick else _goals(results),
        [
            "The ratio is that of the minima, because other load only makes steps longer. "
            "Batches are random, so no data is needed."
        ],
    )


def _measure_preset(preset: str, settings: argparse.Namespace) -> dict[str, Any]:
    """Run two processes in turn; return the milliseconds of each and their ratio."""
    report.log(f"{preset}: starting two processes")
    times: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    with contextlib.ExitStack() as stack:
        # The second process starts when the first has compiled, so that they do not compete.
        workers = {
            kind: stack.enter_context(
                _step_worker(preset, kind, str(settings.length), settings.device)
            )
            for kind in _KINDS
        }
        report.log(f"{preset}: {settings.rounds} rounds of {settings.steps} steps")
        for number in range(settings.rounds):
            # Alternating, because the first process warms up the processor for the second.
            for kind in _KINDS if number % 2 else reversed(_KINDS):
                times[kind] += workers[kind].take(settings.steps)
    return compare(times["off"], times["on"])


def compare(off: Sequence[float], on: Sequence[float]) -> dict[str, Any]:
    """Return the spread of both, and how much longer a step takes with determinism.

    Args:
        off: Milliseconds of each step without determinism.
        on: Milliseconds of each step with determinism.
    """
    spreads = {"off_ms": report.spread(off), "on_ms": report.spread(on)}
    ratios = {
        f"ratio_of_{which}": spreads["on_ms"][key] / spreads["off_ms"][key]
        for which, key in (("minima", "min"), ("medians", "median"))
    }
    return {**spreads, **ratios}


class _StepWorker:
    """A process that takes training steps on request."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self._process = process
        self._errors = errors

    def read(self) -> str:
        """Return the next line of its output.

        Raises:
            LstmError: The process has ended; the error has the end of its stderr.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            tail = self._errors.read()[-_TAIL_CHARACTERS:]
            raise LstmError(f"A training process ended. The end of its stderr:\n{tail.strip()}")
        return line

    def take(self, steps: int) -> list[float]:
        """Take steps; return the milliseconds of each."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return [float(ms) for ms in json.loads(self.read())]


@contextlib.contextmanager
def _step_worker(*arguments: str) -> Iterator[_StepWorker]:
    """Run `benchmarks/scripts/steps.py` for the `with` block, from when it is ready."""
    command = [sys.executable, "-m", "benchmarks.scripts.steps", *arguments]
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            command,
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        with process:
            try:
                worker = _StepWorker(process, errors)
                worker.read()
                yield worker
            finally:
                process.kill()


def _table(results: Mapping[str, Any]) -> Table:
    rows = [
        (
            preset,
            f"{values['off_ms']['min']:.1f}",
            f"{values['on_ms']['min']:.1f}",
            f"{values['ratio_of_minima']:.3f}",
            f"{values['off_ms']['median']:.1f}",
            f"{values['on_ms']['median']:.1f}",
            f"{values['ratio_of_medians']:.3f}",
        )
        for preset, values in results.items()
    ]
    columns = ("preset", "ms, min", "with", "ratio", "ms, median", "with", "ratio")
    return Table("A training step without and with train.deterministic", columns, rows)


def _goals(results: Mapping[str, Any]) -> list[Goal]:
    return [
        report.at_most(f"{preset}: step with / without", values["ratio_of_minima"], _MAX_RATIO, 3)
        for preset, values in results.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("determinism", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

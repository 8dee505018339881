"""What the same bits each time cost: training steps with and without `train.deterministic`.

TensorFlow is told once and for all whether its ops are to be deterministic, so each preset has two
processes, one of each kind, with the same model and the same random batches. They take turns, a few
steps each, and the one waits while the other computes: whatever else the machine does, both see it.
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
    Option("presets", "whose models and batch sizes, with commas between", "imdb,mnist", "digits"),
    Option("length", "of texts, in tokens", 200, 16),
    Option("rounds", "turns of each process", 16, 3),
    Option("steps", "in each turn", 4, 2),
    Option("device", "auto, cpu or gpu", "auto", "cpu"),
)
_ROOT = Path(__file__).parents[1]
_KINDS = ("off", "on")
_WANTED = 1.1
_TAIL_CHARACTERS = 3000


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure every preset."""
    presets = settings.presets.split(",")
    for preset in presets:
        # A name mistyped is told before anything is measured.
        load_preset(preset)
    found = {preset: _preset(preset, settings) for preset in presets}
    return Outcome(
        {"presets": found},
        [_table(found)],
        [] if settings.quick else _goals(found),
        [
            "The ratio is that of the minima: a busy machine makes steps longer, never shorter. "
            "Batches are random, so no data is needed."
        ],
    )


def _preset(preset: str, settings: argparse.Namespace) -> dict[str, Any]:
    """Have two processes take turns; return the milliseconds of each and their ratio."""
    report.say(f"{preset}: starting two processes")
    times: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    with contextlib.ExitStack() as stack:
        # The second starts when the first has compiled, or both would wait for each other.
        stepping = {
            kind: stack.enter_context(
                _stepping(preset, kind, str(settings.length), settings.device)
            )
            for kind in _KINDS
        }
        report.say(f"{preset}: {settings.rounds} rounds of {settings.steps} steps")
        for number in range(settings.rounds):
            # Who goes first would warm the processor up for the other.
            for kind in _KINDS if number % 2 else reversed(_KINDS):
                times[kind] += stepping[kind].take(settings.steps)
    return compare(times["off"], times["on"])


def compare(off: Sequence[float], on: Sequence[float]) -> dict[str, Any]:
    """Return the spread of both, and how much longer a step takes with determinism.

    Args:
        off: Milliseconds of each step without it.
        on: With it.
    """
    spreads = {"off_ms": report.spread(off), "on_ms": report.spread(on)}
    ratios = {
        f"ratio_of_{which}": spreads["on_ms"][key] / spreads["off_ms"][key]
        for which, key in (("minima", "min"), ("medians", "median"))
    }
    return {**spreads, **ratios}


class _Stepping:
    """A process that takes training steps when it is told to."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self._process = process
        self._errors = errors

    def read(self) -> str:
        """Return its next line.

        Raises:
            LstmError: It has ended; its last words are told.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            told = self._errors.read()[-_TAIL_CHARACTERS:]
            raise LstmError(f"A process that takes steps ended. Its last words:\n{told.strip()}")
        return line

    def take(self, steps: int) -> list[float]:
        """Have it take steps; return the milliseconds of each."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return [float(ms) for ms in json.loads(self.read())]


@contextlib.contextmanager
def _stepping(*arguments: str) -> Iterator[_Stepping]:
    """Start `benchmarks/scripts/steps.py` and wait until it is ready; it ends with the block."""
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
                stepping = _Stepping(process, errors)
                stepping.read()
                yield stepping
            finally:
                process.kill()


def _table(found: Mapping[str, Any]) -> Table:
    rows = [
        (
            preset,
            f"{one['off_ms']['min']:.1f}",
            f"{one['on_ms']['min']:.1f}",
            f"{one['ratio_of_minima']:.3f}",
            f"{one['off_ms']['median']:.1f}",
            f"{one['on_ms']['median']:.1f}",
            f"{one['ratio_of_medians']:.3f}",
        )
        for preset, one in found.items()
    ]
    columns = ("preset", "ms, min", "with", "ratio", "ms, median", "with", "ratio")
    return Table("A training step without and with train.deterministic", columns, rows)


def _goals(found: Mapping[str, Any]) -> list[Goal]:
    return [
        report.at_most(f"{preset}: step with / without", one["ratio_of_minima"], _WANTED, 3)
        for preset, one in found.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("determinism", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

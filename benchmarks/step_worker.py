"""A process that takes training steps on request, for benchmarks that compare two in turn."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from lstm_cli.errors import LstmError

_ROOT = Path(__file__).parents[1]
_TAIL_CHARACTERS = 3000


class StepWorker:
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
def start(
    preset: str, kind: str, length: int, device: str, changes: Sequence[str] = ()
) -> Iterator[StepWorker]:
    """Run `benchmarks/scripts/steps.py` for the `with` block, from when it is ready.

    Args:
        preset: The preset of the model.
        kind: `on` or `off`: with or without determinism.
        length: Length of the texts, in tokens.
        device: `auto`, `cpu` or `gpu`.
        changes: Settings that replace those of the preset: `model.units=3`.
    """
    arguments = [preset, kind, str(length), device, *changes]
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
                worker = StepWorker(process, errors)
                worker.read()
                yield worker
            finally:
                process.kill()

"""Run a command in a new process and measure its wall time and peak memory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_cli.errors import ExitCode, LstmError

_ROOT = Path(__file__).parents[1]
_LAUNCHER = Path(__file__).parent / "scripts" / "launch.py"
_TAIL_CHARACTERS = 3000
_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class ProcessResult:
    """The result of a process.

    Attributes:
        seconds: Wall time from start to end.
        peak_mb: Peak resident memory, in MiB.
        stdout: Its output; empty if the output went to a file.
    """

    seconds: float
    peak_mb: float
    stdout: str


def run(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    stdout: Path | None = None,
) -> ProcessResult:
    """Run a command and wait until it ends.

    Args:
        command: Program and arguments.
        environment: Additional environment variables.
        stdout: The file for its output; without it, the output is returned.

    Raises:
        LstmError: The command fails; the error has the end of its stderr.
    """
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
        result_path, out = Path(temp_dir, "result.json"), stdout or Path(temp_dir, "stdout")
        errors = Path(temp_dir, "stderr")
        with out.open("wb") as out_file, errors.open("wb") as error_file:
            subprocess.run(
                [sys.executable, "-I", "-S", str(_LAUNCHER), str(result_path), *command],
                env={**_inherited(), **(environment or {})},
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=error_file,
                check=False,
            )
        stderr = errors.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARACTERS:]
        if not result_path.exists():
            raise LstmError(f"Cannot start '{command[0]}': {stderr.strip()}")
        result = json.loads(result_path.read_text())
        if result["exit_code"]:
            raise _process_error(command, result["exit_code"], stderr)
        text = "" if stdout else out.read_text(encoding="utf-8", errors="replace")
    return ProcessResult(result["seconds"], result["peak_mb"], text)


def _inherited() -> dict[str, str]:
    """Return the environment without `PYTHONDONTWRITEBYTECODE`.

    With it, every measured start would compile `lstm_cli` again, which it does not for a user.
    """
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


class TreeMemory:
    """Samples the resident memory of all descendants of this process, for the duration of a block.

    Attributes:
        peak_mb: The largest sum, in MiB; 0 where there is no `/proc`.
        peak_anonymous_mb: The same without pages of files, such as those of libraries.
    """

    def __init__(self) -> None:
        self.peak_mb = self.peak_anonymous_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> TreeMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            parts = [*map(_resident_mb, _descendants(os.getpid()))]
            self.peak_mb = max(self.peak_mb, sum(whole for whole, _ in parts))
            anonymous = sum(own for _, own in parts)
            self.peak_anonymous_mb = max(self.peak_anonymous_mb, anonymous)


def _descendants(process: int) -> Iterator[int]:
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                yield child
                yield from _descendants(child)


def _resident_mb(process: int) -> tuple[float, float]:
    """Return the resident memory of a process, and that without pages of files, in MiB."""
    sizes = {"VmRSS:": 0.0, "RssAnon:": 0.0}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            name, *values = line.split()
            if name in sizes:
                sizes[name] = int(values[0]) / 2**10
    return sizes["VmRSS:"], sizes["RssAnon:"]


def run_script(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    """Run one of `benchmarks/scripts`, which writes its result as JSON to its last argument.

    Returns:
        The result, with the wall time of the process as `process_seconds`.

    Raises:
        LstmError: The script fails.
    """
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
        out = Path(temp_dir, "result.json")
        module = f"benchmarks.scripts.{name}"
        process = run([sys.executable, "-m", module, *arguments, str(out)], environment)
        return {**json.loads(out.read_text()), "process_seconds": process.seconds}


def lstm_command() -> str:
    """Return the path of the installed command `lstm`.

    Raises:
        LstmError: `lstm` is not installed.
    """
    beside = Path(sys.executable).with_name("lstm")
    command = str(beside) if beside.exists() else shutil.which("lstm")
    if command is None:
        raise LstmError("The command 'lstm' is not installed.", "Install it: pip install -e .")
    return command


def _process_error(command: Sequence[str], exit_code: int, stderr: str) -> LstmError:
    line = " ".join([Path(command[0]).name, *command[1:]])
    # The exit code of missing data stays 3.
    code = ExitCode.DATA if exit_code == ExitCode.DATA else ExitCode.ERROR
    return LstmError(
        f"'{line}' ended with exit code {exit_code}. The end of its stderr:\n{stderr.strip()}",
        exit_code=code,
    )

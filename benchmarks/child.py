"""Running what is measured: a fresh process, its wall time and its peak memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_cli.errors import ExitCode, LstmError

_ROOT = Path(__file__).parents[1]
_LAUNCHER = Path(__file__).parent / "scripts" / "launch.py"
_TAIL_CHARACTERS = 3000


@dataclass(frozen=True)
class Child:
    """A process that has ended.

    Attributes:
        seconds: Wall time, from its start to its end.
        peak_mb: The most memory it held at once (resident), in MiB.
        stdout: What it wrote; empty where it wrote to a file.
    """

    seconds: float
    peak_mb: float
    stdout: str


def run(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    stdout: Path | None = None,
) -> Child:
    """Run a command to its end, alone.

    Args:
        command: Program and arguments.
        environment: Variables set in addition to ours.
        stdout: Where its output goes; kept in memory if not given.

    Raises:
        LstmError: It fails; the end of its stderr is told.
    """
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as scratch:
        result_path, out = Path(scratch, "result.json"), stdout or Path(scratch, "stdout")
        errors = Path(scratch, "stderr")
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
        told = errors.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARACTERS:]
        if not result_path.exists():
            raise LstmError(f"Cannot start '{command[0]}': {told.strip()}")
        result = json.loads(result_path.read_text())
        if result["exit_code"]:
            raise _failed(command, result["exit_code"], told)
        text = "" if stdout else out.read_text(encoding="utf-8", errors="replace")
    return Child(result["seconds"], result["peak_mb"], text)


def _inherited() -> dict[str, str]:
    """Return our environment, but that modules are compiled once, as pip does for a user.

    Where a developer keeps Python from it, every start measured would compile `lstm_cli` anew.
    """
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def script(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    """Run one of `benchmarks/scripts`, which writes its result as JSON to its last argument.

    Returns:
        That result, with the process' wall seconds beside it as `process_seconds`.

    Raises:
        LstmError: It fails.
    """
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as scratch:
        out = Path(scratch, "result.json")
        module = f"benchmarks.scripts.{name}"
        ended = run([sys.executable, "-m", module, *arguments, str(out)], environment)
        return {**json.loads(out.read_text()), "process_seconds": ended.seconds}


def lstm_command() -> str:
    """Return the path of the installed `lstm`, as a user would call it.

    Raises:
        LstmError: It is not installed.
    """
    beside = Path(sys.executable).with_name("lstm")
    found = str(beside) if beside.exists() else shutil.which("lstm")
    if found is None:
        raise LstmError("There is no command 'lstm' here.", "Install it: pip install -e .")
    return found


def _failed(command: Sequence[str], exit_code: int, told: str) -> LstmError:
    line = " ".join([Path(command[0]).name, *command[1:]])
    # Data that is not there stays exit code 3, whichever process noticed.
    code = ExitCode.DATA if exit_code == ExitCode.DATA else ExitCode.ERROR
    return LstmError(
        f"'{line}' ended with exit code {exit_code}. Its last words:\n{told.strip()}",
        exit_code=code,
    )

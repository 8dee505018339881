"""The training process of a trial: `lstm train`, started and stopped by the search."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_cli.errors import LstmError
from lstm_cli.io.environment import LINEAR_CACHE
from lstm_cli.io.signals import STOP_WITH_PARENT
from lstm_cli.tune.folder import SETTINGS, StudyFolder, StudyRequest

# What Python runs. -P: do not import from the current folder.
LSTM = ("-P", "-m", "lstm_cli")
_TF_THREADS = "TF_NUM_INTRAOP_THREADS"
_MAX_MESSAGE = 500


class TrainingProcess:
    """A running `lstm train`.

    It is in a session of its own, so that Ctrl-C does not reach it twice. If the search is killed,
    the pipe to its standard input ends, and it stops as by SIGTERM.

    Args:
        arguments: Of `lstm`.
        log: File that its output is appended to.
        num_jobs: How many such processes run at once.
        shared: Folder for what trainings share: the linear models of equal settings.

    Raises:
        LstmError: It cannot be started.
    """

    def __init__(
        self, arguments: Sequence[str], log: Path, shared: Path, num_jobs: int = 1
    ) -> None:
        self.log = log
        self._is_stopped = False
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as output:
                self._start = output.tell()
                self._process = subprocess.Popen(
                    [sys.executable, *LSTM, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env={**_environment(num_jobs), LINEAR_CACHE: str(shared)},
                )
        except OSError as error:
            reason = error.strerror or str(error)
            raise LstmError(f"Cannot start a training process: {reason}.") from error

    def is_running(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Let it save its state and end; a second call has no effect."""
        if not self._is_stopped:
            self._is_stopped = True
            self._process.terminate()

    def wait(self) -> int:
        """Wait for its end; return the exit code, or the number of a signal below 0."""
        code = self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return code

    def error(self, code: int) -> str:
        """Return the error that a failed process printed, or how it died.

        Args:
            code: What `wait` returned.
        """
        with self.log.open("rb") as file:
            file.seek(self._start)
            lines = file.read().decode("utf-8", "replace").splitlines()
        messages = [line for line in lines if line.startswith("Error: ")]
        if messages:
            return messages[-1].removeprefix("Error: ")[:_MAX_MESSAGE]
        if code < 0:
            return f"the training process was killed by signal {-code}"
        return f"the training process ended with exit code {code}; see {self.log}"


def train_arguments(
    folder: StudyFolder, request: StudyRequest, name: str, overrides: Mapping[str, Any]
) -> list[str]:
    """Return the arguments of `lstm` that train a new run of a trial.

    Args:
        folder: The folder of the study.
        request: What was asked.
        name: Name of the run.
        overrides: Settings of the trial by dotted key.
    """
    settings = ["--config", str(folder.path / SETTINGS)] if request.settings else []
    changes = [f"--set={key}={json.dumps(value)}" for key, value in overrides.items()]
    return [
        "train", request.data, *settings, *changes, "--runs-dir", str(folder.trials), "--name",
        name, "--no-test", *_where(request),
    ]  # fmt: skip


def resume_arguments(request: StudyRequest, run: Path, score_test: bool) -> list[str]:
    """Return the arguments of `lstm` that continue the run of a trial.

    Args:
        request: What was asked.
        run: The run.
        score_test: Whether to score it on test at its end.
    """
    no_test = [] if score_test else ["--no-test"]
    return ["train", request.data, "--resume", str(run), *no_test, *_where(request)]


def _where(request: StudyRequest) -> list[str]:
    data_dir = [] if request.data_dir is None else ["--data-dir", request.data_dir]
    return ["--device", request.device, *data_dir]


def _environment(num_jobs: int) -> dict[str, str]:
    """Return the environment of a training process, which imports the same code as this one.

    Args:
        num_jobs: How many run at once. They share the cores; their results do not depend on it.
    """
    path = os.pathsep.join(filter(None, sys.path))
    threads = {} if num_jobs == 1 else {_TF_THREADS: str(max(1, _num_cores() // num_jobs))}
    return {**threads, **os.environ, "PYTHONPATH": path, STOP_WITH_PARENT: "1", "CI": "1"}


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

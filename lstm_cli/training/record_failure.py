"""The record of a run that fails or is interrupted."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

from lstm_cli.errors import LstmError
from lstm_cli.io.signals import Interrupted
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir
from lstm_cli.training import artifacts
from lstm_cli.training.loop import NonFiniteError


@contextlib.contextmanager
def recording_failure(run: RunDir, record: dict[str, Any], new: bool = False) -> Iterator[None]:
    """Record in `run.json` that the run failed or was interrupted.

    Args:
        run: The run.
        record: Its `run.json`.
        new: Whether to remove the run if it fails before `run.json` is written.
    """
    try:
        yield
    except BaseException as error:
        if not run.file(runs.RUN).exists():
            if new:
                shutil.rmtree(run.path, ignore_errors=True)
            if isinstance(error, Interrupted):
                error.message = "Nothing was trained yet, and nothing is kept."
            raise
        if run.status != "finished":
            # On a full disk, report the first error and not this one.
            with contextlib.suppress(LstmError):
                run.write_json(runs.RUN, {**record, **_failure(error)})
        if isinstance(error, Interrupted):
            error.message = (
                f"{error.message} Resume: {find.resume_command(run, runs.runs_root())}".strip()
            )
        raise


def _failure(error: BaseException) -> dict[str, Any]:
    """Return what `run.json` says of an error."""
    is_interrupted = isinstance(error, Interrupted | KeyboardInterrupt)
    failure: dict[str, Any] = {
        "status": "interrupted" if is_interrupted else "failed",
        "error": artifacts.truncate_text(getattr(error, "message", str(error))),
    }
    if isinstance(error, NonFiniteError):
        failure["non_finite"] = error.details
    return failure

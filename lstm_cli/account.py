"""What a finished classifier says of itself: record, metrics and history, held to their form."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from lstm_cli import run as runs
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.metrics import Report
from lstm_cli.reporting import Epoch
from lstm_cli.run import RunDir
from lstm_cli.settings import Config

T = TypeVar("T")


@dataclass(frozen=True)
class Data:
    """What a run was trained on, as `run.json` has it."""

    name: str
    source: str
    fingerprint: str
    sizes: dict[str, int]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Record:
    """`run.json` of a finished classifier, as far as people are shown it."""

    command: str
    started: str
    seed: int
    dataset: Data
    parameters: int
    epochs: int
    best_epoch: int
    stopped: str
    device: str
    why: str
    kernel: str
    versions: dict[str, str]
    seconds: dict[str, float]
    temperature: float = 1.0
    platform: str = ""
    commit: str | None = None


@dataclass(frozen=True)
class Account:
    """A finished classifier's own account of itself.

    Attributes:
        run: Every file that is read from it is held to its manifest.
        config: The settings.
        labels: Class names.
        record: How it was trained.
        validation: Its scores there.
        test: Its scores there.
        history: One entry an epoch.
    """

    run: RunDir
    config: Config
    labels: tuple[str, ...]
    record: Record
    validation: Report
    test: Report
    history: tuple[Epoch, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of all its listed files."""
        return sum(listed.num_bytes for listed in (self.run.manifest or {}).values())


def read(run: RunDir) -> Account:
    """Read what a finished classifier says of itself.

    Args:
        run: A finished run.

    Raises:
        LstmError: It is a language model (exit code 2), or a file is missing, changed or not as
            `train` writes it (exit code 5).
    """
    run = run.checked()
    config = run.config()
    if config.language is not None:
        raise LstmError(
            f"Run {run.name} is a language model, which has no classes to report on.",
            f"Its figures are in {run.file(runs.CARD)}; name a classifier.",
            ExitCode.USAGE,
        )
    labels = run.labels()
    metrics = run.read_json(runs.METRICS)
    both = metrics if isinstance(metrics, dict) else {}
    return Account(
        run=run,
        config=config,
        labels=labels,
        record=_as(Record, run.read_json(runs.RUN), run, runs.RUN),
        validation=_report(both.get("validation"), run, labels),
        test=_report(both.get("test"), run, labels),
        history=_history(run),
    )


def _report(told: Any, run: RunDir, labels: tuple[str, ...]) -> Report:
    report = _as(Report, told, run, runs.METRICS)
    shape = [len(row) for row in report.confusion]
    named = tuple(scores.name for scores in report.classes)
    if named != labels or shape != [len(labels)] * len(labels) or report.num_examples < 1:
        raise run.damaged(f"{runs.METRICS} is of other classes than {runs.LABELS}")
    return report


def _history(run: RunDir) -> tuple[Epoch, ...]:
    try:
        lines = [json.loads(line) for line in run.read_text(runs.HISTORY).splitlines()]
    except (ValueError, RecursionError) as error:
        raise run.damaged(f"{runs.HISTORY} is no JSON ({error})") from None
    history = _as(tuple[Epoch, ...], lines, run, runs.HISTORY)
    if not history:
        raise run.damaged(f"{runs.HISTORY} has no epoch")
    return history


def _as(kind: type[T], told: Any, run: RunDir, name: str) -> T:
    """Hold what was read from a file to its form."""
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise run.damaged(f"{name} is not as train writes it ({error})") from None

"""The thresholds of a run: by class, chosen after training or set by hand.

They are in a file of their own, `thresholds.json`, which is not in the manifest. So one atomic
write changes them, and processes that have the run open are not disturbed. The file names the model
that it belongs to, and has a checksum.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from lstm_cli.errors import LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import lock
from lstm_cli.runs.decode import Count, Fraction, ShortText
from lstm_cli.runs.directory import RunDir

_Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
# The thresholds of all classes have the sum 1, but for rounding.
_MAX_DIFFERENCE = 1e-3


class Scores(msgspec.Struct, frozen=True):
    """What a rule of decision gives on some examples.

    Attributes:
        answered: Share of the examples that get an answer.
        accuracy: Share of the answers that are correct; None without an answer.
        f1: Macro F1; an example without an answer counts as missed.
    """

    answered: Fraction
    accuracy: Fraction | None
    f1: Fraction


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """How thresholds were chosen.

    Attributes:
        rows: Number of rows they were chosen on.
        source: Which rows, for people.
        before: Scores of the most probable class on these rows.
        expected: Scores with thresholds on rows that they were not chosen on, by cross-validation.
        best_f1: Whether thresholds were chosen for the best macro F1.
        wanted_precision: The precision that smallest probabilities were chosen for.
    """

    rows: Count
    source: ShortText
    before: Scores
    expected: Scores
    best_f1: bool = False
    wanted_precision: Fraction | None = None


class Thresholds(msgspec.Struct, frozen=True, omit_defaults=True):
    """Thresholds by class; see `prediction.decision.Decision`.

    Attributes:
        thresholds: The class with the highest ratio of probability to threshold is chosen; None
            for the most probable class.
        min_probabilities: The smallest probability for an answer; None if there always is one.
        choice: How they were chosen; None if they were set by hand.
    """

    thresholds: dict[str, Fraction] | None = None
    min_probabilities: dict[str, Fraction] | None = None
    choice: Choice | None = None


class _File(msgspec.Struct, frozen=True):
    format: Literal[1]
    model_sha256: _Sha256
    sha256: _Sha256
    content: Thresholds


def read(run: RunDir, labels: tuple[str, ...]) -> Thresholds | None:
    """Read the thresholds of a run; None if it has none.

    Args:
        run: With its manifest.
        labels: Its class names.

    Raises:
        LstmError: The file is damaged, or belongs to another model or other classes (exit code 5).
    """
    if not run.file(runs.THRESHOLDS).exists():
        return None
    stored = RunDir(run.path).decode(runs.THRESHOLDS, _File)
    if stored.sha256 != _checksum(stored.content):
        raise _error(run, "has changed (SHA-256 differs)")
    if stored.model_sha256 != _model_sha256(run):
        raise _error(run, "belongs to another model")
    for by_class in (stored.content.thresholds, stored.content.min_probabilities):
        if by_class is not None and by_class.keys() != set(labels):
            raise _error(run, "has other classes than the run")
    _check_thresholds(run, stored.content.thresholds)
    return stored.content


def write(run: RunDir, labels: tuple[str, ...], thresholds: Thresholds) -> None:
    """Write the thresholds of a finished run, in place of those it has.

    Args:
        run: With its manifest.
        labels: Its class names; the order in which classes are written.
        thresholds: One for each class.

    Raises:
        LstmError: The run is being trained, or cannot be written.
    """
    content = Thresholds(
        _in_order(thresholds.thresholds, labels),
        _in_order(thresholds.min_probabilities, labels),
        thresholds.choice,
    )
    file = _File(1, _model_sha256(run), _checksum(content), content)
    with _locked(run):
        run.write_json(runs.THRESHOLDS, msgspec.to_builtins(file))


def clear(run: RunDir) -> bool:
    """Remove the thresholds of a run; also those that cannot be read.

    Returns:
        Whether the run had any.

    Raises:
        LstmError: The run is being trained, or cannot be written.
    """
    with _locked(run):
        had_any = run.file(runs.THRESHOLDS).exists()
        run.remove(runs.THRESHOLDS)
    return had_any


@contextmanager
def _locked(run: RunDir) -> Iterator[None]:
    """Hold the lock of a run, so that no training changes the model meanwhile."""
    run.check_writable()
    with lock.acquire(run.path):
        yield


def _in_order(by_class: dict[str, Any] | None, labels: tuple[str, ...]) -> dict[str, Any] | None:
    return None if by_class is None else {label: by_class[label] for label in labels}


def _model_sha256(run: RunDir) -> str:
    manifest = (run if run.manifest is not None else run.with_manifest()).manifest or {}
    if runs.MODEL not in manifest:
        raise run.integrity_error(f"{runs.MANIFEST} does not list {runs.MODEL}")
    return manifest[runs.MODEL].sha256


def _checksum(content: Thresholds) -> str:
    # With ASCII only: msgspec does not encode halves of surrogate pairs, which a label may hold.
    return hashlib.sha256(json.dumps(msgspec.to_builtins(content)).encode()).hexdigest()


def _check_thresholds(run: RunDir, by_class: dict[str, float] | None) -> None:
    if by_class is None:
        return
    values = by_class.values()
    if abs(sum(values) - 1) > _MAX_DIFFERENCE or (len(values) > 2 and min(values) <= 0):
        raise _error(run, "has thresholds that are not above 0 with the sum 1")


def _error(run: RunDir, reason: str) -> LstmError:
    error = run.integrity_error(f"{runs.THRESHOLDS} {reason}")
    hint = f"Remove it: lstm runs set-threshold {run.name} --clear"
    return LstmError(error.message, hint, error.exit_code)

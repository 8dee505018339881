"""Thresholds of a run: choose them for a goal or take them as given, and store them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.evaluation.choose_thresholds import Goal, choose_decision
from lstm_cli.evaluation.coverage import check_wanted_precision, describe_held_out
from lstm_cli.prediction.decision import Decision, check_probability, two_class_thresholds
from lstm_cli.runs import held_out, thresholds
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.thresholds import Choice, Thresholds


def choose_thresholds(
    run: RunDir, *, best_f1: bool = False, wanted_precision: float | None = None
) -> Thresholds:
    """Choose thresholds by class on the rows held out in training, and store them in the run.

    They replace those that the run has. `lstm predict`, `serve` and `eval` use them from then on.

    Args:
        run: A finished classifier.
        best_f1: Choose the thresholds of all classes for the best macro F1.
        wanted_precision: Choose a smallest probability for each class, such that this share of the
            answers with this class is correct; None for an answer always.

    Raises:
        LstmError: Neither is given, or the run is a language model (exit code 2); or it has no
            predictions for its validation rows, is damaged (exit code 5), or cannot be written.
    """
    if wanted_precision is not None:
        check_wanted_precision(wanted_precision)
    elif not best_f1:
        raise LstmError("There is no goal to choose thresholds for.", _GOALS, ExitCode.USAGE)
    run, labels = _open(run)
    rows = held_out.read(run, len(labels))
    goal = Goal(best_f1, wanted_precision)
    chosen = choose_decision(rows.labels, rows.probabilities, goal)
    choice = Choice(
        rows=len(rows.labels),
        source=describe_held_out(run, rows),
        before=chosen.before,
        expected=chosen.expected,
        best_f1=best_f1,
        wanted_precision=wanted_precision,
    )
    stored = Thresholds(*chosen.decision.by_class(labels), choice)
    thresholds.write(run, labels, stored)
    return stored


def set_thresholds(
    run: RunDir,
    *,
    threshold: float | None = None,
    min_probability: float | None = None,
    min_probabilities: Mapping[str, float] | None = None,
) -> Thresholds:
    """Store given thresholds in the run, in place of those it has.

    Args:
        run: A finished classifier.
        threshold: For two classes, the probability from which on the second is chosen; None for
            the most probable class.
        min_probability: The smallest probability for an answer; None for 0.
        min_probabilities: The same by class, where it differs.

    Raises:
        LstmError: No value is given, or one has no effect, is not between 0 and 1 or is of an
            unknown class (exit code 2); or the run is damaged (exit code 5) or cannot be written.
    """
    run, labels = _open(run)
    if threshold is None and min_probability is None and not min_probabilities:
        raise LstmError("There is no threshold to set.", _GOALS, ExitCode.USAGE)
    values = None if threshold is None else two_class_thresholds(labels, threshold)
    minimums = _minimums(labels, min_probability, min_probabilities or {})
    _check_effect(labels, values, minimums)
    stored = Thresholds(*Decision(values, minimums).by_class(labels))
    thresholds.write(run, labels, stored)
    return stored


_GOALS = (
    "Give --best-f1, --wanted-precision P, --threshold P, --min-probability P or --clear; see "
    "'lstm runs set-threshold --help'."
)


def _open(run: RunDir) -> tuple[RunDir, tuple[str, ...]]:
    """Return a run with its manifest, and its class names.

    Raises:
        LstmError: It is a language model or a multi-label run (exit code 2), or damaged (5).
    """
    run = run.with_manifest()
    config = run.config()
    if config.is_multi_label:
        raise LstmError(
            f"Run {run.name} gives a text any number of labels: each label has its own threshold.",
            "'lstm predict --threshold P' replaces them all.",
            ExitCode.USAGE,
        )
    if config.language is not None:
        raise LstmError(
            f"Run {run.name} is a language model: it has no classes.",
            "Name a classifier.",
            ExitCode.USAGE,
        )
    return run, run.labels()


def _minimums(
    labels: tuple[str, ...], of_all: float | None, by_class: Mapping[str, float]
) -> NDArray[np.float64] | None:
    """Return the smallest probability of each class, `<float64>[classes]`; None if all are 0."""
    if of_all is None and not by_class:
        return None
    unknown = [label for label in by_class if label not in labels]
    if unknown:
        hint = suggest(unknown[0], list(labels))
        raise LstmError(f"The run has no class {unknown[0]!r}.", hint, ExitCode.USAGE)
    values = [by_class.get(label, 0.0 if of_all is None else of_all) for label in labels]
    for value in values:
        check_probability("--min-probability", value)
    return np.array(values, np.float64)


def _check_effect(
    labels: tuple[str, ...],
    values: NDArray[np.float64] | None,
    minimums: NDArray[np.float64] | None,
) -> None:
    """Refuse a smallest probability that the most probable class always has.

    Raises:
        LstmError: There is one (exit code 2).
    """
    if values is not None or minimums is None:
        return
    low = np.flatnonzero((minimums > 0) & (minimums <= 1 / len(labels)))
    if len(low):
        hint = "Give a higher one."
        if len(labels) == 2:
            hint = f"'--threshold P' chooses {labels[1]!r} from the probability P on."
        raise LstmError(
            f"--min-probability {minimums[low[0]]:g} has no effect: the most probable of "
            f"{len(labels):,} classes always has that.",
            hint,
            ExitCode.USAGE,
        )

"""The classes that a classifier does not learn: by F1, and those that it never predicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.balance import ClassWeights, Imbalance, imbalance, weight_power
from lstm_cli.data.readers.columns import quote_name
from lstm_cli.evaluation.metrics import Report, predicted_counts, wilson_interval
from lstm_cli.io.text_format import pluralize

# A class counts as missed if it is never predicted, or has at most this recall on at least this
# number of examples. With fewer examples such a recall may be chance.
_MAX_RECALL, _MIN_EXAMPLES = 0.05, 10
_MAX_NAMES = 3
# A class is weak if its recall, with all that chance explains, is this far below the median of the
# others. Classes with fewer examples are left out.
_MIN_BELOW, _MIN_COMPARED = 0.15, 20


def report_imbalance(*reports: Report) -> Imbalance | None:
    """Return the imbalance of the first report whose classes are uneven; None if none is.

    Macro F1 is then the main figure of the reports. Several labels a text are not compared: each is
    a question of its own.
    """
    for report in reports:
        if report.micro is not None:
            return None
        if found := imbalance([scores.support for scores in report.classes]):
            return found
    return None


def hardest_classes(report: Report, num: int) -> list[int]:
    """Return the ids of the classes with the lowest F1, among those that occur.

    Args:
        report: The metrics of a split.
        num: The largest number of classes to return.
    """
    scores = report.classes
    present = [i for i, each in enumerate(scores) if each.support]
    return sorted(present, key=lambda i: (scores[i].f1, -scores[i].support))[:num]


def missed_classes(report: Report) -> list[int]:
    """Return the ids of the classes that are never or almost never found, the largest first.

    Args:
        report: The metrics of a split; only classes that occur in it can be missed.
    """
    _, num_predicted = predicted_counts(report)
    missed = [
        i
        for i, scores in enumerate(report.classes)
        if scores.support
        and (
            not num_predicted[i]
            or (scores.support >= _MIN_EXAMPLES and scores.recall <= _MAX_RECALL)
        )
    ]
    return sorted(missed, key=lambda i: -report.classes[i].support)


def weak_classes(report: Report) -> list[int]:
    """Return the ids of the classes whose recall is far below that of the others, the lowest first.

    A class is weak if the upper bound of the 95% Wilson interval of its recall is more than 0.15
    below the median recall of the other classes. Classes with fewer than 20 examples are left out:
    they are neither named nor compared with.

    Args:
        report: The metrics of a split.
    """
    compared = [i for i, scores in enumerate(report.classes) if scores.support >= _MIN_COMPARED]
    compared.sort(key=lambda i: report.classes[i].recall)
    if len(compared) < 2:
        return []
    recalls = [report.classes[i].recall for i in compared]
    weak = []
    for rank, index in enumerate(compared):
        support = report.classes[index].support
        _, high = wilson_interval(round(recalls[rank] * support), support)
        if high < _median_without(recalls, rank) - _MIN_BELOW:
            weak.append(index)
    return weak


def _median_without(ordered: Sequence[float], rank: int) -> float:
    """Return the median of ascending values without the one at a rank."""
    num = len(ordered) - 1
    low, high = (ordered[i + (i >= rank)] for i in ((num - 1) // 2, num // 2))
    return (low + high) / 2


def describe_missed(
    report: Report,
    train_counts: Sequence[int] | NDArray[np.int64],
    weights: ClassWeights,
    *,
    is_improving: bool,
) -> str:
    """Name the classes that are never or almost never found, and say what to do.

    Args:
        report: The metrics of the validation split.
        train_counts: Training examples of each class.
        weights: The setting `train.class_weights`.
        is_improving: Whether the last epoch was the best one.

    Returns:
        One or two sentences; empty if no class is missed.
    """
    missed = missed_classes(report)
    if not missed:
        return ""
    counts = np.asarray(train_counts)
    num_present = sum(scores.support > 0 for scores in report.classes)
    actions = []
    if is_improving and 2 * len(missed) >= num_present:
        actions.append("train longer with '--epochs'")
    has_weights = report.micro is None and weight_power(weights) < 1
    if has_weights and counts[missed].min() < counts[counts > 0].mean() / 2:
        actions.append("give small classes more weight with '--class-weights balanced'")
    actions += ["add examples of it" if len(missed) == 1 else "add examples of them"]
    noun, nouns = ("class", "classes") if report.micro is None else ("label", "labels")
    advice = f"Try: {', '.join(actions)}, or merge {nouns} that mean the same."
    parts = ", ".join(_describe(report, i, int(counts[i])) for i in missed[:_MAX_NAMES])
    if len(missed) == 1:
        return f"{noun.capitalize()} {parts} is never or almost never predicted correctly. {advice}"
    names = parts if len(missed) <= _MAX_NAMES else f"{parts} and {len(missed) - _MAX_NAMES:,} more"
    return (
        f"{len(missed):,} of {num_present:,} {nouns} are never or almost never predicted "
        f"correctly: {names}. {advice}"
    )


def _describe(report: Report, index: int, num_train: int) -> str:
    scores = report.classes[index]
    validation = pluralize(scores.support, "validation row")
    return (
        f"{quote_name(scores.name)} (recall {scores.recall:.2f} on {validation}, "
        f"{num_train:,} in train)"
    )

"""The result on a split in one sentence: the main figure, a baseline, and a class that is weak."""

from __future__ import annotations

from typing import Literal

from lstm_cli.data.readers.columns import quote_name
from lstm_cli.evaluation.hard_classes import report_imbalance, weak_classes
from lstm_cli.io.text_format import interval, number, percent, pluralize
from lstm_cli.runs.metrics_schema import BaselineScores, Report

Metric = Literal["accuracy", "f1", "micro_f1"]
_NAMES: dict[Metric, str] = {"accuracy": "accuracy", "f1": "macro F1", "micro_f1": "micro F1"}
_DIGITS = ".3f"


def main_metric(report: Report) -> Metric:
    """Return the metric to judge by: F1 for uneven classes and for several labels a text."""
    if report.micro is not None:
        return "micro_f1"
    return "f1" if report_imbalance(report) else "accuracy"


def describe_result(report: Report, place: str) -> str:
    """Describe the result on a split in one sentence.

    Args:
        report: The metrics of the split.
        place: What it was measured on: `test`.
    """
    if not report.answered:
        return f"No example was answered on {place}."
    metric = main_metric(report)
    value = number(getattr(report, metric), _DIGITS)
    parts = [
        f"{_NAMES[metric].capitalize().replace(' f1', ' F1')} {value} on {place}"
        f"{_describe_interval(report, metric)}",
        _describe_baseline(report, metric),
        _describe_weak(report),
    ]
    return f"{'; '.join(filter(None, parts))}."


def _describe_interval(report: Report, metric: Metric) -> str:
    """Return the interval of the accuracy; after the accuracy itself if another figure is first."""
    if report.micro is not None:
        return ""
    accuracy = "" if metric == "accuracy" else f"accuracy {number(report.accuracy, _DIGITS)}, "
    answers = "" if report.answered == 1 else f"for the {percent(report.answered)} answered, "
    return f", {accuracy}{answers}95% interval {interval(report.accuracy_interval, _DIGITS)}"


def _describe_baseline(report: Report, metric: Metric) -> str:
    """Compare with the linear part, and with the most common class if that is as good.

    Both answer every example, so nothing is compared if the run does not.
    """
    if report.answered < 1:
        return ""
    parts, majority = [], report.majority
    if metric == "accuracy" and majority and report.accuracy_interval[0] <= majority.accuracy:
        baseline = _value(majority, metric)
        parts.append(f"not clearly better than always answering the most common class, {baseline}")
    if report.linear is not None:
        # Which of both is better, only a paired test of their answers could show.
        parts.append(f"the linear part alone reaches {_value(report.linear, metric)}")
    return "; ".join(parts)


def _value(scores: BaselineScores, metric: Metric) -> str:
    return number(getattr(scores, metric), _DIGITS)


def _describe_weak(report: Report) -> str:
    """Name the class with the lowest recall, if there are classes far below the others."""
    weak = weak_classes(report)
    if not weak:
        return ""
    noun, nouns = ("class", "classes") if report.micro is None else ("label", "labels")
    scores = report.classes[weak[0]]
    name, recall = quote_name(scores.name), f"{scores.recall:.2f}"
    examples = pluralize(scores.support, "example")
    if len(weak) == 1:
        return f"{noun} {name} has recall {recall} ({examples})"
    return f"{len(weak):,} {nouns} have a low recall, the lowest {name} with {recall} ({examples})"

"""What a loaded run is, for Python: one line, and a table for notebooks."""

from __future__ import annotations

from lstm_cli.errors import LstmError
from lstm_cli.io.text_format import interval, pluralize, short_label
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.render import notebook
from lstm_cli.runs import directory as runs
from lstm_cli.runs.metrics_schema import Report, Results

_MAX_CLASSES = 8


def describe_line(model: Predictor) -> str:
    """Return `<Model imdb/one: text, 2 classes (neg, pos), accuracy 0.9121 on test>`."""
    parts = [_kind(model), f"{_number(model)} ({_names(model)})"]
    name, report = _results(model)
    if report is not None:
        metric, value = _metric(report)
        parts.append(f"{metric} {value:.4f} on {name}")
    return f"<{type(model).__name__} {model.run.name}: {', '.join(parts)}>"


def render_model(model: Predictor) -> str:
    """Return a table of facts as HTML."""
    name, report = _results(model)
    facts = {"reads": _kind(model), "classes": f"{len(model.labels):,}: {_names(model)}"}
    if model.thresholds is not None:
        facts = {"reads": facts["reads"], "labels": facts["classes"]}
    if model.text_columns:
        facts["columns"] = ", ".join(map(short_label, model.text_columns))
    if report is not None:
        metric, value = _metric(report)
        bounds = ""
        if report.micro is None:
            bounds = f" (95% interval {interval(report.accuracy_interval)})"
        facts[f"{metric} on {name}"] = f"{value:.4f}{bounds}"
        facts["examples there"] = f"{report.num_examples:,}"
    facts["folder"] = str(model.run.location)
    title = f"{type(model).__name__} {model.run.name}"
    return notebook.render("notebook_facts.html", title=title, items=facts)


def _kind(model: Predictor) -> str:
    return "text" if model.shape is None else f"images of {model.shape[0]} x {model.shape[1]}"


def _number(model: Predictor) -> str:
    if model.thresholds is not None:
        return pluralize(len(model.labels), "label")
    return f"{len(model.labels):,} classes"


def _names(model: Predictor) -> str:
    names = [short_label(label) for label in model.labels[:_MAX_CLASSES]]
    more = len(model.labels) - len(names)
    return ", ".join(names) + (f", and {more:,} more" if more else "")


def _results(model: Predictor) -> tuple[str, Report | None]:
    """Return the results on test, or else on validation; None if the run has none any more."""
    try:
        results = model.run.with_manifest().decode(runs.METRICS, Results)
    except LstmError:
        return "", None
    if results.test is not None:
        return "test", results.test
    return "validation", results.validation


def _metric(report: Report) -> tuple[str, float]:
    """Return the metric that says most, by name: of several labels a text, the micro F1."""
    if report.micro is not None:
        return "micro F1", report.micro.f1
    return "accuracy", report.accuracy

"""Predictions as a table, TSV, CSV or JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from lstm_cli.cli import output
from lstm_cli.data.readers.label_sets import AUTO, LIST
from lstm_cli.io.text_format import percent, shorten

if TYPE_CHECKING:
    from lstm_cli.prediction.predictor import Predictor
    from lstm_cli.prediction.result import Prediction

# Records in one table: a long file neither waits nor fills the memory.
_TABLE_ROWS = 500


def write(
    predictions: Iterator[Prediction],
    format_: str,
    predictor: Predictor,
    header: bool,
    top_k: int | None,
    inputs: list[str] | None,
) -> None:
    """Write records one by one, as they come.

    Args:
        predictions: What to write.
        format_: `table`, `tsv`, `csv` or `jsonl`.
        predictor: What made them.
        header: Whether TSV and CSV start with the names of the columns.
        top_k: How many classes to write; None for all, in the run's order.
        inputs: Texts or files that a table shows beside their prediction.
    """
    if format_ == "table":
        _write_table(predictions, top_k, inputs)
    elif format_ == "jsonl":
        _write_jsonl(predictions, top_k)
    else:
        _write_columns(predictions, "\t" if format_ == "tsv" else ",", predictor, header, top_k)


def _classes(prediction: Prediction, top_k: int | None) -> list[tuple[str, float]]:
    """Return the classes to show with their probabilities; the most probable first with top-k."""
    classes = list(prediction.probabilities.items())
    if top_k is None:
        return classes
    return sorted(classes, key=lambda entry: -entry[1])[:top_k]


def _write_columns(
    predictions: Iterator[Prediction],
    separator: str,
    predictor: Predictor,
    header: bool,
    top_k: int | None,
) -> None:
    """Write CSV, or TSV: it has no quotes, so tabs in cells are replaced."""
    import csv

    writer = csv.writer(_Stdout(), lineterminator="\n")
    extra = ["tokens", "truncated", "unknown"] if predictor.kind == "text" else []
    rows = _column_rows(
        predictions, predictor.labels, header, top_k, extra, _label_separator(predictor)
    )
    for row in rows:
        if separator == "\t":
            output.write_data("\t".join(_without_tabs(cell) for cell in row) + "\n")
        else:
            writer.writerow(row)


class _Stdout:
    """A file for the csv module."""

    def write(self, text: str) -> None:
        """Write a row."""
        output.write_data(text)


def _column_rows(
    predictions: Iterator[Prediction],
    labels: tuple[str, ...],
    header: bool,
    top_k: int | None,
    extra: list[str],
    label_separator: str | None,
) -> Iterator[list[str]]:
    if header:
        ranks = range(1, min(top_k or 0, len(labels)) + 1)
        ranked = [name for rank in ranks for name in (f"class_{rank}", f"probability_{rank}")]
        names = ["label", "probability"]
        if label_separator is not None:
            names = ["labels", "probabilities"]
        yield [*names, *(ranked if top_k else labels), *extra]
    for p in predictions:
        cells = [p.label, f"{p.probability:.6f}"]
        if label_separator is not None:
            cells = _label_cells(p, label_separator)
        for label, probability in _classes(p, top_k):
            cells += [label] * bool(top_k) + [f"{probability:.6f}"]
        if extra:
            cells += [str(p.num_tokens), str(p.truncated).lower(), f"{p.unknown:.4f}"]
        yield cells


def _label_separator(predictor: Predictor) -> str | None:
    """Return what is written between two labels: the separator of the run's data, or `|`.

    It is None for a run with one label for each input.
    """
    if predictor.thresholds is None:
        return None
    separator = predictor.run.config().data.multi_label
    return "|" if separator in (AUTO, LIST) else separator


def _label_cells(prediction: Prediction, separator: str) -> list[str]:
    """Return the predicted labels and their probabilities, in one cell each."""
    labels = prediction.labels or []
    values = [f"{prediction.probabilities[name]:.6f}" for name in labels]
    return [separator.join(labels), separator.join(values)]


def _without_tabs(cell: str) -> str:
    return cell.replace("\t", " ").replace("\n", " ").replace("\r", " ")


def _write_jsonl(predictions: Iterator[Prediction], top_k: int | None) -> None:
    for prediction in predictions:
        record = prediction.to_dict()
        record["probabilities"] = dict(_classes(prediction, top_k))
        output.print_json(record, None)


def _write_table(
    predictions: Iterator[Prediction], top_k: int | None, inputs: list[str] | None
) -> None:
    names = iter(inputs or [])
    while batch := list(islice(predictions, _TABLE_ROWS)):
        has_tokens = batch[0].num_tokens is not None
        columns = ["label", "probability", "classes"]
        if batch[0].labels is not None:
            columns[0] = "labels"
        columns += ["tokens", "cut", "unknown"] * has_tokens + ["input"] * bool(inputs)
        rows = []
        for p in batch:
            classes = "  ".join(f"{label} {value:.3f}" for label, value in _classes(p, top_k))
            row = [p.label, f"{p.probability:.3f}", classes]
            if p.labels is not None:
                row[0] = ", ".join(p.labels) or "(none)"
                row[1] = ", ".join(f"{p.probabilities[name]:.3f}" for name in p.labels) or "-"
            if has_tokens:
                row += [f"{p.num_tokens:,}", "yes" if p.truncated else "no", percent(p.unknown, 0)]
            if inputs:
                row.append(shorten(next(names), 60))
            rows.append(row)
        output.print_rows(rows, columns, right=("probability", "tokens", "unknown"))

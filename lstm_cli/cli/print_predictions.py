"""Predictions as a table, TSV, CSV or JSON Lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from lstm_cli.cli import output
from lstm_cli.data.readers.label_sets import AUTO, LIST
from lstm_cli.io.text_format import percent, shorten

if TYPE_CHECKING:
    from lstm_cli.prediction.predictor import Predictor
    from lstm_cli.prediction.ranking import Ranking
    from lstm_cli.prediction.result import Prediction

# Records in one table: a long file neither waits nor fills the memory.
_TABLE_ROWS = 500
# Classes that a table shows without --top-k; the other formats have all.
_MAX_CLASSES = 5


@dataclass(frozen=True)
class Style:
    """How predictions are written.

    Attributes:
        format: `table`, `tsv`, `csv` or `jsonl`.
        header: Whether TSV and CSV start with the names of the columns.
        top_k: How many classes to write; None for all, in the run's order.
    """

    format: str
    header: bool
    top_k: int | None


def write(
    predictions: Iterator[Prediction], predictor: Predictor, style: Style, inputs: list[str] | None
) -> None:
    """Write records one by one, as they come.

    Args:
        predictions: What to write.
        predictor: What made them.
        style: How to write them.
        inputs: Texts or files that a table shows beside their prediction.
    """
    if style.format == "table":
        _write_table(predictions, style.top_k, inputs)
    elif style.format == "jsonl":
        _write_jsonl(predictions, style.top_k)
    else:
        header = [_column_names(predictor, style.top_k)] if style.header else []
        separator = _label_separator(predictor)
        rows = (_cells(p, style.top_k, separator) for p in predictions)
        _write_columns(header, rows, style)


def write_ranked(ranking: Ranking, predictor: Predictor, style: Style) -> None:
    """Write the texts of a ranking with their predictions; say on stderr what is left out."""
    ranked, top_k = ranking.ranked, style.top_k
    if style.format == "table":
        rows = [
            (r.record, f"{r.uncertainty:.3f}", r.prediction.label, shorten(r.text, 160))
            for r in ranked
        ]
        columns = ("record", "uncertainty", "label", "text")
        output.print_rows(rows, columns, right=columns[:2])
    elif style.format == "jsonl":
        for r in ranked:
            place = {"record": r.record, "uncertainty": r.uncertainty, "similarity": r.similarity}
            output.print_json({**place, **_record(r.prediction, top_k), "text": r.text}, None)
    else:
        names = ["record", "uncertainty", *_column_names(predictor, top_k), "text"]
        rows_of_cells = (
            [str(r.record), f"{r.uncertainty:.6f}", *_cells(r.prediction, top_k), r.text]
            for r in ranked
        )
        _write_columns([names] if style.header else [], rows_of_cells, style)
    left_out = {"repeat another": ranking.num_repeated, "are empty": ranking.num_empty}
    reasons = [f"{count:,} {reason}" for reason, count in left_out.items() if count]
    detail = f" ({', '.join(reasons)})" if reasons else ""
    output.print_note(f"Ranked: {len(ranked):,} of {ranking.num_texts:,} texts{detail}.")


def _classes(prediction: Prediction, top_k: int | None) -> list[tuple[str, float]]:
    """Return the classes to show with their probabilities; the most probable first with top-k."""
    classes = list(prediction.probabilities.items())
    if top_k is None:
        return classes
    return sorted(classes, key=lambda entry: -entry[1])[:top_k]


def _class_list(prediction: Prediction, top_k: int | None) -> str:
    """Return the classes for a cell of a table; of many, the most probable ones."""
    num_more = len(prediction.probabilities) - _MAX_CLASSES
    if top_k is not None or num_more <= 0:
        return "  ".join(f"{label} {value:.3f}" for label, value in _classes(prediction, top_k))
    return f"{_class_list(prediction, _MAX_CLASSES)}  ... {num_more:,} more"


def _write_columns(header: list[list[str]], rows: Iterable[list[str]], style: Style) -> None:
    """Write CSV, or TSV: it has no quotes, so tabs in cells are replaced."""
    import csv

    writer = csv.writer(_Stdout(), lineterminator="\n")
    for row in chain(header, rows):
        if style.format == "tsv":
            output.write_data("\t".join(_without_tabs(cell) for cell in row) + "\n")
        else:
            writer.writerow(row)


class _Stdout:
    """A file for the csv module."""

    def write(self, text: str) -> None:
        """Write a row."""
        output.write_data(text)


def _column_names(predictor: Predictor, top_k: int | None) -> list[str]:
    ranks = range(1, min(top_k or 0, len(predictor.labels)) + 1)
    ranked = [name for rank in ranks for name in (f"class_{rank}", f"probability_{rank}")]
    extra = ["tokens", "truncated", "unknown"] if predictor.kind == "text" else []
    first = ["label", "probability"]
    if predictor.thresholds is not None:
        first = ["labels", "probabilities"]
    return [*first, *(ranked if top_k else predictor.labels), *extra]


def _cells(
    prediction: Prediction, top_k: int | None, label_separator: str | None = None
) -> list[str]:
    p = prediction
    cells = [p.label, f"{p.probability:.6f}"]
    if label_separator is not None:
        cells = _label_cells(p, label_separator)
    for label, probability in _classes(p, top_k):
        cells += [label] * bool(top_k) + [f"{probability:.6f}"]
    if p.num_tokens is not None:
        cells += [str(p.num_tokens), str(p.truncated).lower(), f"{p.unknown:.4f}"]
    return cells


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
        output.print_json(_record(prediction, top_k), None)


def _record(prediction: Prediction, top_k: int | None) -> dict[str, Any]:
    return prediction.to_dict() | {"probabilities": dict(_classes(prediction, top_k))}


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
            row = [p.label, f"{p.probability:.3f}", _class_list(p, top_k)]
            if p.labels is not None:
                row[0] = ", ".join(p.labels) or "(none)"
                row[1] = ", ".join(f"{p.probabilities[name]:.3f}" for name in p.labels) or "-"
            if has_tokens:
                row += [f"{p.num_tokens:,}", "yes" if p.truncated else "no", percent(p.unknown, 0)]
            if inputs:
                row.append(shorten(next(names), 60))
            rows.append(row)
        output.print_rows(rows, columns, right=("probability", "tokens", "unknown"))

"""Predictions as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lstm_cli.cli import output
from lstm_cli.errors import LstmError
from lstm_cli.io.text_format import percent, short_label, short_labels, shorten
from lstm_cli.prediction.columns import PredictionColumns, classes

if TYPE_CHECKING:
    from lstm_cli.data.records import InputRecord
    from lstm_cli.prediction.answers import Answer
    from lstm_cli.prediction.ranking import RankedPrediction, Ranking
    from lstm_cli.prediction.result import Prediction
    from lstm_cli.prediction.write_text import Layout

# Records in one table: a long file neither waits nor fills the memory.
_TABLE_ROWS = 500
# Classes that a table shows without --top-k; the other formats have all.
_MAX_CLASSES = 5
_KEPT_WIDTH = 40
# A class of at most this width and its probability are not folded.
_UNFOLDED_WIDTH = 24
_REASON_WIDTH = 90


class TableWriter:
    """Prints answers for people, in tables of some hundred; the last one at the end of a block."""

    num_cut = 0

    def __init__(self, layout: Layout, shows_input: bool) -> None:
        """Print with a layout.

        Args:
            layout: What is shown.
            shows_input: Whether the last column has the text or the file.
        """
        self._layout = layout
        self._shows_input = shows_input
        # A label is never cut in the other formats.
        self._names = short_labels(layout.columns.labels)
        self._answers: list[Answer] = []

    def __enter__(self) -> TableWriter:
        """Return the writer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Print what is left, also before an error."""
        if self._answers and (kind is None or issubclass(kind, LstmError)):
            self._print()

    def write(self, answer: Answer) -> None:
        """Show an answer, or keep it for the next table."""
        self._answers.append(answer)
        if len(self._answers) == _TABLE_ROWS:
            self._print()

    def flush(self) -> None:
        """Keep the rows until there is a table."""

    def _print(self) -> None:
        layout, answers = self._layout, self._answers
        own = layout.columns
        names = ["label", "probability", "classes"]
        if own.separator is not None:
            names[0] = "labels"
        names += ["tokens", "cut", "unknown"] * own.has_tokens
        names += ["input"] * self._shows_input
        rows: list[list[object]] = []
        for record, prediction, _ in answers:
            row: list[object] = [shorten(cell, _KEPT_WIDTH) for cell in layout.kept.cells(record)]
            row += _shown(prediction, own, self._names) if prediction else _not_read(record, own)
            row += [shorten(record.text, 60)] * self._shows_input
            rows.append(row)
        columns = [*(shorten(name, _KEPT_WIDTH) for name in layout.kept.names), *names]
        # A class and its probability stay together: all in one line, or each in one of its own.
        one_line = [[_in_one_line(cell) for cell in row] for row in rows]
        lines = [line for row in rows for cell in row if isinstance(cell, list) for line in cell]
        is_one_line = output.fits(one_line, columns)
        is_whole = not is_one_line and max(map(len, lines), default=0) <= _UNFOLDED_WIDTH
        output.print_rows(
            one_line if is_one_line else rows,
            columns,
            right=("probability", "tokens", "unknown"),
            unfolded=("classes",) if is_whole else (),
        )
        self._answers = []


def _in_one_line(cell: object) -> object:
    return "  ".join(cell) if isinstance(cell, list) else cell


def _shown(
    prediction: Prediction, columns: PredictionColumns, names: Mapping[str, str]
) -> list[object]:
    """Return the cells of a prediction for people, with short names; a list stands for lines."""
    p = prediction
    class_list = _class_list(p, columns.top_k, names)
    row: list[object] = [names.get(p.label, p.label), f"{p.probability:.3f}", class_list]
    if p.labels is not None:
        row[0] = _first([names[name] for name in p.labels]) or "(none)"
        row[1] = _first([f"{p.probabilities[name]:.3f}" for name in p.labels]) or "-"
    if columns.has_tokens:
        row += [f"{p.num_tokens:,}", "yes" if p.truncated else "no", percent(p.unknown, 0)]
    return row


def _not_read(record: InputRecord, columns: PredictionColumns) -> list[str]:
    """Return the cells of an input that cannot be read for people."""
    reason = record.error.message if record.error else ""
    return ["(not read)", "", shorten(reason, _REASON_WIDTH), *[""] * (3 * columns.has_tokens)]


def _first(items: Sequence[str]) -> str:
    """Join the first items of a list."""
    more = ", ..." if len(items) > _MAX_CLASSES else ""
    return ", ".join(items[:_MAX_CLASSES]) + more


def _class_list(prediction: Prediction, top_k: int | None, names: Mapping[str, str]) -> list[str]:
    """Return the classes for a cell of a table; of many, the most probable ones."""
    num_more = len(prediction.probabilities) - (_MAX_CLASSES if top_k is None else top_k)
    shown = classes(prediction, top_k if top_k is not None or num_more <= 0 else _MAX_CLASSES)
    listed = [f"{names[label]} {value:.3f}" for label, value in shown]
    return listed if top_k is not None or num_more <= 0 else [*listed, f"... {num_more:,} more"]


def print_ranked(ranked: Sequence[RankedPrediction]) -> None:
    """Print the texts of a ranking for people."""
    rows = [
        (
            f"{r.record:,}",
            f"{r.uncertainty:.3f}",
            short_label(r.prediction.label),
            shorten(r.text, 160),
        )
        for r in ranked
    ]
    columns = ("record", "uncertainty", "label", "text")
    output.print_rows(rows, columns, right=columns[:2])


def print_left_out(ranking: Ranking) -> None:
    """Say on stderr how many texts were ranked, and what is left out."""
    left_out = {"repeat another": ranking.num_repeated, "are empty": ranking.num_empty}
    reasons = [f"{count:,} {reason}" for reason, count in left_out.items() if count]
    detail = f" ({', '.join(reasons)})" if reasons else ""
    output.print_note(f"Ranked: {len(ranking.ranked):,} of {ranking.num_texts:,} texts{detail}.")

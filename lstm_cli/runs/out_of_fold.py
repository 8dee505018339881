"""`out_of_fold.csv` of a run with folds: each row as a model predicts it that has not seen it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.runs.directory import OUT_OF_FOLD, RunDir

COLUMNS = (
    "row", "fold", "text", "label", "predicted", "probability", "label_probability",
    "probabilities",
)  # fmt: skip
# Beside `row`, if the data names its rows.
ID_COLUMN = "id"
# The table does not grow with the number of classes.
_MAX_CLASSES = 20
_DIGITS = 6
_MAX_FIELD = 2**31 - 1  # characters


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for the labeled rows of a run.

    Attributes:
        rows: Where each row is in the data, see `Split.rows`, `<int64>[num]`.
        folds: The fold that held it out, counted from 1, `<int64>[num]`.
        texts: Its text; empty for an image.
        labels: Its class id, `<int32>[num]`.
        probabilities: `<float32>[num, classes]`. As read from a run, those of the most probable
            classes and of the label; others are 0.
        ids: The id of each row in the data; None without ids.
    """

    rows: NDArray[np.int64]
    folds: NDArray[np.int64]
    texts: Sequence[str]
    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    ids: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.rows)


def columns(has_ids: bool) -> tuple[str, ...]:
    """Return the columns of the table."""
    return (COLUMNS[0], ID_COLUMN, *COLUMNS[1:]) if has_ids else COLUMNS


def to_csv(table: OutOfFold, class_names: Sequence[str]) -> str:
    """Return the table as CSV, in the order of the rows in the data.

    Args:
        table: The predictions.
        class_names: The name of each class id.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns(table.ids is not None))
    for index in np.argsort(table.rows, kind="stable").tolist():
        label, row = int(table.labels[index]), table.probabilities[index]
        kept = np.argsort(-row, kind="stable")[:_MAX_CLASSES].tolist()
        predicted = kept[0]
        kept += [label] * (label not in kept)
        probabilities = {class_names[i]: round(float(row[i]), _DIGITS) for i in kept}
        writer.writerow(
            (
                int(table.rows[index]),
                *([] if table.ids is None else [table.ids[index]]),
                int(table.folds[index]),
                table.texts[index],
                class_names[label],
                class_names[predicted],
                probabilities[class_names[predicted]],
                probabilities[class_names[label]],
                json.dumps(probabilities, ensure_ascii=False),
            )
        )
    return stream.getvalue()


def read(run: RunDir) -> tuple[OutOfFold, tuple[str, ...]]:
    """Read the table of a finished run, and its class names.

    Raises:
        LstmError: It is missing, changed or malformed; the line is named (exit code 5).
    """
    run = run.with_manifest()
    class_names = run.labels()
    ids = {name: i for i, name in enumerate(class_names)}
    csv.field_size_limit(_MAX_FIELD)
    lines = csv.reader(io.StringIO(run.read_text(OUT_OF_FOLD), newline=""), strict=True)
    try:
        return _parse(lines, ids), class_names
    except (ValueError, KeyError, csv.Error, RecursionError) as error:
        reason = f"{OUT_OF_FOLD}, line {lines.line_num}: {str(error)[:200]}"
        raise run.integrity_error(reason) from None


def _parse(lines: Iterator[list[str]], ids: Mapping[str, int]) -> OutOfFold:
    """Parse the lines of the table.

    Raises:
        ValueError: A line is malformed.
        KeyError: It has a class that the run does not have.
    """
    header = tuple(next(lines, ()))
    has_ids = header[1:2] == (ID_COLUMN,)
    if header != columns(has_ids):
        raise ValueError(f"expected the columns {', '.join(columns(has_ids))}")
    texts: list[str] = []
    names: list[str] = []
    numbers: list[tuple[int, int, int]] = []
    found: list[Mapping[str, float]] = []
    for row in lines:
        if has_ids:
            names.append(row.pop(1))
        number, fold, text, label, _, _, _, probabilities = row
        texts.append(text)
        numbers.append((int(number), int(fold), ids[label]))
        found.append(_probabilities(probabilities, label))
    if not texts:
        raise ValueError("expected a row")
    matrix = np.zeros((len(texts), len(ids)), np.float32)
    for index, values in enumerate(found):
        for name, value in values.items():
            matrix[index, ids[name]] = value
    rows, folds, labels = np.array(numbers, np.int64).T
    ids_of_rows = names if has_ids else None
    return OutOfFold(rows, folds, texts, labels.astype(np.int32), matrix, ids_of_rows)


def _probabilities(text: str, label: str) -> Mapping[str, float]:
    values = json.loads(text)
    if not isinstance(values, dict) or label not in values:
        raise ValueError("probabilities: expected an object with a probability of the label")
    for value in values.values():
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError("probabilities: expected numbers from 0 to 1")
    return values

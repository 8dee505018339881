"""Labels that are probably wrong, found by confident learning.

A label is doubtful if a model that has not seen the row predicts another class. It is probably
wrong if the model is as sure of that class as it usually is for rows that have that label.

Source: Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset
    Labels", section 3.1.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data import DataSource, load_labeled
from lstm_cli.data.readers.read_options import TableFormat
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.linear_folds import out_of_fold_probabilities
from lstm_cli.io.progress import Reporter
from lstm_cli.runs import out_of_fold
from lstm_cli.runs.directory import LABEL_THRESHOLDS, OUT_OF_FOLD, RunDir, json_line
from lstm_cli.runs.out_of_fold import OutOfFold


@dataclass(frozen=True)
class LabelIssue:
    """A row whose label is doubtful.

    Attributes:
        row: Where it is in the data, see `Split.rows`.
        text: Its text; empty for an image.
        label: Its label.
        suggested: The class that the model predicts instead.
        probability: The out-of-fold probability of that class.
        label_probability: That of the label.
        is_probable: Whether the label is probably wrong; else it is doubtful only.
        id: The id of the row in the data; None if the data has no ids.
    """

    row: int
    text: str
    label: str
    suggested: str
    probability: float
    label_probability: float
    is_probable: bool
    id: str | None = None

    @property
    def name(self) -> str:
        """The id of the row, or without one its number."""
        return self.id or str(self.row)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; the id comes second, if there is one."""
        values = asdict(self)
        name = values.pop("id")
        return values if name is None else {"row": values.pop("row"), "id": name, **values}


@dataclass(frozen=True)
class LabelIssues:
    """The doubtful labels of a data set, most certain first.

    Attributes:
        source: The data, or the run.
        model: What predicted the rows.
        num_rows: Number of rows.
        accuracy: Fraction of the labels that the model predicts out-of-fold.
        issues: All that were found; those that are probably wrong come first.
    """

    source: str
    model: str
    num_rows: int
    accuracy: float
    issues: tuple[LabelIssue, ...]

    @property
    def num_probable(self) -> int:
        """Number of labels that are probably wrong."""
        return sum(issue.is_probable for issue in self.issues)

    def to_dict(self, limit: int) -> dict[str, Any]:
        """Return everything as plain JSON types, with the first issues only."""
        values = asdict(self)
        values |= {"num_probable": self.num_probable, "num_doubtful": len(self.issues)}
        return values | {"issues": [issue.to_dict() for issue in self.issues[:limit]]}


def rank_issues(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Find the rows whose label is doubtful, the most certain first.

    The threshold of a class is the mean of its probability over the rows with that label. A label
    is probably wrong if a class other than the label reaches its threshold and is the most
    probable class that does.

    Args:
        labels: Given class ids, `<int32>[num]`.
        probabilities: Out-of-fold probabilities, `<float32>[num, classes]`.

    Returns:
        The indices of the rows that are predicted as another class. Those that are probably wrong
        come first; among equals, those with the largest difference between the probabilities of the
        suggested class and of the label. Then the suggested class of each, and whether its label is
        probably wrong.
    """
    num, num_classes = probabilities.shape
    own = probabilities[np.arange(num), labels].astype(np.float64)
    counts = np.bincount(labels, minlength=num_classes)
    sums = np.bincount(labels, own, num_classes)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    predicted = probabilities.argmax(axis=1)
    is_probable = (confident.max(axis=1) >= 0) & (confident.argmax(axis=1) != labels)
    suggested = np.where(is_probable, confident.argmax(axis=1), predicted)
    indices = np.flatnonzero(predicted != labels)
    margins = own[indices] - probabilities[indices, suggested[indices]]
    indices = indices[np.lexsort((margins, ~is_probable[indices]))]
    return indices, suggested[indices], is_probable[indices]


def issues_of_run(run: RunDir) -> LabelIssues:
    """Find the issues among the rows of a run that was trained with folds.

    Raises:
        LstmError: It has no table of out-of-fold predictions (exit code 2), or the table was
            changed (exit code 5).
    """
    files = run.with_manifest().manifest or {}
    if OUT_OF_FOLD not in files:
        if LABEL_THRESHOLDS in files:
            raise several_labels(f"Run {run.name}")
        raise LstmError(
            f"Run {run.name} has no out-of-fold predictions: it was trained without folds.",
            "Train with --folds 5, or name the file of the data instead of the run.",
            ExitCode.USAGE,
        )
    table, class_names = out_of_fold.read(run)
    num_folds = int(table.folds.max())
    return _issues(
        table, class_names, f"run {run.name}", f"the model of the run, {num_folds} folds"
    )


def issues_of_data(source: DataSource, reporter: Reporter | None = None) -> LabelIssues:
    """Find the issues among the rows of a data set, by cross-validation of the linear model.

    Args:
        source: What to read.
        reporter: Receives the remarks on the data.

    Raises:
        LstmError: The data is missing, malformed, or not text.
    """
    dataset = load_labeled(source)
    if reporter is not None:
        for note in dataset.notes:
            reporter.note(f"Note: {note}")
    if dataset.is_multi_label:
        raise several_labels(dataset.source)
    split = dataset.splits["train"]
    if isinstance(split.inputs, np.ndarray):
        raise LstmError(
            f"{dataset.name} holds images; the quick cross-validation reads texts only.",
            "Train with --folds 5, and name the run.",
            ExitCode.USAGE,
        )
    probabilities = out_of_fold_probabilities(split.inputs, split.labels, len(dataset.labels))
    folds = np.zeros(len(split), np.int64)
    table = OutOfFold(
        split.row_numbers, folds, split.inputs, split.labels, probabilities, split.ids
    )
    model = "a quick cross-validation of the linear model alone, without the LSTM"
    return _issues(table, dataset.labels, dataset.source, model)


def _issues(table: OutOfFold, class_names: Sequence[str], source: str, model: str) -> LabelIssues:
    indices, suggested, is_probable = rank_issues(table.labels, table.probabilities)
    issues = tuple(
        LabelIssue(
            row=int(table.rows[i]),
            text=table.texts[i],
            label=class_names[int(table.labels[i])],
            suggested=class_names[j],
            probability=round(float(table.probabilities[i, j]), 6),
            label_probability=round(float(table.probabilities[i, table.labels[i]]), 6),
            is_probable=probable,
            id=None if table.ids is None else table.ids[i],
        )
        for i, j, probable in zip(
            indices.tolist(), suggested.tolist(), is_probable.tolist(), strict=True
        )
    )
    accuracy = float(np.mean(table.probabilities.argmax(axis=1) == table.labels))
    return LabelIssues(source, model, len(table), accuracy, issues)


def to_table(issues: Sequence[LabelIssue], format_: TableFormat) -> str:
    """Return issues as CSV, TSV or JSON Lines, with whole texts."""
    rows = [issue.to_dict() for issue in issues]
    if format_ == "jsonl":
        return "".join(json_line(row) for row in rows)
    stream = io.StringIO()
    delimiter = "\t" if format_ == "tsv" else ","
    columns = list(rows[0]) if rows else [*LabelIssue.__dataclass_fields__][:-1]
    writer = csv.DictWriter(stream, columns, delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def several_labels(source: str) -> LstmError:
    """Return the error for a run or data with several labels a text."""
    return LstmError(
        f"{source} has several labels for a text; only one label for each is checked.",
        "'lstm eval --errors 20' lists the most certain wrong labels; 'lstm data check' finds "
        "copies with other labels.",
        ExitCode.USAGE,
    )

"""The progress of training as an aligned table: a row for an epoch or a fold.

Rows are printed one by one, while training runs, so columns have fixed widths. On a narrow
terminal, columns are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lstm_cli.io.progress import Epoch, Fold, Step, perplexity
from lstm_cli.io.text_format import number

_GAP = "  "
BEST = "best"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        heading: Its heading, and the key of its cells.
        width: Characters, at least those of the heading.
        rank: On a narrow terminal the column with the highest rank is left out first; 0 stays.
    """

    heading: str
    width: int = 0
    rank: int = 0

    def align(self, cell: str) -> str:
        """Return a cell, aligned right."""
        return f"{cell:>{max(self.width, len(self.heading))}}"


Columns = tuple[Column, ...]

_EPOCH, _LOSS = Column("epoch", 5), Column("loss", 7, 2)
_VAL_LOSS, _SECONDS = Column("val loss", 8, 1), Column("seconds", 7, 4)
_MARK = Column("", len(BEST))
_FOLDS = (
    Column("fold", 5), Column("train", 7, 3), Column("held out", 8, 2),
    Column("best epoch", 10, 1), Column("val loss", 8, 1), Column("val accuracy"), _SECONDS,
)  # fmt: skip


def epoch_columns(with_accuracy: bool, with_validation: bool) -> Columns:
    """Return the columns for epochs.

    Args:
        with_accuracy: Of a classifier; a language model has a perplexity.
        with_validation: Whether the epochs are validated.
    """
    score = "accuracy" if with_accuracy else "perplexity"
    columns: Columns = (_EPOCH, _LOSS, Column(score, rank=3 if with_validation else 0))
    if not with_validation:
        return (*columns, _SECONDS)
    return (*columns, _VAL_LOSS, Column(f"val {score}"), _SECONDS, _MARK)


def fold_columns() -> Columns:
    """Return the columns for folds."""
    return _FOLDS


def fit(columns: Columns, width: int) -> Columns:
    """Leave out columns until a row takes at most `width` characters."""
    while len(_GAP.join(column.align("") for column in columns)) > width and any(
        column.rank for column in columns
    ):
        last = max(columns, key=lambda column: column.rank)
        columns = tuple(column for column in columns if column is not last)
    return columns


def header(columns: Columns) -> str:
    """Return the line of headings."""
    return row(columns, {column.heading: column.heading for column in columns}).rstrip()


def row(columns: Columns, cells: Mapping[str, str]) -> str:
    """Return a line of the table; cells that are missing are empty."""
    return _GAP.join(column.align(cells.get(column.heading, "")) for column in columns).rstrip()


def epoch_cells(epoch: Epoch, num_epochs: int) -> dict[str, str]:
    """Return the results of an epoch by heading.

    Args:
        epoch: The epoch.
        num_epochs: The largest number of epochs; 0 if unknown.
    """
    cells = _scores(epoch.loss, epoch.accuracy)
    if epoch.val_loss is not None:
        scores = _scores(epoch.val_loss, epoch.val_accuracy)
        cells |= {f"val {heading}": cell for heading, cell in scores.items()}
        cells[""] = BEST if epoch.best else ""
    cells["epoch"] = f"{epoch.epoch}/{num_epochs}" if num_epochs else str(epoch.epoch)
    cells["seconds"] = _seconds(epoch.seconds)
    return cells


def step_cells(step: Step) -> dict[str, str]:
    """Return the results of an epoch that is not finished, by heading."""
    return {"epoch": f"{step.epoch}/{step.epochs}", **_scores(step.loss, step.accuracy)}


def fold_cells(fold: Fold) -> dict[str, str]:
    """Return the results of a fold by heading."""
    scores = _scores(fold.val_loss, fold.val_accuracy)
    return {
        "fold": f"{fold.number}/{fold.num_folds}",
        "train": f"{fold.num_train:,}",
        "held out": f"{fold.num_held_out:,}",
        "best epoch": f"{fold.best_epoch}/{fold.num_epochs}",
        **{f"val {heading}": cell for heading, cell in scores.items()},
        "seconds": _seconds(fold.seconds),
    }


def _scores(loss: float, accuracy: float | None) -> dict[str, str]:
    """Return the loss, and the accuracy or the perplexity of a language model."""
    if accuracy is None:
        return {"loss": number(loss), "perplexity": number(perplexity(loss), ",.1f")}
    return {"loss": number(loss), "accuracy": number(accuracy)}


def _seconds(seconds: float) -> str:
    return number(seconds, ".1f")

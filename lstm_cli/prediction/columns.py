"""Predictions as rows of a table: names of columns that cannot collide, and cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lstm_cli.data.readers.label_sets import AUTO, LIST
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.result import Prediction

# Before our names in a table that also has the columns of the input; the key in JSON.
OWN_NAME = "prediction"


@dataclass(frozen=True)
class PredictionColumns:
    """The columns of predictions: label, probability, one for each class, and facts of the text.

    The column of a class has `probability:` before its name. So a class may be called `label`.

    Attributes:
        labels: Class names.
        top_k: How many classes to write; None for all, in the order of the run.
        separator: Between the labels of a text with several; None if each has one.
        has_tokens: Whether the inputs are texts.
        has_errors: Whether inputs may be unreadable: the last column then says why.
    """

    labels: tuple[str, ...]
    top_k: int | None = None
    separator: str | None = None
    has_tokens: bool = True
    has_errors: bool = False

    @classmethod
    def of(cls, predictor: Predictor, top_k: int | None, has_errors: bool) -> PredictionColumns:
        """Return the columns for the predictions of a run."""
        separator = _label_separator(predictor)
        return cls(predictor.labels, top_k, separator, predictor.kind == "text", has_errors)

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of the columns, each with a prefix."""
        names = ["label", "probability"] if self.separator is None else ["labels", "probabilities"]
        if self.top_k:
            ranks = range(1, min(self.top_k, len(self.labels)) + 1)
            names += [name for rank in ranks for name in (f"class_{rank}", f"probability_{rank}")]
        else:
            names += [f"probability:{label}" for label in self.labels]
        names += ["tokens", "truncated", "unknown"] * self.has_tokens + ["error"] * self.has_errors
        return [prefix + name for name in names]

    def cells(self, prediction: Prediction) -> list[str]:
        """Return the cells of a prediction."""
        p = prediction
        cells = [p.label, f"{p.probability:.6f}"]
        if self.separator is not None:
            labels = p.labels or []
            values = [f"{p.probabilities[name]:.6f}" for name in labels]
            cells = [self.separator.join(labels), self.separator.join(values)]
        if self.top_k is None:
            cells += [f"{probability:.6f}" for probability in p.probabilities.values()]
        else:
            for label, probability in classes(p, self.top_k):
                cells += [label, f"{probability:.6f}"]
        if self.has_tokens:
            cells += [str(p.num_tokens), str(p.truncated).lower(), f"{p.unknown:.4f}"]
        return cells + [""] * self.has_errors

    def types(self) -> list[str]:
        """Return the type of each column: `text`, `number`, `integer` or `flag`, also in lists."""
        lists = ["texts", "numbers"] if self.separator is not None else ["text", "number"]
        if self.top_k:
            own = ["text", "number"] * min(self.top_k, len(self.labels))
        else:
            own = ["number"] * len(self.labels)
        facts = ["integer", "flag", "number"] * self.has_tokens + ["text"] * self.has_errors
        return [*lists, *own, *facts]

    def values(self, prediction: Prediction) -> list[Any]:
        """Return the values of a prediction with their types."""
        p = prediction
        values: list[Any] = [p.label, p.probability]
        if self.separator is not None:
            labels = p.labels or []
            values = [labels, [p.probabilities[name] for name in labels]]
        for label, probability in classes(p, self.top_k):
            values += [label, probability] if self.top_k else [probability]
        facts = [p.num_tokens, p.truncated, p.unknown] if self.has_tokens else []
        return values + facts + [None] * self.has_errors

    def empty(self, reason: str) -> list[str]:
        """Return the cells of an input that cannot be read: empty, and the reason."""
        return [""] * (len(self.names()) - 1) + [reason]


def classes(prediction: Prediction, top_k: int | None) -> list[tuple[str, float]]:
    """Return the classes to show with their probabilities; the most probable first with top-k."""
    entries = list(prediction.probabilities.items())
    return entries if top_k is None else sorted(entries, key=lambda e: -e[1])[:top_k]


def free_name(columns: Iterable[str]) -> str:
    """Return the first of `prediction`, `prediction2` and so on with which no column begins.

    Upper and lower case count as equal, as in databases.
    """
    taken = [column.strip().casefold() for column in columns]
    name, number = OWN_NAME, 1
    while any(column == name or column.startswith(f"{name}_") for column in taken):
        number += 1
        name = f"{OWN_NAME}{number}"
    return name


def _label_separator(predictor: Predictor) -> str | None:
    """Return what is written between two labels: the separator of the run's data, or `|`.

    It is None for a run with one label for each input.
    """
    if predictor.thresholds is None:
        return None
    separator = predictor.config.data.multi_label
    return "|" if separator in (AUTO, LIST) else separator

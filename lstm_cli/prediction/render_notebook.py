"""Predictions in notebooks."""

from __future__ import annotations

from collections.abc import Sequence

from lstm_cli.io.text_format import pluralize, short_label
from lstm_cli.prediction.result import Prediction
from lstm_cli.render import notebook

_MAX_CLASSES = 8
_MAX_ROWS = 20


def render_prediction(prediction: Prediction) -> str:
    """Return a prediction as HTML: the label, and the most probable classes as bars."""
    by_class = sorted(prediction.probabilities.items(), key=lambda entry: -entry[1])
    return notebook.render(
        "notebook_prediction.html",
        title=describe_label(prediction),
        probability=prediction.probability if prediction.labels is None else None,
        rows=[(short_label(name), value) for name, value in by_class[:_MAX_CLASSES]],
        note=_note(prediction, len(by_class)),
    )


def render_predictions(predictions: Sequence[Prediction]) -> str:
    """Return the first predictions as HTML, one in each row."""
    rows = [
        (f"{position}: {describe_label(found)}", found.probability)
        for position, found in enumerate(predictions[:_MAX_ROWS])
    ]
    note = pluralize(len(predictions), "prediction")
    if len(predictions) > _MAX_ROWS:
        note += f"; the first {_MAX_ROWS} are shown"
    return notebook.render("notebook_predictions.html", rows=rows, note=note)


def describe_label(prediction: Prediction) -> str:
    """Return the label for people; of several labels, all."""
    if prediction.labels is not None:
        return ", ".join(map(short_label, prediction.labels)) or "no label"
    return short_label(prediction.label) or "no answer"


def _note(prediction: Prediction, num_classes: int) -> str:
    """Say what the bars do not show."""
    notes = []
    if num_classes > _MAX_CLASSES:
        notes.append(f"{num_classes - _MAX_CLASSES:,} less probable classes are not shown")
    if prediction.num_tokens is not None:
        notes.append(pluralize(prediction.num_tokens, "token"))
    if prediction.unknown:
        notes.append(f"{prediction.unknown:.0%} of them are not in the vocabulary")
    if prediction.truncated:
        notes.append("the middle of the text was not read")
    return "; ".join(notes)

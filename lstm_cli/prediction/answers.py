"""Predict records: one answer for each, in order, also for those that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_cli.data.records import InputRecord
from lstm_cli.errors import LstmError
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.result import Prediction

_IMAGE_BATCH = 256


class Answer(NamedTuple):
    """A record with its prediction.

    Attributes:
        record: The record; its error says why there is no prediction.
        prediction: None if the record cannot be read.
    """

    record: InputRecord
    prediction: Prediction | None


@dataclass(frozen=True)
class Rule:
    """How records become answers.

    Attributes:
        threshold: As for `Predictor.predict`.
        min_probability: As for `Predictor.predict`.
        stop: Whether a record that cannot be read is an error.
    """

    threshold: float | None = None
    min_probability: float | None = None
    stop: bool = False


def answer(predictor: Predictor, window: Sequence[InputRecord], rule: Rule) -> Iterator[Answer]:
    """Yield an answer for each record of a window.

    Args:
        predictor: Of a text run, or of an image run: records then hold names of image files.
        window: As many records as may be in memory at once.
        rule: How to answer.

    Raises:
        LstmError: A record cannot be read and `rule.stop` is set; the answers before it were
            yielded.
    """
    if predictor.kind == "image":
        for start in range(0, len(window), _IMAGE_BATCH):
            yield from _answer_images(predictor, window[start : start + _IMAGE_BATCH], rule)
        return
    num = _num_before_error(window) if rule.stop else len(window)
    texts = [record.text for record in window[:num] if record.error is None]
    predictions = predictor.stream(texts, rule.threshold, rule.min_probability)
    yield from _in_order(window, predictions, num)


def _answer_images(
    predictor: Predictor, names: Sequence[InputRecord], rule: Rule
) -> Iterator[Answer]:
    """Answer the images of a batch; a file that is not an image has its error."""
    from lstm_cli.data.images import read_image

    assert predictor.shape is not None
    records, images = [], []
    for record in names:
        if record.error is None:
            try:
                images.append(read_image(Path(record.text), predictor.shape))
            except LstmError as error:
                record = record._replace(error=error)
        records.append(record)
        if record.error is not None and rule.stop:
            break
    num = _num_before_error(records) if rule.stop else len(records)
    pixels = np.stack(images) if images else np.zeros((0, *predictor.shape), np.uint8)
    predictions = predictor.predict(pixels, rule.threshold, rule.min_probability)
    yield from _in_order(records, iter(predictions), num)


def _num_before_error(records: Sequence[InputRecord]) -> int:
    return next((n for n, record in enumerate(records) if record.error), len(records))


def _in_order(
    records: Sequence[InputRecord], predictions: Iterator[Prediction], num: int
) -> Iterator[Answer]:
    """Yield the first records with their predictions.

    Raises:
        LstmError: That of the record after them, if there is one.
    """
    for record in records[:num]:
        yield Answer(record, next(predictions) if record.error is None else None)
    if num < len(records) and (error := records[num].error) is not None:
        raise error

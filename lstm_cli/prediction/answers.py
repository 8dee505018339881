"""Predict records: one answer for each, in order, also for those that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.images import has_other_border, read_image
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
        is_inverted: Whether it is an image that was inverted, by the setting `image.border`.
    """

    record: InputRecord
    prediction: Prediction | None
    is_inverted: bool = False


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
    assert predictor.shape is not None
    records, images = [], []
    for record in names:
        if record.error is None:
            try:
                images.append(_read_image(record.text, predictor.shape))
            except LstmError as error:
                record = record._replace(error=error)
        records.append(record)
        if record.error is not None and rule.stop:
            break
    num = _num_before_error(records) if rule.stop else len(records)
    pixels = np.stack(images) if images else np.zeros((0, *predictor.shape), np.uint8)
    predictions = predictor.predict(pixels, rule.threshold, rule.min_probability)
    inverted = iter(has_other_border(pixels, predictor.border).tolist())
    for found in _in_order(records, iter(predictions), num):
        is_read = found.prediction is not None
        yield found._replace(is_inverted=next(inverted)) if is_read else found


def _read_image(name: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read an image file.

    Raises:
        LstmError: There is no such file, or it is not an image.
    """
    if not name.strip():
        raise LstmError("An empty line is not the name of an image.", "Remove it.")
    return read_image(Path(name), shape)


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

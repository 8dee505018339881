"""Answers come for every record, in order; the first bad one may end them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lstm_cli.data.records import InputRecord
from lstm_cli.errors import LstmError
from lstm_cli.prediction.answers import Rule, answer
from lstm_cli.prediction.result import Prediction

BAD = InputRecord("", None, LstmError("line 2 is bad"))


class Echo:
    """Answers with the text, or with the brightest pixel."""

    shape, border = (2, 2), "any"

    def __init__(self, kind):
        self.kind = kind

    def stream(self, texts, threshold, min_probability):
        return (Prediction(text, 1.0, {text: 1.0}) for text in texts)

    def predict(self, images, threshold, min_probability):
        return [Prediction(str(image.max()), 1.0, {}) for image in images]


def labels(answers):
    return [found.prediction and found.prediction.label for found in answers]


def test_a_bad_record_has_no_prediction():
    window = [InputRecord("a"), BAD, InputRecord("b")]
    answers = list(answer(Echo("text"), window, Rule()))
    assert labels(answers) == ["a", None, "b"]
    assert [found.record for found in answers] == window


def test_with_stop_it_is_an_error_after_the_answers_before_it():
    answers = answer(Echo("text"), [InputRecord("a"), BAD, InputRecord("b")], Rule(stop=True))
    assert next(answers).prediction.label == "a"
    with pytest.raises(LstmError, match="line 2"):
        next(answers)


@pytest.mark.parametrize("stop", [False, True])
def test_a_file_that_is_no_image_is_a_bad_record(tmp_path, stop):
    names = []
    for index in range(3):
        path = tmp_path / f"{index}.png"
        Image.fromarray(np.full((2, 2), 10 + index, np.uint8)).save(path)
        names.append(InputRecord(str(path)))
    (tmp_path / "1.png").write_bytes(b"nothing")
    answers = answer(Echo("image"), names, Rule(stop=stop))
    if stop:
        assert next(answers).prediction.label == "10"
        with pytest.raises(LstmError, match=r"1\.png"):
            next(answers)
        return
    answers = list(answers)
    assert labels(answers) == ["10", None, "12"]
    assert "1.png" in answers[1].record.error.message

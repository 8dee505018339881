"""The inputs of a run that its pages offer."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_cli.io.fields import SEPARATOR
from lstm_cli.prediction.examples import (
    FIXED_TEXTS,
    MAX_CHARACTERS,
    alternate_classes,
    choose_examples,
    choose_golden_rows,
)
from lstm_cli.runs.validate import Golden


def golden(texts, classes):
    return Golden(list(texts), np.eye(3, dtype=np.float32)[classes])


def test_examples_are_of_the_data_and_classes_take_turns():
    texts = ["the first of two bad films", "the second of two bad films", "a good film, all in all"]
    found = choose_examples(golden([*FIXED_TEXTS, *texts], [0, 1, 1, 0, 0, 1]))
    assert found == [texts[0], texts[2], texts[1]]


def test_the_first_example_is_not_short_if_there_is_a_longer_one():
    long = "a text that is long enough"
    assert choose_examples(golden(["ok", "fine", long], [0, 1, 0])) == [long, "fine", "ok"]
    assert choose_examples(golden(["很好", "不好"], [0, 1])) == ["很好", "不好"]


def test_without_other_texts_the_fixed_ones_are_shown():
    found = choose_examples(golden([*FIXED_TEXTS, "  "], [0, 0, 0, 0]))
    assert found == [FIXED_TEXTS[2], "good"]


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("word " * 70 + "End. " + "more " * 30, "End."),
        ("word " * 100, "word"),
        ("好" * 300 + "。" + "好" * 200, "。"),
        ("好" * 500, "好"),
        ("a. " * 90 + f"{SEPARATOR} " + "b" * 500, f"{SEPARATOR}"),
    ],
)
def test_a_text_that_was_cut_ends_with_a_sentence_or_word(text, end):
    (found,) = choose_examples(golden([text[:MAX_CHARACTERS]], [0]))
    assert text.startswith(found)
    assert found.endswith(end)
    assert len(found) > MAX_CHARACTERS // 2


def test_images_take_turns():
    images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1)
    found = choose_examples(Golden(images, np.eye(3, dtype=np.float32)[[0, 0, 2, 1]]))
    assert found == [[[0]], [[2]], [[3]], [[1]]]


def test_classes_take_turns_in_the_order_of_their_first_rows():
    assert alternate_classes([1, 1, 1, 0, 2, 0]) == [0, 3, 4, 1, 5, 2]
    assert alternate_classes([]) == []


def test_golden_classes_take_turns_and_whole_texts_of_some_length_come_first():
    whole, short, long = "word " * 10, "word", "word " * MAX_CHARACTERS
    texts = [short, whole, whole, long, whole, whole]
    labels = np.array([0, 0, 0, 1, 1, 0], np.int32)
    assert choose_golden_rows(texts, labels) == [1, 4, 2, 3, 5, 0]


def test_the_first_label_of_an_example_counts():
    labels = np.array([[0, 1, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]], np.int32)
    assert choose_golden_rows(["word"] * 4, labels) == [0, 2, 3, 1]


def test_golden_images_of_a_class_do_not_follow_each_other():
    images = np.zeros((5, 2, 2), np.uint8)
    labels = np.array([7, 7, 7, 3, 1], np.int32)
    assert choose_golden_rows(images, labels) == [0, 3, 4, 1, 2]

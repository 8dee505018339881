"""What a model has learned from, and which rows of other data are among it."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from lstm_cli.checks import keys_of, overlap
from lstm_cli.checks.overlap import Keys, among, learn
from lstm_cli.data.dataset import Split

LABELS = ("bad", "good")


def split(*pairs, labels=LABELS):
    texts, names = zip(*pairs, strict=True)
    return Split(list(texts), np.array([labels.index(name) for name in names], np.int32))


def found(train, *pairs, labels=LABELS):
    return overlap(
        learn(keys_of(split(*train), LABELS)), keys_of(split(*pairs, labels=labels), labels)
    )


TRAIN = [("A fine film.", "good"), ("dull", "bad"), ("", "bad"), ("both", "bad"), ("both", "good")]


@pytest.mark.parametrize(
    ("text", "label", "expected"),
    [
        ("A fine film.", "good", (1, 0)),
        ("a  FINE film. ", "good", (1, 0)),
        ("A fine film.", "bad", (1, 1)),
        ("both", "bad", (1, 0)),
        ("both", "good", (1, 0)),
        ("a finer film", "good", (0, 0)),
        ("", "bad", (0, 0)),
    ],
)
def test_texts_are_compared_after_normalising_and_labels_beside_them(text, label, expected):
    result = found(TRAIN, (text, label))
    assert (result.num_seen, result.num_relabeled) == expected


def test_labels_are_compared_by_name_and_not_by_id():
    result = found(
        TRAIN, ("dull", "bad"), ("dull", "Bad"), ("dull", "new"), labels=("new", "Bad", "bad")
    )
    assert result.is_seen.tolist() == [True] * 3
    assert result.is_relabeled.tolist() == [False, False, True]


def test_texts_with_two_labels_are_counted_once():
    learned = learn(keys_of(split(*TRAIN, ("both", "good")), LABELS))
    assert learned.num_relabeled == 1
    assert len(learned.inputs) == 3
    assert learn(keys_of(split(*TRAIN[:3]), LABELS)).num_relabeled == 0


def test_several_labels_are_one_set():
    labels = ("a", "b", "c")
    train = Split(["x", "y", "z"], np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]], np.int32))
    other = Split(
        ["x", "x", "y", "z"], np.array([[1, 0, 1], [0, 1, 1], [0, 0, 0], [1, 0, 0]], np.int32)
    )
    # The same names in another order.
    result = overlap(learn(keys_of(train, labels)), keys_of(other, ("b", "c", "a")))
    assert result.is_seen.all()
    assert result.is_relabeled.tolist() == [False, True, False, True]


def test_images_are_compared_by_their_pixels():
    images = np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2)
    labels = np.array([0, 1, 0], np.int32)
    learned = learn(keys_of(Split(images[:2], labels[:2]), LABELS))
    result = overlap(learned, keys_of(Split(images[1:], labels[1:]), LABELS))
    assert result.is_seen.tolist() == [True, False]
    assert result.describe("test", "in train", "images").startswith("1 of 2 test images are in")


def random_keys(rng, num):
    """Keys of which many occur several times, some with two labels, and some are of no text."""
    inputs = rng.integers(0, 1 << 64, num, np.uint64)[rng.integers(0, num, 2 * num)]
    inputs[rng.integers(0, len(inputs), 3)] = 0
    return Keys(inputs, inputs ^ rng.integers(0, 2, len(inputs), np.uint64))


def test_many_examples_are_compared_in_parts_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(0)
    train, other = random_keys(rng, 50), random_keys(rng, 20)
    test = Keys(
        np.append(train.inputs[:30], other.inputs),
        np.append(train.labeled[:30] ^ np.uint64(2), other.labeled),
    )
    whole, seen = learn(train, test), overlap(learn(train), test)
    monkeypatch.setattr(import_module("lstm_cli.checks.overlap"), "_MANY", 10)
    parts, in_parts = learn(train, test), overlap(learn(among(train, test)), test)
    assert parts.inputs.tolist() == whole.inputs.tolist()
    assert parts.labeled.tolist() == whole.labeled.tolist()
    assert parts.num_relabeled == whole.num_relabeled > 0
    assert in_parts.is_seen.tolist() == seen.is_seen.tolist()
    assert in_parts.is_relabeled.tolist() == seen.is_relabeled.tolist()
    assert seen.num_relabeled > 0
    assert 0 not in parts.inputs

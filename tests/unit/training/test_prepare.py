from __future__ import annotations

from types import SimpleNamespace

import pytest

from lstm_cli.config.schema import TextSettings
from lstm_cli.text.corpus import encode, fit_and_encode
from lstm_cli.training.prepare import describe_truncation
from lstm_cli.training.prepare_classifier import _describe_sizes


def test_texts_that_are_not_read_whole_are_counted_and_can_be_read_as_the_note_says():
    texts = ["one two three", " ".join(["word"] * 3008), " ".join(["word"] * 801), ""]
    settings = TextSettings(min_count=1, max_tokens=401)
    tokenizer, train = fit_and_encode(texts, settings)
    validation = encode(texts[:1], tokenizer)
    note = describe_truncation([train, validation], 401)
    assert note.startswith(
        "2 of 5 texts are longer than 401 tokens (the longest has 3,008): only their first 201 and "
        "last 200 are read, and 78.8% of all tokens are not."
    )
    assert "--set text.max_tokens=3008" in note
    whole = encode(texts, tokenizer.with_max_tokens(3008))
    assert describe_truncation([whole], 3008) == ""


@pytest.mark.parametrize(
    ("num_folds", "num_replayed", "expected"),
    [
        (0, 0, "72 train + 8 validation + 20 test"),
        (0, 30, "72 train (30 of them replayed) + 8 validation + 20 test"),
        (5, 0, "80 rows in 5 folds + 20 test"),
        # Replayed rows are learned in each fold, and validated in none.
        (5, 30, "50 rows in 5 folds, 30 replayed + 20 test"),
    ],
)
def test_the_sizes_are_those_of_what_is_trained(num_folds, num_replayed, expected):
    splits = {"train": range(72), "validation": range(8), "test": range(20)}
    data = SimpleNamespace(splits=splits, num_replayed=num_replayed, unlabeled=None)
    assert _describe_sizes(data, num_folds) == expected

from __future__ import annotations

from lstm_cli.config.schema import TextSettings
from lstm_cli.text.corpus import encode, fit_and_encode
from lstm_cli.training.prepare import describe_truncation


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

"""The saved tokenizer: ours again, and one that the library `tokenizers` reads alike."""

from __future__ import annotations

import random

import numpy as np
import tokenizers
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.config.schema import TextSettings
from lstm_cli.text import tokenizer_json
from lstm_cli.text.tokenizer import Tokenizer, split, token_spans

SETTINGS = TextSettings(min_count=1, max_tokens=3)
TOKENIZER = Tokenizer.fit(["Good don't 映画 pad 😀 é \"\\ ½"], SETTINGS)
TRICKY = "aÉ'’<br />\n[]UİΣßﬁ\u200d\u0301映ひカ한😀½²_٣\u0085\u00a0…–\x00\x1c\x7f"


def saved():
    """What other programs make of a run's file."""
    found = tokenizers.Tokenizer.from_str(tokenizer_json.write(TOKENIZER))
    # A text that says "[PAD]" means the word, not the mark.
    found.encode_special_tokens = True
    return found


def test_what_is_saved_encodes_the_same():
    again = tokenizer_json.read(tokenizer_json.write(TOKENIZER).encode(), SETTINGS)
    assert again.words == TOKENIZER.words
    texts = ["good don’t 映 [pad] 😀", "", "[PAD]", "new words \ud800"]
    for one, other in zip(TOKENIZER.encode(texts), again.encode(texts), strict=True):
        assert np.array_equal(one.ids, other.ids)
        assert (one.num_tokens, one.num_unknown) == (other.num_tokens, other.num_unknown)


def test_the_file_is_the_one_that_tokenizers_writes():
    assert saved().to_str() == tokenizer_json.write(TOKENIZER)


def check(theirs, text):
    """Hold tokens, places and ids of a text to what the other library finds."""
    small = theirs.normalizer.normalize_str(text)
    assert split(text) == [word for word, _ in theirs.pre_tokenizer.pre_tokenize_str(small)]
    encoded = theirs.encode(text)
    assert token_spans(text) == [tuple(place) for place in encoded.offsets]
    ids = TOKENIZER.with_max_tokens(1000).encode([text])[0].ids
    assert ids.tolist() == (encoded.ids or [1])


@relaxed
@given(st.text(st.characters(exclude_categories=["Cs", "Cn"]) | st.sampled_from(TRICKY)))
def test_tokenizers_takes_any_text_apart_alike(text):
    check(saved(), text)


def test_tokenizers_takes_many_texts_apart_alike():
    drawn, theirs = random.Random(0), saved()
    pieces = [*TRICKY, "<br />", "<BR>", "don't", "good ", "é", " "]
    for _ in range(2000):
        check(theirs, "".join(drawn.choices(pieces, k=drawn.randrange(12))))

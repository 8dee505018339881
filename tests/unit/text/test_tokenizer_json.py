"""tokenizer.json: a round trip, and agreement with the library `tokenizers`."""

from __future__ import annotations

import random

import numpy as np
import tokenizers
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.config.schema import TextSettings
from lstm_cli.text import tokenizer_json
from lstm_cli.text.tokenizer import Tokenizer, token_spans, tokenize

SETTINGS = TextSettings(min_count=1, max_tokens=3)
TOKENIZER = Tokenizer.fit(["Good don't 映画 pad 😀 é \"\\ ½"], SETTINGS)
TRICKY = "aÉ'’<br />\n[]UİΣßﬁ\u200d\u0301映ひカ한😀½²_٣\u0085\u00a0…–\x00\x1c\x7f"


def library_tokenizer():
    """The tokenizer that the library `tokenizers` reads from our file."""
    loaded = tokenizers.Tokenizer.from_str(tokenizer_json.write(TOKENIZER))
    # "[PAD]" in a text is a word, not the special token.
    loaded.encode_special_tokens = True
    return loaded


def test_a_saved_tokenizer_encodes_the_same():
    loaded = tokenizer_json.read(tokenizer_json.write(TOKENIZER).encode(), SETTINGS)
    assert loaded.words == TOKENIZER.words
    texts = ["good don’t 映 [pad] 😀", "", "[PAD]", "new words \ud800"]
    for one, other in zip(TOKENIZER.encode(texts), loaded.encode(texts), strict=True):
        assert np.array_equal(one.ids, other.ids)
        assert (one.num_tokens, one.num_unknown) == (other.num_tokens, other.num_unknown)


def test_the_library_writes_the_same_file():
    assert library_tokenizer().to_str() == tokenizer_json.write(TOKENIZER)


def check(theirs, text):
    """Check that tokens, spans and ids of a text are those of the library."""
    normalized = theirs.normalizer.normalize_str(text)
    assert tokenize(text) == [word for word, _ in theirs.pre_tokenizer.pre_tokenize_str(normalized)]
    encoded = theirs.encode(text)
    assert token_spans(text) == [tuple(span) for span in encoded.offsets]
    ids = TOKENIZER.with_max_tokens(1000).encode([text])[0].ids
    assert ids.tolist() == (encoded.ids or [1])


@relaxed
@given(st.text(st.characters(exclude_categories=["Cs", "Cn"]) | st.sampled_from(TRICKY)))
def test_the_library_tokenizes_any_text_like_us(text):
    check(library_tokenizer(), text)


def test_the_library_tokenizes_many_texts_like_us():
    rng, theirs = random.Random(0), library_tokenizer()
    pieces = [*TRICKY, "<br />", "<BR>", "don't", "good ", "é", " "]
    for _ in range(2000):
        check(theirs, "".join(rng.choices(pieces, k=rng.randrange(12))))

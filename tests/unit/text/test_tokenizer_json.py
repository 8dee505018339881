"""tokenizer.json: a round trip, and agreement with the library `tokenizers`."""

from __future__ import annotations

import random
import sys
import unicodedata

import numpy as np
import pytest
import tokenizers
from fixtures_properties import relaxed
from fixtures_scripts import SAMPLES
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.config.schema import TextSettings
from lstm_cli.text import tokenizer_json
from lstm_cli.text.normalization import normalize
from lstm_cli.text.tokenizer import Tokenizer, token_spans, tokenize

SETTINGS = TextSettings(min_count=1, max_tokens=3)
TOKENIZER = Tokenizer.fit(["Good don't ␟ 映画 pad 😀 é \"\\ ½"], SETTINGS)
TRICKY = (
    "␟aÉ'’<br />\n[]UİΣßﬁ\u200d\u0301映ひカ한😀½²_٣\u0085\u00a0…–\x00\x1c\x7f™´🏽\u00ad\u200b\ufe0f"
    "ㄱㅏ\u1100\u1161\u11a8ﾊﾞ\u3099ำ\u0e4d\u0e32ก้ีໜ\u0ecd\u0eb2ក\u17d2ေမ\u1039ဂ\u09c7\u09beـ\u064b\u0654اﷺ"
)
# NFKC of the library knows Unicode 12, that of Python a later version.
NEW_TO_THE_LIBRARY = [
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if unicodedata.decomposition(character) and unicodedata.ucd_3_2_0.category(character) == "Cn"
]


def library_tokenizer():
    """The tokenizer that the library `tokenizers` reads from our file."""
    return tokenizers.Tokenizer.from_str(tokenizer_json.write(TOKENIZER))


@pytest.mark.parametrize("text", ["[UNK] good", "[PAD]", "a[UNK]", "[unk] [PAD][UNK]", "[ UNK ]"])
def test_special_tokens_in_a_text_are_words_for_the_library_too(text):
    check(library_tokenizer(), text)


def test_a_saved_tokenizer_encodes_the_same():
    loaded = tokenizer_json.read(tokenizer_json.write(TOKENIZER).encode(), SETTINGS)
    assert loaded.words == TOKENIZER.words
    texts = ["good don’t 映 [pad] 😀", "", "[PAD]", "new words \ud800"]
    for one, other in zip(TOKENIZER.encode(texts), loaded.encode(texts), strict=True):
        assert np.array_equal(one.ids, other.ids)
        assert (one.num_tokens, one.num_unknown) == (other.num_tokens, other.num_unknown)


def test_the_library_writes_the_same_file():
    assert library_tokenizer().to_str() == tokenizer_json.write(TOKENIZER)


def check_offsets(text, offsets):
    """Check our spans with the offsets of the library.

    The library leaves out marks at the end of a word if they were composed or removed. Where marks
    have no letter or another order, it gives one the place of another.
    """
    spans = token_spans(text)
    assert len(spans) == len(offsets)
    if not any(unicodedata.category(character).startswith("M") for character in text):
        assert [start for start, _ in spans] == [start for start, _ in offsets]
        ends = zip((end for _, end in spans), (end for _, end in offsets), strict=True)
        assert all(end >= their_end for end, their_end in ends)
    if unicodedata.is_normalized("NFKC", text) and normalize(text) == text:
        assert spans == [tuple(span) for span in offsets]


def check(theirs, text):
    """Check that tokens, spans and ids of a text are those of the library."""
    normalized = theirs.normalizer.normalize_str(text)
    assert tokenize(text) == [word for word, _ in theirs.pre_tokenizer.pre_tokenize_str(normalized)]
    encoded = theirs.encode(text)
    check_offsets(text, encoded.offsets)
    ids = TOKENIZER.with_max_tokens(1000).encode([text])[0].ids
    assert ids.tolist() == (encoded.ids or [1])


@relaxed
@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cn"], exclude_characters=NEW_TO_THE_LIBRARY)
        | st.sampled_from(TRICKY)
    )
)
def test_the_library_tokenizes_any_text_like_us(text):
    check(library_tokenizer(), text)


def test_the_library_tokenizes_many_texts_like_us():
    rng, theirs = random.Random(0), library_tokenizer()
    pieces = [*TRICKY, "<br />", "<BR>", "don't", "good ", "é", " "]
    for _ in range(2000):
        check(theirs, "".join(rng.choices(pieces, k=rng.randrange(12))))


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_the_library_tokenizes_each_script_like_us(sample):
    for text in (sample.text, sample.look_alike):
        check(library_tokenizer(), text)


@pytest.mark.parametrize("symbol", ["😀", "™", "½", "\ufdfa"])
def test_a_text_can_begin_with_a_symbol(symbol):
    for text in (symbol, symbol + "a", symbol * 3 + " e\u0301", "\u200d" + symbol):
        check(library_tokenizer(), text)


def test_the_library_tokenizes_each_character_like_us():
    theirs, different = library_tokenizer(), []
    # NFKC of the library knows Unicode 12.
    known = unicodedata.ucd_3_2_0.category
    for code in range(sys.maxunicode + 1):
        if known(chr(code)) in ("Cn", "Cs", "Co") or 0x4E80 < code < 0x9F00 or code > 0x20010:
            continue
        text = f"a{chr(code)}ก{chr(code)}"
        normalized = theirs.normalizer.normalize_str(text)
        found = [word for word, _ in theirs.pre_tokenizer.pre_tokenize_str(normalized)]
        if tokenize(text) != found:
            different.append(hex(code))
    assert different == []

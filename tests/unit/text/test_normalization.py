"""Normalization: each rule, and the place of each character in the original."""

from __future__ import annotations

import time
import unicodedata

import pytest
from fixtures_properties import relaxed
from fixtures_scripts import SAMPLES
from hypothesis import example, given
from hypothesis import strategies as st

from lstm_cli.text.normalization import normalize, normalize_aligned
from lstm_cli.text.tokenizer import is_unspaced, token_spans, tokenize

# Letters that combine with their neighbours, are removed, or become several.
TRICKY = st.text(
    st.sampled_from(
        "aÉ'’<\n[]\ud800İΣςßﬁ\u200d\u0301\u0323映ひカ한½²٣\u00a0…\x00™´ㄱㅏ\u1100\u1161\u11a8가ﾊﾞが\u3099"
        "ำ\u0e4d\u0e32ก้ีໜ\u0ecd\u0eb2ក\u17d2ေမ\u1039ဂ\u09c7\u09be\u09cd\u200cـ\u064b\u0654اﷺ\u0345=\u0338"
        "\u034f\ufe0f🏽\u00ad\u200b\u202e"
    ),
    max_size=12,
)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ΟΔΟΣ", "οδοσ"),
        ("ａ－１", "a-1"),
        ("\u200ba\ufeffb\u200e", "\u200bab"),
        ("don\u2019t don\u02bct don\u00b4t", "don't don't don't"),
        ("x²", "x 2 "),
        ("\ud800", "?"),
        ("a<BR />b", "a b"),
        ("آ أ إ ؤ ئ", "آ أ إ ؤ ئ"),
    ],
)
def test_rules(text, expected):
    assert normalize(text) == expected


@relaxed
@given(TRICKY | ANY_TEXT)
@example("e\u200d\u0301")
@example("\u1100\ufe0f\u1161\u11a8")
@example("e\u0323\u0640\u0301")
@example("😀\uff9e")
def test_the_aligned_text_is_the_normalized_text(text):
    aligned = normalize_aligned(text)
    # Symbols that NFKC does not change are set apart in some texts only.
    assert "".join(aligned.text.split()) == "".join(normalize(text).split())
    assert len(aligned.text) == len(aligned.starts) == len(aligned.ends)
    assert aligned.starts == sorted(aligned.starts)
    assert all(a < b <= len(text) for a, b in zip(aligned.starts, aligned.ends, strict=True))


@relaxed
@given(TRICKY | ANY_TEXT)
def test_the_span_of_a_token_holds_that_token_alone(text):
    spans, tokens = token_spans(text), tokenize(text)
    assert len(spans) == len(tokens)
    for index, ((start, end), token) in enumerate(zip(spans, tokens, strict=True)):
        neighbours = spans[max(index - 1, 0) : index] + spans[index + 1 : index + 2]
        if all(last <= start or end <= first for first, last in neighbours):
            assert tokenize(text[start:end]) == [token]


@relaxed
@given(TRICKY | ANY_TEXT, st.sampled_from(["NFC", "NFD"]))
def test_composed_and_decomposed_texts_have_the_same_tokens(text, form):
    # These two belong to letters of both forms, and Unicode orders them differently in each.
    text = text.replace("\u0345", "").replace("\u0338", "")
    assert tokenize(unicodedata.normalize(form, text)) == tokenize(text)


@pytest.mark.parametrize("text", ["e" + "\u0301" * 20_000, "한" * 20_000, "ᄀ" + "\u1161" * 20_000])
def test_spans_take_linear_time(text):
    began = time.process_time()
    token_spans(text)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_each_script_has_its_tokens_and_spans(sample):
    assert tokenize(sample.text) == sample.tokens
    spans = token_spans(sample.text)
    assert [sample.text[start:end] for start, end in spans] == sample.words
    assert tokenize(sample.look_alike) == sample.tokens
    assert len(token_spans(sample.look_alike)) == len(sample.tokens)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_unspaced_tokens_are_known_by_their_script(sample):
    found = [is_unspaced(token) for token in sample.tokens]
    if sample.unspaced:
        assert all(found)
    elif sample.name not in ("chinese", "japanese full-width"):
        assert not any(found)


@pytest.mark.parametrize("token", ["", "a", "１", "๒๕", "。", "😀", "한국", "é"])
def test_numbers_and_marks_are_not_unspaced(token):
    assert not is_unspaced(token)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.checks.keys import label_key, letters
from lstm_cli.text.equality import comparable, text_keys
from lstm_cli.text.normalization import normalize


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Good  film ", "good film"),
        ("caf\u00e9", "cafe\u0301"),
        ("fi\u200blm", "fi lm"),
        ("\uff27ood", "good"),
        ("a<br />b", "a b"),
        ("it\u2019s", "it's"),
    ],
)
def test_texts_that_look_the_same_have_one_key(first, second):
    assert comparable(first) == comparable(second)
    assert len(set(text_keys([first, second]).tolist())) == 1


@pytest.mark.parametrize(
    ("first", "second"), [("good", "good!"), ("no", "on"), ("a b", "ab"), ("1", "2")]
)
def test_other_texts_have_other_keys(first, second):
    assert len(set(text_keys([first, second]).tolist())) == 2


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_texts_take_a_shortcut_to_the_same_result(text):
    assert comparable(text) == " ".join(normalize(text).split())


def test_an_empty_text_has_the_key_zero():
    assert text_keys(["", " \n", "\u200b", "\u00ad", "a"]).tolist()[:4] == [0, 0, 0, 0]


def test_punctuation_is_no_letter_and_emoji_and_vowel_signs_are():
    assert letters("Top-up: \u00a310, NOW!") == "top up 10 now"
    assert letters("\u0915\u093f\u0924\u093e\u092c\u0964") == "\u0915\u093f\u0924\u093e\u092c"
    assert letters("fine \U0001f60a.") != letters("fine.")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Billing", "billing"),
        ("sign in", "sign_in"),
        ("sign in", "sign  in"),
        ("pos", "pos\u200b"),
        ("pos", "p\u200bos"),
        ("Caf\u00e9", "Cafe\u0301"),
        ("1", "1.0"),
        ("1", "01"),
        ("1", "1.00"),
        ("\u2764", "\u2764\ufe0f"),
        ("good", '"good"'),
        ("good", "g\u043eod"),
    ],
)
def test_labels_that_look_alike_have_one_key(first, second):
    assert label_key(first) == label_key(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1", "-1"),
        ("1234567", "1234568"),
        ("123456789012345678", "123456789012345679"),
        ("1.5", "1.50001"),
        ("a-b", "ab"),
        ("pos", "neg"),
        ("C", "C++"),
    ],
)
def test_other_labels_have_other_keys(first, second):
    assert label_key(first) != label_key(second)

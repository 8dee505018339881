"""Spaces between tokens, as English is written."""

from __future__ import annotations

import pytest

from lstm_cli.text.detokenize import detokenize, spaced
from lstm_cli.text.tokenizer import tokenize


@pytest.mark.parametrize(
    "text",
    [
        "",
        "it is fine, isn't it?",
        'a "great" film (of 1997): "no, thanks." he left',
        "a well-known actor: 7/10, or 7.5 of 10",
        "it cost $5, that is 10%!",
        "he said: 'yes'; [then] left...",
        "at 10:30 on the 4.7",
        "\u6211\u559c\u6b22\u3002\u597d!",
    ],
)
def test_a_text_comes_back_from_its_tokens(text):
    assert detokenize(tokenize(text)) == text


def test_a_dash_of_two_hyphens_stands_apart():
    assert detokenize(tokenize("a film -- or not")) == "a film - - or not"


def test_there_is_a_piece_for_each_token():
    tokens = tokenize('"a well-known film."')
    assert [piece.strip() for piece in spaced(tokens)] == tokens

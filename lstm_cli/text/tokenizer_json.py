"""The file `tokenizer.json`: a tokenizer in the format of the library `tokenizers`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from lstm_cli.config.schema import TextSettings
from lstm_cli.text import normalization
from lstm_cli.text.token_ids import SPECIAL_TOKENS, UNKNOWN_ID
from lstm_cli.text.tokenizer import TOKEN, Tokenizer

_MAX_WORDS = 65_536
# A token with a comma or a bracket consists of that mark alone. So the number of these marks in a
# file limits, before parsing, how many values it has and how much memory parsing takes.
_MAX_COMMAS = _MAX_WORDS + 100
_MAX_BRACKETS = 200

_Id = Annotated[int, Meta(ge=0, lt=_MAX_WORDS)]


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    vocab: dict[str, _Id]
    unk_token: str


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    """The file as the library `tokenizers` writes it."""

    version: Any
    truncation: Any
    padding: Any
    added_tokens: Any
    normalizer: Any
    pre_tokenizer: Any
    post_processor: Any
    decoder: Any
    model: _Model


def write(tokenizer: Tokenizer) -> str:
    """Return a tokenizer as JSON for the library `tokenizers`, without the maximum length."""
    saved = _file({word: token_id for token_id, word in enumerate(tokenizer.words)})
    return json.dumps(saved, ensure_ascii=False, separators=(",", ":"))


def read(content: bytes, settings: TextSettings, char_buckets: int = 0) -> Tokenizer:
    """Read the tokenizer of a run from its file.

    The file also describes the tokenization and could describe another one, so everything except
    the vocabulary must equal what `write` produces.

    Args:
        content: Content of `tokenizer.json`.
        settings: The text settings of the run.
        char_buckets: As for `Tokenizer`.

    Raises:
        ValueError: The file is not valid; the message continues a sentence that begins with the
            name of the file.
    """
    saved = _decode(content)
    expected = msgspec.convert(_file({}), _Saved)
    for part in _Saved.__struct_fields__[:-1]:
        if getattr(saved, part) != getattr(expected, part):
            raise ValueError(f"is not the tokenizer of a run: '{part}' differs")
    if (saved.model.type, saved.model.unk_token) != (expected.model.type, expected.model.unk_token):
        raise ValueError("is not the tokenizer of a run: its model is not a WordLevel with [UNK]")
    vocab = saved.model.vocab
    _check_ids(vocab, settings)
    words = sorted(vocab, key=vocab.__getitem__)
    return Tokenizer(words, settings.max_tokens, char_buckets, settings.min_similarity)


def _decode(content: bytes) -> _Saved:
    if content.count(b",") > _MAX_COMMAS:
        raise ValueError(f"has more than {_MAX_WORDS:,} words")
    if content.count(b"[") + content.count(b"{") > _MAX_BRACKETS:
        raise ValueError("is not the tokenizer of a run: it has too many lists")
    try:
        return msgspec.json.decode(content, type=_Saved)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not the tokenizer of a run: {str(error)[:200]}") from None


def _check_ids(vocab: dict[str, int], settings: TextSettings) -> None:
    """Check that the ids are 0, 1, 2, ... and that each belongs to one word."""
    if not len(SPECIAL_TOKENS) < len(vocab) <= settings.vocab_size:
        raise ValueError(
            f"has {len(vocab):,} words, expected 3 to {settings.vocab_size:,} (text.vocab_size)"
        )
    ids = np.fromiter(vocab.values(), np.int64, len(vocab))
    if not np.array_equal(np.sort(ids), np.arange(len(ids))):
        raise ValueError("has ids that are missing or used twice")
    if [vocab.get(token) for token in SPECIAL_TOKENS] != list(range(len(SPECIAL_TOKENS))):
        raise ValueError(f"does not begin with {' and '.join(SPECIAL_TOKENS)}")


def _file(vocab: dict[str, int]) -> dict[str, Any]:
    """Return the file of a vocabulary: `tokenizer.tokenize` in the terms of `tokenizers`."""
    steps = [
        _replace(f"(?i){normalization.LINE_BREAK}", " "),
        _replace(normalization.INVISIBLE, ""),
        _replace(normalization.APOSTROPHES, "'"),
        _replace(_edges(normalization.SYMBOL), " "),
        {"type": "NFKC"},
        *(_replace(parts, vowel) for parts, vowel in normalization.AM_VOWELS),
        _replace(normalization.OPTIONAL_SIGNS, ""),
        {"type": "Lowercase"},
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        # A special token would be found in a text, too: there "[UNK]" is three tokens.
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": TOKEN},
            "behavior": "Removed",
            "invert": True,
        },
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": SPECIAL_TOKENS[UNKNOWN_ID]},
    }


def _replace(expression: str, content: str) -> dict[str, Any]:
    """Return a step that replaces what a regular expression matches."""
    return {"type": "Replace", "pattern": {"Regex": expression}, "content": content}


def _edges(symbol: str) -> str:
    """Return the expression of the places before and after a symbol, except the start of the text.

    Source: `tokenizers` 0.23 panics in NFKC when a step before has put something there.
    """
    return rf"(?!\A)(?={symbol})|(?<={symbol})"

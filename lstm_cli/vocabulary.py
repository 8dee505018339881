"""A saved tokenizer -> the tokenizer, of which nothing but the vocabulary is taken."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from lstm_cli.config import TextSettings
from lstm_cli.text import SPECIAL_TOKENS, UNKNOWN_ID, Tokenizer, pipeline

_MAX_WORDS = 65_536
# No word holds a comma or a bracket but those that are one: so the marks in a file bound the
# values in it, and what parsing it may allocate, before it is parsed.
_MAX_COMMAS = _MAX_WORDS + 100
_MAX_BRACKETS = 100

_Id = Annotated[int, Meta(ge=0, lt=_MAX_WORDS)]


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    vocab: dict[str, _Id]
    unk_token: str


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    """The file `tokenizers` writes."""

    version: Any
    truncation: Any
    padding: Any
    added_tokens: Any
    normalizer: Any
    pre_tokenizer: Any
    post_processor: Any
    decoder: Any
    model: _Model


def read(content: bytes, settings: TextSettings) -> Tokenizer:
    """Build the tokenizer of a run from the vocabulary in its file.

    The file also holds patterns for splitting and replacing, and could name any other model or
    pattern, one that takes for ever among them. They must be ours, and ours are used.

    Args:
        content: `tokenizer.json`.
        settings: Of the run.

    Raises:
        ValueError: The file is none of ours; the words go on after its name.
    """
    saved = _decode(content)
    ours = _pipeline({})
    expected = _decode(ours.to_str().encode())
    for part in _Saved.__struct_fields__[:-1]:
        if getattr(saved, part) != getattr(expected, part):
            raise ValueError(f"is not the tokenizer of a run: its '{part}' is another one")
    if (saved.model.type, saved.model.unk_token) != ("WordLevel", SPECIAL_TOKENS[UNKNOWN_ID]):
        raise ValueError("is not the tokenizer of a run: its model is no WordLevel of ours")
    _check_ids(saved.model.vocab, settings)
    return Tokenizer(_pipeline(saved.model.vocab), settings.max_tokens)


def _decode(content: bytes) -> _Saved:
    if content.count(b",") > _MAX_COMMAS:
        raise ValueError(f"holds over {_MAX_WORDS:,} words")
    if content.count(b"[") + content.count(b"{") > _MAX_BRACKETS:
        raise ValueError("is not the tokenizer of a run: it nests lists in lists")
    try:
        return msgspec.json.decode(content, type=_Saved)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not the tokenizer of a run: {str(error)[:200]}") from None


def _check_ids(vocab: dict[str, int], settings: TextSettings) -> None:
    """Hold that the ids are 0, 1, 2, ... and each stands for one word."""
    if not len(SPECIAL_TOKENS) < len(vocab) <= settings.vocab_size:
        raise ValueError(
            f"holds {len(vocab):,} words, expected 3 to {settings.vocab_size:,} (text.vocab_size)"
        )
    ids = np.fromiter(vocab.values(), np.int64, len(vocab))
    if not np.array_equal(np.sort(ids), np.arange(len(ids))):
        raise ValueError("leaves ids out, or gives one to two words")
    if [vocab.get(token) for token in SPECIAL_TOKENS] != list(range(len(SPECIAL_TOKENS))):
        raise ValueError(f"does not begin with {' and '.join(SPECIAL_TOKENS)}")


def _pipeline(vocab: dict[str, int]) -> Any:
    from tokenizers import models

    inner = pipeline()
    inner.model = models.WordLevel(vocab=vocab, unk_token=SPECIAL_TOKENS[UNKNOWN_ID])
    inner.add_special_tokens(list(SPECIAL_TOKENS))
    return inner

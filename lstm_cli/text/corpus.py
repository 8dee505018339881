"""Encoded texts: the token ids of many texts in four arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import TextSettings
from lstm_cli.errors import LstmError
from lstm_cli.io.worker import Worker
from lstm_cli.text.tokenizer import (
    UNKNOWN_ID,
    Tokenizer,
    encode_tokens,
    fit_vocabulary,
    head_and_tail,
)

_CHUNK = 2048


@dataclass(frozen=True)
class Corpus:
    """Encoded texts, one after the other.

    Attributes:
        ids: Token ids of all texts, `<uint16>[sum of lengths]`.
        starts: Position of the first token of each text, and the end, `<int64>[num + 1]`.
        num_tokens: Tokens in each text before truncation, `<int32>[num]`.
        num_unknown: Unknown tokens in each text before truncation, `<int32>[num]`.
    """

    ids: NDArray[np.uint16]
    starts: NDArray[np.int64]
    num_tokens: NDArray[np.int32]
    num_unknown: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.num_tokens)

    def __getitem__(self, index: int) -> NDArray[np.uint16]:
        """Return the ids of one text, `<uint16>[time]`."""
        return self.ids[self.starts[index] : self.starts[index + 1]]

    def take(self, indices: NDArray[np.int64]) -> Corpus:
        """Return a corpus of the texts at these indices."""
        rows = [self[int(i)] for i in indices]
        starts = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        totals, unknown = self.num_tokens[indices], self.num_unknown[indices]
        return Corpus(np.concatenate(rows), starts, totals, unknown)

    def concatenated_with(self, other: Corpus) -> Corpus:
        """Return a corpus, in memory, of these texts followed by those of `other`."""
        return Corpus(
            np.concatenate([self.ids, other.ids]),
            np.concatenate([self.starts, self.starts[-1] + other.starts[1:]]),
            np.concatenate([self.num_tokens, other.num_tokens]),
            np.concatenate([self.num_unknown, other.num_unknown]),
        )

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens in each text after truncation, at least 1, `<int64>[num]`."""
        return np.diff(self.starts)

    @property
    def coverage(self) -> float:
        """Fraction of tokens that are in the vocabulary."""
        total = int(self.num_tokens.sum())
        return 1.0 - int(self.num_unknown.sum()) / total if total else 1.0

    @property
    def truncated_fraction(self) -> float:
        """Fraction of texts that were truncated."""
        return float(np.mean(self.num_tokens > self.lengths)) if len(self) else 0.0


def fit_and_encode(
    texts: Sequence[str], settings: TextSettings, worker: Worker | None = None
) -> tuple[Tokenizer, Corpus]:
    """Learn a vocabulary and encode the same texts, tokenizing them only once.

    Args:
        texts: The training split.
        settings: Vocabulary size, minimum count, maximum length.
        worker: Tokenizes a part of the texts in parallel.

    Raises:
        LstmError: No word is frequent enough for the vocabulary.
    """
    tokenizer, ids, lengths = fit_vocabulary(texts, settings, worker)
    return tokenizer, _truncate(ids, lengths, settings.max_tokens)


def encode(texts: Sequence[str], tokenizer: Tokenizer) -> Corpus:
    """Encode texts in memory.

    Raises:
        LstmError: The vocabulary has more than 65,536 tokens.
    """
    if tokenizer.vocab_size > 1 << 16:
        raise LstmError(
            f"The vocabulary has {tokenizer.vocab_size} tokens; at most 65536 can be stored.",
            "Lower text.vocab_size.",
        )
    parts = []
    # In chunks: all ids at once, before truncation, would need twice the memory.
    for start in range(0, max(1, len(texts)), _CHUNK):
        ids, lengths = encode_tokens(texts[start : start + _CHUNK], tokenizer.token_to_id)
        parts.append(_truncate(ids.astype(np.uint16), lengths, tokenizer.max_tokens))
    return Corpus(
        np.concatenate([part.ids for part in parts]),
        np.cumsum([0, *np.concatenate([part.lengths for part in parts])], dtype=np.int64),
        np.concatenate([part.num_tokens for part in parts]),
        np.concatenate([part.num_unknown for part in parts]),
    )


def _truncate(ids: NDArray[np.uint16], lengths: NDArray[np.int64], max_tokens: int) -> Corpus:
    """Remove the middle of long texts, and give an empty text one unknown token.

    `Tokenizer.encode` does the same for one text.

    Args:
        ids: Ids of all tokens, one text after the other, `<uint16>[sum of lengths]`.
        lengths: Tokens in each text, `<int64>[num]`.
        max_tokens: Maximum number of tokens in a text.
    """
    ends = np.cumsum(lengths)
    unknown = np.cumsum(np.concatenate([[0], ids == UNKNOWN_ID]))
    num_unknown = unknown[ends] - unknown[ends - lengths]
    head, tail = head_and_tail(max_tokens)
    middles = [
        np.arange(end - length + head, end - tail)
        for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
        if length > max_tokens
    ]
    if middles:
        ids = np.delete(ids, np.concatenate(middles))
    new_lengths = np.minimum(lengths, max_tokens)
    ids = np.insert(ids, (np.cumsum(new_lengths) - new_lengths)[lengths == 0], UNKNOWN_ID)
    starts = np.cumsum([0, *np.maximum(new_lengths, 1)], dtype=np.int64)
    return Corpus(ids, starts, lengths.astype(np.int32), num_unknown.astype(np.int32))

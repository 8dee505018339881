"""Encoded texts: the token ids of many texts in four arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import TextSettings
from lstm_cli.errors import LstmError
from lstm_cli.io.array_file import ArrayFolder, drop_pages, read_slices
from lstm_cli.io.text_store import is_stored
from lstm_cli.io.worker import Worker
from lstm_cli.text.ngrams import char_ngram_ids
from lstm_cli.text.token_ids import SPECIAL_TOKENS, UNKNOWN_ID, is_unknown, own_ids
from lstm_cli.text.tokenizer import Tokenizer, encode_tokens, head_and_tail
from lstm_cli.text.vocabulary import FittedVocabulary, fit_vocabulary

_CHUNK = 2048
# Texts after which the memory of arrays on disk is given back.
_TAKEN = 16_384


@dataclass(frozen=True)
class Corpus:
    """Encoded texts, one after the other.

    Attributes:
        ids: Token ids of all texts, as `Encoding` has them, `<uint16>[sum of lengths]`; `<int32>`
            if the tokenizer reads unknown words as similar ones.
        starts: Position of the first token of each text, and the end, `<int64>[num + 1]`.
        num_tokens: Tokens in each text before truncation, `<int32>[num]`.
        num_unknown: Unknown tokens in each text before truncation, `<int32>[num]`.
        ngrams: Buckets of the character n-grams of the unknown tokens in `ids`, text by text,
            `<int32>[n-grams]`; empty if the tokenizer hashes none.
        ngram_starts: Position of the first n-gram of each text, and the end, `<int64>[num + 1]`.
    """

    ids: NDArray[np.uint16 | np.int32]
    starts: NDArray[np.int64]
    num_tokens: NDArray[np.int32]
    num_unknown: NDArray[np.int32]
    ngrams: NDArray[np.int32]
    ngram_starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.num_tokens)

    def __getitem__(self, index: int) -> NDArray[np.uint16 | np.int32]:
        """Return the ids of one text, `<uint16>[time]` or `<int32>[time]`."""
        return self.ids[self.starts[index] : self.starts[index + 1]]

    def rows(self, indices: NDArray[np.int64]) -> list[NDArray[np.uint16 | np.int32]]:
        """Return the ids of some texts, each `<uint16>[time]` or `<int32>[time]`."""
        places = indices.tolist()
        bounds = read_slices(self.starts, places, [place + 2 for place in places])
        ends = [pair.tolist() for pair in bounds]
        return read_slices(self.ids, [start for start, _ in ends], [stop for _, stop in ends])

    def take(self, indices: NDArray[np.int64]) -> Corpus:
        """Return a corpus, in memory, of the texts at these indices."""
        parts = []
        for start in range(0, max(1, len(indices)), _TAKEN):
            parts.append(self._take(indices[start : start + _TAKEN]))
            self.drop_pages()
        return _concatenate(parts)

    def drop_pages(self) -> None:
        """Give back memory, if the arrays are on disk."""
        drop_pages(*vars(self).values())

    def _take(self, indices: NDArray[np.int64]) -> Corpus:
        ids, starts = _take_rows(self.ids, self.starts, indices)
        ngrams, ngram_starts = _take_rows(self.ngrams, self.ngram_starts, indices)
        totals, unknown = self.num_tokens[indices], self.num_unknown[indices]
        return Corpus(ids, starts, totals, unknown, ngrams, ngram_starts)

    def part(self, start: int, stop: int) -> Corpus:
        """Return a corpus of neighbouring texts, which shares the ids."""
        starts, ngram_starts = self.starts[start : stop + 1], self.ngram_starts[start : stop + 1]
        return Corpus(
            self.ids[starts[0] : starts[-1]],
            starts - starts[0],
            self.num_tokens[start:stop],
            self.num_unknown[start:stop],
            self.ngrams[ngram_starts[0] : ngram_starts[-1]],
            ngram_starts - ngram_starts[0],
        )

    def concatenated_with(self, other: Corpus) -> Corpus:
        """Return a corpus, in memory, of these texts followed by those of `other`."""
        return _concatenate([self, other])

    @property
    def own_ids(self) -> NDArray[np.integer[Any]]:
        """The ids of the words themselves, `[UNK]` for each unknown one, in the shape of `ids`."""
        return own_ids(self.ids)

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


class EncodedTexts(NamedTuple):
    """A vocabulary, and the texts that it was learned from.

    Attributes:
        tokenizer: With the vocabulary.
        corpus: The encoded texts.
        num_left_out: As in `FittedVocabulary`.
    """

    tokenizer: Tokenizer
    corpus: Corpus
    num_left_out: int


def fit_and_encode(
    texts: Sequence[str], settings: TextSettings, char_buckets: int = 0
) -> tuple[Tokenizer, Corpus]:
    """Learn a vocabulary and encode the same texts, tokenizing them only once.

    Args:
        texts: The training split.
        settings: Vocabulary size, minimum count, maximum length.
        char_buckets: As for `Tokenizer`.

    Raises:
        LstmError: No word is frequent enough for the vocabulary.
    """
    return grow_and_encode(texts, settings, char_buckets)[:2]


def grow_and_encode(
    texts: Sequence[str],
    settings: TextSettings,
    char_buckets: int = 0,
    worker: Worker | None = None,
    known: Sequence[str] = SPECIAL_TOKENS,
) -> EncodedTexts:
    """Add the words of texts to a vocabulary, and encode the texts.

    Args:
        texts: As for `fit_and_encode`, like the settings.
        settings: Their vocabulary size limits known and new words together.
        char_buckets: As for `Tokenizer`.
        worker: Tokenizes a part of the texts in parallel.
        known: As for `fit_vocabulary`.

    Raises:
        LstmError: No word is known, and none is frequent enough for the vocabulary.
    """
    fitted = fit_vocabulary(texts, settings, char_buckets, worker, known)
    corpus = _concatenate(_encode_fitted(fitted), is_stored(texts))
    return EncodedTexts(fitted.tokenizer, corpus, fitted.num_left_out)


def _encode_fitted(fitted: FittedVocabulary) -> Iterator[Corpus]:
    """Yield the texts that a vocabulary was learned from, in parts."""
    tokenizer, end = fitted.tokenizer, 0
    for start in range(0, max(1, len(fitted.lengths)), _CHUNK):
        lengths = fitted.lengths[start : start + _CHUNK].astype(np.int64)
        first, end = end, end + int(lengths.sum())
        numbers = fitted.numbers[first:end]
        ids = fitted.token_ids[numbers]
        corpus, kept = _truncate(ids, lengths, tokenizer.max_tokens)
        if tokenizer.char_buckets:
            unknown = numbers[kept & is_unknown(ids)]
            tokens = [fitted.tokens[i] for i in unknown.tolist()]
            corpus = _with_ngrams(corpus, tokens, tokenizer.char_buckets)
        if start % _TAKEN == 0:
            drop_pages(fitted.numbers)
        yield corpus


def encode(texts: Sequence[str], tokenizer: Tokenizer) -> Corpus:
    """Encode texts: in memory, or on disk for texts on disk.

    Raises:
        LstmError: The vocabulary has more than 65,536 tokens.
    """
    if tokenizer.vocab_size > 1 << 16:
        raise LstmError(
            f"The vocabulary has {tokenizer.vocab_size} tokens; at most 65536 can be stored.",
            "Lower text.vocab_size.",
        )
    # In chunks: all ids at once, before truncation, would need twice the memory.
    starts = range(0, max(1, len(texts)), _CHUNK)
    parts = (_encode_chunk(texts[i : i + _CHUNK], tokenizer) for i in starts)
    return _concatenate(parts, is_stored(texts))


def _encode_chunk(texts: Sequence[str], tokenizer: Tokenizer) -> Corpus:
    tokens: list[str] | None = [] if tokenizer.char_buckets else None
    ids, lengths = encode_tokens(texts, tokenizer.token_to_id, tokens)
    corpus, kept = _truncate(ids.astype(tokenizer.id_dtype), lengths, tokenizer.max_tokens)
    if tokens is None:
        return corpus
    unknown = [tokens[i] for i in np.flatnonzero(kept & is_unknown(ids)).tolist()]
    return _with_ngrams(corpus, unknown, tokenizer.char_buckets)


def _with_ngrams(corpus: Corpus, unknown: Sequence[str], buckets: int) -> Corpus:
    """Add the character n-grams of the unknown tokens, one text after the other."""
    ngrams, counts = char_ngram_ids(unknown, buckets)
    has_ngrams = is_unknown(corpus.ids)
    # The one `[UNK]` of an empty text is not a token.
    has_ngrams[corpus.starts[:-1][corpus.num_tokens == 0]] = False
    by_text = np.add.reduceat(has_ngrams.astype(np.int64), corpus.starts[:-1])
    token_ends = np.cumsum(by_text)
    ngram_ends = np.concatenate([[0], np.cumsum(counts)])[token_ends]
    starts = np.concatenate([[0], ngram_ends]).astype(np.int64)
    return replace(corpus, ngrams=ngrams, ngram_starts=starts)


def _take_rows(
    values: NDArray[Any], starts: NDArray[np.int64], indices: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the rows at these indices of an array of rows, and where each starts."""
    rows = [values[starts[i] : starts[i + 1]] for i in indices.tolist()]
    new_starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return (np.concatenate(rows) if rows else values[:0]), new_starts


def _concatenate(parts: Iterable[Corpus], on_disk: bool = False) -> Corpus:
    """Join corpora; on disk, the result is mapped into memory as it is read."""
    if on_disk:
        return _write(parts)
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    return Corpus(
        np.concatenate([part.ids for part in parts]),
        _concatenate_starts([part.starts for part in parts]),
        np.concatenate([part.num_tokens for part in parts]),
        np.concatenate([part.num_unknown for part in parts]),
        np.concatenate([part.ngrams for part in parts]),
        _concatenate_starts([part.ngram_starts for part in parts]),
    )


def _write(parts: Iterable[Corpus]) -> Corpus:
    """Write corpora to disk, one after the other, and map the result into memory."""
    arrays = ArrayFolder()
    ends = {"starts": 0, "ngram_starts": 0}
    for name in ends:
        arrays.append(name, np.zeros(1, np.int64))
    for part in parts:
        for name, values in vars(part).items():
            if name in ends:
                arrays.append(name, values[1:] + ends[name])
                ends[name] += int(values[-1])
            else:
                arrays.append(name, values)
    return Corpus(**arrays.finish())


def _concatenate_starts(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    lengths = np.concatenate([np.diff(starts) for starts in parts])
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _truncate(
    ids: NDArray[np.uint16 | np.int32], lengths: NDArray[np.int64], max_tokens: int
) -> tuple[Corpus, NDArray[np.bool_]]:
    """Remove the middle of long texts, and give an empty text one unknown token.

    `Tokenizer.encode` does the same for one text.

    Args:
        ids: Ids of all tokens, one text after the other, `<int>[sum of lengths]`.
        lengths: Tokens in each text, `<int64>[num]`.
        max_tokens: Maximum number of tokens in a text.

    Returns:
        The corpus, without character n-grams, and which tokens it keeps,
        `<bool>[sum of lengths]`.
    """
    ends = np.cumsum(lengths)
    unknown = np.cumsum(np.concatenate([[0], is_unknown(ids)]))
    num_unknown = unknown[ends] - unknown[ends - lengths]
    head, tail = head_and_tail(max_tokens)
    kept = np.ones(len(ids), np.bool_)
    for end, length in zip(ends.tolist(), lengths.tolist(), strict=True):
        if length > max_tokens:
            kept[end - length + head : end - tail] = False
    new_lengths = np.minimum(lengths, max_tokens)
    ids = ids[kept]
    ids = np.insert(ids, (np.cumsum(new_lengths) - new_lengths)[lengths == 0], UNKNOWN_ID)
    starts = np.cumsum([0, *np.maximum(new_lengths, 1)], dtype=np.int64)
    corpus = Corpus(
        ids,
        starts,
        lengths.astype(np.int32),
        num_unknown.astype(np.int32),
        np.zeros(0, np.int32),
        np.zeros(len(lengths) + 1, np.int64),
    )
    return corpus, kept

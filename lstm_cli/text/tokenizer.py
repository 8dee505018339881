"""The tokenizer: how a text is split into tokens, and which id each token has."""

from __future__ import annotations

import copy
import functools
import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import TextSettings
from lstm_cli.text.ngrams import char_ngram_ids
from lstm_cli.text.normalization import AM_VOWELS, LINE_BREAK, normalize, normalize_aligned
from lstm_cli.text.similar_words import SimilarWords
from lstm_cli.text.token_ids import SPECIAL_TOKENS, UNKNOWN_ID, is_unknown

# Scripts written without spaces between words. The last letter is the Japanese sign of a long
# vowel, which belongs to two scripts.
_UNSPACED = "".join(
    rf"\p{{{script}}}"
    for script in (
        "Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar",
        "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Ahom", "Balinese", "Javanese",
        "Yi", "Bopomofo", "Tangut", "Nushu",
    )
) + "\u30fc"  # fmt: skip
# Between two letters, these put the second below the first: in Khmer, Burmese, Tai Tham, Balinese,
# Javanese.
STACKERS = "\u17d2\u1039\u1a60\u1b44\ua9c0"
# The vowel AM of Thai and Lao: a letter that stands above the one before it.
_AM = "".join(vowel for _, vowel in AM_VOWELS)
_UNLIMITED = 2**31 - 1

# The patterns are for `regex` (version 1) and for Oniguruma, which the library `tokenizers` uses.
UNSPACED_LETTER = rf"[{_UNSPACED}&&[\p{{L}}\p{{M}}\p{{Nl}}]]"
MARK = rf"[\p{{M}}{_AM}]"
# A letter and what is written around it; nearly a grapheme cluster, whose definition differs
# between versions of Unicode.
_UNSPACED_TOKEN = rf"{UNSPACED_LETTER}(?:[{STACKERS}]{UNSPACED_LETTER}|{MARK})*"
# The first three parts of a word's letters are also in the fourth, which takes longer.
WORD_LETTER = (
    r"[a-z[\w&&[\0-\u0dff]]\uac00-\ud7a3"
    rf"[\w&&[^{_UNSPACED}\p{{S}}\p{{No}}]]\p{{Nd}}]"
)
_WORD = f"{WORD_LETTER}+"
OTHER_TOKEN = r"[[^\s\w\p{C}]\p{S}\p{No}]"
# The first two alternatives, frequent Chinese and Thai letters, are also in the fourth.
TOKEN = (
    rf"[\u4e00-\u9fff]{MARK}*|[\u0e01-\u0e2e]{MARK}*"
    rf"|{_WORD}(?:'{_WORD})*|{_UNSPACED_TOKEN}|{OTHER_TOKEN}"
)

# The same for ASCII texts, which are the most common: Python's `re` takes half the time.
_ASCII_TOKEN = re.compile(r"\w+(?:'\w+)*|[^\s\w\x00-\x1f\x7f]", re.ASCII)
_ASCII_LINE_BREAK = re.compile(LINE_BREAK, re.ASCII)


@functools.cache
def _pattern(expression: str) -> Any:
    """Return a compiled pattern, for texts beyond ASCII."""
    import regex

    return regex.compile(expression, regex.V1)


def tokenize(text: str) -> list[str]:
    """Split a text into its tokens.

    The text is normalized first (`lstm_cli.text.normalization`). A token is a word with its
    apostrophes, a letter with its marks in scripts written without spaces, one punctuation mark, or
    one emoji or other symbol. Korean words are words: there are spaces between them. White space
    and control characters separate tokens and are dropped.
    """
    if text.isascii():
        return _ASCII_TOKEN.findall(_ASCII_LINE_BREAK.sub(" ", text.lower()))
    tokens: list[str] = _pattern(TOKEN).findall(normalize(text))
    return tokens


def token_spans(text: str) -> list[tuple[int, int]]:
    """Return the span `[start, end)` of each token of `tokenize` in the text, in characters.

    Tokens share their span if one character holds them all: "½" holds three.
    """
    if text.isascii():
        spaced = _ASCII_LINE_BREAK.sub(lambda match: " " * len(match[0]), text.lower())
        return [match.span() for match in _ASCII_TOKEN.finditer(spaced)]
    aligned = normalize_aligned(text)
    return [aligned.span(*match.span()) for match in _pattern(TOKEN).finditer(aligned.text)]


def count_words(text: str) -> int:
    """Return the number of words, as spaces divide them.

    In scripts without spaces between words, tokens count.
    """
    if text.isascii() or _pattern(UNSPACED_LETTER).search(text) is None:
        return len(text.split())
    return len(tokenize(text))


def is_unspaced(token: str) -> bool:
    """Return whether a token is a letter of a script that is written without spaces."""
    return not token.isascii() and _pattern(_UNSPACED_TOKEN).match(token) is not None


def encode_tokens(
    texts: Iterable[str], token_to_id: Callable[[str], int], all_tokens: list[str] | None = None
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Tokenize texts and map their tokens to ids, without truncation.

    Args:
        texts: Texts to encode.
        token_to_id: Returns the id of a token.
        all_tokens: The tokens are appended here, if given.

    Returns:
        The ids of all tokens, one text after the other, `<int32>[sum of lengths]`, and the number
        of tokens in each text, `<int64>[num]`.
    """
    ids, lengths = array("i"), array("q")
    for text in texts:
        tokens = tokenize(text)
        ids.extend(map(token_to_id, tokens))
        lengths.append(len(tokens))
        if all_tokens is not None:
            all_tokens += tokens
    return np.frombuffer(ids, np.int32), np.frombuffer(lengths, np.int64)


@dataclass(frozen=True)
class Encoding:
    """One encoded text, as the model reads it.

    Attributes:
        ids: Token ids, `<int32>[time]`, at least one: an empty text is one `[UNK]`. An unknown
            token that the LSTM reads as a known word has the id of that word plus `READ_AS`.
        num_tokens: Tokens in the text before truncation.
        num_unknown: Unknown tokens in the text before truncation.
        truncated: Whether tokens in the middle were removed to fit `max_tokens`.
        ngrams: Buckets of the character n-grams of the unknown tokens in `ids`,
            `<int32>[n-grams]`; empty if the tokenizer hashes none.
        ngram_positions: Position in `ids` of the token of each n-gram, ascending,
            `<int32>[n-grams]`.
    """

    ids: NDArray[np.int32]
    num_tokens: int
    num_unknown: int
    truncated: bool
    ngrams: NDArray[np.int32]
    ngram_positions: NDArray[np.int32]

    @property
    def unknown_fraction(self) -> float:
        """Fraction of unknown tokens, 0 to 1; 0 for a text without tokens."""
        return self.num_unknown / self.num_tokens if self.num_tokens else 0.0

    def masked(self, positions: NDArray[np.int64]) -> Encoding:
        """Return a copy with `[UNK]` at these positions, without their character n-grams."""
        ids = self.ids.copy()
        ids[positions] = UNKNOWN_ID
        kept = ~np.isin(self.ngram_positions, positions)
        return replace(
            self, ids=ids, ngrams=self.ngrams[kept], ngram_positions=self.ngram_positions[kept]
        )

    def take(self, positions: NDArray[np.int64]) -> Encoding:
        """Return a copy of the tokens at these positions, in ascending order.

        Without any token left it is the empty text: one `[UNK]`.
        """
        if not len(positions):
            return self.masked(np.arange(len(self.ids))).take(np.zeros(1, np.int64))
        new_positions = np.full(len(self.ids), -1, np.int32)
        new_positions[positions] = np.arange(len(positions))
        ngram_positions = new_positions[self.ngram_positions]
        remaining = ngram_positions >= 0
        return replace(
            self,
            ids=self.ids[positions],
            ngrams=self.ngrams[remaining],
            ngram_positions=ngram_positions[remaining],
        )


class _TokenIds(dict[str, int]):
    """Ids by token; a token outside the vocabulary has the id of `[UNK]`, or of a similar word.

    Args:
        words: The token of each id.
        min_similarity: As for `Tokenizer`.
    """

    def __init__(self, words: Sequence[str], min_similarity: float) -> None:
        super().__init__(zip(words, range(len(words)), strict=True))
        self._words = words
        self._min_similarity = min_similarity

    @functools.cached_property
    def _similar_words(self) -> SimilarWords:
        return similar_words(self._words, self._min_similarity)

    def __missing__(self, token: str) -> int:
        return self._similar_words.find(token) if self._min_similarity else UNKNOWN_ID


def similar_words(
    words: Sequence[str], min_similarity: float, is_removed: NDArray[np.bool_] | None = None
) -> SimilarWords:
    """Return the words of a vocabulary that unknown words can be read as.

    Args:
        words: The token of each id, beginning with `SPECIAL_TOKENS`.
        min_similarity: As for `Tokenizer`.
        is_removed: Whether a word is left out, by its id, `<bool>[vocabulary]`.
    """
    ids = np.arange(len(SPECIAL_TOKENS), len(words))
    if is_removed is not None:
        ids = ids[~is_removed[ids]]
    return SimilarWords([words[i] for i in ids.tolist()], ids, min_similarity)


class Tokenizer:
    """Maps texts to token ids, and ids to tokens; truncates long texts.

    Args:
        words: The token of each id, beginning with `SPECIAL_TOKENS`. A text cannot contain a
            special token: `tokenize` splits it at its brackets.
        max_tokens: Maximum length; longer texts keep their head and tail.
        char_buckets: Hash buckets for the character n-grams of unknown tokens; 0: none.
        min_similarity: Similarity from which the LSTM reads an unknown token as the most similar
            word; 0: never.

    Attributes:
        words: As the argument, as a tuple.
        max_tokens: As the argument.
        char_buckets: As the argument.
        min_similarity: As the argument.
    """

    def __init__(
        self,
        words: Iterable[str],
        max_tokens: int,
        char_buckets: int = 0,
        min_similarity: float = 0.0,
    ) -> None:
        self.words = tuple(words)
        self.max_tokens = max_tokens
        self.char_buckets = char_buckets
        self.min_similarity = min_similarity
        self._ids = _TokenIds(self.words, min_similarity)

    @classmethod
    def fit(cls, texts: Sequence[str], settings: TextSettings, char_buckets: int = 0) -> Tokenizer:
        """Learn the vocabulary, as `fit_vocabulary`, and return only the tokenizer."""
        from lstm_cli.text.vocabulary import fit_vocabulary

        return fit_vocabulary(texts, settings, char_buckets).tokenizer

    def with_max_tokens(self, max_tokens: int) -> Tokenizer:
        """Return a tokenizer of the same vocabulary with another maximum length."""
        other = copy.copy(self)
        other.max_tokens = max_tokens
        return other

    def without_truncation(self) -> Tokenizer:
        """Return a tokenizer of the same vocabulary that never truncates."""
        return self.with_max_tokens(_UNLIMITED)

    @property
    def vocab_size(self) -> int:
        """Number of ids, `[PAD]` and `[UNK]` included."""
        return len(self.words)

    @property
    def token_to_id(self) -> Callable[[str], int]:
        """The function from a token to its id."""
        return self._ids.__getitem__

    @property
    def id_dtype(self) -> type[np.uint16 | np.int32]:
        """The smallest type for the ids of a corpus."""
        return np.int32 if self.min_similarity else np.uint16

    def id_to_token(self, token_id: int) -> str:
        """Return the token of an id."""
        return self.words[token_id]

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode texts, in order."""
        encodings, unknown = [], list[str]()
        for text in texts:
            tokens = tokenize(text)
            ids = np.array([*map(self.token_to_id, tokens)], np.int32)
            encodings.append(self._encoding(ids))
            if self.char_buckets:
                kept = self.kept_positions(len(ids))
                unknown += [tokens[i] for i in kept[is_unknown(ids[kept])].tolist()]
        return self._with_ngrams(encodings, unknown) if unknown else encodings

    def kept_positions(self, num_tokens: int) -> NDArray[np.int64]:
        """Return the token positions of a text that truncation keeps: its head and its tail."""
        if num_tokens <= self.max_tokens:
            return np.arange(num_tokens)
        head, tail = head_and_tail(self.max_tokens)
        return np.concatenate([np.arange(head), np.arange(num_tokens - tail, num_tokens)])

    def _encoding(self, ids: NDArray[np.int32]) -> Encoding:
        num_tokens = len(ids)
        num_unknown = int(np.count_nonzero(is_unknown(ids)))
        truncated = num_tokens > self.max_tokens
        if truncated:
            ids = ids[self.kept_positions(num_tokens)]
        elif num_tokens == 0:
            ids = np.array([UNKNOWN_ID], dtype=np.int32)
        none = np.zeros(0, np.int32)
        return Encoding(ids, num_tokens, num_unknown, truncated, none, none)

    def _with_ngrams(self, encodings: Sequence[Encoding], unknown: Sequence[str]) -> list[Encoding]:
        """Add the character n-grams of the unknown tokens, which are hashed in one call."""
        ngrams, counts = char_ngram_ids(unknown, self.char_buckets)
        result, first_token, first_ngram = [], 0, 0
        for encoding in encodings:
            positions = np.flatnonzero(is_unknown(encoding.ids)).astype(np.int32)
            if not encoding.num_tokens:
                positions = positions[:0]
            by_token = counts[first_token : first_token + len(positions)]
            own = ngrams[first_ngram : first_ngram + int(by_token.sum())]
            first_token, first_ngram = first_token + len(positions), first_ngram + len(own)
            spread = np.repeat(positions, by_token)
            result.append(replace(encoding, ngrams=own, ngram_positions=spread))
        return result


def head_and_tail(max_tokens: int) -> tuple[int, int]:
    """Return the number of tokens kept at the beginning and at the end of a truncated text."""
    return (max_tokens + 1) // 2, max_tokens // 2

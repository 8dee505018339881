"""The tokenizer: how a text is split into tokens, and which id each token has."""

from __future__ import annotations

import functools
import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import TextSettings
from lstm_cli.errors import LstmError
from lstm_cli.io.worker import Worker
from lstm_cli.text.normalization import AM_VOWELS, LINE_BREAK, normalize, normalize_aligned

PAD_ID = 0
UNKNOWN_ID = 1
SPECIAL_TOKENS = ("[PAD]", "[UNK]")

# Scripts written without spaces between words. The last letter is the Japanese sign of a long
# vowel, which belongs to two scripts.
_UNSPACED = "".join(
    rf"\p{{{script}}}"
    for script in (
        "Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar",
        "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Ahom", "Balinese", "Javanese",
    )
) + "\u30fc"  # fmt: skip
# Between two letters, these put the second below the first: in Khmer, Burmese, Tai Tham, Balinese,
# Javanese.
_STACKERS = "\u17d2\u1039\u1a60\u1b44\ua9c0"
# The vowel AM of Thai and Lao: a letter that stands above the one before it.
_AM = "".join(vowel for _, vowel in AM_VOWELS)
_UNLIMITED = 2**31 - 1
# Fraction of the texts that this process tokenizes itself: the worker starts later.
_OWN_FRACTION = 0.65

# The patterns are for `regex` (version 1) and for Oniguruma, which the library `tokenizers` uses.
_UNSPACED_LETTER = rf"[{_UNSPACED}&&[\p{{L}}\p{{M}}\p{{Nl}}]]"
_MARK = rf"[\p{{M}}{_AM}]"
# A letter and what is written around it; nearly a grapheme cluster, whose definition differs
# between versions of Unicode.
_UNSPACED_TOKEN = rf"{_UNSPACED_LETTER}(?:[{_STACKERS}]{_UNSPACED_LETTER}|{_MARK})*"
# The first three parts of a word's letters are also in the fourth, which takes longer.
_WORD = (
    r"[a-z[\w&&[\0-\u0dff]]\uac00-\ud7a3"
    rf"[\w&&[^{_UNSPACED}\p{{S}}\p{{No}}]]\p{{Nd}}]+"
)
# The first two alternatives, frequent Chinese and Thai letters, are also in the fourth.
TOKEN = (
    rf"[\u4e00-\u9fff]{_MARK}*|[\u0e01-\u0e2e]{_MARK}*"
    rf"|{_WORD}(?:'{_WORD})*|{_UNSPACED_TOKEN}|[[^\s\w\p{{C}}]\p{{S}}\p{{No}}]"
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


def is_unspaced(token: str) -> bool:
    """Return whether a token is a letter of a script that is written without spaces."""
    return not token.isascii() and _pattern(_UNSPACED_TOKEN).match(token) is not None


def encode_tokens(
    texts: Iterable[str], token_to_id: Callable[[str], int]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Tokenize texts and map their tokens to ids, without truncation.

    Args:
        texts: Texts to encode.
        token_to_id: Returns the id of a token.

    Returns:
        The ids of all tokens, one text after the other, `<int32>[sum of lengths]`, and the number
        of tokens in each text, `<int64>[num]`.
    """
    ids, lengths = array("i"), array("q")
    for text in texts:
        tokens = tokenize(text)
        ids.extend(map(token_to_id, tokens))
        lengths.append(len(tokens))
    return np.frombuffer(ids, np.int32), np.frombuffer(lengths, np.int64)


@dataclass(frozen=True)
class Encoding:
    """One encoded text, as the model reads it.

    Attributes:
        ids: Token ids, `<int32>[time]`, at least one: an empty text is one `[UNK]`.
        num_tokens: Tokens in the text before truncation.
        num_unknown: Unknown tokens in the text before truncation.
        truncated: Whether tokens in the middle were removed to fit `max_tokens`.
    """

    ids: NDArray[np.int32]
    num_tokens: int
    num_unknown: int
    truncated: bool

    @property
    def unknown_fraction(self) -> float:
        """Fraction of unknown tokens, 0 to 1; 0 for a text without tokens."""
        return self.num_unknown / self.num_tokens if self.num_tokens else 0.0


class _TokenIds(dict[str, int]):
    """Ids by token; a token outside the vocabulary has the id of `[UNK]`."""

    def __missing__(self, token: str) -> int:
        return UNKNOWN_ID


class Tokenizer:
    """Maps texts to token ids, and ids to tokens; truncates long texts.

    Args:
        words: The token of each id, beginning with `SPECIAL_TOKENS`. A text cannot contain a
            special token: `tokenize` splits it at its brackets.
        max_tokens: Maximum length; longer texts keep their head and tail.

    Attributes:
        words: As the argument, as a tuple.
        max_tokens: As the argument.
    """

    def __init__(self, words: Iterable[str], max_tokens: int) -> None:
        self.words = tuple(words)
        self.max_tokens = max_tokens
        self._ids = _TokenIds(zip(self.words, range(len(self.words)), strict=True))

    @classmethod
    def fit(cls, texts: Sequence[str], settings: TextSettings) -> Tokenizer:
        """Learn the vocabulary, as `fit_vocabulary`, and return only the tokenizer."""
        return fit_vocabulary(texts, settings)[0]

    def with_max_tokens(self, max_tokens: int) -> Tokenizer:
        """Return a tokenizer of the same vocabulary with another maximum length."""
        return Tokenizer(self.words, max_tokens)

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

    def id_to_token(self, token_id: int) -> str:
        """Return the token of an id."""
        return self.words[token_id]

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode texts, in order."""
        return [
            self._encoding(np.array([*map(self.token_to_id, tokenize(t))], np.int32)) for t in texts
        ]

    def kept_positions(self, num_tokens: int) -> NDArray[np.int64]:
        """Return the token positions of a text that truncation keeps: its head and its tail."""
        if num_tokens <= self.max_tokens:
            return np.arange(num_tokens)
        head, tail = head_and_tail(self.max_tokens)
        return np.concatenate([np.arange(head), np.arange(num_tokens - tail, num_tokens)])

    def _encoding(self, ids: NDArray[np.int32]) -> Encoding:
        num_tokens = len(ids)
        num_unknown = int(np.count_nonzero(ids == UNKNOWN_ID))
        truncated = num_tokens > self.max_tokens
        if truncated:
            ids = ids[self.kept_positions(num_tokens)]
        elif num_tokens == 0:
            ids = np.array([UNKNOWN_ID], dtype=np.int32)
        return Encoding(ids, num_tokens, num_unknown, truncated)


def head_and_tail(max_tokens: int) -> tuple[int, int]:
    """Return the number of tokens kept at the beginning and at the end of a truncated text."""
    return (max_tokens + 1) // 2, max_tokens // 2


def fit_vocabulary(
    texts: Sequence[str], settings: TextSettings, worker: Worker | None = None
) -> tuple[Tokenizer, NDArray[np.uint16], NDArray[np.int64]]:
    """Learn a vocabulary: the most frequent tokens; ties are in alphabetical order.

    Args:
        texts: The training split only.
        settings: Vocabulary size, minimum count, maximum length.
        worker: Tokenizes a part of the texts in parallel.

    Returns:
        The tokenizer, and its encoding of the texts without truncation: the ids of all tokens, one
        text after the other, `<uint16>[sum of lengths]`, and the number of tokens in each text,
        `<int64>[num]`.

    Raises:
        LstmError: No token is frequent enough.
    """
    if worker is not None and worker.is_alive:
        tokens, numbers, lengths = _number_tokens_in_parallel(texts, worker)
    else:
        tokens, numbers, lengths = _number_tokens(texts)
    counts = np.bincount(numbers, minlength=len(tokens)).tolist()
    frequent = [i for i, num in enumerate(counts) if num >= settings.min_count]
    frequent.sort(key=lambda i: (-counts[i], tokens[i]))
    selected = frequent[: settings.vocab_size - len(SPECIAL_TOKENS)]
    if not selected:
        raise LstmError(
            f"No word occurs {settings.min_count} times in the training texts.",
            "Lower text.min_count, or check that the text column contains texts.",
        )
    tokenizer = Tokenizer((*SPECIAL_TOKENS, *(tokens[i] for i in selected)), settings.max_tokens)
    ids = np.full(len(tokens), UNKNOWN_ID, np.uint16)
    ids[selected] = np.arange(len(SPECIAL_TOKENS), tokenizer.vocab_size)
    return tokenizer, ids[numbers], lengths


_NumberedTokens = tuple[list[str], NDArray[np.int32], NDArray[np.int64]]


def _number_tokens(texts: Sequence[str]) -> _NumberedTokens:
    """Tokenize texts and number their distinct tokens in order of appearance.

    Returns:
        The distinct tokens, and the result of `encode_tokens` with their numbers as ids.
    """
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    ids, lengths = encode_tokens(texts, numbers.__getitem__)
    return [*numbers], ids, lengths


def _number_tokens_in_parallel(texts: Sequence[str], worker: Worker) -> _NumberedTokens:
    """Return the result of `_number_tokens`; the worker tokenizes the last texts."""
    num_own = round(_OWN_FRACTION * len(texts))
    wait_for_result = worker.submit(_number_tokens, texts[num_own:])
    tokens, ids, lengths = _number_tokens(texts[:num_own])
    other_tokens, other_ids, other_lengths = wait_for_result()
    numbers = dict(zip(tokens, count()))
    renumbered = [numbers.setdefault(token, len(numbers)) for token in other_tokens]
    other_ids = np.array(renumbered, np.int32)[other_ids]
    return [*numbers], np.concatenate([ids, other_ids]), np.concatenate([lengths, other_lengths])

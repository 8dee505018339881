"""The tokenizer: what a token is, which id it has, where it stands."""

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

PAD_ID = 0
UNKNOWN_ID = 1
# The pair (p, w) has id (p * PAIR_FACTOR + w) mod buckets. The factor is prime, and the sum
# stays below 2**31 for ids below 65536, so int32 serves in Keras and in ONNX.
BIGRAM_FACTOR = 32_749
SPECIAL_TOKENS = ("[PAD]", "[UNK]")

_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}"
LINE_BREAK = r"<br\s*/?>"
_ANY_LENGTH = 2**31 - 1
# Of the texts; a partner that is still starting begins later.
_OWN_SHARE = 0.65


def token_pattern(letters: str) -> str:
    r"""Return the regular expression of a token, for engines that know Unicode.

    One Chinese or Japanese character (Korean has spaces between words), or a word with its
    apostrophes, or one mark of punctuation or emoji; white space and control characters separate
    and are dropped.

    Args:
        letters: A class of what words are made of; Chinese and Japanese are taken out of it.
    """
    word = rf"[{letters}&&[^{_CJK}]]+"
    return rf"[{_CJK}]|{word}(?:'{word})*|[^\s\w\p{{C}}]"


# The same for texts of ASCII alone, as most are: Python's own engine takes half the time.
_ASCII_TOKEN = re.compile(r"\w+(?:'\w+)*|[^\s\w\x00-\x1f\x7f]", re.ASCII)
_ASCII_LINE_BREAK = re.compile(LINE_BREAK, re.ASCII)


@functools.cache
def _patterns() -> tuple[Any, Any]:
    """Return the patterns of a token and of a line break, for texts that are not ASCII alone."""
    import regex

    # To this engine the two joiners of width zero are letters; they are control characters.
    letters = r"[\w--\p{C}]"
    return regex.compile(token_pattern(letters), regex.V1), regex.compile(LINE_BREAK, regex.V1)


def bigram_ids(
    before: NDArray[np.int32], words: NDArray[np.int32], buckets: int
) -> NDArray[np.int32]:
    """Hash pairs of a word and the one before it, as the network does, into `[0, buckets)`."""
    return (before * np.int32(BIGRAM_FACTOR) + words) % np.int32(buckets)


def split(text: str) -> list[str]:
    """Take a text apart into its tokens.

    Line breaks of HTML go, letters become small, the curly apostrophe becomes the straight one.
    Lone surrogates, which no UTF-8 text has, are one question mark each.
    """
    if text.isascii():
        return _ASCII_TOKEN.findall(_ASCII_LINE_BREAK.sub(" ", text.lower()))
    token, line_break = _patterns()
    found: list[str] = token.findall(line_break.sub(" ", "".join(_lowercase(text))))
    return found


def token_spans(text: str) -> list[tuple[int, int]]:
    """Return where each token of `split` stands in the text, as `[start, end)` in characters."""
    token, line_break = _patterns()
    small = _lowercase(text)
    blank = line_break.sub(lambda found: " " * len(found[0]), "".join(small))
    # Some letters have a small form of two characters.
    places = [place for place, letters in enumerate(small) for _ in letters]
    return [(places[m.start()], places[m.end() - 1] + 1) for m in token.finditer(blank)]


def _lowercase(text: str) -> list[str]:
    """Return what stands for each character of a text: mostly one character, in small."""
    plain = text.encode("utf-8", "replace").decode("utf-8").replace("\u2019", "'")
    return [letter.lower() for letter in plain]


def number(
    texts: Iterable[str], id_of: Callable[[str], int]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Take texts apart and number their tokens.

    Args:
        texts: Any.
        id_of: Gives the number of a token.

    Returns:
        The numbers of all tokens, one text after the other, `<int32>[sum of lengths]`, and how
        many each text has, `<int64>[num]`.
    """
    ids, lengths = array("i"), array("q")
    for text in texts:
        tokens = split(text)
        ids.extend(map(id_of, tokens))
        lengths.append(len(tokens))
    return np.frombuffer(ids, np.int32), np.frombuffer(lengths, np.int64)


@dataclass(frozen=True)
class Encoding:
    """One text as the network sees it.

    Attributes:
        ids: Token ids, `<int32>[time]`, at least one (an empty text is one `[UNK]`).
        num_tokens: Tokens in the whole text, before any cut.
        num_unknown: How many of those are not in the vocabulary.
        truncated: Whether the middle was left out to fit `max_tokens`.
    """

    ids: NDArray[np.int32]
    num_tokens: int
    num_unknown: int
    truncated: bool

    @property
    def unknown(self) -> float:
        """Share of unknown tokens, 0 to 1; 0 for a text without tokens."""
        return self.num_unknown / self.num_tokens if self.num_tokens else 0.0


class _Ids(dict[str, int]):
    """Ids by word; what is no word of the vocabulary has that of `[UNK]`."""

    def __missing__(self, word: str) -> int:
        return UNKNOWN_ID


class Tokenizer:
    """Words to ids and back, with the cut to `max_tokens`.

    Args:
        words: The word of each id; the first are `SPECIAL_TOKENS`. No text has those: it is
            taken apart at their brackets.
        max_tokens: Longer texts keep head and tail.

    Attributes:
        words: As given.
        max_tokens: As given.
    """

    def __init__(self, words: Iterable[str], max_tokens: int) -> None:
        self.words = tuple(words)
        self.max_tokens = max_tokens
        self._ids = _Ids(zip(self.words, range(len(self.words)), strict=True))

    @classmethod
    def fit(cls, texts: Sequence[str], settings: TextSettings) -> Tokenizer:
        """Learn the vocabulary, as `learn`, and keep nothing else."""
        return learn(texts, settings)[0]

    def with_max_tokens(self, max_tokens: int) -> Tokenizer:
        """Return the tokenizer of the same words with another greatest length."""
        return Tokenizer(self.words, max_tokens)

    def without_truncation(self) -> Tokenizer:
        """Return the tokenizer of the same words that keeps texts of any length whole."""
        return self.with_max_tokens(_ANY_LENGTH)

    @property
    def vocab_size(self) -> int:
        """Number of ids, `[PAD]` and `[UNK]` included."""
        return len(self.words)

    @property
    def id_of(self) -> Callable[[str], int]:
        """What gives the id of a word."""
        return self._ids.__getitem__

    def token(self, token_id: int) -> str:
        """Return the word of an id."""
        return self.words[token_id]

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Turn texts into ids, in order."""
        return [self._encoding(np.array([*map(self.id_of, split(t))], np.int32)) for t in texts]

    def kept(self, num_tokens: int) -> NDArray[np.int64]:
        """Return which token positions of a text survive the cut: its head and its tail."""
        if num_tokens <= self.max_tokens:
            return np.arange(num_tokens)
        head, tail = head_and_tail(self.max_tokens)
        return np.concatenate([np.arange(head), np.arange(num_tokens - tail, num_tokens)])

    def _encoding(self, ids: NDArray[np.int32]) -> Encoding:
        num_tokens = len(ids)
        num_unknown = int(np.count_nonzero(ids == UNKNOWN_ID))
        truncated = num_tokens > self.max_tokens
        if truncated:
            ids = ids[self.kept(num_tokens)]
        elif num_tokens == 0:
            ids = np.array([UNKNOWN_ID], dtype=np.int32)
        return Encoding(ids, num_tokens, num_unknown, truncated)


def head_and_tail(max_tokens: int) -> tuple[int, int]:
    """Return how many tokens of a longer text's beginning and end are kept."""
    return (max_tokens + 1) // 2, max_tokens // 2


def learn(
    texts: Sequence[str], settings: TextSettings, worker: Worker | None = None
) -> tuple[Tokenizer, NDArray[np.uint16], NDArray[np.int64]]:
    """Learn a vocabulary from texts: the most frequent words, ties in alphabetical order.

    Args:
        texts: The training split, and nothing else.
        settings: Size of the vocabulary, least count, greatest length.
        worker: Takes its share of the texts apart.

    Returns:
        The tokenizer, and what it makes of the texts, uncut: the ids of all tokens, one text
        after the other, `<uint16>[sum of lengths]`, and how many each text has, `<int64>[num]`.

    Raises:
        LstmError: No word occurs often enough to be learned.
    """
    if worker is not None and worker.is_alive:
        words, found, lengths = _by_two(texts, worker)
    else:
        words, found, lengths = _distinct(texts)
    counts = np.bincount(found, minlength=len(words)).tolist()
    often = [i for i, num in enumerate(counts) if num >= settings.min_count]
    often.sort(key=lambda i: (-counts[i], words[i]))
    chosen = often[: settings.vocab_size - len(SPECIAL_TOKENS)]
    if not chosen:
        raise LstmError(
            f"No word occurs {settings.min_count} times in the training texts.",
            "Lower text.min_count, or check that the text column holds texts.",
        )
    tokenizer = Tokenizer((*SPECIAL_TOKENS, *(words[i] for i in chosen)), settings.max_tokens)
    ids = np.full(len(words), UNKNOWN_ID, np.uint16)
    ids[chosen] = np.arange(len(SPECIAL_TOKENS), tokenizer.vocab_size)
    return tokenizer, ids[found], lengths


_Distinct = tuple[list[str], NDArray[np.int32], NDArray[np.int64]]


def _distinct(texts: Sequence[str]) -> _Distinct:
    """Take texts apart and number their words as they come.

    Returns:
        The word of each number, and what `number` returns.
    """
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    ids, lengths = number(texts, numbers.__getitem__)
    return [*numbers], ids, lengths


def _by_two(texts: Sequence[str], worker: Worker) -> _Distinct:
    """Do what `_distinct` does beside a partner that does the later texts."""
    own = round(_OWN_SHARE * len(texts))
    asked = worker.ask(_distinct, texts[own:])
    words, ids, lengths = _distinct(texts[:own])
    later_words, later_ids, later_lengths = asked()
    numbers = dict(zip(words, count()))
    renumbered = [numbers.setdefault(word, len(numbers)) for word in later_words]
    later_ids = np.array(renumbered, np.int32)[later_ids]
    return [*numbers], np.concatenate([ids, later_ids]), np.concatenate([lengths, later_lengths])

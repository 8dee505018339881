"""The tokenizer: fit, encode with offsets, save, load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config import TextSettings
from lstm_cli.errors import ExitCode, LstmError

PAD_ID = 0
UNKNOWN_ID = 1
# The pair (p, w) has id (p * PAIR_FACTOR + w) mod buckets. The factor is prime, and the sum
# stays below 2**31 for ids below 65536, so int32 serves in Keras and in ONNX.
PAIR_FACTOR = 32_749
SPECIAL_TOKENS = ("[PAD]", "[UNK]")

# One Chinese or Japanese character (Korean has spaces between words), or a word with its
# apostrophes, or one mark of punctuation or emoji; white space and control characters
# separate and are dropped.
_APART = r"\p{Han}\p{Hiragana}\p{Katakana}"
_WORD = rf"[\w&&[^{_APART}]]+"
_TOKEN = rf"[{_APART}]|{_WORD}(?:'{_WORD})*|[^\s\w\p{{C}}]"
_ANY_LENGTH = 2**31 - 1
_LINE_BREAK = r"(?i)<br\s*/?>"


def pair_ids(
    before: NDArray[np.int32], words: NDArray[np.int32], buckets: int
) -> NDArray[np.int32]:
    """Hash pairs of a word and the one before it, as the network does, into `[0, buckets)`."""
    return (before * np.int32(PAIR_FACTOR) + words) % np.int32(buckets)


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


class Tokenizer:
    """Words to ids and back, with the cut to `max_tokens`."""

    def __init__(self, inner: Any, max_tokens: int) -> None:
        """Wrap a `tokenizers.Tokenizer`."""
        # A text that says "[PAD]" means the word, not the mark.
        inner.encode_special_tokens = True
        self._inner = inner
        self.max_tokens = max_tokens

    @classmethod
    def fit(cls, texts: Iterable[str], settings: TextSettings) -> Tokenizer:
        """Learn the vocabulary: the most frequent words, ties in alphabetical order.

        Args:
            texts: The training split, and nothing else.
            settings: Size of the vocabulary, least count, greatest length.

        Raises:
            LstmError: No word occurs often enough to be learned.
        """
        from tokenizers.trainers import WordLevelTrainer

        inner = pipeline()
        trainer = WordLevelTrainer(
            vocab_size=settings.vocab_size,
            min_frequency=settings.min_count,
            special_tokens=list(SPECIAL_TOKENS),
            show_progress=False,
        )
        inner.train_from_iterator((_encodable(text) for text in texts), trainer)
        if inner.get_vocab_size() <= len(SPECIAL_TOKENS):
            raise LstmError(
                f"No word occurs {settings.min_count} times in the training texts.",
                "Lower text.min_count, or check that the text column holds texts.",
            )
        return cls(inner, settings.max_tokens)

    @classmethod
    def from_json(cls, text: str, max_tokens: int) -> Tokenizer:
        """Load what `to_json` wrote.

        Raises:
            LstmError: The text is not a tokenizer (exit code 5).
        """
        import tokenizers

        try:
            inner = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exception
            raise LstmError(
                f"tokenizer.json cannot be read: {error}.",
                "The run is damaged; train it again.",
                ExitCode.INTEGRITY,
            ) from None
        return cls(inner, max_tokens)

    def to_json(self) -> str:
        """Return everything needed to load it again, as JSON."""
        return str(self._inner.to_str())

    def cut_to(self, max_tokens: int) -> Tokenizer:
        """Return the tokenizer of the same words with another greatest length."""
        return Tokenizer(self._inner, max_tokens)

    def uncut(self) -> Tokenizer:
        """Return the tokenizer of the same words that keeps texts of any length whole."""
        return self.cut_to(_ANY_LENGTH)

    @property
    def vocab_size(self) -> int:
        """Number of ids, `[PAD]` and `[UNK]` included."""
        return int(self._inner.get_vocab_size())

    def token(self, token_id: int) -> str:
        """Return the word of an id."""
        return str(self._inner.id_to_token(token_id))

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Turn texts into ids, in order, on all cores.

        Lone surrogates, which no UTF-8 text has, count as one unknown mark each.
        """
        batch = self._inner.encode_batch_fast([_encodable(text) for text in texts])
        return [self._encoding(np.array(e.ids, dtype=np.int32)) for e in batch]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where each token stands in the text, as `[start, end)` in characters."""
        return [(int(a), int(b)) for a, b in self._inner.encode(_encodable(text)).offsets]

    def kept(self, num_tokens: int) -> NDArray[np.int64]:
        """Return which token positions of a text survive the cut: its head and its tail."""
        if num_tokens <= self.max_tokens:
            return np.arange(num_tokens)
        head = (self.max_tokens + 1) // 2
        tail = self.max_tokens - head
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


def pipeline() -> Any:
    """Build a `tokenizers.Tokenizer` that knows no word yet, and splits as every run does.

    Line breaks go, letters become small, and each match of `_TOKEN` is a token.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    inner = Tokenizer(models.WordLevel(vocab={}, unk_token=SPECIAL_TOKENS[UNKNOWN_ID]))
    inner.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(_LINE_BREAK), " "),
            normalizers.Replace("\u2019", "'"),
            normalizers.Lowercase(),
        ]
    )
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(_TOKEN), "removed", invert=True)
    return inner


def _encodable(text: str) -> str:
    """Replace what UTF-8 cannot hold: undecodable bytes of a command line arrive so."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")

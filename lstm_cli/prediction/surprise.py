"""How surprising a text is to a language model: of each word, of a text, and of many texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.io.progress import perplexity
from lstm_cli.io.text_format import pluralize
from lstm_cli.prediction.language_model import Direction, WordPredictor, as_text
from lstm_cli.text.token_ids import PAD_ID
from lstm_cli.text.tokenizer import tokenize

# How the table names what follows the last word.
END = "[end]"


@dataclass(frozen=True)
class ScoredToken:
    """A word of a text, and how much it surprised the forward direction.

    Attributes:
        token: As the tokenizer writes it; `[end]` after the last one.
        known: Whether it is in the vocabulary. If not, the model predicted "some other word".
        probability: Of this word after the words before it.
        nats: -log of the probability: the surprise.
        rank: How many words of the vocabulary were at least as probable, itself included.
        expected: The most probable word there.
        backward_nats: The same surprise for the model that reads from the end; None without one.
    """

    token: str
    known: bool
    probability: float
    nats: float
    rank: int
    expected: str
    backward_nats: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, without what is None."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class TextScore:
    """The surprise of a text, with its end.

    Attributes:
        text: The text.
        tokens: Its words, and the end.
        losses: Mean surprise of a word by direction, in nats. Forward, that of all words and of the
            end; backward, that of all words and of the beginning.
    """

    text: str
    tokens: tuple[ScoredToken, ...]
    losses: dict[str, float]

    @property
    def num_words(self) -> int:
        """Predicted words in each direction, one end included."""
        return len(self.tokens)

    @property
    def perplexity(self) -> float:
        """Perplexity of the forward direction."""
        return perplexity(self.losses["forward"])

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "text": self.text,
            **_results(self.losses, self.num_words),
            "tokens": [token.to_dict() for token in self.tokens],
        }


def score_text(model: WordPredictor, text: str) -> TextScore:
    """Compute the surprise of each word of a text, read as one piece."""
    ids = as_text(model.encode(text))
    names = [*tokenize(text), END]
    forward = _token_scores(model, ids)
    backward = None
    losses = {"forward": float(forward.nats.mean())}
    if "backward" in model.directions:
        found = window_nats(model, ids, "backward")
        losses["backward"] = float(found.mean())
        # The last place is the end, which the backward direction does not predict.
        backward = [*found[1:].tolist(), None]
    tokens = tuple(
        ScoredToken(
            token=name,
            known=bool(token_id == PAD_ID or model.tokenizer.words[token_id] == name),
            probability=float(np.exp(-nats)),
            nats=float(nats),
            rank=int(rank),
            expected=_name(model, int(best)),
            backward_nats=None if backward is None else backward[position],
        )
        for position, (name, token_id, nats, rank, best) in enumerate(
            zip(names, ids[1:], forward.nats, forward.ranks, forward.best, strict=True)
        )
    )
    return TextScore(text, tokens, losses)


@dataclass(frozen=True)
class _TokenScores:
    """Surprise, rank and most probable word at each place, each `[num]`."""

    nats: NDArray[np.float64]
    ranks: NDArray[np.int64]
    best: NDArray[np.int64]


def _token_scores(model: WordPredictor, ids: NDArray[np.int32]) -> _TokenScores:
    nats, ranks, best = [], [], []
    for positions, found in model.log_probabilities(ids, "forward"):
        own = found[np.arange(len(found)), ids[positions]]
        nats.append(-own.astype(np.float64))
        ranks.append((found >= own[:, None]).sum(axis=1))
        best.append(found.argmax(axis=1))
    return _TokenScores(np.concatenate(nats), np.concatenate(ranks), np.concatenate(best))


def window_nats(
    model: WordPredictor, ids: NDArray[np.int32], direction: Direction
) -> NDArray[np.float64]:
    """Return the surprise of each predicted word of a window, `<float64>[length]`, in text order.

    The mean over the windows of held-out texts is the loss that `lstm pretrain` reports.

    Args:
        model: The model.
        ids: `<int32>[length + 1]`.
        direction: As for `WordPredictor.log_probabilities`.
    """
    nats = np.zeros(len(ids))
    for positions, found in model.log_probabilities(ids, direction):
        nats[positions] = -found[np.arange(len(found)), ids[positions]]
    return nats[1:] if direction == "forward" else nats[:-1]


class Totals:
    """The surprise of all words of several texts."""

    def __init__(self) -> None:
        """Begin with no text."""
        self.num_texts = 0
        self.num_words = 0
        self._nats: dict[str, float] = {}

    def add(self, score: TextScore) -> None:
        """Add a text."""
        self.num_texts += 1
        self.num_words += score.num_words
        for name, loss in score.losses.items():
            self._nats[name] = self._nats.get(name, 0.0) + loss * score.num_words

    def to_dict(self) -> dict[str, Any]:
        """Return number of words, and loss and perplexity by direction, as plain JSON types."""
        return _results(self._losses(), self.num_words)

    def describe(self) -> str:
        """Return a sentence: `Perplexity of 12 words: 45.2 forward, 48.0 backward.`."""
        values = [f"{perplexity(loss):.1f} {name}" for name, loss in self._losses().items()]
        return f"Perplexity of {pluralize(self.num_words, 'word')}: {', '.join(values) or '-'}."

    def _losses(self) -> dict[str, float]:
        return {name: nats / self.num_words for name, nats in self._nats.items()}


def _results(losses: dict[str, float], num_words: int) -> dict[str, Any]:
    result: dict[str, Any] = {"num_words": num_words}
    for name, loss in losses.items():
        result[name] = {"loss": loss, "perplexity": perplexity(loss)}
    return result


def _name(model: WordPredictor, token_id: int) -> str:
    return END if token_id == PAD_ID else model.tokenizer.words[token_id]

"""Texts from a language model, word by word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_format import shorten
from lstm_cli.prediction.check_number import check_number
from lstm_cli.prediction.language_model import Array, Direction, WordPredictor
from lstm_cli.text.detokenize import spaced
from lstm_cli.text.token_ids import PAD_ID, UNKNOWN_ID
from lstm_cli.text.tokenizer import tokenize

MAX_TOKENS = 10_000


@dataclass(frozen=True)
class Sampling:
    """How the next word is drawn.

    Attributes:
        temperature: The logits are divided by it: below 1 probable words become more probable; 0
            takes the most probable word always.
        top_k: Draw from the K most probable words only; None for all.
        top_p: Draw from the most probable words that together have at least this probability.

    Raises:
        LstmError: A value is not a number, or out of range (exit code 2).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        hint = "Leave it out for the probabilities of the model."
        check_number("--temperature", self.temperature, 0, 100, hint=hint)
        check_number("--top-p", self.top_p, 1e-9, 1, hint=hint)
        if self.top_k is not None:
            check_number("--top-k", self.top_k, 1, 10**9, is_whole=True, hint=hint)

    def draw(self, log_probabilities: Array, rng: np.random.Generator) -> int:
        """Draw a word.

        Args:
            log_probabilities: Of each word, `<float>[vocab]`.
            rng: Source of chance; used once, unless the temperature is 0.
        """
        logits = log_probabilities.astype(np.float64)
        logits[UNKNOWN_ID] = -np.inf
        if self.temperature == 0:
            return int(logits.argmax())
        scaled = (logits - logits.max()) / self.temperature
        order = np.argsort(-scaled, kind="stable")[: self.top_k]
        weights = np.exp(scaled[order])
        cumulative = np.cumsum(weights / weights.sum())
        # The first word stays, however small `top_p` is.
        kept = int(np.searchsorted(cumulative, self.top_p * cumulative[-1])) + 1
        place = rng.random() * cumulative[min(kept, len(cumulative)) - 1]
        return int(order[min(np.searchsorted(cumulative, place, side="right"), len(order) - 1)])


@dataclass(frozen=True)
class GeneratedText:
    """A text from a language model.

    Attributes:
        prompt: What it had to continue, as given.
        text: Prompt and generated words, in the order of reading.
        tokens: The generated tokens, in the order of the text.
        nats: -log of the probability of each, at temperature 1.
        is_complete: Whether the model ended the text; if not, there was no room for more.
    """

    prompt: str
    text: str
    tokens: tuple[str, ...]
    nats: tuple[float, ...]
    is_complete: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "prompt": self.prompt,
            "text": self.text,
            "tokens": list(self.tokens),
            "nats": list(self.nats),
            "is_complete": self.is_complete,
        }


def generate(
    model: WordPredictor,
    prompt: str = "",
    *,
    num_tokens: int = 60,
    sampling: Sampling | None = None,
    seed: int = 0,
    index: int = 0,
    direction: Direction = "forward",
) -> GeneratedText:
    """Continue a text until the model ends it, or there are enough words.

    `[UNK]`, which stands for all words outside the vocabulary, is never drawn.

    Args:
        model: The model.
        prompt: The beginning of the text, or its end for `backward`; empty for a text of its own.
        num_tokens: Words and punctuation marks to generate at most.
        sampling: How words are drawn; at temperature 1 by default.
        seed: The same seed gives the same text on the same machine.
        index: Number of the text, from 0: several texts of one seed differ.
        direction: `backward` writes what stands before the prompt.

    Raises:
        LstmError: The model has no such direction, no word of the prompt is in its vocabulary, or
            the prompt or a number is not valid (exit code 2).
    """
    check_number("--tokens", num_tokens, 1, MAX_TOKENS, is_whole=True, hint="Leave it out for 60.")
    for name, number in (("--seed", seed), ("index", index)):
        check_number(name, number, 0, 2**32 - 1, is_whole=True, hint="Leave it out for 0.")
    model.check_direction(direction)
    sampling = sampling or Sampling()
    rng = np.random.default_rng([seed, index])
    ids = _prompt_ids(model, prompt)
    order = ids if direction == "forward" else ids[::-1]
    found, state = model.read([PAD_ID, *order], model.start(direction), direction)
    words: list[int] = []
    nats: list[float] = []
    is_complete = False
    while len(words) < num_tokens:
        word = sampling.draw(found[-1], rng)
        if word == PAD_ID:
            is_complete = True
            break
        words.append(word)
        nats.append(-float(found[-1, word]))
        found, state = model.read([word], state, direction)
    if direction == "backward":
        words, nats = words[::-1], nats[::-1]
    tokens = tuple(model.tokenizer.words[word] for word in words)
    text = _join(prompt, tokens, direction)
    return GeneratedText(prompt, text, tokens, tuple(nats), is_complete)


def unknown_words(model: WordPredictor, text: str) -> list[str]:
    """Return the words of a text that are not in the vocabulary, each once, in order."""
    pairs = zip(tokenize(text), model.encode(text).tolist(), strict=True)
    return list(dict.fromkeys(word for word, word_id in pairs if word_id == UNKNOWN_ID))


def _prompt_ids(model: WordPredictor, prompt: str) -> NDArray[np.int32]:
    """Return the ids of a prompt.

    Raises:
        LstmError: It has words, and none of them is in the vocabulary (exit code 2).
    """
    ids = model.encode(prompt)
    if len(ids) and (ids == UNKNOWN_ID).all():
        words = ", ".join(shorten(word, 40) for word in unknown_words(model, prompt)[:10])
        raise LstmError(
            f"No word of the prompt is in the vocabulary of {model.run.name}: {words}.",
            "Begin with other words; the model reads all unknown words as one.",
            ExitCode.USAGE,
        )
    return ids


def _join(prompt: str, tokens: tuple[str, ...], direction: Direction) -> str:
    """Write tokens after a prompt, or before it, with the spaces between them."""
    read = tokenize(prompt)
    if direction == "forward":
        pieces = spaced([*read, *tokens])[len(read) :]
        return prompt.rstrip() + "".join(pieces) if prompt.strip() else "".join(pieces)
    pieces = spaced([*tokens, *read])
    between = (
        " " if pieces[len(tokens) : len(tokens) + 1] and pieces[len(tokens)][:1] == " " else ""
    )
    return "".join(pieces[: len(tokens)]) + between + prompt.lstrip()

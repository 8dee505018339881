"""`demo`: movie reviews from a small grammar, in which word order decides the label."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import NamedTuple, TypeVar

import numpy as np

from lstm_cli.datasets import grammar

LABELS = ("negative", "positive")

# How a verdict is put. Words of opinion opposed to the verdict (negation, dissent) and in line with
# it (affirmation, agreement, plain) weigh the same, so that such a word alone says nothing.
SHARES = {
    "negation": 0.24,
    "dissent": 0.10,
    "affirmation": 0.14,
    "agreement": 0.10,
    "plain": 0.10,
    "contrast": 0.32,
}
ASIDE_SHARE = 0.25
NUM_FILLERS = (1, 2, 2, 3)

T = TypeVar("T")


@dataclass(frozen=True)
class Example:
    """One review.

    Attributes:
        text: What is read.
        label: Index into `LABELS`.
        decisive: Start and end, in characters of `text`, of the word that decides: the negator, the
            connective or what is said of a report; in a `plain` review the word of opinion itself.
        form: How the verdict is put: a key of `SHARES`.
    """

    text: str
    label: int
    decisive: tuple[int, int]
    form: str


class _Part(NamedTuple):
    """A literal, or a slot to fill when `slot` is given."""

    literal: str
    slot: str
    polarity: str  # "+", "-", "?", or empty
    decisive: bool


class _Dice:
    """Draws from one seeded stream, fetched in blocks: a call costs more than a whole sentence."""

    def __init__(self, seed: int) -> None:
        self._draws = self._stream(np.random.default_rng(seed))

    @staticmethod
    def _stream(rng: np.random.Generator, block: int = 4096) -> Iterator[float]:
        while True:
            yield from rng.random(block).tolist()

    def chance(self, share: float) -> bool:
        return next(self._draws) < share

    def choose(self, choices: Sequence[T]) -> T:
        return choices[int(next(self._draws) * len(choices))]


def generate(num: int, seed: int, known: Collection[str] = ()) -> list[Example]:
    """Write reviews, as many negative as positive ones (to within one).

    The first reviews of a longer list are those of a shorter one from the same seed.

    Args:
        num: How many.
        seed: Equal seeds give equal reviews.
        known: Texts not to write again. No text occurs twice in the result either.

    Returns:
        Reviews in an order that says nothing about their labels.
    """
    dice = _Dice(seed)
    seen = set(known)
    examples: list[Example] = []
    while len(examples) < num:
        first = dice.choose((0, 1))
        for label in (first, 1 - first):
            example = _write_review(label, dice)
            while example.text in seen:
                example = _write_review(label, dice)
            seen.add(example.text)
            examples.append(example)
    return examples[:num]


def _write_review(label: int, dice: _Dice) -> Example:
    """A verdict among sentences that decide nothing."""
    form = dice.choose(_forms())
    sentences = [(template, False) for template in _fillers(dice)]
    verdict = dice.choose(grammar.VERDICTS[form])
    sentences.insert(dice.choose(range(len(sentences) + 1)), (verdict, True))

    text = ""
    decisive = (0, 0)
    for template, decides in sentences:
        text += " " if text else ""
        sentence, span = _write_sentence(template, label, dice)
        if decides:
            decisive = (len(text) + span[0], len(text) + span[1])
        text += sentence
    return Example(text, label, decisive, form)


def _fillers(dice: _Dice) -> list[str]:
    fillers: list[str] = []
    wanted = dice.choose(NUM_FILLERS)
    while len(fillers) < wanted:
        template = dice.choose(grammar.FILLERS)
        if template not in fillers:
            fillers.append(template)
    if dice.chance(ASIDE_SHARE):
        fillers.insert(dice.choose(range(wanted + 1)), dice.choose(grammar.ASIDES))
    return fillers


def _write_sentence(template: str, label: int, dice: _Dice) -> tuple[str, tuple[int, int]]:
    """Fill the slots of a sentence; no slot gets the same words twice.

    Returns:
        The sentence, and where its decisive word starts and ends (0, 0 when it has none).
    """
    text = ""
    span = (0, 0)
    used: set[str] = set()
    for part in _parse(template):
        word = part.literal
        if part.slot:
            choices = _choices(part, label, dice)
            word = dice.choose(choices)
            while word in used:
                word = dice.choose(choices)
            used.add(word)
            if part.slot == "noun":
                text += "an " if word[0] in "aeiou" else "a "
        if part.decisive:
            span = (len(text), len(text) + len(word))
        text += word
    return text[0].upper() + text[1:], span


def _choices(part: _Part, label: int, dice: _Dice) -> tuple[str, ...]:
    if not part.polarity:
        return grammar.NEUTRAL[part.slot]
    negative, positive = grammar.POLAR[part.slot]
    if part.polarity == "?":
        return dice.choose((negative, positive))
    return positive if (label == 1) == (part.polarity == "+") else negative


@cache
def _forms() -> tuple[str, ...]:
    """The forms, each as often as its share says, so that one even draw picks among them."""
    steps = [round(share * 100) for share in accumulate(SHARES.values(), initial=0)]
    return tuple(
        form
        for form, start, end in zip(SHARES, steps, steps[1:], strict=False)
        for _ in range(start, end)
    )


_PIECE = re.compile(r"(\*?)(?:\{([-+?]?)(\w+)\}|(?<=\*)(\w+))(\*?)")


@cache
def _parse(template: str) -> tuple[_Part, ...]:
    """Take a sentence apart: literals, slots, and the decisive word between asterisks."""
    parts: list[_Part] = []
    end = 0
    for match in _PIECE.finditer(template):
        star, polarity, slot, literal, _ = match.groups()
        before = template[end : match.start()]
        parts.append(_Part(before, "", "", False))
        parts.append(_Part(literal or "", slot or "", polarity or "", bool(star)))
        end = match.end()
    parts.append(_Part(template[end:], "", "", False))
    return tuple(part for part in parts if part.literal or part.slot)

"""`demo`: movie reviews from a small grammar, in which one word decides the label."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import NamedTuple, TypeVar

import numpy as np

from lstm_cli.data.readers import demo_grammar

LABELS = ("negative", "positive")

# How a verdict is put. What is said first stands in an affirmation or agreement, and is overturned
# in a negation or dissent; in a contrast either.
SHARES = {
    "affirmation": 0.17,
    "negation": 0.17,
    "agreement": 0.10,
    "dissent": 0.10,
    "contrast": 0.31,
    "plain": 0.15,
}
_TURNED = ("negation", "dissent")
_TRAIN_SEED, _TEST_SEED = 20, 21
ASIDE_SHARE = 0.25
NUM_FILLERS = (0, 1, 2, 3)

T = TypeVar("T")


@dataclass(frozen=True)
class Example:
    """One review.

    Attributes:
        text: What is read.
        label: Index into `LABELS`.
        decisive: Start and end, in characters of `text`, of the word that decides: the negation,
            the contrast, what is said of a report; in a `plain` review the word of opinion itself.
        form: How the verdict is put: a key of `SHARES`.
        instead: The word in place of the one that decides with which the review has the other
            label; empty in a `plain` review.
    """

    text: str
    label: int
    decisive: tuple[int, int]
    form: str
    instead: str = ""

    @property
    def counterpart(self) -> str:
        """The review of the other label that differs in nothing but the word that decides."""
        start, end = self.decisive
        return self.text[:start] + self.instead + self.text[end:]


class _Part(NamedTuple):
    """A literal, a pair of words of which one decides, or a slot to fill."""

    literal: str = ""
    pair: tuple[str, str] | None = None
    slot: str = ""
    polarity: str = ""  # "+", "-", "?", or empty
    decisive: bool = False


class _Sentence(NamedTuple):
    text: str
    decisive: tuple[int, int] = (0, 0)
    instead: str = ""


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


def write_splits(num_train: int, num_test: int) -> tuple[list[Example], list[Example]]:
    """Write the reviews of the data set `demo`: those of train, and of test, none of them in both.

    The data set is fixed, as those of TFDS are: no setting but the numbers changes it.
    """
    train = generate(num_train, _TRAIN_SEED)
    return train, generate(num_test, _TEST_SEED, {example.text for example in train})


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
    reverse_within = form in _TURNED or (form == "contrast" and dice.chance(0.5))
    sentences = [_write_sentence(template, dice) for template in _fillers(dice)]
    template = dice.choose(demo_grammar.VERDICTS[form])
    verdict = _write_sentence(template, dice, (label == 1) != reverse_within, reverse_within)
    place = dice.choose(range(len(sentences) + 1))
    before = "".join(f"{sentence.text} " for sentence in sentences[:place])
    after = "".join(f" {sentence.text}" for sentence in sentences[place:])
    start, end = verdict.decisive
    decisive = (len(before) + start, len(before) + end)
    return Example(f"{before}{verdict.text}{after}", label, decisive, form, verdict.instead)


def _fillers(dice: _Dice) -> list[str]:
    fillers: list[str] = []
    wanted = dice.choose(NUM_FILLERS)
    while len(fillers) < wanted:
        template = dice.choose(demo_grammar.FILLERS)
        if template not in fillers:
            fillers.append(template)
    if dice.chance(ASIDE_SHARE):
        fillers.insert(dice.choose(range(wanted + 1)), dice.choose(demo_grammar.ASIDES))
    return fillers


def _write_sentence(
    template: str, dice: _Dice, praise: bool = True, reverse_within: bool = False
) -> _Sentence:
    """Fill the slots of a sentence; no slot gets the same words twice.

    Args:
        template: Of `grammar`.
        dice: To draw words with.
        praise: Whether what is said first is praise.
        reverse_within: Whether the word that decides overturns it.
    """
    text, instead = "", ""
    decisive = (0, 0)
    used: set[str] = set()
    for part in _parse(template):
        word = part.literal
        if part.pair:
            word, instead = part.pair if reverse_within else part.pair[::-1]
            if not text:
                instead = _capitalised(instead)
        elif part.slot:
            choices = _choices(part, praise, dice)
            word = dice.choose(choices)
            while word in used:
                word = dice.choose(choices)
            used.add(word)
            if word[0] in "aeiou" and text.endswith(" a "):
                text = f"{text[:-1]}n "
        if part.decisive:
            decisive = (len(text), len(text) + len(word))
        text += word
    return _Sentence(_capitalised(text), decisive, instead)


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]


def _choices(part: _Part, praise: bool, dice: _Dice) -> tuple[str, ...]:
    if not part.polarity:
        return demo_grammar.NEUTRAL[part.slot]
    negative, positive = demo_grammar.POLAR[part.slot]
    if part.polarity == "?":
        return dice.choose((negative, positive))
    return positive if praise == (part.polarity == "+") else negative


@cache
def _forms() -> tuple[str, ...]:
    """The forms, each as often as its share says, so that one even draw picks among them."""
    steps = [round(share * 100) for share in accumulate(SHARES.values(), initial=0)]
    return tuple(
        form
        for form, start, end in zip(SHARES, steps, steps[1:], strict=False)
        for _ in range(start, end)
    )


_PIECE = re.compile(r"\*(\w+)\|(\w+)\*|(\*?)\{([-+?]?)(\w+)\}\*?")


@cache
def _parse(template: str) -> tuple[_Part, ...]:
    """Take a sentence apart: literals, slots, and the word that decides between asterisks."""
    parts: list[_Part] = []
    end = 0
    for match in _PIECE.finditer(template):
        describe_decision, keeping, star, polarity, slot = match.groups()
        parts.append(_Part(template[end : match.start()]))
        if describe_decision:
            parts.append(_Part(pair=(describe_decision, keeping), decisive=True))
        else:
            parts.append(_Part(slot=slot, polarity=polarity, decisive=bool(star)))
        end = match.end()
    parts.append(_Part(template[end:]))
    return tuple(part for part in parts if part != _Part())

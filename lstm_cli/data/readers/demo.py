"""`demo`: film reviews from a small grammar, in which one word decides the label."""

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

# The form of the sentence with the opinion, and how often each form is used. The first opinion in
# the sentence holds in an affirmation or agreement, and is reversed in a negation or dissent. A
# contrast can do either.
FORM_SHARES = {
    "affirmation": 0.17,
    "negation": 0.17,
    "agreement": 0.10,
    "dissent": 0.10,
    "contrast": 0.31,
    "plain": 0.15,
}
_REVERSING_FORMS = ("negation", "dissent")
_TRAIN_SEED, _TEST_SEED = 20, 21
ASIDE_SHARE = 0.25
NUM_FILLERS = (0, 1, 2, 3)

T = TypeVar("T")


@dataclass(frozen=True)
class Example:
    """One review.

    Attributes:
        text: The review.
        label: Index into `LABELS`.
        decisive_span: Start and end, in characters of `text`, of the decisive word: the negation,
            the contrast, or the judgment of a report; in a `plain` review the opinion word itself.
        form: The form of the sentence with the opinion: a key of `FORM_SHARES`.
        replacement: The word that, in place of the decisive word, gives the review the other label;
            empty in a `plain` review.
    """

    text: str
    label: int
    decisive_span: tuple[int, int]
    form: str
    replacement: str = ""

    @property
    def counterpart(self) -> str:
        """The review with the other label, in which only the decisive word differs."""
        start, end = self.decisive_span
        return self.text[:start] + self.replacement + self.text[end:]


class _TemplatePart(NamedTuple):
    """A literal, two words of which one is the decisive word, or a slot to fill."""

    literal: str = ""
    words: tuple[str, str] | None = None  # the reversing and the affirming word
    slot: str = ""
    polarity: str = ""  # "+", "-", "?", or empty
    is_decisive: bool = False


class _Sentence(NamedTuple):
    text: str
    decisive_span: tuple[int, int] = (0, 0)
    replacement: str = ""


class _Random:
    """Draws from one seeded generator, in blocks, because single calls of NumPy are slow."""

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


def generate_splits(num_train: int, num_test: int) -> tuple[list[Example], list[Example]]:
    """Generate the reviews of the data set `demo`: train and test, with no review in both.

    The data set is fixed, as in TFDS: it depends on the two numbers only.
    """
    train = generate(num_train, _TRAIN_SEED)
    return train, generate(num_test, _TEST_SEED, {example.text for example in train})


def generate(num: int, seed: int, known: Collection[str] = ()) -> list[Example]:
    """Generate reviews, as many negative as positive ones (or one more).

    With the same seed, a shorter list is the start of a longer one.

    Args:
        num: Number of reviews.
        seed: Equal seeds give equal reviews.
        known: Texts to exclude. No text occurs twice in the result either.

    Returns:
        Reviews in an order that does not depend on their labels.
    """
    rng = _Random(seed)
    seen = set(known)
    examples: list[Example] = []
    while len(examples) < num:
        first = rng.choose((0, 1))
        for label in (first, 1 - first):
            example = _generate_review(label, rng)
            while example.text in seen:
                example = _generate_review(label, rng)
            seen.add(example.text)
            examples.append(example)
    return examples[:num]


def _generate_review(label: int, rng: _Random) -> Example:
    """Generate a sentence with the opinion, among sentences that say nothing about the label."""
    form = rng.choose(_forms())
    is_reversed = form in _REVERSING_FORMS or (form == "contrast" and rng.chance(0.5))
    sentences = [_generate_sentence(template, rng) for template in _fillers(rng)]
    template = rng.choose(demo_grammar.OPINIONS[form])
    opinion = _generate_sentence(template, rng, (label == 1) != is_reversed, is_reversed)
    place = rng.choose(range(len(sentences) + 1))
    before = "".join(f"{sentence.text} " for sentence in sentences[:place])
    after = "".join(f" {sentence.text}" for sentence in sentences[place:])
    start, end = opinion.decisive_span
    span = (len(before) + start, len(before) + end)
    return Example(f"{before}{opinion.text}{after}", label, span, form, opinion.replacement)


def _fillers(rng: _Random) -> list[str]:
    fillers: list[str] = []
    num = rng.choose(NUM_FILLERS)
    while len(fillers) < num:
        template = rng.choose(demo_grammar.FILLERS)
        if template not in fillers:
            fillers.append(template)
    if rng.chance(ASIDE_SHARE):
        fillers.insert(rng.choose(range(num + 1)), rng.choose(demo_grammar.ASIDES))
    return fillers


def _generate_sentence(
    template: str, rng: _Random, is_praise: bool = True, is_reversed: bool = False
) -> _Sentence:
    """Fill the slots of a sentence; no two slots get the same words.

    Args:
        template: A sentence of `demo_grammar`.
        rng: Draws the words.
        is_praise: Whether the first opinion in the sentence is positive.
        is_reversed: Whether the decisive word reverses that opinion.
    """
    text, replacement = "", ""
    span = (0, 0)
    slot_words: set[str] = set()
    for part in _parse(template):
        word = part.literal
        if part.words:
            word, replacement = part.words if is_reversed else part.words[::-1]
            if not text:
                replacement = _capitalize(replacement)
        elif part.slot:
            choices = _choices(part, is_praise, rng)
            word = rng.choose(choices)
            while word in slot_words:
                word = rng.choose(choices)
            slot_words.add(word)
            if word[0] in "aeiou" and text.endswith(" a "):
                text = f"{text[:-1]}n "
        if part.is_decisive:
            span = (len(text), len(text) + len(word))
        text += word
    return _Sentence(_capitalize(text), span, replacement)


def _capitalize(text: str) -> str:
    """Capitalize the first character and leave the others, unlike `str.capitalize`."""
    return text[0].upper() + text[1:]


def _choices(part: _TemplatePart, is_praise: bool, rng: _Random) -> tuple[str, ...]:
    if not part.polarity:
        return demo_grammar.NEUTRAL[part.slot]
    negative, positive = demo_grammar.POLAR[part.slot]
    if part.polarity == "?":
        return rng.choose((negative, positive))
    return positive if is_praise == (part.polarity == "+") else negative


@cache
def _forms() -> tuple[str, ...]:
    """Return each form as often as its share says, so that a uniform draw picks one."""
    steps = [round(share * 100) for share in accumulate(FORM_SHARES.values(), initial=0)]
    return tuple(
        form
        for form, start, end in zip(FORM_SHARES, steps, steps[1:], strict=False)
        for _ in range(start, end)
    )


_PART = re.compile(r"\*(\w+)\|(\w+)\*|(\*?)\{([-+?]?)(\w+)\}\*?")


@cache
def _parse(template: str) -> tuple[_TemplatePart, ...]:
    """Split a sentence into literals, slots, and the decisive word between asterisks."""
    parts: list[_TemplatePart] = []
    end = 0
    for match in _PART.finditer(template):
        reversing, affirming, star, polarity, slot = match.groups()
        parts.append(_TemplatePart(template[end : match.start()]))
        if reversing:
            parts.append(_TemplatePart(words=(reversing, affirming), is_decisive=True))
        else:
            parts.append(_TemplatePart(slot=slot, polarity=polarity, is_decisive=bool(star)))
        end = match.end()
    parts.append(_TemplatePart(template[end:]))
    return tuple(part for part in parts if part != _TemplatePart())

"""Reviews in which one word decides by construction: what attributions have to find.

In the `demo` reviews the sentence around the word that decides gives it away: "___ in the room
would have called it dull" can only begin with "Nobody". A network that reads well does not need the
word, and an explanation that named it would not be true of the network. Here every sentence also
occurs without its negation, and with the other connective in the same place, so that nothing but
the word tells which it is.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from lstm_cli.datasets import demo
from lstm_cli.datasets.demo import Example

# As in `grammar`: the word that decides between asterisks, {+...} of the review's own polarity.
VERDICTS = {
    "negation": (
        "It is *not* {-noun}.",
        "I would *not* call it {-noun}.",
        "{whole} is *not* {very} {-adj}.",
        "{whole} is *never* {-adj}.",
        "{aspect} is *hardly* {-adj}.",
        "It will *hardly* {-verb} you.",
    ),
    "contrast": (
        "It is {-adj}, *but* it is {+adj}.",
        "It is {+adj}, *though* it is {-adj}.",
        "I found it {-adj} *but* {+adj}.",
        "I found it {+adj} *though* {-adj}.",
        "The {film} is {-noun}, *yet* {very} {+adj}.",
        "The {film} is {+noun}, *although* {very} {-adj}.",
    ),
    "plain": (
        "It is *{+noun}*.",
        "I would call it *{+noun}*.",
        "{whole} is {very} *{+adj}*.",
        "{whole} is *{+adj}*.",
        "{aspect} is *{+adj}*.",
        "It will *{+verb}* you.",
    ),
}


def generate(num: int, seed: int) -> list[Example]:
    """Write reviews, as many of each label and form as of the others (to within one)."""
    dice = demo._Dice(seed)
    forms = list(VERDICTS)
    return [_write(index % 2, forms[index // 2 % len(forms)], dice) for index in range(num)]


def write(path: Path, examples: Sequence[Example]) -> None:
    """Write reviews as a table to train on."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows((e.text, demo.LABELS[e.label]) for e in examples)


def _write(label: int, form: str, dice: demo._Dice) -> Example:
    """Put a verdict among the sentences of `demo` that decide nothing."""
    sentences = [(template, False) for template in demo._fillers(dice)]
    verdict = dice.choose(VERDICTS[form])
    sentences.insert(dice.choose(range(len(sentences) + 1)), (verdict, True))
    text, decisive = "", (0, 0)
    for template, decides in sentences:
        text += " " if text else ""
        sentence, span = demo._write_sentence(template, label, dice)
        if decides:
            decisive = (len(text) + span[0], len(text) + span[1])
        text += sentence
    return Example(text, label, decisive, form)

"""Generate a large data set for `benchmarks.own`: `FOLDER/large/train.csv` and `test.csv`.

    python -m benchmarks.large FOLDER [--texts 100000]

Texts of about 40 words in four classes. Words are made of syllables and endings, and their
frequencies follow Zipf's law. A text has two topics, usually of its class. Topics have their own
words, and in half of the texts a short phrase also tells the class. Two phrases of different
classes have the same words in another order. Some labels are wrong. So neither words nor phrases
suffice, and no classifier reaches 1.0. The same number of texts gives the same files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.own_data import write_table

CLASSES = ("billing", "delivery", "product", "support")
_SEED = 0
_TEST_FRACTION = 0.1
_NUM_STEMS, _NUM_TOPICS, _TOPIC_WORDS = 12_000, 32, 150
_MIN_WORDS, _MAX_WORDS = 25, 55
# Fraction of the words of a text that are from its topics, of topics that are of the class, of
# texts with a phrase, and of wrong labels.
_TOPICAL, _OWN_TOPIC, _WITH_PHRASE, _WRONG = 0.15, 0.85, 0.5, 0.03
_NUM_PHRASES = 60
_SYLLABLES = tuple(
    onset + vowel + coda
    for onset in ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "z")
    for vowel in "aeiou"
    for coda in ("", "", "l", "n", "r", "s")
)
# An ending follows a stem; the first is the most frequent one.
ENDINGS = ("", "s", "ed", "ing", "er", "ly", "en", "al")
ENDING_DISTRIBUTION = np.cumsum([12, 4, 2, 2, 1, 1, 1, 1]) / 24


class Language:
    """The words, topics and phrases of the texts."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.stems = np.array(_make_stems(rng))
        self.stem_distribution = _zipf(len(self.stems))
        # Topic words are rarer than the 200 most frequent words.
        self.topics = rng.integers(200, len(self.stems), (_NUM_TOPICS, _TOPIC_WORDS))
        self.topic_distribution = _zipf(_TOPIC_WORDS)
        # Two frequent words in one order for one class, in the other order for another class.
        pairs = rng.integers(20, 400, (_NUM_PHRASES, 2))
        self.phrases = np.concatenate([pairs, pairs[:, ::-1]])
        order = np.arange(_NUM_PHRASES) % len(CLASSES)
        self.phrase_class = np.concatenate([order, (order + 1) % len(CLASSES)])


def write(folder: Path, num_texts: int) -> None:
    """Generate the data set.

    Args:
        folder: The folder of data sets; `large/train.csv` and `large/test.csv` are written into it.
        num_texts: Number of training texts; there are a tenth as many test texts.
    """
    target = folder / "large"
    target.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(_SEED)
    language = Language(rng)
    for name, num in (("test", round(num_texts * _TEST_FRACTION)), ("train", num_texts)):
        write_table(target / f"{name}.csv", _generate(language, num, rng))


def _generate(
    language: Language, num_texts: int, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """Generate texts with their labels."""
    rows = []
    for true_class in rng.integers(0, len(CLASSES), num_texts):
        label = rng.integers(0, len(CLASSES)) if rng.random() < _WRONG else true_class
        rows.append((_generate_text(language, int(true_class), rng), CLASSES[label]))
    return rows


def _make_stems(rng: np.random.Generator) -> list[str]:
    """Return different stems of one to three syllables."""
    num = 2 * _NUM_STEMS
    sizes = rng.choice((1, 2, 3), num, p=(0.15, 0.55, 0.3))
    syllables = rng.integers(0, len(_SYLLABLES), (num, 3))
    stems = {
        "".join(_SYLLABLES[i] for i in row[:size]): None
        for row, size in zip(syllables, sizes, strict=True)
    }
    return list(stems)[:_NUM_STEMS]


def _generate_text(language: Language, true_class: int, rng: np.random.Generator) -> str:
    """Generate one text: words of all texts, then topic words and a phrase in some places."""
    num_words = int(rng.integers(_MIN_WORDS, _MAX_WORDS + 1))
    ids = draw(language.stem_distribution, num_words, rng)
    topical = np.flatnonzero(rng.random(num_words) < _TOPICAL)
    words = draw(language.topic_distribution, len(topical), rng)
    topics = _draw_topics(true_class, rng)[rng.integers(0, 2, len(topical))]
    ids[topical] = language.topics[topics, words]
    endings = draw(ENDING_DISTRIBUTION, num_words, rng)
    if rng.random() < _WITH_PHRASE:
        phrase = rng.choice(np.flatnonzero(language.phrase_class == true_class))
        start = int(rng.integers(0, num_words - 1))
        ids[start : start + 2] = language.phrases[phrase]
        endings[start : start + 2] = 0
    tokens = [language.stems[i] + ENDINGS[e] for i, e in zip(ids, endings, strict=True)]
    return _punctuate(tokens, rng)


def _draw_topics(true_class: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw two topics; topic t belongs to class t modulo the number of classes."""
    topics = rng.integers(0, _NUM_TOPICS, 2)
    own = topics - topics % len(CLASSES) + true_class
    return np.where(rng.random(2) < _OWN_TOPIC, own, topics)


def _punctuate(tokens: list[str], rng: np.random.Generator) -> str:
    """Join words to sentences of 5 to 15 words."""
    sentences, start = [], 0
    while start < len(tokens):
        end = start + int(rng.integers(5, 16))
        sentences.append(" ".join(tokens[start:end]).capitalize() + ".")
        start = end
    return " ".join(sentences)


def _zipf(num: int) -> NDArray[np.float64]:
    """Return the cumulative probabilities of words sorted by frequency."""
    weights = 1 / (np.arange(num) + 2.7)
    cumulative: NDArray[np.float64] = np.cumsum(weights) / weights.sum()
    return cumulative


def draw(
    distribution: NDArray[np.float64], num: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw indices from cumulative probabilities."""
    indices = np.searchsorted(distribution, rng.random(num), side="right")
    # The last cumulative probability may be a little below 1.
    return np.minimum(indices, len(distribution) - 1)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.large",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where to write large/")
    parser.add_argument("--texts", type=int, default=100_000, help="training texts (100000)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the data set; return the exit code."""
    settings = make_parser().parse_args(arguments)
    write(settings.folder, settings.texts)
    return 0


if __name__ == "__main__":
    sys.exit(main())

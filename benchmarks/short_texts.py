"""Generate a table of short texts of any size in a stream, for `scale` and `linear_sample`.

    python -m benchmarks.short_texts FILE --texts 10000000

Texts of 20 words in four classes, as `benchmarks.large` makes them, but in blocks, at a million in
half a minute: words from topics of the class among words of all texts, some wrong labels, no
phrases. One word in a hundred is a number of six digits, so the number of different words grows
with that of the texts. Equal numbers of texts give equal files; a smaller one is the beginning of a
larger one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import large

NUM_WORDS = 20
_BLOCK = 10_000
_SEED = 1
_NUMBERS, _NUM_DIGITS = 0.01, 6
# Fraction of the words from a topic of the class, and of wrong labels.
_TOPICAL, _WRONG = 0.04, 0.03


def iter_rows(num: int) -> Iterator[tuple[str, str]]:
    """Yield texts with their labels."""
    language = large.Language(np.random.default_rng(_SEED))
    words = np.array([stem + ending for stem in language.stems for ending in large.ENDINGS], object)
    for block in range(-(-num // _BLOCK)):
        rng = np.random.default_rng([_SEED, block])
        classes = rng.integers(0, len(large.CLASSES), _BLOCK)
        ids = _draw_words(language, classes, rng)
        tokens = words[ids]
        is_number = rng.random(ids.shape) < _NUMBERS
        numbers = rng.integers(0, 10**_NUM_DIGITS, np.count_nonzero(is_number))
        tokens[is_number] = [f"{number:0{_NUM_DIGITS}}" for number in numbers.tolist()]
        is_wrong = rng.random(_BLOCK) < _WRONG
        labels = np.where(is_wrong, rng.integers(0, len(large.CLASSES), _BLOCK), classes)
        first = block * _BLOCK
        rows = zip(tokens.tolist(), labels.tolist(), strict=True)
        for _, (row, label) in zip(range(first, num), rows, strict=False):
            yield " ".join(row), large.CLASSES[label]


def _draw_words(
    language: large.Language, classes: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the words of texts, as stem and ending in one number, `<int64>[texts, words]`."""
    size = (len(classes), NUM_WORDS)
    num = len(classes) * NUM_WORDS
    stems = large.draw(language.stem_distribution, num, rng).reshape(size)
    # Topic t belongs to class t modulo the number of classes.
    topics = rng.integers(0, len(language.topics) // len(large.CLASSES), size)
    topics = topics * len(large.CLASSES) + classes[:, None]
    of_topic = large.draw(language.topic_distribution, num, rng).reshape(size)
    is_topical = rng.random(size) < _TOPICAL
    stems = np.where(is_topical, language.topics[topics, of_topic], stems)
    endings = large.draw(large.ENDING_DISTRIBUTION, num, rng).reshape(size)
    return stems * len(large.ENDINGS) + endings


def write(path: Path, num: int) -> None:
    """Write a table with the columns `text` and `label`, separated by a tab.

    Args:
        path: The file.
        num: Number of rows.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write("text\tlabel\n")
        file.writelines(f"{text}\t{label}\n" for text, label in iter_rows(num))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.short_texts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="the table to write (.tsv)")
    parser.add_argument("--texts", type=int, default=1_000_000, help="number of texts (1000000)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table; return the exit code."""
    settings = make_parser().parse_args(arguments)
    write(settings.file, settings.texts)
    return 0


if __name__ == "__main__":
    sys.exit(main())

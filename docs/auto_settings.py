"""Write the table of docs/own-data.md, settings chosen from the data; with --check, compare it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lstm_cli.config.auto import DataProfile, choose_settings

TARGET = Path(__file__).with_name("own-data.md")
BEGIN, END = "<!-- begin: written by docs/auto_settings.py -->\n", "<!-- end -->\n"


def _profile(
    num_texts: int, num_classes: int, length: int, unspaced: float = 0.0, once: float = 0.05
) -> DataProfile:
    """Describe texts whose longest have twice the median length."""
    num_tokens = num_texts * length
    return DataProfile(num_texts, num_classes, 0, length, 2 * length, num_tokens, unspaced, once)


EXAMPLES = {
    "300 tickets, 3 classes": _profile(300, 3, 15),
    "2,000 Arabic posts, 3 classes": _profile(2000, 3, 20, once=0.2),
    "5,000 sentences, 2 classes": _profile(5000, 2, 20),
    "10,000 questions, 77 classes": _profile(10_000, 77, 12),
    "10,000 Chinese reviews, 2 classes": _profile(10_000, 2, 30, 0.9),
    "100,000 articles, 4 classes": _profile(100_000, 4, 150),
}
# Each says why the setting depends on the data. The numbers are in the columns before it.
REASONS = {
    "data.validation_fraction": "a few hundred texts are enough to choose the best epoch; the rest "
    "is for training",
    "data.folds": "a tenth of few texts says little: with folds, every text is validated once",
    "text.vocab_size": "rarer words are read through their character n-grams",
    "text.min_count": "in few texts every word counts; in many, rare words are mostly noise",
    "text.min_similarity": "where many words occur once, new texts have new words: the LSTM "
    "reads them as the words spelled most alike",
    "text.max_tokens": "covers 95% of the texts; longer ones keep their start and end",
    "embedding.vectors": "word vectors learned from your texts, and from `--unlabeled` if given",
    "linear.word_ngrams": "in scripts without spaces a word is often two or three characters",
    "linear.buckets": "about one for each token, limited by the memory of all classes together",
    "linear.char_ngrams": "parts of words help with few texts; with many, known words need none",
    "linear.char_buckets": "as `linear.buckets`",
    "linear.refit": "in the end the linear model also learns from the validation texts",
    "linear.penalty": "characters share more n-grams than words, so they overfit sooner",
    "linear.folds": "more folds leave more texts for each fit, which matters if there are few",
    "linear.self_training": "most of the texts of `--unlabeled`, if they are more than the labels",
    "train.batch_size": "enough steps in an epoch on few texts, speed on many",
    "train.epochs": "the most passes; training keeps the best one and stops when it gets worse",
    "train.refit": "with few texts the last model also learns from the validation texts",
}


def _format(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else str(value)


def table() -> str:
    """Return the table as Markdown; exit where a setting has no reason."""
    chosen = [choose_settings(profile) for profile in EXAMPLES.values()]
    if unexplained := [key for key in chosen[0] if key not in REASONS]:
        sys.exit(f"{__file__}: add the reasons of {', '.join(unexplained)} to REASONS")
    rows = [["setting", *EXAMPLES, "why"], ["---"] * (len(EXAMPLES) + 2)]
    for key in chosen[0]:
        values = (_format(values[key]) for values in chosen)
        rows.append([f"`{key}`", *values, REASONS[key]])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def with_table(page: str) -> str:
    """Return the page with the table of today."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END, 1)[1]


def main() -> int:
    """Write or check the page."""
    page = TARGET.read_text(encoding="utf-8")
    if "--check" not in sys.argv:
        TARGET.write_text(with_table(page), encoding="utf-8")
        return 0
    if with_table(page) == page:
        return 0
    sys.stderr.write(f"The table in {TARGET} is out of date: run 'make docs'.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

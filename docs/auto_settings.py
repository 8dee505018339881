"""Write the tables of settings that are chosen from the data; with --check, compare them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm_cli.config.auto import DataProfile, choose_settings
from lstm_cli.config.auto_images import ImageProfile, choose_image_settings

TEXTS, IMAGES = (Path(__file__).with_name(name) for name in ("own-data.md", "images.md"))
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
    "embedding.dim": "with `--vectors` the width of the file, with `--init-from` that of the run",
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


IMAGE_EXAMPLES = {
    "300 icons, 16 x 16, 3 classes": ImageProfile(300, 3, 16, 16, "any"),
    "1,400 digits, 8 x 8, 10 classes": ImageProfile(1400, 10, 8, 8, "dark"),
    "10,000 scans, 28 x 28, 26 classes": ImageProfile(10_000, 26, 28, 28, "bright"),
    "60,000 garments, 28 x 28, 10 classes": ImageProfile(60_000, 10, 28, 28, "any"),
}
IMAGE_REASONS = {
    "data.validation_fraction": "a few hundred images are enough to choose the best epoch",
    "data.folds": "a tenth of few images says little: with folds, every image is validated once",
    "image.border": "what all images have: then a new image with the opposite border is inverted",
    "image.shift": "an image moved by one pixel in 28 is of the same class; in a smaller image, a "
    "pixel is much of a stroke",
    "model.units": "more images can teach more units",
    "train.batch_size": "enough steps in an epoch on few images, speed on many",
    "train.epochs": "few images need more passes; training keeps the best one",
    "train.refit": "with few images the last model also learns from the validation images",
}


def _format(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(columns: Mapping[str, dict[str, Any]], reasons: Mapping[str, str]) -> str:
    """Return settings as Markdown; exit where one has no reason.

    Args:
        columns: The settings that are chosen, by what they are chosen for.
        reasons: Why each setting depends on the data.
    """
    chosen = list(columns.values())
    if unexplained := [key for key in chosen[0] if key not in reasons]:
        sys.exit(f"{__file__}: add the reasons of {', '.join(unexplained)}")
    rows = [["setting", *columns, "why"], ["---"] * (len(columns) + 2)]
    for key in chosen[0]:
        values = (_format(values[key]) for values in chosen)
        rows.append([f"`{key}`", *values, reasons[key]])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def pages() -> dict[Path, str]:
    """Return the table of each page."""
    texts = {name: choose_settings(profile) for name, profile in EXAMPLES.items()}
    images = {name: choose_image_settings(profile) for name, profile in IMAGE_EXAMPLES.items()}
    return {TEXTS: table(texts, REASONS), IMAGES: table(images, IMAGE_REASONS)}


def with_table(page: str, content: str) -> str:
    """Return the page with the table of today."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + content + END + rest.split(END, 1)[1]


def main() -> int:
    """Write or check the pages."""
    is_current = True
    for target, content in pages().items():
        page = target.read_text(encoding="utf-8")
        if "--check" not in sys.argv:
            target.write_text(with_table(page, content), encoding="utf-8")
        elif with_table(page, content) != page:
            is_current = False
            sys.stderr.write(f"The table in {target} is out of date: run 'make docs'.\n")
    return 0 if is_current else 1


if __name__ == "__main__":
    sys.exit(main())

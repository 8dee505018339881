"""fastText: bag of words and bigrams, with the settings of its paper for reviews.

Usage: fasttext_bigrams.py imdb|demo SEED RESULT.json

Source: Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification", section 3.1: 10
    hidden units, 5 epochs, bigrams, and the highest of its learning rates.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from benchmarks.scripts import clock, keras_free
from lstm_cli.data import Split

_LABEL_PREFIX = "__label__"


def normalize(text: str) -> str:
    """Lowercase, remove line breaks and separate punctuation, as fastText recommends."""
    return re.sub(r"([^\w\s])", r" \1 ", text.lower().replace("<br />", " ")).replace("\n", " ")


def lines(split: Split) -> str:
    """Return a split in fastText's format."""
    examples = zip(split.labels, split.inputs, strict=True)
    return "".join(f"{_LABEL_PREFIX}{label} {normalize(text)}\n" for label, text in examples)


def main(data: str, seed: int, out: str) -> None:
    """Train and evaluate."""
    import fasttext

    train, test = keras_free.load(data)
    ready = clock.age()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("train.txt", "test.txt")]
        paths[0].write_text(lines(train), encoding="utf-8")
        model = fasttext.train_supervised(
            input=str(paths[0]), wordNgrams=2, dim=10, epoch=5, lr=0.5, seed=seed, verbose=0
        )
        trained = clock.age()
        paths[1].write_text(lines(test), encoding="utf-8")
        # With one label per text, precision at 1 is the accuracy.
        _, accuracy, _ = model.test(str(paths[1]))
    clock.write(out, keras_free.result(ready, trained, float(accuracy)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])

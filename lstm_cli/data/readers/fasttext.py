"""fastText's format: `__label__good some text`, one text per line."""

from __future__ import annotations

from collections.abc import Iterator

from lstm_cli.data.readers.detect import FASTTEXT_PREFIX
from lstm_cli.data.readers.row import Row

COLUMNS = ("text", "label")


def iter_fasttext(lines: Iterator[str]) -> Iterator[Row]:
    """Yield the rows of a file in fastText's format; blank lines are skipped.

    As in fastText, each word that begins with `__label__` is a label, wherever it stands. One label
    is a string, several are a list, none is an empty string.

    Args:
        lines: With their ends.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        words = line.split(" ")
        labels = [
            word.strip().removeprefix(FASTTEXT_PREFIX)
            for word in words
            if word.startswith(FASTTEXT_PREFIX)
        ]
        text = " ".join(word for word in words if not word.startswith(FASTTEXT_PREFIX)).strip()
        label = labels[0] if len(labels) == 1 else labels or ""
        yield Row(number, dict(zip(COLUMNS, (text, label), strict=True)))

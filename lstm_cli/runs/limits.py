"""What a run can hold: checked before training, because a larger run could not be read."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lstm_cli.errors import LstmError
from lstm_cli.io.text_format import shorten
from lstm_cli.runs import directory as runs

# Results, golden probabilities and labels of so many classes are within the limits of their files.
MAX_CLASSES = 50_000


def check_labels(labels: Sequence[str], source: str) -> None:
    """Check that a run can hold these classes.

    Args:
        labels: Class names.
        source: Where they come from, for errors.

    Raises:
        LstmError: They are too many, or their names are too long.
    """
    if len(labels) > MAX_CLASSES:
        raise LstmError(
            f"{source} has {len(labels):,} classes; a run can have {MAX_CLASSES:,}.",
            "Check the label column (--label-column NAME), or merge classes.",
        )
    size, limit = _size(labels), runs.MAX_LABEL_BYTES
    if size > limit:
        longest = max(labels, key=len)
        raise LstmError(
            f"The names of the {len(labels):,} classes of {source} have {size:,} bytes; the limit "
            f"is {limit:,}. The longest has {len(longest):,} characters: {shorten(longest, 60)!r}.",
            "Check the label column (--label-column NAME), or give the classes shorter names.",
        )


def _size(labels: Sequence[str]) -> int:
    """Return the bytes that class names take in a file."""
    return len(json.dumps(list(labels), ensure_ascii=False).encode("utf-8", "backslashreplace"))

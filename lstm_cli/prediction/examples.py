"""Golden inputs, and which of them the pages of a run offer as examples."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.io.fields import SEPARATOR
from lstm_cli.runs.validate import Golden

# Golden texts that are not of a run's data.
FIXED_TEXTS = ("", "good", "This was not what I expected, and I loved every minute of it.")
# Golden texts of the data are cut at this length, in characters.
MAX_CHARACTERS = 400

_MAX_EXAMPLES = 10
_SHORT, _GOOD_LENGTH = 20, 40  # characters; a short text shows little
_NUM_CANDIDATES = 200
# The end of a sentence: with a space after it, or in Chinese and Japanese.
_SENTENCE_END = re.compile(r"[.!?…](?=\s)|[。\uff01\uff1f]")


def choose_golden_rows(
    inputs: Sequence[str] | NDArray[np.uint8], labels: NDArray[np.int32]
) -> list[int]:
    """Order the examples near the start of a split, for the first ones to become golden inputs.

    Classes take turns, and whole texts of some length come first.

    Args:
        inputs: Texts, or images `<uint8>[num, rows, columns]`.
        labels: Class ids `[num]`, or `[num, labels]` of 0 and 1, of which the first one counts.
    """
    candidates = list(range(min(len(inputs), _NUM_CANDIDATES)))
    if not isinstance(inputs, np.ndarray):
        lengths = [len(inputs[row]) for row in candidates]
        candidates.sort(key=lambda row: not _GOOD_LENGTH <= lengths[row] < MAX_CHARACTERS)  # stable
    classes = labels if labels.ndim == 1 else labels.argmax(axis=1)
    order = alternate_classes([int(classes[row]) for row in candidates])
    return [candidates[place] for place in order]


def choose_examples(golden: Golden) -> list[Any]:
    """Choose golden inputs of different classes that are worth showing, as plain JSON types.

    The first one is shown when a page opens: it is not short if the run has a longer one.
    The fixed texts, which are not of the run's data, come only where there is no other.

    Args:
        golden: The golden inputs of a run.
    """
    predicted = golden.probabilities.argmax(axis=1).tolist()
    if isinstance(golden.inputs, np.ndarray):
        order = alternate_classes(predicted)
        return [golden.inputs[row].tolist() for row in order[:_MAX_EXAMPLES]]
    texts = golden.inputs
    rows = [row for row, text in enumerate(texts) if text.strip() and text not in FIXED_TEXTS]
    rows.sort(key=lambda row: len(texts[row]) < _SHORT)  # stable
    order = [rows[place] for place in alternate_classes([predicted[row] for row in rows])]
    examples = [_end_well(texts[row]) for row in order[:_MAX_EXAMPLES]]
    return examples or [text for text in reversed(FIXED_TEXTS) if text and text in texts]


def alternate_classes(classes: Sequence[int]) -> list[int]:
    """Return an order of rows in which their classes take turns: 0, 0, 1 becomes 0, 2, 1."""
    rows = defaultdict(list)
    for row, class_id in enumerate(classes):
        rows[class_id].append(row)
    turns = zip_longest(*rows.values())
    return [row for turn in turns for row in turn if row is not None]


def _end_well(text: str) -> str:
    """End a text that was cut with its last whole sentence, or else word."""
    if len(text) < MAX_CHARACTERS:
        return text
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    end = max((end for end in ends if end > MAX_CHARACTERS // 2), default=text.rfind(" "))
    end = max(end, text.rfind(SEPARATOR) + 1)  # no column gets lost
    return text[:end].rstrip() if end > 0 else text

"""Arrays of another run in a model with more words, more classes, or other region features.

Rows of known words and outputs of known classes are copied bit for bit. New ones have a start of
their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_cli.models.calibration import num_outputs
from lstm_cli.text.token_ids import UNKNOWN_ID

Floats = NDArray[np.float32]

# One row for each word of the vocabulary.
WORD_ARRAYS = ("embedding/embeddings", "next_words/embeddings", "next_bias/embeddings")
# Their new rows begin as that of `[UNK]`, as which the other run read these words.
_LIKE_UNKNOWN = ("embedding/embeddings", "next_words/embeddings")
# One column for each output of a classifier.
HEAD_ARRAYS = ("head/kernel", "head/bias")


def with_new_words(name: str, old: Floats, own: Floats) -> Floats:
    """Return an array of `WORD_ARRAYS` with rows for new words.

    Args:
        name: Of the array.
        old: Of the other run, `<float32>[old vocabulary, dim]`.
        own: Initial values of the model, `<float32>[vocabulary, dim]`, its first words those of
            the other run.

    Returns:
        The rows of `old`, then those of the new words: the vector of `[UNK]`, or of a bias, which
        follows from the frequency of the word, the initial value of the model.
    """
    grown = own.copy()
    if name in _LIKE_UNKNOWN:
        grown[:] = old[UNKNOWN_ID]
    grown[: len(old)] = old
    return grown


def with_new_labels(
    old: Mapping[str, Floats],
    own: Mapping[str, Floats],
    old_labels: Sequence[str],
    labels: Sequence[str],
    multi_label: bool,
) -> dict[str, Floats]:
    """Return the arrays of the head with an output for each class, those of known classes copied.

    Two classes share one output, the logit of the second against the first. With more classes each
    has an output of its own, so this one becomes two: half of it for the second class, and the
    negative half for the first. The odds of the two stay the same.

    Args:
        old: `HEAD_ARRAYS` of the other run, `<float32>[..., old outputs]`.
        own: Initial values of the model, `<float32>[..., outputs]`.
        old_labels: Class names of the other run.
        labels: Class names of the model: those of the other run, and more.
        multi_label: Whether a text has any number of labels, in both.
    """
    places = [labels.index(label) for label in old_labels]
    grown = {}
    for name in HEAD_ARRAYS:
        by_class = _by_class(old[name], len(old_labels), multi_label)
        if num_outputs(len(labels), multi_label) == 1 and not multi_label:
            # Two classes in both; their ids may be the other way round.
            columns = np.zeros_like(by_class)
            columns[..., places] = by_class
            grown[name] = columns[..., 1:] - columns[..., :1]
            continue
        grown[name] = own[name].copy()
        grown[name][..., places] = by_class
    return grown


def with_rows(old: Floats, num_rows: int, rows: Sequence[tuple[slice, slice]]) -> Floats:
    """Return a kernel with the known rows in their new places; new inputs have no weight at first.

    Args:
        old: `<float32>[old rows, outputs]`.
        num_rows: Rows of the result.
        rows: The known rows, there and here.
    """
    kernel = np.zeros((num_rows, *old.shape[1:]), np.float32)
    for there, here in rows:
        kernel[here] = old[there]
    return kernel


def _by_class(array: Floats, num_classes: int, multi_label: bool) -> Floats:
    """Return an array of a head with one column for each class."""
    if multi_label or num_classes > 2:
        return array
    half = array / np.float32(2)
    return np.concatenate([-half, half], axis=-1)

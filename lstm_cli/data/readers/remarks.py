"""What a person should know about labeled texts that were read: the notes of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from lstm_cli.data.readers.label_kinds import label_remarks
from lstm_cli.data.readers.label_sets import AUTO, LIST, possible_separator
from lstm_cli.data.readers.labels import Merge, describe_merges, find_labels
from lstm_cli.data.readers.row_columns import describe_ids
from lstm_cli.data.readers.table import LabeledTexts
from lstm_cli.data.source import DataSource, check_command
from lstm_cli.io.text_format import pluralize
from lstm_cli.text.equality import text_keys


def table_notes(examples: LabeledTexts, source: DataSource) -> Iterator[str]:
    """Yield what a person should know about the training examples.

    Args:
        examples: As read.
        source: How they were read.
    """
    command = check_command(source)
    num = len(examples.texts)
    yield from examples.notes
    yield from _label_notes(examples, source)
    yield from _column_notes(examples)
    yield from _row_notes(examples, source)
    if examples.merges:
        yield f"{describe_merges(examples.merges)} See '{command}'."
    keys = text_keys(examples.texts)
    num_empty = num - int(np.count_nonzero(keys))
    if num_empty:
        yield f"{num_empty} of {num} texts are empty. See '{command}'."
    num_repeated = num - num_empty - len(np.unique(keys[keys != 0]))
    if num_repeated:
        yield (
            f"{num_repeated} of {num} texts repeat an earlier one. If copies of a text fall into "
            f"different splits, the results look better than they are. See '{command}'."
        )


def _column_notes(examples: LabeledTexts) -> Iterator[str]:
    """Yield which columns are read, if they are not simply `text` and `label`."""
    texts, labels = examples.text_columns, examples.label_columns
    if not texts or (texts, labels) == (("text",), ("label",)):
        return
    joined = "columns" if len(texts) > 1 else "column"
    names = " and ".join(filter(None, [", ".join(map(repr, texts[:-1])), repr(texts[-1])]))
    label = f", labels from column {labels[0]!r}" if len(labels) == 1 else ""
    yield f"Texts are read from {joined} {names}{label}."


def _row_notes(examples: LabeledTexts, source: DataSource) -> Iterator[str]:
    """Yield what the weights are, and which ids do not name one row."""
    if source.weight_column is not None:
        weights = np.array(examples.weights)
        left_out = ""
        if examples.num_left_out:
            left_out = f"; {pluralize(examples.num_left_out, 'row')} of weight 0 left out"
        yield (
            f"Rows have weights from column {source.weight_column!r}: {weights.min():g} to "
            f"{weights.max():g}, {weights.mean():.3g} on average{left_out}."
        )
    if source.id_column is not None and (remark := describe_ids(examples.ids, source.id_column)):
        yield remark


def _label_notes(examples: LabeledTexts, source: DataSource) -> Iterator[str]:
    """Yield how several labels of a text were found, or that a text may have several."""
    sets = examples.label_sets
    if sets is None:
        separator = possible_separator(examples.labels)
        if source.multi_label == AUTO and separator is not None:
            yield (
                f"Some labels hold {separator!r}; each is read as one label. If they are several "
                f"labels, give --multi-label '{separator}'."
            )
        yield from label_remarks(examples.labels, examples.texts, source.multi_label == AUTO)
        return
    num_labels = [len(labels) for labels in sets]
    empty = num_labels.count(0)
    none = f", {empty:,} have none" if empty else ""
    how = "in lists" if examples.multi_label == LIST else f"separated by {examples.multi_label!r}"
    if source.label_columns:
        how = f"in {len(source.label_columns)} columns"
    yield (
        f"Texts have several labels ({how}): {sum(num_labels) / len(sets):.2f} on average, at most "
        f"{max(num_labels)}{none}."
    )


def spelling_notes(examples: LabeledTexts, classes: Sequence[str], path: Path) -> Iterator[str]:
    """Yield which labels of another split are written differently than in train.

    Args:
        examples: The other split.
        classes: Class names.
        path: Its file or folder.
    """
    sets = [(label,) for label in examples.labels]
    counts = Counter(chain.from_iterable(examples.label_sets or sets))
    known = find_labels(counts, classes)
    for merge in examples.merges:
        counts[merge.name] -= merge.num
    spellings = [*examples.merges, *(Merge(label, label, num) for label, num in counts.items())]
    named = [replace(each, name=classes[known[each.name]]) for each in spellings if each.num]
    merges = [each for each in named if each.written != each.name]
    if merges:
        yield f"{path}: {describe_merges(merges)}"

"""Texts that are nearly the same, within a file and between files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_cli.checks.copies import Copies
from lstm_cli.checks.keys import letters
from lstm_cli.checks.near_duplicates import NearPair, find_near_pairs
from lstm_cli.checks.result import Finding, Group
from lstm_cli.checks.table import Table
from lstm_cli.io.text_format import pluralize


def near_copies(
    table: Table, copies: Copies, has_words: NDArray[np.bool_], limit: int
) -> tuple[Finding, Finding]:
    """Find texts that are nearly the same as an earlier one, copies left out.

    Args:
        table: The rows.
        copies: Their copies.
        has_words: Whether the text of a row has a word, `<bool>[rows]`; others are not compared.
        limit: How many pairs each finding has at most.

    Returns:
        The findings `near-leak` and `near-duplicate`.
    """
    rows = np.flatnonzero(copies.is_first & has_words).tolist()
    pairs = find_near_pairs(len(rows), lambda i: letters(table.text(rows[i])), table.files[rows])
    pairs = [NearPair(rows[p.index], rows[p.earlier], p.similarity) for p in pairs]
    pairs = [p for p in pairs if copies.keys[p.index] != copies.keys[p.earlier]]
    within = [p for p in pairs if table.files[p.index] == table.files[p.earlier]]
    between = [p for p in pairs if table.files[p.index] != table.files[p.earlier]]
    # A leaked text is already reported.
    between = [p for p in between if not copies.is_leak[p.index]]
    return (
        _finding("near-leak", table, copies, between, limit),
        _finding("near-duplicate", table, copies, within, limit),
    )


def _finding(
    kind: str, table: Table, copies: Copies, pairs: Sequence[NearPair], limit: int
) -> Finding:
    classes = copies.classes
    differing = [p for p in pairs if classes[p.index] != classes[p.earlier]]
    same = [p for p in pairs if classes[p.index] == classes[p.earlier]]
    # Different labels of nearly the same text are probably errors: they come first.
    shown = [
        *sorted(differing, key=lambda p: -p.similarity)[:limit],
        *sorted(same, key=lambda p: -p.similarity)[:limit],
    ]
    groups = tuple(_group(table, pair, pair in differing) for pair in shown[:limit])
    note = f"{pluralize(len(differing), 'pair')} with different labels." if differing else ""
    return Finding(kind, len(pairs), note, groups, len(pairs))


def _group(table: Table, pair: NearPair, differs: bool) -> Group:
    detail = f"{pair.similarity:.0%} alike"
    if pair.similarity > 0.99:
        detail = "the same words"
    return Group(detail + ", labels differ" * differs, table.pair(pair.index, pair.earlier), 2)

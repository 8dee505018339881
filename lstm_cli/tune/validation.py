"""How many rows a search holds out: more than a training does, because it compares many settings.

The best of forty settings on 300 held-out rows is mostly the luckiest one: the standard error of an
accuracy is about two points there, and that of all 3,000 rows, held out in folds, a third of it.
Three folds take about twice the time of one training, because each trains on fewer rows.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from lstm_cli.config.schema import Config

# Settings that decide which rows are held out: if a person gives one, all stay as they are.
_KEYS = ("data.folds", "data.validation_fraction", "data.validation_file", "train.refit")
_FOLDS = 3
# Up to so many rows, all are held out, in folds.
_MAX_FOLD_ROWS = 20_000
# Of more rows, so many are held out. Up to the second number, the run then trains on all rows.
_HELD_OUT_ROWS = 3000
_MAX_REFIT_ROWS = 100_000


def search_validation(config: Config, num_rows: int, typed: Collection[str]) -> dict[str, Any]:
    """Return the settings that let all trials of a search be compared on enough rows.

    Args:
        config: The settings that suit the data.
        num_rows: Number of its labeled rows, without those of test.
        typed: Dotted keys of the settings that a person gave.

    Returns:
        Settings by dotted key; none if there are folds or a validation file already.
    """
    if config.data.folds or config.data.validation_file or not set(_KEYS).isdisjoint(typed):
        return {}
    if num_rows <= _MAX_FOLD_ROWS:
        return {"data.folds": _FOLDS}
    fraction = round(_HELD_OUT_ROWS / num_rows, 4)
    if fraction <= config.data.validation_fraction:
        return {}
    refit = {"train.refit": True} if num_rows <= _MAX_REFIT_ROWS else {}
    return {"data.validation_fraction": fraction, **refit}

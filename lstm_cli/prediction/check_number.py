"""Check the numbers that the command line and Python give to prediction."""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_format import shorten


def check_number(
    name: str,
    value: object,
    low: float,
    high: float | None,
    *,
    is_whole: bool = False,
    hint: str = "",
) -> None:
    """Check that a value is a number in a range.

    Args:
        name: Of the option or the argument, for errors.
        value: What was given; a bool is not a number.
        low: The smallest valid value.
        high: The largest valid value; None for no limit.
        is_whole: Whether only whole numbers are valid, of a type for whole numbers.
        hint: What to do.

    Raises:
        LstmError: It is not such a number (exit code 2).
    """
    kind = Integral if is_whole else Real
    is_number = isinstance(value, kind) and not isinstance(value, bool | np.bool_)
    limit = math.inf if high is None else high
    if is_number and low <= float(value) <= limit:  # type: ignore[arg-type]
        return
    valid = f"of {low:g} or more" if high is None else f"from {low:g} to {high:,}"
    expected = f"a {'whole ' * is_whole}number {valid}"
    found = value if is_number else f"{shorten(repr(value), 60)} ({type(value).__name__})"
    raise LstmError(f"{name} expects {expected}, found {found}.", hint, ExitCode.USAGE)

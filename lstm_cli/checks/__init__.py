"""What is wrong with labeled texts or images, before anything is trained on them.

What is in here:
    check            `check_data`: all checks of `lstm data check`
    check_images     `check_images`: those of own images
    quick            `quick_check`: the cheap ones, which training runs
    overlap          which examples a model has learned from
    result           what the checks return
    table            the rows of all files, one after the other
    keys             what two texts or two labels that look the same have in common
    copies           the same text twice: duplicates, leaks, conflicts
    near_duplicates  texts that are nearly the same, in linear time
    labels           labels that look alike, that are new, or that are missing
    mojibake         texts that were decoded with the wrong encoding
    words            words of each text, and words that the first file does not have

Start with `check.check_data`. This package may import `data`, `text`, `config`, `io` and `errors`.
"""

from __future__ import annotations

from lstm_cli.checks.check import check_data
from lstm_cli.checks.check_images import check_images
from lstm_cli.checks.overlap import Keys, Learned, Overlap, keys_of, overlap
from lstm_cli.checks.quick import QuickCheck, quick_check
from lstm_cli.checks.result import (
    KINDS,
    DataCheck,
    FileSummary,
    Finding,
    Group,
    Row,
    check_nothing_found,
    parse_kinds,
)

__all__ = [
    "KINDS",
    "DataCheck",
    "FileSummary",
    "Finding",
    "Group",
    "Keys",
    "Learned",
    "Overlap",
    "QuickCheck",
    "Row",
    "check_data",
    "check_images",
    "check_nothing_found",
    "keys_of",
    "overlap",
    "parse_kinds",
    "quick_check",
]

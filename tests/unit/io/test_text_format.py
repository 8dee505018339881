from __future__ import annotations

import unicodedata

import pytest

from lstm_cli.io.text_format import visible


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("pos\u200b", r"'pos\u200b'"),
        ("\u00e9", "'\u00e9'"),
        (unicodedata.normalize("NFD", "\u00e9"), r"'e\u0301'"),
        # The marks of Hindi cannot be composed.
        ("\u0905\u091a\u094d\u091b\u093e", "'\u0905\u091a\u094d\u091b\u093e'"),
        ("\x1b[31m", r"'\x1b[31m'"),
        ("x" * 50_000, "'" + "x" * 59 + "\u2026'"),
    ],
)
def test_what_cannot_be_seen_in_a_label_is_shown(label, shown):
    assert visible(label) == shown

from __future__ import annotations

import unicodedata

import pytest

from lstm_cli.io.text_format import abbreviate_count, short_label, short_labels, visible


def test_the_middle_of_a_long_label_is_left_out_and_equal_ones_are_numbered():
    assert short_label("a" * 30 + "b" * 30, 10) == "aaaaa…bbbb"
    assert short_label(" one\nlabel ") == "one label"
    assert len(short_label("x y " * 20_000)) == 40
    labels = ["x" * 50, "x" * 51, "y", "x" * 52]
    assert list(short_labels(labels, 3).values()) == ["x…x", "x…x (2)", "y", "x…x (3)"]


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


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0"), (999_999, "999,999"), (3_314_498, "3.31 M"), (12_345_678_901, "12.3 G")],
)
def test_large_counts_are_abbreviated(count, expected):
    assert abbreviate_count(count) == expected

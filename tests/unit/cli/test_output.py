"""Tables on terminals of different widths, and in a pipe."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lstm_cli.cli import output, print_data

COLUMNS = ("run", "accuracy", "parameters", "size", "started")
ROW = ("demo/a-run", "0.9876", "12,345,678", "123.4 MB", "2026-11-26 10:20")


@pytest.fixture
def printed(capsys, monkeypatch):
    def run(width, call, *arguments, is_terminal=True, **options):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(output, "is_terminal", lambda: is_terminal)
        output._stdout.cache_clear()
        call(*arguments, **options)
        found = capsys.readouterr()
        return found.out.splitlines(), found.err

    return run


@pytest.mark.parametrize(
    ("width", "is_terminal", "num_hidden"),
    [(80, True, 0), (60, True, 1), (40, True, 2), (40, False, 0)],
)
def test_a_narrow_terminal_lacks_the_least_columns(printed, width, is_terminal, num_hidden):
    least = ("size", "parameters", "started")
    options = {"unfolded": COLUMNS, "least": least, "is_terminal": is_terminal}
    lines, notes = printed(width, output.print_rows, [ROW], COLUMNS, **options)
    hidden = least[:num_hidden]
    assert lines[0].split() == [name for name in COLUMNS if name not in hidden]
    assert (", ".join(hidden) in notes, bool(notes)) == (True, bool(hidden))
    assert max(map(len, lines)) <= width or not is_terminal


def test_a_narrow_terminal_breaks_long_words(printed):
    rows = [("customers-reviews-of-2026.csv", "delivery_delayed_by_the_carrier", "12.3%")]
    arguments = (output.print_rows, rows, ("file", "largest class", "share"))
    lines, _ = printed(50, *arguments)
    assert max(map(len, lines)) <= 50 and "12.3%" in lines[2]
    lines, _ = printed(50, *arguments, is_terminal=False)
    assert all(word in lines[2].split() for word in rows[0])


def test_lines_of_a_cell_stand_below_each_other(printed):
    lines, _ = printed(40, output.print_rows, [(["a 1", "b\n2"], "x")], ("classes", "input"))
    assert [line.split() for line in lines[2:]] == [["a", "1", "x"], ["b", "2"]]


def test_columns_that_are_not_folded_take_no_more_than_the_terminal_has(printed):
    row = ("a", ["delivery 0.999", "bug 0.001"], "some words of a message that is longer")
    lines, _ = printed(
        30, output.print_rows, [row], ("x", "classes", "input"), unfolded=["classes"]
    )
    assert "delivery 0.999" in lines[2] and max(map(len, lines)) <= 30


@pytest.mark.parametrize(("width", "num_bar"), [(100, 24), (64, 8)])
def test_bars_of_classes_fit(printed, width, num_bar):
    labels = ("a_class_with_a_rather_long_name", "b")
    split = SimpleNamespace(class_counts=(9000, 1), num_examples=9001)
    description = SimpleNamespace(splits=[split], labels=labels, multi_label="none", imbalance=None)
    lines, _ = printed(width, print_data._print_balance, description)
    assert max(map(len, lines)) <= width
    assert "\n".join(lines).count("█") == num_bar

"""What training warns of before and after it, with the command that lists the rows."""

from __future__ import annotations

import shlex

import pytest

from lstm_cli import cli
from lstm_cli.checks import leak_warning, quick_warnings
from lstm_cli.data import DataSource, load
from lstm_cli.data.source import check_command

CLASSES = ("billing", "login")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a table of 60 different texts and some more rows into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(name, *more, num=60):
        rows = [f"text {name} number {i},{CLASSES[i % 2]}" for i in range(num)]
        (tmp_path / name).write_text("\n".join(["text,label", *rows, *more]), encoding="utf-8")
        return str(tmp_path / name)

    return write


def warnings(name, test=None):
    source = DataSource(name, test_file=test, validation_fraction=0.4)
    dataset = load(source, ("train", "validation"))
    return quick_warnings(dataset, source), leak_warning(dataset, load(source, ("test",)), source)


def test_clean_data_brings_no_warning(write):
    assert warnings(write("a.csv"), write("b.csv")) == ([], "")


def test_conflicts_and_labels_that_look_alike_bring_a_line_each(write):
    more = ("late again,billing", "Late  again,login") + ("x,Billing",) + ("y,Billing",) * 3
    found, leak = warnings(write("a.csv", *more), write("b.csv"))
    assert leak == ""
    labels, conflict, validation = found
    assert "'Billing' and 'billing'" in labels
    assert "case" in labels
    assert conflict.startswith("1 text is labelled in more than one way.")
    assert validation.startswith(("1 of", "2 of", "3 of"))
    for line in found:
        assert line.endswith(f" See '{check_command(DataSource('a.csv', test_file='b.csv'))}'.")


def test_test_texts_that_are_in_train_are_counted(write):
    leaked = ("text a.csv number 1,login", "TEXT  a.csv number 2,billing", ",billing")
    train, test = write("a.csv", ",login"), write("b.csv", *leaked)
    found, leak = warnings(train, test)
    assert found == []
    assert leak.startswith("2 of 63 test texts are in train too")
    assert leak.endswith("See 'lstm data check a.csv b.csv'.")


def test_several_labels_in_another_order_are_no_conflict(write):
    more = ("so glad,billing|login",) * 8 + ("so glad,login|billing",) * 8
    found, _ = warnings(write("a.csv", *more), write("b.csv"))
    assert [line for line in found if "labelled" in line] == []
    found, _ = warnings(write("c.csv", *more, *(("so glad,login",) * 8)), write("b.csv"))
    (line,) = [line for line in found if "labelled" in line]
    assert line.startswith("1 text is labelled in more than one way.")


def test_data_sets_known_by_name_are_not_checked():
    source = DataSource("demo", demo_train=60, demo_test=10)
    dataset = load(source)
    assert quick_warnings(dataset, source) == []
    assert leak_warning(dataset, dataset, source) == ""


def test_the_command_of_a_warning_lists_the_rows(write, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "my data"
    folder.mkdir()
    path = folder / "a.csv"
    path.write_text("body,kind\nsame text,a\nsame text,b\n", encoding="utf-8")
    source = DataSource(str(path), text_columns=("body",), label_column="kind")
    command = check_command(source)
    assert command == "lstm data check 'my data/a.csv' --text-column body --label-column kind"
    monkeypatch.setattr("sys.argv", shlex.split(command))
    assert cli.run() == 0
    assert "a.csv:3" in capsys.readouterr().out

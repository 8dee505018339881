"""What training warns of before and after it, with the command that lists the rows."""

from __future__ import annotations

import shlex

import pytest

from lstm_cli import cli
from lstm_cli.checks import keys_of, quick_check
from lstm_cli.checks.overlap import learn
from lstm_cli.data import DataSource, load
from lstm_cli.data.source import check_command
from lstm_cli.errors import ExitCode, LstmError

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
    check = quick_check(load(source), source)
    leak = check.with_command(check.leak_warning("test"))
    return [line for line in check.warnings if line != leak], leak


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
    assert leak.startswith("2 of 63 test texts are in train or validation too")
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
    check = quick_check(dataset, source)
    assert check.warnings == ()
    assert check.leak_warning("test") == ""
    assert len(check.learned.inputs) > 0


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


def test_a_leak_is_refused_with_what_to_do(write):
    path = write("a.csv")
    source = DataSource(path, test_file=write("b.csv"), validation_file=path)
    check = quick_check(load(source), source)
    with pytest.raises(LstmError, match=r"^60 of 60 validation texts are in train too") as caught:
        check.require_no_leak()
    assert caught.value.exit_code == ExitCode.THRESHOLD
    clean = DataSource(path, test_file=write("b.csv"))
    quick_check(load(clean), clean).require_no_leak()


def test_what_the_run_to_start_from_has_learned_from_is_no_test(write):
    source = DataSource(write("a.csv"), test_file=write("b.csv"), validation_fraction=0.4)
    dataset = load(source)
    earlier = learn(keys_of(dataset.splits["test"], dataset.labels))
    check = quick_check(dataset, source, earlier, "old/run")
    assert check.leak_warning("validation", "test") == check.earlier_warning("validation") == ""
    warning = check.earlier_warning("test")
    assert warning.startswith("60 of 60 test texts are in what run old/run has learned from too")
    assert warning in check.warnings
    assert set(earlier.inputs) < set(check.learned.inputs)
    with pytest.raises(LstmError, match="old/run"):
        check.require_no_leak()


def test_leaks_of_all_splits_are_one_line(write):
    path = write("a.csv")
    source = DataSource(path, test_file=path, validation_file=path)
    (line,) = quick_check(load(source), source).warnings
    assert line == (
        "60 of 60 validation texts are in train too, 60 of 60 test texts are in train or "
        "validation too: these results look better than they are. See 'lstm data check a.csv'."
    )


def test_a_command_leaves_out_columns_that_are_found_by_themselves():
    named = DataSource("a.csv", text_columns=("text",), label_column="label")
    assert check_command(named) == "lstm data check a.csv"
    joined = DataSource("a.csv", text_columns=("text", "body"))
    assert check_command(joined) == "lstm data check a.csv --text-column text --text-column body"


def test_a_test_text_with_another_label_is_said(write):
    leaked = ("text a.csv number 1,billing", "text a.csv number 2,billing")
    _, leak = warnings(write("a.csv"), write("b.csv", *leaked))
    assert "(1 with another label)" in leak

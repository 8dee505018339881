"""Texts that are joined from several columns of a table."""

from __future__ import annotations

import json

import pytest

from lstm_cli.data import DataSource, load
from lstm_cli.data.readers.table import iter_texts, read_label_columns, read_table
from lstm_cli.data.readers.texts import read_texts
from lstm_cli.data.records import open_records
from lstm_cli.data.rows import read_rows
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.fields import SEPARATOR, join_fields, split_fields

BOTH = ["title", "body"]
CSV = "id,title,body,label\n1,Lamp,it flickers,bad\n2,,quiet,good\n3,Fan,,good\n4, ,,bad\n"
JOINED = [f"Lamp {SEPARATOR} it flickers", f" {SEPARATOR} quiet", f"Fan {SEPARATOR} ", ""]


def table(folder, content=CSV, name="tickets.csv"):
    path = folder / name
    path.write_text(content)
    return path


def input_texts(path, columns):
    """The texts that `lstm predict --file` reads."""
    with open_records(path, columns) as records:
        return [record.text for record in records]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["one"], "one"),
        ([f"a {SEPARATOR} b"], f"a {SEPARATOR} b"),
        (["a", "b", "c"], f"a {SEPARATOR} b {SEPARATOR} c"),
        (["a", "", "c"], f"a {SEPARATOR}  {SEPARATOR} c"),
        (["", " \n"], ""),
        ([f"a{SEPARATOR}b", "c"], f"a b {SEPARATOR} c"),
    ],
)
def test_fields_are_joined_and_split_again(values, text):
    assert join_fields(values) == text
    if len(values) > 1 and text:
        expected = [value.replace(SEPARATOR, " ").strip() for value in values]
        assert split_fields(text) == expected


def test_the_texts_of_several_columns_are_joined_in_the_order_of_their_names(tmp_path):
    path = table(tmp_path)
    read = read_table(path, BOTH)
    assert read.texts == JOINED
    assert (read.text_columns, read.label_columns) == (("title", "body"), ("label",))
    assert read_table(path, BOTH[::-1]).texts[0] == f"it flickers {SEPARATOR} Lamp"
    assert read_rows([str(path)], BOTH)[0].texts == JOINED
    assert input_texts(path, BOTH) == JOINED
    assert read_texts(path, BOTH)[0] == JOINED


def test_labels_in_columns_go_with_several_text_columns(tmp_path):
    path = table(tmp_path, "title,body,angry\na,b,1\nc,,0\n")
    read = read_label_columns(path, BOTH, ("angry",))
    assert read.texts == [f"a {SEPARATOR} b", f"c {SEPARATOR} "]
    assert list(read.label_sets) == [("angry",), ()]


def test_an_object_may_lack_some_of_the_columns(tmp_path):
    rows = [
        {"body": "a", "label": 1},
        {"title": None, "body": "b", "label": 0},
        {"title": "c", "label": 1},
    ]
    path = table(tmp_path, "\n".join(map(json.dumps, rows)), "tickets.jsonl")
    expected = [f" {SEPARATOR} a", f" {SEPARATOR} b", f"c {SEPARATOR} "]
    assert read_table(path, BOTH).texts == expected
    assert input_texts(path, BOTH) == expected


@pytest.mark.parametrize(
    ("name", "content", "columns", "words"),
    [
        ("x.csv", CSV, ["title", "text"], ["x.csv", "'text'", "'body'"]),
        ("x.csv", CSV, ["title", "label"], ["both text and label"]),
        ("x.csv", CSV, ["title", "title"], ["'title'", "twice"]),
        ("x.jsonl", '{"title": "a", "label": 1}\n', BOTH, ["'body'", "no row"]),
        ("x.jsonl", '{"title": "a", "body": 3, "label": 1}\n', BOTH, ["line 1", "'body'"]),
        ("x.jsonl", '{"title": "a", "label": 1}\n{"label": 1}\n', BOTH, ["line 2", "'body'"]),
        ("x.jsonl", '{"label": 1}\n', BOTH, ["'title'"]),
    ],
)
def test_columns_that_are_not_there_are_refused(name, content, columns, words, tmp_path):
    with pytest.raises(LstmError) as error:
        read_table(table(tmp_path, content, name), columns)
    assert all(word in error.value.message for word in words)


def test_a_column_named_twice_is_an_error_of_usage(tmp_path):
    with pytest.raises(LstmError) as error:
        list(iter_texts(table(tmp_path), ["body", "body"]))
    assert error.value.exit_code == ExitCode.USAGE


def test_a_data_set_knows_its_columns_and_its_fingerprint_depends_on_them(tmp_path):
    rows = "".join(f"t{i},b{i},{'good' if i % 2 else 'bad'}\n" for i in range(30))
    path = str(table(tmp_path, f"title,body,label\n{rows}"))
    data = load(DataSource(path, text_columns=("title", "body")))
    assert (data.text_columns, data.label_column) == (("title", "body"), "label")
    assert "columns 'title' and 'body'" in " ".join(data.notes)
    assert load(DataSource(path)).text_columns == ("body",)
    prints = {
        load(DataSource(path, text_columns=columns), ["train"]).fingerprint
        for columns in (("title",), ("body",), ("title", "body"), ("body", "title"))
    }
    assert len(prints) == 4

"""The inputs of `lstm predict`: order, windows, columns, and records that cannot be read."""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace

import pytest

from lstm_cli.data.kept_columns import choose_kept
from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.data.records import InputRecord, all_keys, from_texts, open_records
from lstm_cli.errors import ExitCode, LstmError


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content)
        return path

    return write


def objects(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def read(path, *arguments):
    with open_records(path, *arguments) as records:
        return records.text_columns, list(records)


def test_bad_records_have_their_reason_and_keep_their_place(write):
    content = objects({"text": "a", "id": 1}) + "nonsense\n" + objects({"text": None, "id": 3})
    _, found = read(write("x.jsonl", content + objects({"body": "x"}, {"text": "b"})))
    assert [record.text for record in found] == ["a", "", "", "", "b"]
    assert [record.error is None for record in found] == [True, False, False, False, True]
    assert [record.fields for record in found][1:4] == [
        None,
        {"text": None, "id": 3},
        {"body": "x"},
    ]
    assert "line 3" in found[2].error.message
    assert "null" in found[2].error.message


def test_what_was_read_before_an_error_is_a_window(write):
    path = write("x.csv", 'id,text\n1,a\n2,b\n3,"never closed\n')
    windows = []
    with open_records(path) as records, pytest.raises(LstmError, match="never closed"):
        windows.extend(records.windows())
    assert [[record.text for record in window] for window in windows] == [["a", "b"]]


@pytest.mark.parametrize("line", [4, 2100])
def test_a_bad_record_takes_no_other_with_it(write, line):
    lines = [objects({"text": f"t{i}"}) for i in range(2200)]
    lines[line - 1] = objects({"text": None})
    with open_records(write("x.jsonl", "".join(lines))) as records:
        sizes = [len(window) for window in records.windows()]
    assert sizes == [2048, 152]


@pytest.mark.parametrize(
    ("header", "typed", "trained_on", "expected"),
    [
        ("text,review", (), (), ("text",)),
        ("text,review", (), ("review",), ("review",)),
        ("text,review", ("text",), ("review",), ("text",)),
        ("id,body", (), ("review",), ("body",)),
        ("body,title", (), ("title", "body"), ("title", "body")),
    ],
)
def test_the_columns_of_the_run_come_first(write, header, typed, trained_on, expected):
    path = write("x.csv", f"{header}\none,two\n")
    columns, (record,) = read(path, typed, trained_on)
    assert columns == expected
    values = dict(zip(header.split(","), ("one", "two"), strict=True))
    assert record.text == " ␟ ".join(values[name] for name in columns)


def test_one_of_several_columns_of_the_run_is_missed(write):
    path = write("x.csv", "title,text\na,b\n")
    with pytest.raises(LstmError, match="'body'") as caught:
        read(path, (), ("title", "body"))
    assert caught.value.exit_code == ExitCode.USAGE
    # The hint, followed.
    assert read(path, ("title", "text"), ("title", "body"))[0] == ("title", "text")


def test_the_column_is_chosen_once_in_jsonl(write):
    path = write("x.jsonl", objects({"text": "a", "body": "-"}, {"body": "x"}, {"text": "b"}))
    columns, found = read(path)
    assert columns == ("text",)
    assert [record.text for record in found] == ["a", "", "b"]
    assert read(path, (), ("body",))[0] == ("body",)


def test_the_first_object_may_lack_the_column_of_the_run(write):
    path = write("x.jsonl", objects({"text": "-"}, {"review": "a"}))
    columns, found = read(path, (), ("review",))
    assert columns == ("review",)
    assert [record.text for record in found] == ["", "a"]


def test_a_table_of_nothing_but_bad_records_is_an_error(write):
    with pytest.raises(LstmError, match=r"none of the first 3 .* line 1"):
        read(write("x.jsonl", "a\nb\nc\n"))


def test_columns_are_refused_for_lines(write):
    path = write("x.txt", "a\nb\n")
    with pytest.raises(LstmError) as caught:
        read(path, ("text",))
    assert caught.value.exit_code == ExitCode.USAGE
    # The hint, followed.
    assert read(path, ("a",), (), ReadOptions("csv"))[1] == [InputRecord("b", {"a": "b"})]


def test_a_missing_file_has_one_exit_code(tmp_path):
    for name in ("none.txt", "none.csv", "none"):
        with pytest.raises(LstmError) as caught:
            read(tmp_path / name)
        assert caught.value.exit_code == ExitCode.DATA


def test_a_table_comes_through_the_pipe_as_it_arrives(monkeypatch):
    reader, writer = os.pipe()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: reader))
    os.write(writer, b"id,text\n1,a\n")
    with open_records(None, options=ReadOptions("csv")) as records:
        windows = records.windows()
        assert next(windows) == [InputRecord("a", {"id": "1", "text": "a"})]
        os.write(writer, b"2,b\n")
        os.close(writer)
        assert [record.text for window in windows for record in window] == ["b"]
    os.close(reader)


def test_all_keys_are_those_of_all_objects(write):
    path = write("x.jsonl", objects({"b": 1}, {"a": 1, "b": 2}) + "nonsense\n" + objects({"c": 1}))
    assert all_keys(path, ReadOptions()) == ("b", "a", "c")


def test_kept_values_are_text_or_json():
    fields = {"s": "x\ty", "n": 1.5, "t": True, "z": None, "l": [1, {"a": "é"}]}
    record = InputRecord("x", fields)
    kept = choose_kept("all", (*fields, "other"))
    assert kept.cells(record) == ["x\ty", "1.5", "true", "", '[1, {"a": "é"}]', ""]
    assert kept.fields(record) == fields
    assert choose_kept("id", ("a", "ID")).names == ("ID",)
    assert choose_kept("id", ("a", "id"), "a").names == ("a",)
    (line,) = from_texts(["a text"])
    assert choose_kept("all", None).fields(line) == {"text": "a text"}
    assert choose_kept("none", ("a",)).names == ()


@pytest.mark.parametrize(("columns", "name"), [(("a", "b"), None), (("id",), "nr"), (None, None)])
def test_an_id_that_is_not_there_is_refused(columns, name):
    with pytest.raises(LstmError) as caught:
        choose_kept("id", columns, name)
    assert caught.value.exit_code == ExitCode.USAGE

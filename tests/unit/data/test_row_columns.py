"""Ids and weights of the rows of a table."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.data import DataSource, load
from lstm_cli.data.readers.columns import format_value
from lstm_cli.data.readers.row_columns import RowColumns, describe_ids, weight_of
from lstm_cli.data.readers.table import read_label_columns, read_table
from lstm_cli.data.rows import read_rows
from lstm_cli.data.splits import concatenate, take
from lstm_cli.errors import ExitCode, LstmError

CSV = "id,text,label,weight\nT-1,a,x,1\n T-2 ,b,y,0\n,c,x,2.5\nT-4,d,y,.5\n"


def table(folder, content=CSV, name="tickets.csv"):
    path = folder / name
    path.write_text(content)
    return path


def many(folder, weight=lambda i: 1 + i % 3, name="train.csv"):
    rows = [f"T-{i},text {i},{'good' if i % 2 else 'bad'},{weight(i)}\n" for i in range(60)]
    return table(folder, "id,text,label,weight\n" + "".join(rows), name)


@pytest.mark.parametrize(
    ("value", "weight"),
    [
        ("1", 1),
        (" 0.25 ", 0.25),
        ("1e3", 1000),
        (".5", 0.5),
        ("2.", 2),
        ("+1", 1),
        ("0", 0),
        (3, 3),
        (0.5, 0.5),
    ],
)
def test_a_weight_is_a_number(value, weight):
    assert weight_of({"w": value}, "w", "line 2") == weight


@pytest.mark.parametrize(
    "value",
    ["", " ", "-1", "x", "nan", "inf", "1,5", "1_0", "0x1", "1e999", "\u0663",
     -1, float("nan"), float("inf"), True, None, [1], 10**400],
)  # fmt: skip
def test_anything_else_is_refused_with_its_line(value):
    with pytest.raises(LstmError) as error:
        weight_of({"w": value}, "w", "t.csv, line 7")
    assert "t.csv, line 7" in error.value.message
    assert "'w'" in error.value.message


@relaxed
@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.floats()))
def test_any_weight_is_a_finite_number_or_refused(value):
    try:
        weight = weight_of({"w": value}, "w", "line 2")
    except LstmError:
        return
    assert 0 <= weight < float("inf")


def test_rows_of_weight_0_are_left_out(tmp_path):
    path = table(tmp_path)
    read = read_table(path, row_columns=RowColumns("id", "weight", str(path)))
    assert (read.texts, list(read.labels)) == (["a", "c", "d"], ["x", "x", "y"])
    assert (read.ids, list(read.lines)) == (["T-1", "", "T-4"], [2, 4, 5])
    assert (list(read.weights), read.num_left_out) == ([1, 2.5, 0.5], 1)


def test_labels_in_columns_have_ids_and_weights_too(tmp_path):
    path = table(tmp_path, "id,text,angry,weight\n7,a,1,2\n8,b,0,0\n")
    read = read_label_columns(path, [], ("angry",), row_columns=RowColumns("id", "weight", "t"))
    assert (read.texts, read.ids, list(read.weights)) == (["a"], ["7"], [2])


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.csv", CSV), ("x.jsonl", '{"text": "a", "label": 1, "id": 1, "weight": 1}\n')],
)
@pytest.mark.parametrize("columns", [("ids", None), (None, "wight")])
def test_a_column_that_is_not_there_is_named_with_a_suggestion(tmp_path, name, content, columns):
    path = table(tmp_path, content, name)
    with pytest.raises(LstmError) as error:
        read_table(path, row_columns=RowColumns(*columns, str(path)))
    assert repr(columns[0] or columns[1]) in error.value.message
    assert ("'id'" if columns[0] else "'weight'") in error.value.hint


def test_an_object_may_lack_its_id_but_not_its_weight(tmp_path):
    rows = (
        '{"text": "a", "label": 1, "weight": 1}\n{"text": "b", "label": 0, "id": 5, "weight": 2}\n'
    )
    path = table(tmp_path, rows, "x.jsonl")
    assert read_table(path, row_columns=RowColumns("id", None, "x")).ids == ["", "5"]
    path = table(tmp_path, rows.replace(', "weight": 2', ""), "x.jsonl")
    with pytest.raises(LstmError, match="line 2"):
        read_table(path, row_columns=RowColumns(None, "weight", "x"))


def test_a_table_of_weight_0_alone_is_refused(tmp_path):
    path = table(tmp_path, "text,label,weight\na,x,0\n")
    with pytest.raises(LstmError, match="above 0"):
        read_table(path, row_columns=RowColumns(None, "weight", str(path)))


def test_ids_that_do_not_name_one_row_are_said():
    assert describe_ids(["a", "b"], "id") == ""
    said = describe_ids(["a", "b", "a", "", ""], "id")
    assert "1 id of several rows ('a')" in said
    assert "2 rows without an id" in said


def test_splits_keep_ids_and_weights(tmp_path):
    source = DataSource(str(many(tmp_path)), id_column="id", weight_column="weight")
    data = load(source)
    for split in data.splits.values():
        for i, text in enumerate(split.inputs):
            number = int(text.split()[1])
            assert split.name_of(i) == f"T-{number}"
            assert split.weights[i] == 1 + number % 3
    joined = concatenate(data.splits["train"], data.splits["test"])
    assert len(joined.ids) == len(joined.weights) == len(joined)
    assert take(joined, np.array([1])).ids == [joined.ids[1]]
    assert any("'weight': 1 to 3" in note for note in data.notes)


def test_weights_of_1_are_the_same_as_none_and_rows_of_0_as_if_absent(tmp_path):
    plain = load(DataSource(str(many(tmp_path))))
    ones = load(
        DataSource(str(many(tmp_path, lambda _: "1.0", "ones.csv")), weight_column="weight")
    )
    assert all(split.weights is None for split in ones.splits.values())
    path = many(tmp_path, lambda i: int(i >= 20), "zeros.csv")
    zeros = load(DataSource(str(path), weight_column="weight"))
    lines = path.read_text().splitlines(keepends=True)
    absent = load(DataSource(str(table(tmp_path, "".join(lines[:1] + lines[21:])))))
    for name, split in plain.splits.items():
        assert split.inputs == ones.splits[name].inputs
        assert zeros.splits[name].inputs == absent.splits[name].inputs
    assert any("20 rows of weight 0" in note for note in zeros.notes)
    assert (
        plain.fingerprint
        != load(DataSource(str(many(tmp_path)), weight_column="weight")).fingerprint
    )


def test_other_files_need_no_ids_and_weights(tmp_path):
    train, other = many(tmp_path), tmp_path / "other.csv"
    source = DataSource(
        str(train), id_column="id", weight_column="weight", validation_file=other, test_file=other
    )
    other.write_text("text,label\na,good\nb,bad\n")
    for name in ("validation", "test"):
        split = load(source).splits[name]
        assert (split.ids, split.weights, split.name_of(1)) == (None, None, "3")
    other.write_text("text,label,id,weight\na,good,7,1\nb,bad,8,0\nc,bad,9,2\n")
    data = load(source).splits
    assert (data["validation"].ids, data["validation"].weights.tolist()) == (["7", "9"], [1, 2])
    assert (data["test"].ids, data["test"].weights) == (["7", "8", "9"], None)


@pytest.mark.parametrize("column", ["id_column", "weight_column"])
def test_data_that_is_no_table_has_no_such_columns(tmp_path, column):
    (tmp_path / "good").mkdir()
    for name in ("demo", str(tmp_path)):
        with pytest.raises(LstmError) as error:
            load(DataSource(name, **{column: "x"}))
        assert error.value.exit_code == ExitCode.USAGE


def test_data_check_names_rows_by_their_ids(tmp_path):
    (part,) = read_rows([str(table(tmp_path))], id_column="id")
    assert [part.place(i) for i in range(4)] == [
        "tickets.csv:T-1", "tickets.csv:T-2", "tickets.csv:line 4", "tickets.csv:T-4",
    ]  # fmt: skip
    assert read_rows([str(table(tmp_path))])[0].place(1) == "tickets.csv:3"
    with pytest.raises(LstmError, match="'ids'"):
        read_rows([str(table(tmp_path))], id_column="ids")


def test_a_weight_that_training_cannot_add_up_is_refused():
    assert weight_of({"w": "1e6"}, "w", "line 2") == 1_000_000
    with pytest.raises(LstmError, match=r"t.csv, line 7: .* of at most 1,000,000; found '1e300'"):
        weight_of({"w": "1e300"}, "w", "t.csv, line 7")


def test_a_long_value_is_shortened_within_its_quotes():
    assert format_value("please cancel the charge in Berlin since Monday") == (
        "'please cancel the charge in Berlin sinc…'"
    )
    assert (format_value(5), format_value(None), format_value(0.5)) == ("5", "null", "a fraction")

from __future__ import annotations

import csv
import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.data.readers.columns import find_column, label_of, text_of
from lstm_cli.data.readers.decode import ReplacementCounter, decode_lines
from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.data.readers.table import iter_records
from lstm_cli.errors import LstmError


def records(content, fmt="csv", counter=None):
    raw = content if isinstance(content, bytes) else content.encode()
    return list(iter_records(io.BytesIO(raw), ReadOptions(fmt), name="file", counter=counter))


# Round trips


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2)))
def test_what_the_csv_module_writes_is_read_back(rows):
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["text", "label"])
    writer.writerows(rows)
    assert [list(record.values()) for _, record in records(file.getvalue())] == rows


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none(), min_size=1)))
def test_what_the_json_module_writes_is_read_back(rows):
    content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    assert [record for _, record in records(content, "jsonl")] == rows


@given(st.text(st.characters(codec="utf-8")))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_lines_are_whole_whatever_the_encoding(encoding, text):
    text = "x" + text  # a text that starts with a byte order mark would have two
    lines = list(decode_lines(io.BytesIO(text.encode(encoding)), "file"))
    assert "".join(lines) == text
    assert all(line.rstrip("\r\n") == line[:-1] or "\r\n" in line[-2:] for line in lines[:-1])


@given(st.binary(), st.sampled_from(["csv", "tsv", "jsonl"]), st.booleans())
def test_any_bytes_are_read_or_give_an_error_that_names_the_file(raw, fmt, replace):
    try:
        records(raw, fmt, ReplacementCounter() if replace else None)
    except LstmError as error:
        assert "file" in error.message


# Lines


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_records_know_the_line_they_start_at(end, encoding):
    lines = ["text,label", '"one', 'and two",a', "", "three,b", ""]
    found = records(end.join(lines).encode(encoding))
    assert [(line, record["label"]) for line, record in found] == [(2, "a"), (5, "b")]
    assert found[0][1]["text"] == f"one{end}and two"


def test_an_unclosed_quote_is_refused_with_its_first_line():
    with pytest.raises(LstmError, match=r"file, lines 3 to 5: a double quote is opened and never"):
        records('text,label\na,1\n"b,1\nc,1\nd,1\n')


def test_text_after_a_closing_quote_is_refused():
    with pytest.raises(LstmError, match=r"file, line 2: expected a tab or the line's end after"):
        records('text\tlabel\n"Great" film\t1\n', "tsv")


@pytest.mark.parametrize("row", ["a", "a,b,c"])
def test_a_row_with_another_number_of_fields_is_refused(row):
    with pytest.raises(LstmError, match=r"file, line 3: expected 2 fields .* found \d"):
        records(f"text,label\nx,y\n{row}\n")


def test_quotes_commas_and_very_long_fields_are_kept():
    long = "w" * 5_000_000
    found = records(f'text,label\n"a ""b"", c",1\n{long},2\n')
    assert [record["text"] for _, record in found] == ['a "b", c', long]


def test_nul_and_control_characters_are_data():
    assert records("text,label\na\0b\x1b[31m,1\n")[0][1]["text"] == "a\0b\x1b[31m"


def test_a_semicolon_or_tab_in_the_first_line_separates():
    assert records("text;label\na, b;1\n") == [(2, {"text": "a, b", "label": "1"})]
    assert records("text\tlabel\na, b\t1\n") == [(2, {"text": "a, b", "label": "1"})]


def test_in_a_file_of_one_column_a_blank_line_is_an_empty_value():
    assert [record["text"] for _, record in records("text\na\n\nb\n")] == ["a", "", "b"]


def test_a_column_without_a_name_is_called_by_its_number():
    assert records(",text,\n0,a,\n") == [(2, {"column 1": "0", "text": "a", "column 3": ""})]


@pytest.mark.parametrize("content", ["", "\n", "\ufeff"])
def test_an_empty_file_is_refused(content):
    with pytest.raises(LstmError, match="names the columns, found nothing"):
        records(content)


def test_columns_named_twice_are_refused():
    with pytest.raises(LstmError, match="column 'text' occurs twice among 'text', 'label', 'text'"):
        records("text,label,text\na,b,c\n")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_read(encoding):
    raw = "text,label\nnaïve,1\n".encode(encoding)
    assert records(raw) == [(2, {"text": "naïve", "label": "1"})]


def test_column_names_with_nul_characters_are_refused():
    with pytest.raises(LstmError, match="NUL") as caught:
        records("text,la\0bel\n")
    assert "UTF-16" in caught.value.hint


# Invalid bytes


def test_invalid_utf_8_is_refused_with_line_and_column():
    with pytest.raises(LstmError, match=r"file, line 3: .*byte 0xe4 at column 2") as caught:
        records(b"text,label\na,1\n" + b"c\xe4f\xe9,1\n")
    assert "--encoding windows-1252 (gives 'cäfé,1')" in caught.value.hint


def test_invalid_utf_8_is_replaced_and_counted_when_asked():
    counter = ReplacementCounter()
    found = records(b"text,label\na,1\nb\xff\xfe,1\nc,1\nd\xe9,1\n", counter=counter)
    assert [record["text"] for _, record in found] == ["a", "b\ufffd\ufffd", "c", "d\ufffd"]
    assert (counter.num_lines, counter.first_line) == (2, 3)


def test_broken_utf_16_is_refused_or_counted():
    raw = "text,label\na,1\n".encode("utf-16") + b"\x00"
    with pytest.raises(LstmError, match="UTF-16"):
        records(raw)
    counter = ReplacementCounter()
    with pytest.raises(LstmError, match="expected 2 fields"):
        records(raw, counter=counter)
    assert counter.num_lines == 1


def test_half_a_surrogate_pair_is_refused_or_replaced():
    line = r'{"text": "a\ud800b", "label": "\u00e9"}'
    with pytest.raises(LstmError, match="file, line 1: 'text' holds half of a surrogate pair"):
        records(line, "jsonl")
    counter = ReplacementCounter()
    assert records(line, "jsonl", counter)[0][1] == {"text": "a\ufffdb", "label": "é"}
    assert counter.num_lines == 1
    assert records(r'{"text": "\ud83d\ude00"}', "jsonl")[0][1]["text"] == "😀"


# JSONL


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "a"', "column 13: expected a JSON object"),
        ("text,label", "expected a JSON object"),
        ("[1, 2]", "expected a JSON object, found a list"),
        ('{"a": 1, "a": 2}', "key 'a' occurs twice"),
        ("[" * 100_000, "recursion"),
        ('{"a": ' + "9" * 5000 + "}", "digits"),
    ],
)
def test_a_malformed_json_line_is_refused_with_its_number(line, expected):
    with pytest.raises(LstmError, match=f"file, line 3.*{expected}"):
        records('{"text": "a"}\n\n' + line + "\n", "jsonl")


# Columns


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["text", "label"], ("text", "label")),
        (["Sentiment", "REVIEW"], ("REVIEW", "Sentiment")),
        (["id", "content", "text", "class", "label"], ("text", "label")),
        (["body", "target", "id"], ("body", "target")),
        (["Text", "TEXT", "Label", "LABEL"], ("Text", "Label")),
    ],
)
def test_columns_of_common_names_are_found(columns, expected):
    found = find_column(columns, "text", None, "f"), find_column(columns, "label", None, "f")
    assert found == expected


def test_a_requested_column_is_used_and_a_misspelled_one_suggested():
    assert find_column(["text", "title"], "text", "title", "f") == "title"
    with pytest.raises(LstmError, match="no column 'titel', only 'text', 'title'") as caught:
        find_column(["text", "title"], "text", "titel", "f")
    assert "'title'" in caught.value.hint


def test_columns_without_a_common_name_must_be_named():
    with pytest.raises(LstmError, match="no column named label; found 'a', 'b'") as caught:
        find_column(["a", "b"], "label", None, "f")
    assert "--label-column NAME" in caught.value.hint
    with pytest.raises(LstmError) as caught:
        find_column(["my label"], "label", None, "f")
    assert "--label-column 'my label'" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, "nothing"),
        (float("nan"), "nothing"),
        ([], "a list"),
        ({}, "an object"),
        (b"good", "bytes"),
        (" ", "nothing"),
        ("\u200b", "nothing"),
    ],
)
def test_lists_and_objects_are_no_labels_and_a_label_is_not_missing(value, found):
    with pytest.raises(LstmError, match=f"f, line 2: expected a label in 'y'.*{found}"):
        label_of({"y": value}, "y", "f, line 2")


def test_a_label_is_read_as_it_is_written():
    values = [3, " good ", True, 1.0, 0.5, "01", 1e300]
    found = [label_of({"y": value}, "y", "") for value in values]
    assert found == ["3", "good", "true", "1.0", "0.5", "01", "1e+300"]


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('"a, ""b""", "good"', ['a, "b"', "good"]),
        (' "a, b",  "good"', ["a, b", "good"]),
        ('"a, b",   "good\nor ""bad"""', ["a, b", 'good\nor "bad"']),
        ('good, "a, b"', ["good", "a, b"]),
        (" a , b", [" a ", " b"]),
        ('"a", b "c"', ["a", ' b "c"']),
    ],
)
def test_a_quote_after_a_comma_and_a_space_opens_a_field(line, row):
    found = records(f"text,label\nx, y\n{line}\nz,w\n")
    assert [list(record.values()) for _, record in found] == [["x", " y"], row, ["z", "w"]]
    assert found[-1][0] == 4 + line.count("\n")


def test_a_text_may_be_empty_but_not_missing_nor_a_number():
    assert text_of({"x": ""}, "x", "") == ""
    with pytest.raises(LstmError, match="f, line 2: there is no 'x', only 'y'"):
        text_of({"y": ""}, "x", "f, line 2")
    with pytest.raises(LstmError, match="expected a string in 'x', found 3"):
        text_of({"x": 3}, "x", "f, line 2")


# Memory


@pytest.mark.parametrize("fmt", ["csv", "jsonl"])
def test_reading_keeps_one_record_at_a_time(tmp_path, fmt):
    line = {"csv": "a" * 1000 + ",1\n", "jsonl": json.dumps({"text": "a" * 1000}) + "\n"}[fmt]
    path = tmp_path / f"big.{fmt}"
    with path.open("w") as file:
        file.write("text,label\n" if fmt == "csv" else "")
        file.writelines(line for _ in range(5000))
    tracemalloc.start()
    assert sum(1 for _ in iter_records(path, ReadOptions(fmt))) == 5000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000

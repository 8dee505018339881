"""The table of `lstm predict`, and its answers as CSV, TSV and JSON Lines."""

from __future__ import annotations

import csv
import io
import json

import pytest

from lstm_cli.cli import output
from lstm_cli.cli.print_predictions import TableWriter
from lstm_cli.cli.write_predictions import open_target, resolve_format
from lstm_cli.data.kept_columns import NOTHING, KeptColumns
from lstm_cli.data.records import InputRecord
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction.answers import Answer
from lstm_cli.prediction.columns import PredictionColumns
from lstm_cli.prediction.result import Prediction
from lstm_cli.prediction.write_text import Layout, Target, make_writer

BAD = Answer(InputRecord("", {"id": 7}, LstmError("line 2 is bad")), None)


def an_answer(label="b", fields=None, /, **probabilities):
    probabilities = probabilities or {"a": 0.25, "b": 0.75}
    prediction = Prediction(label, 0.75, probabilities, 3, False, 0.5)
    return Answer(InputRecord("a text", fields), prediction)


def written(layout, *answers, is_file=False):
    parts = []
    writer = make_writer(layout, Target(parts.append, lambda: None, is_file))
    for found in answers:
        writer.write(found)
    return "".join(parts), writer


def table(capsys, columns, *answers, kept=NOTHING, shows_input=False):
    with TableWriter(Layout("table", False, kept, columns), shows_input) as writer:
        for found in answers:
            writer.write(found)
    return capsys.readouterr().out


@pytest.mark.parametrize(("width", "num_lines"), [(80, 5), (120, 3)])
def test_a_class_and_its_probability_stay_together(width, num_lines, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    columns = PredictionColumns(("delivery", "login", "billing"), has_tokens=True)
    answer = an_answer("delivery", delivery=0.999, login=0.001, billing=0.0)
    out = table(capsys, columns, answer, shows_input=True)
    assert len(out.splitlines()) == num_lines
    assert all(pair in out for pair in ("delivery 0.999", "login 0.001", "billing 0.000"))
    assert max(map(len, out.splitlines())) <= width


@pytest.mark.parametrize(
    ("num_classes", "top_k", "expected"),
    [
        (2, None, "c0 0.100  c1 0.200"),
        (5, None, "c0 0.100  c1 0.200  c2 0.300  c3 0.400  c4 0.500"),
        (
            1000,
            None,
            "c999 100.000  c998 99.900  c997 99.800  c996 99.700  c995 99.600  ... 995 more",
        ),
        (7, 2, "c6 0.700  c5 0.600"),
    ],
)
def test_a_table_shows_few_of_many_classes(num_classes, top_k, expected, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    probabilities = {f"c{i}": (i + 1) / 10 for i in range(num_classes)}
    columns = PredictionColumns(tuple(probabilities), top_k, has_tokens=False)
    found = Answer(InputRecord(""), Prediction("c0", 0.1, probabilities))
    *_, line = table(capsys, columns, found).strip().splitlines()
    assert line.split(maxsplit=2)[2].strip() == expected


def test_a_long_label_is_shortened_in_a_table_alone(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    label = "long" * 12_500
    columns = PredictionColumns((label, "b"))
    found = an_answer(label, {"x": "y" * 1000}, **{label: 0.75, "b": 0.25})
    shown = table(capsys, columns, found, kept=KeptColumns(("x",)))
    assert len(shown) < 1000
    for format_ in ("csv", "jsonl"):
        assert label in written(Layout(format_, False, NOTHING, columns), found)[0]


def test_a_table_says_what_cannot_be_read(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    shown = table(capsys, PredictionColumns(("a", "b")), an_answer(), BAD, shows_input=True)
    assert "(not read)" in shown
    assert "line 2 is bad" in shown


def test_what_was_answered_before_an_error_is_shown(capsys):
    layout = Layout("table", False, NOTHING, PredictionColumns(("a", "b")))
    with pytest.raises(LstmError), TableWriter(layout, False) as writer:
        writer.write(an_answer())
        raise LstmError("The rest is bad.")
    assert "a 0.250" in capsys.readouterr().out


@pytest.mark.parametrize("names", [("label", "probability"), ("tokens", "error"), ("x", "id")])
def test_a_reader_of_columns_gets_the_right_ones(names):
    columns = PredictionColumns(names, has_errors=True)
    fields = {"label": "mine", "prediction": "theirs", "id": 7}
    layout = Layout("csv", True, KeptColumns(tuple(fields)), columns)
    probabilities = dict(zip(names, (0.25, 0.75), strict=True))
    text, _ = written(layout, an_answer(names[1], fields, **probabilities), BAD)
    row, bad = csv.DictReader(io.StringIO(text))
    assert {name: row[name] for name in fields} == {**fields, "id": "7"}
    assert row["prediction2_label"] == names[1]
    assert row[f"prediction2_probability:{names[0]}"] == "0.250000"
    assert row["prediction2_error"] == ""
    assert (bad["id"], bad["label"], bad["prediction2_error"]) == ("7", "", "line 2 is bad")
    assert bad["prediction2_label"] == ""


def test_json_keeps_fields_and_their_types():
    layout = Layout(
        "jsonl", False, KeptColumns(("id",), is_open=True), PredictionColumns(("a", "b"))
    )
    fields = {"prediction": [1, None], "é": {"n": 1.5}}
    text, _ = written(layout, an_answer("b", fields), an_answer("b", {"id": True}), BAD)
    first, second, bad = map(json.loads, text.splitlines())
    assert first.pop("prediction2")["label"] == "b"
    assert first == fields
    assert (second["id"], second["prediction"]["probabilities"]) == (True, {"a": 0.25, "b": 0.75})
    assert bad == {"id": 7, "prediction": {"label": "", "error": "line 2 is bad"}}


def test_fields_without_a_column_are_counted():
    layout = Layout("csv", False, KeptColumns(("id",), is_open=True), PredictionColumns(("a", "b")))
    _, writer = written(layout, an_answer("b", {"id": 1}), an_answer("b", {"id": 1, "x": 2}))
    assert writer.num_cut == 1


def test_tsv_has_quotes_in_files_and_none_in_pipes():
    layout = Layout("tsv", False, KeptColumns(("x",)), PredictionColumns(("a", "b")))
    found = an_answer("b", {"x": 'say "a\tb"\nc'})
    assert written(layout, found)[0].split("\t")[:2] == ['say "a b" c', "b"]
    text, _ = written(layout, found, is_file=True)
    _, row = csv.reader(io.StringIO(text), delimiter="\t")
    assert row[:2] == ['say "a\tb"\nc', "b"]


@pytest.mark.parametrize("module", ["gzip", "bz2", "lzma"])
def test_a_file_is_compressed_as_its_name_says(tmp_path, module):
    import importlib

    path = tmp_path / ("x.csv" + {"gzip": ".gz", "bz2": ".bz2", "lzma": ".xz"}[module])
    with open_target(path) as target:
        target.write("é\n")
    with importlib.import_module(module).open(path, "rt", encoding="utf-8") as file:
        assert file.read() == "é\n"


def test_an_old_file_stays_if_the_block_fails(tmp_path):
    path = tmp_path / "x.csv.gz"
    path.write_text("old")
    with pytest.raises(LstmError), open_target(path) as target:
        target.write("new")
        raise LstmError("No.")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("format_", "name", "expected"),
    [
        ("auto", "x.csv", "csv"),
        ("auto", "x.TSV", "tsv"),
        ("auto", "my.data.jsonl.gz", "jsonl"),
        ("jsonl", "x.txt", "jsonl"),
        ("auto", None, "tsv"),
        ("auto", "x.gz", ExitCode.USAGE),
        ("auto", "x.xlsx", ExitCode.USAGE),
        ("table", "x.csv", ExitCode.USAGE),
    ],
)
def test_the_name_of_a_file_says_its_format(tmp_path, format_, name, expected):
    out = None if name is None else tmp_path / name
    if isinstance(expected, str):
        assert resolve_format(format_, out) == expected
        return
    with pytest.raises(LstmError) as caught:
        resolve_format(format_, out)
    assert caught.value.exit_code == expected

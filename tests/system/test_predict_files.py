"""`lstm predict` with files: what is carried through, bad records, names of files, hints."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shlex
import sys
from pathlib import Path

import pytest
from fixtures_runs import make_text_run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory, and a run whose classes are called as columns are."""
    make_text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "x" / "tiny", ("label", "probability"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def follow(lstm, monkeypatch):
    """Do what a hint says: `echo TEXT | lstm ...`, `lstm ... < FILE` or `lstm ...`."""

    def follow(line, content=b""):
        command, _, file = line.partition(" < ")
        if file:
            (name,) = shlex.split(file)
            content = Path(name).read_bytes()
        text, pipe, rest = command.partition(" | ")
        if pipe:
            content = shlex.split(text)[1].encode() + b"\n"
        reader, writer = os.pipe()
        os.write(writer, content)
        os.close(writer)
        with os.fdopen(reader) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            return lstm(*shlex.split(rest or command)[1:])

    return follow


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_table_comes_out_with_all_its_columns(lstm, folder):
    Path("t.csv").write_text('id,text,label\n7,"a fine, fine film",x\n8\n9,"dull\nfilm",y\n')
    code, out, err = lstm("predict", "--file", "t.csv", "--out", "l.csv")
    assert (code, out) == (0, "")
    assert "1 of 3 records" in err
    assert "line 3" in err
    assert "column 'text'" in err
    first, bad, last = rows_of(Path("l.csv").read_text())
    assert list(first) == [
        "id", "text", "label", "prediction_label", "prediction_probability",
        "prediction_probability:label", "prediction_probability:probability",
        "prediction_tokens", "prediction_truncated", "prediction_unknown", "prediction_error",
    ]  # fmt: skip
    assert (first["id"], first["label"], last["text"]) == ("7", "x", "dull\nfilm")
    assert first["prediction_label"] in ("label", "probability")
    assert {value for name, value in bad.items() if name != "prediction_error"} == {""}
    # What was written can be read again.
    assert lstm("predict", "--file", "l.csv", "--out", "l.tsv", "--keep", "id")[0] == 0
    again = list(csv.DictReader(io.StringIO(Path("l.tsv").read_text()), delimiter="\t"))
    assert [row["id"] for row in again] == ["7", "", "9"]
    assert again[0]["prediction_label"] == first["prediction_label"]


def test_parquet_goes_in_and_out(lstm, folder):
    pq = pytest.importorskip("pyarrow.parquet")
    Path("t.jsonl").write_text('{"id": 7, "text": "fine"}\n{"id": 8, "text": null}\n')
    assert lstm("predict", "--file", "t.jsonl", "--out", "a.parquet")[0] == 0
    code, _, err = lstm("predict", "--file", "a.parquet", "--out", "b.parquet")
    assert code == 0
    assert "1 of 2 records" in err
    first, second = pq.read_table("a.parquet"), pq.read_table("b.parquet")
    assert second.select(first.column_names) == first
    assert second["prediction2_label"].to_pylist() == first["prediction_label"].to_pylist()
    code, _, err = lstm("predict", "fine", "--format", "parquet")
    assert code == 2
    assert "--out" in err


@pytest.mark.parametrize("line", [4, 4501])
def test_a_bad_record_ends_no_stream(lstm, folder, line):
    records = [{"id": i, "text": "fine" if i != line else None} for i in range(1, line + 3)]
    Path("t.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    code, out, err = lstm("predict", "--file", "t.jsonl", "--format", "jsonl", "--keep", "id")
    found = [json.loads(text) for text in out.splitlines()]
    assert code == 0
    assert [record["id"] for record in found] == list(range(1, line + 3))
    assert "null" in found[line - 1]["prediction"]["error"]
    assert f"1 of {line + 2:,} records" in err
    if line > 4:
        return
    code, out, err = lstm("predict", "--file", "t.jsonl", "--on-error", "stop", "--out", "l.csv")
    assert code == 1
    assert f"line {line}" in err
    assert not Path("l.csv").exists()
    code, out, _ = lstm("predict", "--file", "t.jsonl", "--on-error", "stop")
    assert (code, len(out.splitlines())) == (1, line - 1)


def test_no_record_that_can_be_read_is_an_error(lstm, folder):
    Path("t.csv").write_text("id,text\n1\n2\n")
    code, out, err = lstm("predict", "--file", "t.csv", "--header", "--format", "csv")
    assert code == 1
    assert [row["label"] for row in rows_of(out)] == ["", ""]
    assert "None of 2 records" in err


def test_lines_and_words_are_carried_too(lstm, folder):
    Path("t.txt").write_text("a fine film\n\n")
    assert lstm("predict", "--file", "t.txt", "--out", "l.csv.gz")[0] == 0
    text = gzip.decompress(Path("l.csv.gz").read_bytes()).decode()
    assert [row["text"] for row in rows_of(text)] == ["a fine film", ""]
    _, out, _ = lstm("predict", "a fine film", "--keep", "all", "--format", "jsonl", "--out", "-")
    assert json.loads(out)["text"] == "a fine film"
    assert not Path("-").exists()


def test_the_name_of_a_file_is_not_a_text(lstm, follow, folder):
    Path("my texts.csv").write_text("text\nfine\n")
    code, out, err = lstm("predict", "--run", "tiny", "my texts.csv")
    assert (code, out) == (2, "")
    assert "Did you mean" in err
    # The hints, followed.
    as_file, as_text = err.split("Did you mean: ")[1].split(" ? To predict the name itself: ")
    assert follow(as_file)[1] == lstm("predict", "fine")[1].replace("\n", "\t\n")
    assert follow(as_text)[1] == follow("lstm predict -", b"my texts.csv")[1]
    code, _, err = lstm("predict", "missing.csv")
    assert code == 3
    assert "missing.csv" in err
    assert lstm("predict", "what does x.csv say?")[0] == 0


def test_a_dash_is_the_pipe(lstm, follow, folder):
    for line in ("lstm predict -", "lstm predict --file -", "lstm predict"):
        assert follow(line, b"fine\n")[1] == lstm("predict", "fine")[1]
    table = b"id,text\n7,fine\n"
    assert follow("lstm predict - --keep id --format jsonl", table)[1].startswith('{"id": "7", ')
    code, _, err = lstm("predict", "fine", "-")
    assert code == 2
    assert "pipe" in err


def test_explain_asks_about_names_of_files_too(lstm, follow, folder):
    Path("note.txt").write_text("a fine film\n")
    code, out, err = lstm("explain", "note.txt")
    assert (code, out) == (2, "")
    hint = err.split("Did you mean: ")[1].split(" ?")[0]
    assert "fine" in follow(hint)[1]
    code, _, err = follow("lstm explain -", b"id,text\n7,fine\n")
    assert code == 2
    assert "CSV" in err
    _, out, _ = lstm("explain", "fine", "--out", "-", "--format", "json")
    assert json.loads(out)["tokens"]
    assert not Path("-").exists()


def test_the_input_is_never_replaced(lstm, folder):
    Path("t.csv").write_text("text\nfine\n")
    Path("link.csv").symlink_to("t.csv")
    for out in ("t.csv", "./t.csv", "link.csv"):
        assert lstm("predict", "--file", "t.csv", "--out", out)[0] == 2
    assert Path("t.csv").read_text() == "text\nfine\n"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["fine", "--out", "l.csv", "--header"], "--header"),
        (["fine", "--keep", "all", "--id-column", "x"], "--id-column"),
        (["fine", "--keep", "id"], "--keep"),
        (["fine", "--input-format", "csv"], "--input-format"),
        (["--file", "-", "--rank", "uncertain", "--keep", "all"], "--keep"),
        (["fine", "--out", "l.xlsx"], "--out"),
        (["fine", "--out", "l.csv", "--format", "table"], "--format"),
    ],
)
def test_options_without_effect_are_refused(lstm, folder, words, name):
    code, out, err = lstm("predict", *words)
    assert (code, out) == (2, "")
    assert name in err
    assert not Path("l.csv").exists()


def test_a_ranking_goes_into_a_file(lstm, folder):
    Path("t.csv").write_text("text,x\na fine film\na dull film,1\nfine,2\n")
    code, out, err = lstm("predict", "--file", "t.csv", "--rank", "uncertain", "--out", "l.csv")
    assert (code, out) == (0, "")
    assert "1 of 3 records" in err
    rows = rows_of(Path("l.csv").read_text())
    assert sorted(row["record"] for row in rows) == ["2", "3"]
    assert {"uncertainty", "label", "probability:label", "text"} < set(rows[0])

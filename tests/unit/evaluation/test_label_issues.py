"""Labels that are probably wrong: which rows are listed, in which order, from files and runs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from fixtures_errors import refused

from lstm_cli.data import DataSource
from lstm_cli.data.readers.table import read_table
from lstm_cli.errors import ExitCode
from lstm_cli.evaluation import label_issues
from lstm_cli.evaluation.label_issues import issues_of_data, issues_of_run, rank_issues, to_table
from lstm_cli.runs.directory import LABELS, OUT_OF_FOLD, RunDir
from lstm_cli.runs.out_of_fold import OutOfFold, to_csv


def test_rows_that_reach_the_threshold_of_another_class_come_first():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2], np.int32)
    probabilities = np.array(
        [
            [0.9, 0.05, 0.05],
            [0.8, 0.1, 0.1],
            [0.05, 0.9, 0.05],  # probably 1
            [0.4, 0.45, 0.15],  # doubtful: 0.45 is less than usual for 1
            [0.1, 0.85, 0.05],
            [0.1, 0.8, 0.1],
            [0.85, 0.1, 0.05],  # probably 0
            [0.1, 0.1, 0.8],
        ],
        np.float32,
    )
    rows, suggested, is_probable = rank_issues(labels, probabilities)
    assert rows.tolist() == [2, 6, 3]
    assert suggested.tolist() == [1, 0, 1]
    assert is_probable.tolist() == [True, True, False]


def test_a_class_without_rows_is_predicted_but_never_probable():
    labels = np.array([0, 0, 1], np.int32)
    probabilities = np.array([[0.6, 0.2, 0.2], [0.1, 0, 0.9], [0.1, 0.9, 0]], np.float32)
    rows, suggested, is_probable = rank_issues(labels, probabilities)
    assert (rows.tolist(), suggested.tolist(), is_probable.tolist()) == ([1], [2], [False])


@pytest.fixture
def table(tmp_path):
    """A table of 120 texts in which the labels of six are wrong; the file and their lines."""
    rng = np.random.default_rng(0)
    words = {"good": ["fine", "great", "warm", "kind"], "bad": ["dull", "poor", "cold", "mean"]}
    wrong = set(rng.permutation(120)[:6].tolist())
    lines = ["text,label"]
    for i in range(120):
        label = ("good", "bad")[i % 2]
        text = " ".join(rng.choice(words[label], 4)) + f" film number {i}"
        lines.append(f"{text},{('bad', 'good')[i % 2] if i in wrong else label}")
    path = tmp_path / "films.csv"
    path.write_text("\n".join(lines))
    return path, {i + 2 for i in wrong}


def test_wrong_labels_of_a_file_are_found_by_their_lines(table):
    path, wrong = table
    found = issues_of_data(DataSource(str(path)))
    assert {issue.row for issue in found.issues if issue.is_probable} == wrong
    assert found.num_probable == 6
    assert found.accuracy == pytest.approx(114 / 120)
    lines = path.read_text().splitlines()
    for issue in found.issues:
        assert lines[issue.row - 1] == f"{issue.text},{issue.label}"
        assert issue.probability > issue.label_probability


def run_with(tmp_path, labels, probabilities):
    num = len(labels)
    names = ("a", "b")
    run = RunDir(tmp_path / "runs" / "films" / "x")
    predictions = OutOfFold(
        np.arange(2, num + 2), np.arange(num) % 2 + 1, ["a text"] * num, labels, probabilities
    )
    run.write_json(LABELS, list(names))
    run.write_text(OUT_OF_FOLD, to_csv(predictions, names))
    run.write_manifest()
    return run


def test_a_run_answers_from_its_table(tmp_path):
    labels = np.array([0, 0, 1, 1], np.int32)
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]], np.float32)
    run = run_with(tmp_path, labels, probabilities)
    found = issues_of_run(run)
    assert [(issue.row, issue.label, issue.suggested) for issue in found.issues] == [(3, "a", "b")]
    assert "2 folds" in found.model
    run.file(OUT_OF_FOLD).unlink()
    run.write_manifest()
    assert "--folds" in refused(issues_of_run, run, code=ExitCode.USAGE).hint


def test_rows_are_named_by_their_ids(tmp_path):
    rows = [f"{'good fine' if i % 2 else 'bad dull'} x{i % 7},{i % 2},T-{i}" for i in range(40)]
    rows[5] = "bad dull x5,1,T-5"
    path = tmp_path / "films.csv"
    path.write_text("\n".join(["text,label,id", *rows]))
    (issue,) = issues_of_data(DataSource(str(path), id_column="id")).issues
    assert (issue.row, issue.id, issue.name) == (7, "T-5", "T-5")
    assert list(issue.to_dict())[:3] == ["row", "id", "text"]
    assert to_table([issue], "csv").startswith("row,id,text,")
    assert "id" not in replace(issue, id=None).to_dict()
    assert replace(issue, id="").name == "7"


def test_images_are_refused():
    error = refused(issues_of_data, DataSource("digits"), code=ExitCode.USAGE)
    assert "images" in error.message


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_a_table_of_issues_can_be_read_as_data(suffix, tmp_path):
    texts = ["one,\ntwo", 'a "b"\tc']
    issues = [label_issues.LabelIssue(3, text, "x", "y", 0.9, 0.1, True) for text in texts]
    path = tmp_path / f"issues.{suffix}"
    path.write_text(to_table(issues, suffix))
    rows = read_table(path)
    assert (list(rows.texts), list(rows.labels)) == (texts, ["x", "x"])


def test_the_command_prints_and_writes(table, tmp_path, lstm):
    path, wrong = table
    out = tmp_path / "issues.csv"
    code, printed, _ = lstm("data", "issues", path, "--limit", 2, "--out", out)
    assert code == 0
    assert printed.startswith("6 of 120 labels are probably wrong")
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["row"]) for row in rows if row["is_probable"] == "True"} == wrong
    code, printed, _ = lstm("data", "issues", path, "--limit", 2, "--json")
    record = json.loads(printed)
    assert (record["num_probable"], len(record["issues"])) == (6, 2)


def test_the_command_takes_a_run_by_name(tmp_path, lstm, monkeypatch):
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]], np.float32)
    run = run_with(tmp_path, np.array([0, 0, 1, 1], np.int32), probabilities)
    run.write_json("run.json", {"status": "finished"})
    run.write_manifest()
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path / "runs"))
    for name in ("films/x", "films", run.path):
        code, printed, err = lstm("data", "issues", name)
        assert (code, printed.splitlines()[0]) == (
            0,
            "1 of 4 labels are probably wrong: run films/x",
        ), err
    code, _, err = lstm("data", "issues", "films/x", "--label-column", "y")
    assert code == 2
    assert "--label-column" in err
    code, _, err = lstm("data", "issues", "nothing")
    assert code == 2
    assert "nothing" in err

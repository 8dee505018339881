"""`lstm runs set-threshold`, and what predict, eval, show and verify then do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from fixtures_reports import text_run
from fixtures_runs import make_language_run

from lstm_cli.evaluation import evaluate
from lstm_cli.runs import held_out


@pytest.fixture(autouse=True)
def _without_plots(monkeypatch):
    monkeypatch.setattr(evaluate, "draw_results", lambda *_: [])


@pytest.fixture
def run():
    found = text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "reviews" / "one")
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.2, 0.8]] * 10, np.float32)
    held_out.write(found, np.array([0, 1, 1, 1] * 10, np.int32), probabilities)
    found.write_manifest()
    return found


def test_thresholds_that_are_set_are_used_shown_verified_and_removed(lstm, run):
    words = ("runs", "set-threshold", "one")
    code, out, _ = lstm(*words, "--min-probability", "0.6", "--min-probability", "positive=1")
    assert code == 0
    assert "0.6" in out
    shown = json.loads(lstm("runs", "show", "one", "--json")[1])
    assert shown["min_probabilities"] == {"negative": 0.6, "positive": 1.0}
    assert shown["thresholds"] is None
    assert "min probability" in lstm("runs", "show", "one")[1]
    assert lstm("runs", "verify", "one")[0] == 0
    out = lstm("predict", "--min-probability", 0, "a fine film", "a dull film")[1]
    assert all(line.split("\t")[0] for line in out.splitlines())
    _, out, err = lstm("predict", "--threshold", 0, "a fine film", "a dull film")
    assert [line.split("\t")[0] for line in out.splitlines()] == ["", ""]
    assert "2 of 2" in err
    code, out, _ = lstm(*words, "--clear", "--json")
    assert (code, json.loads(out)["thresholds"]) == (0, None)
    assert "min_probabilities" not in json.loads(lstm("runs", "show", "one", "--json")[1])


def test_thresholds_are_chosen_on_the_rows_held_out(lstm, run):
    code, out, _ = lstm(
        "runs", "set-threshold", "one", "--best-f1", "--wanted-precision", 0.9, "--json"
    )
    found = json.loads(out)
    assert code == 0
    assert found["thresholds"]["positive"] < 0.5
    assert found["min_probabilities"].keys() == {"negative", "positive"}
    assert found["choice"]["rows"] == 40
    assert found["choice"]["expected"]["accuracy"] >= found["choice"]["before"]["accuracy"] == 0.75
    assert "40" in lstm("runs", "show", "one")[1]


def test_eval_scores_the_answers_and_their_share(lstm, run):
    lstm("runs", "set-threshold", "one", "--threshold", 0)
    report = json.loads(lstm("eval", "--run", "one", "--json")[1])
    assert report["answered"] == 1
    assert [c["recall"] for c in report["classes"]] == [0, 1]
    lstm("runs", "set-threshold", "one", "--min-probability", 1)
    code, out, err = lstm("eval", "--run", "one", "--fail-under", "answered=0.5")
    assert code == 4
    assert "answered" in err
    assert "share answered" in out
    report = json.loads((run.path / "reports" / "one-test" / "report.json").read_text())
    assert report["answered"] == 0


def test_eval_prints_coverage_and_the_choice_for_a_precision(lstm, run):
    code, out, _ = lstm("eval", "--run", "one", "--coverage", "--wanted-precision", 0.9)
    assert code == 0
    assert "--min-probability" in out
    report = json.loads((run.path / "reports" / "one-test" / "report.json").read_text())
    assert report["coverage"]["rows"][0]["answered"] == 1
    assert report["coverage"]["wanted"]["precision"] == 0.9


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "--best-f1"),
        (["--clear", "--best-f1"], "--best-f1"),
        (["--best-f1", "--threshold", "0.3"], "--threshold"),
        (["--wanted-precision", "0.9", "--min-probability", "0.8"], "--min-probability"),
        (["--wanted-precision", "0"], "--wanted-precision"),
        (["--min-probability", "0.4"], "--threshold"),
        (["--min-probability", "positve=0.9"], "positve"),
        (["--min-probability", "much"], "much"),
        (["--min-probability", "1.5"], "--min-probability"),
    ],
    ids=" ".join,
)
def test_what_has_no_effect_or_no_meaning_is_refused(lstm, run, arguments, name):
    code, out, err = lstm("runs", "set-threshold", "one", *arguments)
    assert (code, out) == (2, "")
    assert name in err
    assert not run.file("thresholds.json").exists()


def test_damaged_thresholds_end_with_5_until_they_are_removed(lstm, run):
    run.file("thresholds.json").write_text("{}")
    for command in (("predict", "fine"), ("runs", "show", "one"), ("runs", "verify", "one")):
        code, _, err = lstm(*command)
        assert code == 5
        assert "thresholds" in err
    assert lstm("runs", "set-threshold", "one", "--clear")[0] == 0
    assert lstm("predict", "fine")[0] == 0


def test_a_run_without_predictions_for_validation_says_so(lstm, run):
    run.file("validation.safetensors").unlink()
    run.write_manifest()
    code, _, err = lstm("runs", "set-threshold", "one", "--best-f1")
    assert code == 1
    assert "validation.safetensors" in err


def test_a_language_model_has_no_thresholds(lstm):
    make_language_run(Path(os.environ["LSTM_RUNS_DIR"]) / "demo" / "words")
    code, _, err = lstm("runs", "set-threshold", "demo/words", "--min-probability", 0.9)
    assert code == 2
    assert "language model" in err


def test_predict_ranks_texts_for_people_who_label(lstm, run, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text('text\na fine film\n"dull, dull"\n""\na fine film\n')
    code, out, err = lstm(
        "predict",
        "--file",
        path,
        "--rank",
        "uncertain",
        "--first",
        2,
        "--format",
        "csv",
        "--header",
    )
    assert code == 0
    header, *rows = out.splitlines()
    assert header.split(",")[:3] == ["record", "uncertainty", "label"]
    assert header.split(",")[-1] == "text"
    assert {row.split(",")[0] for row in rows} == {"1", "2"}
    assert "2 of 4" in err
    lines = lstm("predict", "fine", "dull", "--rank", "uncertain", "--format", "jsonl")[
        1
    ].splitlines()
    assert {json.loads(line)["text"] for line in lines} == {"fine", "dull"}
    code, _, err = lstm("predict", "fine", "--first", 2)
    assert code == 2
    assert "--first" in err

"""`lstm predict --stats` and `lstm runs drift` through the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fixtures_runs import TEXTS, make_text_run

from lstm_cli.prediction import input_stats
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs


@pytest.fixture
def run():
    """A run that was validated on its own texts, ten times."""
    run = make_text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "demo" / "one")
    predictor = Predictor.load(run, 1)
    counter = input_stats.counter_for(predictor)
    for prediction in predictor.predict(TEXTS * 10):
        counter.add(prediction)
    stats = input_stats.result_of(counter, predictor)
    run.write_bytes(runs.VALIDATION_STATS, input_stats.to_json(stats))
    run.write_manifest()
    return run


def test_the_same_texts_are_no_drift_and_others_end_with_code_4(lstm, run, tmp_path):
    files = {"same": "\n".join(TEXTS * 10), "other": "\n".join(["words of no kind"] * 40)}
    codes, found = {}, {}
    for name, text in files.items():
        (tmp_path / f"{name}.txt").write_text(text + "\n")
        stats = tmp_path / f"{name}.json"
        source = ("--file", tmp_path / f"{name}.txt", "--out", tmp_path / f"{name}.csv")
        assert lstm("predict", *source, "--stats", stats)[0] == 0
        code, out, _ = lstm("runs", "drift", "one", stats, "--fail-on", "drift", "--json")
        codes[name], found[name] = code, json.loads(out)["drift"]
    assert codes == {"same": 0, "other": 4}
    assert found["same"] == []
    assert "unknown words" in found["other"]
    # Without --fail-on the command only tells.
    assert lstm("runs", "drift", "one", tmp_path / "other.json")[0] == 0
    against = ("--against", tmp_path / "other.json", "--fail-on", "drift")
    assert lstm("runs", "drift", "one", tmp_path / "other.json", *against)[0] == 0


def test_several_files_have_the_statistics_of_all(lstm, run, tmp_path):
    for number in (1, 2):
        (tmp_path / f"part-{number}.txt").write_text("\n".join(TEXTS) + "\n")
    (tmp_path / "both.txt").write_text("\n".join(TEXTS * 2) + "\n")
    both, whole = tmp_path / "both.json", tmp_path / "whole.json"
    parts = ("--file", tmp_path / "part-*.txt", "--out", tmp_path / "answers", "--format", "csv")
    assert lstm("predict", *parts, "--stats", both)[0] == 0
    one = ("--file", tmp_path / "both.txt", "--out", tmp_path / "both.csv")
    assert lstm("predict", *one, "--stats", whole)[0] == 0
    found, expected = input_stats.read(both), input_stats.read(whole)
    assert (found.labels, found.lengths) == (expected.labels, expected.lengths)
    # A second start finds all parts finished, and knows their statistics.
    both.unlink()
    assert lstm("predict", *parts, "--stats", both)[0] == 0
    assert input_stats.read(both) == found


def test_the_statistics_do_not_replace_the_input_or_the_answers(lstm, run, tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("fine\n" * 3)
    for stats, code in ((path, 2), (tmp_path / "out.csv", 2), (tmp_path, 2), ("/dev/null", 1)):
        words = ("--file", path, "--out", tmp_path / "out.csv", "--stats", stats)
        assert lstm("predict", *words)[0] == code
    assert path.read_text() == "fine\n" * 3
    assert not (tmp_path / "out.csv").exists()

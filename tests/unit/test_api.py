"""The Python interface: `lstm_cli.load`, `evaluate`, `train`, and what `dir` shows."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures_reports import text_run
from fixtures_runs import make_image_run

import lstm_cli
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import held_out


@pytest.fixture
def run():
    return text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "reviews" / "one")


def test_dir_shows_the_public_names_only():
    assert set(dir(lstm_cli)) == {*lstm_cli.__all__, "__version__"}


def test_a_model_predicts_explains_and_has_a_repr(run):
    model = lstm_cli.load("one")
    prediction = model.predict("a fine film")[0]
    assert prediction.label in model.labels
    assert model.explain("a fine film").prediction == prediction
    assert "reviews/one" in repr(model)
    assert all(label in repr(model) for label in model.labels)


def test_an_image_model_explains_an_image():
    model = lstm_cli.load(make_image_run(Path(os.environ["LSTM_RUNS_DIR"]) / "digits" / "tiny"))
    image = np.zeros((8, 8), np.uint8)
    assert model.explain(image).prediction.label in model.labels


@pytest.mark.parametrize("missing", [None, math.nan, 5])
def test_an_input_that_is_not_a_text_is_named(run, missing):
    with pytest.raises(LstmError) as caught:
        lstm_cli.load(run).predict(["a fine film", missing])
    assert caught.value.exit_code == ExitCode.USAGE
    assert repr(missing) in caught.value.message
    assert "1" in caught.value.message


def test_a_run_is_evaluated_on_its_own_data_and_on_other_data(run, tmp_path):
    own = lstm_cli.evaluate("reviews")
    other = tmp_path / "other.csv"
    rows = "".join(f"{text},{label}\n" for label in run.labels() for text in ("fine", "dull"))
    other.write_text("text,label\n" + rows)
    assert own.run == "reviews/one"
    assert lstm_cli.evaluate(run, other).report.num_examples == 4


def test_training_checks_settings_before_tensorflow_is_loaded():
    code = """
import sys, lstm_cli
try:
    lstm_cli.train("demo", settings={"model.unitz": 3})
except lstm_cli.LstmError as error:
    print(int(error.exit_code), "model.units" in str(error), "tensorflow" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("2 True False\n", "")


def test_thresholds_are_set_chosen_used_and_removed(run):
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.2, 0.8]] * 5, np.float32)
    held_out.write(run, np.array([0, 1, 1, 1] * 5, np.int32), probabilities)
    run.write_manifest()
    lstm_cli.set_thresholds("one", threshold=0.0, min_probabilities={"positive": 1.0})
    (found,) = lstm_cli.load(run).predict("a fine film")
    assert (found.label, found.probability) == ("", found.probabilities["positive"])
    assert lstm_cli.load(run).explain("a fine film").prediction.label == "positive"
    evaluation = lstm_cli.evaluate(run, coverage=True, wanted_precision=0.9)
    assert (evaluation.report.answered, evaluation.report.recall) == (0, 0)
    assert evaluation.coverage.wanted.precision == 0.9
    chosen = lstm_cli.choose_thresholds(run, best_f1=True)
    assert chosen.choice.rows == 20
    assert chosen.thresholds["positive"] < 0.5
    assert lstm_cli.clear_thresholds("one") is True
    assert lstm_cli.load(run).predict("a fine film")[0].label
    with pytest.raises(LstmError) as caught:
        lstm_cli.choose_thresholds(run)
    assert caught.value.exit_code == ExitCode.USAGE


def test_texts_are_ranked(run):
    found = lstm_cli.load(run).rank_uncertain(["a fine film", "a dull film", ""], 1)
    assert (len(found.ranked), found.num_texts) == (1, 3)

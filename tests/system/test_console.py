"""What is shown: data that is harmless on a terminal, echoes that end, numbers that are missing."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures_reports import text_run

from lstm_cli.cli import output
from lstm_cli.cli.print_data import draw_image, side_by_side
from lstm_cli.cli.reporter import progress_line
from lstm_cli.cli.training import check_thresholds
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation import metrics
from lstm_cli.io import text_format
from lstm_cli.io.progress import Step
from lstm_cli.io.text_format import interval, number
from lstm_cli.render import plot_style

EVIL = "evil\x1b[2J\x9b1m\u202eedoc\u2066"
LONG = 120_000 * "x"


def is_harmless(text):
    return not set(text) & set("\x1b\x9b\u202e\u2066")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize(
    "words",
    [
        ["runs", "list"],
        ["runs", "list", "--json"],
        ["runs", "show", "one"],
        ["runs", "show", "one", "--json"],
        ["runs", "verify", "one"],
        ["runs", "report", "one", "--errors", "0"],
        ["runs", "show", EVIL],
        ["runs", EVIL],
        ["predict", "fine"],
        ["predict", "--file", EVIL],
        ["explain", "fine", "--out", EVIL],
        ["explain", EVIL],
        ["explain", EVIL, "--format", "json"],
        ["data", "show", "data.csv"],
        ["eval", "data.csv"],
        ["config", "show", EVIL],
        ["train", "demo", "--config", EVIL],
    ],
    ids=" ".join,
)
def test_names_of_folders_and_files_are_data(lstm, tmp_path, monkeypatch, words):
    folder = tmp_path / EVIL
    run = text_run(folder / "runs" / EVIL / "one", record={"peak_memory_mb": 1})
    monkeypatch.setenv("LSTM_RUNS_DIR", str(folder / "runs"))
    os.chdir(folder)
    (run.path.parent / "one.csv").rename("data.csv")
    _, out, err = lstm(*words)
    assert out + err
    assert is_harmless(out + err)


def test_json_has_the_path_as_it_is(lstm, tmp_path, monkeypatch):
    root = tmp_path / EVIL
    run = text_run(root / "reviews" / "one")
    monkeypatch.setenv("LSTM_RUNS_DIR", str(root))
    _, out, _ = lstm("runs", "list", "--json")
    assert json.loads(out)["runs"][0]["path"] == str(run.path)


def test_results_for_programs_are_cleaned_on_a_terminal_alone(monkeypatch):
    line = f"a\t{EVIL}\n"
    for stream, expected in ((io.StringIO(), line), (Terminal(), None)):
        monkeypatch.setattr(sys, "stdout", stream)
        output.write_data(line)
        shown = stream.getvalue()
        assert shown == expected or is_harmless(shown)
        assert (shown[:2], shown[-1], len(shown)) == ("a\t", "\n", len(line))


@pytest.mark.parametrize(
    "words",
    [
        ["train", LONG],
        ["train", f"{LONG}.csv"],
        ["train", f"/{LONG}/a"],
        ["train", "demo", LONG],
        ["train", "demo", "--config", LONG],
        ["train", "demo", "--set", f"{LONG}=1"],
        ["train", "demo", "--set", f"model.units={LONG}"],
        ["train", "demo", "--fail-under", LONG],
        ["train", "demo", "--fail-under", f"{LONG}=1"],
        ["train", "demo", "--init-from", LONG],
        ["train", "demo", "--resume", LONG],
        ["train", "demo", "--device", LONG],
        ["eval", "demo", "--run", LONG],
        ["predict", "a", "--run", LONG],
        ["predict", "a", "--runs-dir", LONG],
        ["predict", "a", f"--{LONG}"],
        ["data", "show", LONG],
        ["data", "show", "tfds:mnist", "--data-dir", LONG],
        ["runs", "show", LONG],
        ["runs", "list", LONG],
        ["runs", "list", "--runs-dir", f"/{LONG}/a"],
        ["config", "show", LONG],
        [LONG],
    ],
    ids=lambda words: " ".join(word[:20] for word in words),
)
def test_an_argument_of_any_length_is_echoed_in_part(lstm, words):
    code, out, err = lstm(*words)
    assert code in (1, 2, 3)
    assert out == ""
    assert len(err) < 4000
    assert "defect" not in err


@pytest.mark.parametrize("name", [f"{LONG}.csv", "file/a.csv", "loop/a.csv"])
@pytest.mark.parametrize(
    "words",
    [
        ["predict", "--file", "{}"],
        ["explain", "fine", "--out", "{}/page.html"],
        ["explain", "fine", "--format", "html", "--out", "{}"],
        ["predict", "fine", "--run", "{}"],
        ["runs", "report", "one", "--out", "{}.html"],
        ["data", "show", "{}"],
        ["train", "demo", "--config", "{}"],
        ["train", "demo", "--init-from", "{}"],
    ],
    ids=lambda words: " ".join(words),
)
def test_a_path_that_cannot_be_is_a_clear_error(lstm, tmp_path, words, name):
    os.chdir(tmp_path)
    Path("file").write_text("a file")
    Path("loop").symlink_to("loop")
    text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "reviews" / "one")
    code, out, err = lstm(*(word.format(name) for word in words))
    assert code in (1, 2, 3)
    assert out == ""
    assert "defect" not in err
    assert len(err) < 4000


@pytest.mark.parametrize("name", ["page.html", "answer.json", "picture.png"])
def test_a_pipe_is_not_replaced_by_a_file(lstm, tmp_path, name):
    text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "reviews" / "one")
    os.mkfifo(tmp_path / name)
    code, _, err = lstm("explain", "fine", "--out", tmp_path / name)
    assert code == 1
    assert str(tmp_path / name) in err
    assert (tmp_path / name).is_fifo()


def test_a_page_is_not_read_from_a_pipe_before_it_is_written(lstm, tmp_path):
    text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "reviews" / "one")
    os.mkfifo(tmp_path / "page.html")
    assert lstm("runs", "report", "one", "--out", tmp_path / "page.html")[0] == 1


def test_a_message_keeps_its_ends():
    shown = text_format.excerpt(f"Cannot read {LONG}.csv: too long.")
    assert shown.startswith("Cannot read xxx")
    assert shown.endswith("xxx.csv: too long.")
    assert len(shown) < 400
    assert len(text_format.excerpt(30_000 * "a b ")) < 3100
    path = "/" + 500 * "d"
    assert text_format.excerpt(path) == path


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_number_is_a_dash(missing):
    assert number(missing) == number(missing, ",.1f") == number(missing, "+.1%") == "-"
    assert interval((missing, 0.5)) == "- to 0.5000"
    assert interval(None) == "-"
    assert text_format.percent(missing) == plot_style.percent(missing) == "-"
    assert text_format.duration(missing) == "-"
    assert number(0.5) == "0.5000"


@pytest.fixture
def one_class():
    """The report of a split with examples of one class."""
    probabilities = np.asarray([[0.9, 0.1], [0.2, 0.8]], np.float32)
    return metrics.compute(np.zeros(2, np.int32), probabilities, ("bad", "good"))


def test_a_threshold_on_a_metric_without_a_value_says_why(one_class):
    with pytest.raises(LstmError) as caught:
        check_thresholds(one_class.to_dict(), ["roc_auc=0.9", "accuracy=0.9"])
    assert caught.value.exit_code == ExitCode.THRESHOLD
    assert "roc_auc is not defined (one class only, 'bad')" in caught.value.message
    assert "accuracy is 0.5000, below 0.9" in caught.value.message


def test_json_has_no_word_for_nan():
    found = json.loads(output.json_text({"a": [math.nan, {"b": (math.inf, 1.5)}], "c": None}))
    assert found == {"a": [None, {"b": [None, 1.5]}], "c": None}


def test_progress_fits_80_columns():
    step = Step(12, 50, 1200, 3500, 0.4512, 0.7812, 12_345.0, 725.0)
    assert len(progress_line(step)) <= 80


def test_progress_of_a_region_embedding_has_a_loss_only():
    step = Step(1, 2, 100, 350, 1.4512, None, 212_345.0, 25.0, "regions of 5 words")
    expected = "Regions of 5 words, epoch 1/2, 100/350: loss 1.451, 212,345/s, 25 s left"
    assert progress_line(step) == expected
    assert "perplexity" in progress_line(dataclasses.replace(step, stage=""))


def test_images_are_drawn_side_by_side():
    image = np.zeros((28, 28), np.uint8)
    image[:, 14] = 255
    lines = draw_image(image)
    assert (len(lines), set(map(len, lines))) == (14, {28})
    assert all(line[14] == "@" for line in lines)
    joined = side_by_side([["5", *lines], ["6", *lines]], 28)
    assert len(joined) == 15
    assert joined[0].split() == ["5", "6"]

"""Counting what inputs look like, without labels."""

from __future__ import annotations

import json
import sys

import pytest
from fixtures_errors import refused
from fixtures_runs import LABELS, TEXTS, make_text_run

from lstm_cli.errors import ExitCode
from lstm_cli.prediction import input_stats
from lstm_cli.prediction.input_stats import StatsCounter
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs


def counted(rows, labels=LABELS, is_text=True):
    """Statistics of `(label, confidence, tokens, unknown)`."""
    counter = StatsCounter(labels, is_text)
    for label, confidence, *text in rows:
        counter.add_row(label, confidence)
        if is_text:
            counter.add_text(*text, False)
    return counter.result("demo/one", "0" * 64)


def in_bins(histogram):
    """The smallest value of each bin that is not empty, with its inputs."""
    return {e: n for e, n in zip(histogram.edges, histogram.counts, strict=True) if n}


def test_each_input_is_in_the_bin_of_its_value():
    stats = counted([("positive", 0.999, 9, 0), ("negative", 0.5, 0, 0), ("positive", 1.0, 20, 3)])
    assert stats.inputs == 3
    assert stats.labels == {"negative": 1, "positive": 2}
    assert in_bins(stats.confidence) == {0.5: 1, 0.99: 2}
    assert in_bins(stats.lengths) == {0: 1, 8: 1, 20: 1}
    assert in_bins(stats.unknown) == {0: 2, 0.14: 1}
    assert (stats.tokens, stats.unknown_tokens) == (29, 3)


def test_predictions_are_counted_as_they_are(tmp_path):
    predictor = Predictor.load(make_text_run(tmp_path / "demo" / "one"), 1)
    counter = input_stats.counter_for(predictor)
    predictions = predictor.predict([*TEXTS, "nothing known " * 9], min_probability=0.99)
    for prediction in predictions:
        counter.add(prediction)
    counter.add(None)
    stats = input_stats.result_of(counter, predictor)
    assert (stats.inputs, stats.unreadable, stats.truncated) == (5, 1, 1)
    assert sum(stats.labels.values()) == 5
    assert stats.tokens == sum(p.num_tokens for p in predictions)
    assert stats.unknown_tokens == 18
    assert stats.model_sha256 == predictor.run.with_manifest().manifest[runs.MODEL].sha256


def test_parts_add_up_to_the_whole():
    rows = [("positive", 0.75, 9, 1), ("counts", 0.5, 30, 0), ("format", 0.25, 3, 3)]
    labels = ("positive", "counts", "format")
    parts = [counted(rows[:1], labels), counted(rows[1:], labels)]
    assert input_stats.add_up(parts) == counted(rows, labels)


def test_memory_does_not_grow_with_the_number_of_inputs():
    counter = StatsCounter(LABELS, True)

    def size():
        held = [vars(counter), *vars(counter).values(), *counter._counts.values()]
        return sum(map(sys.getsizeof, held))

    before = size()
    for i in range(5000):
        counter.add_row(LABELS[i % 2], i % 100 / 100)
        counter.add_text(i, i % 7, False)
    assert size() == before


def test_what_is_written_is_read(tmp_path):
    stats = counted([("positive", 0.25, 3, 1)])
    input_stats.write(tmp_path / "stats.json", stats)
    assert input_stats.read(tmp_path / "stats.json") == stats
    images = counted([("positive", 0.25)], is_text=False)
    input_stats.write(tmp_path / "stats.json", images)
    assert input_stats.read(tmp_path / "stats.json") == images


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("inputs", 2),
        ("inputs", "1"),
        ("labels", {"positive": 2}),
        ("lengths", {"edges": [0], "counts": [1]}),
        ("confidence_sum", -1),
        ("format", 2),
    ],
)
def test_other_content_is_refused(key, value, tmp_path):
    path = tmp_path / "stats.json"
    input_stats.write(path, counted([("positive", 0.25, 3, 1)]))
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert refused(input_stats.read, path).message.count(path.name) == 1


def test_a_file_that_is_missing_or_no_json_is_refused(tmp_path):
    refused(input_stats.read, tmp_path / "none.json", code=ExitCode.DATA)
    (tmp_path / "a.json").write_text("text,label\n")
    assert refused(input_stats.read, tmp_path / "a.json").message.count("a.json") == 1

"""Accuracy against the share answered, and the choice for a wanted precision."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_runs import make_text_run

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.coverage import (
    check_wanted_precision,
    for_wanted_precision,
    measure_coverage,
)
from lstm_cli.prediction.decision import MOST_PROBABLE, Decision
from lstm_cli.runs import held_out

SECOND = np.linspace(0.505, 1, 100).astype(np.float32)
PROBABILITIES = np.stack([1 - SECOND, SECOND], axis=1)
# The less probable half is all wrong.
LABELS = (np.arange(100) >= 50).astype(np.int32)


def test_rows_hold_what_a_smallest_probability_gives():
    rows = measure_coverage(LABELS, PROBABILITIES, MOST_PROBABLE)
    assert [row.num_answered for row in rows] == [100, 95, 90, 80, 70, 60, 50, 40, 30, 20, 10]
    assert rows[0].min_probability == 0
    for row in rows:
        answered = row.min_probability <= SECOND
        assert row.num_answered == answered.sum()
        assert row.answered == row.num_answered / 100
        assert row.accuracy == pytest.approx(LABELS[answered].mean())
        assert row.accuracy_interval[0] <= row.accuracy <= row.accuracy_interval[1]


def test_examples_with_equal_probabilities_are_answered_together():
    equal = np.tile(np.array([[0.2, 0.8]], np.float32), (30, 1))
    (row,) = measure_coverage(LABELS[:30], equal, MOST_PROBABLE)
    assert (row.num_answered, row.accuracy) == (30, 0)


def test_thresholds_say_which_class_is_chosen():
    decision = Decision(np.array([0.0, 1.0]))
    rows = measure_coverage(LABELS, PROBABILITIES, decision)
    # Only the last row reaches 1; all others are taken for the first class.
    assert rows[0].accuracy == pytest.approx(51 / 100)


def test_a_wanted_precision_is_chosen_on_the_rows_held_out_only(tmp_path):
    run = make_text_run(tmp_path / "demo" / "one")
    run.write_json("metrics.json", {"validation_method": "3-fold cross-validation"})
    held_out.write(run, LABELS, PROBABILITIES)
    run.write_manifest()
    labels = np.zeros(100, np.int32)
    found = for_wanted_precision(run, 0.9, labels, PROBABILITIES, MOST_PROBABLE)
    assert found.held_out.accuracy >= 0.9
    assert found.held_out.num_answered == 55
    assert (found.evaluated.min_probability, found.evaluated.accuracy) == (
        found.held_out.min_probability,
        0,
    )
    assert "3-fold" in found.chosen_on
    assert "100" in found.chosen_on


def test_a_precision_that_no_probability_gives_is_none(tmp_path):
    run = make_text_run(tmp_path / "demo" / "one")
    run.write_json("metrics.json", {})
    held_out.write(run, 1 - LABELS, PROBABILITIES)
    run.write_manifest()
    found = for_wanted_precision(run, 0.99, LABELS, PROBABILITIES, MOST_PROBABLE)
    assert (found.held_out, found.evaluated) == (None, None)


@pytest.mark.parametrize("value", [0, -1, 1.01, float("nan")])
def test_a_wanted_precision_is_above_0_and_at_most_1(value):
    with pytest.raises(LstmError) as caught:
        check_wanted_precision(value)
    assert caught.value.exit_code == ExitCode.USAGE

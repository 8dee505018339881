"""The rule of decision: which class is chosen, and when it is the answer."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction.decision import MOST_PROBABLE, Decision, make_decision

THREE = np.array([[0.5, 0.3, 0.2], [0.2, 0.6, 0.2], [0.4, 0.25, 0.35]], np.float32)
TWO = np.array([[0.7, 0.3], [0.4, 0.6], [0.75, 0.25]], np.float32)


def test_without_thresholds_the_most_probable_class_is_the_answer():
    assert MOST_PROBABLE.answers(THREE).tolist() == [0, 1, 0]


def test_the_highest_ratio_of_probability_to_threshold_is_chosen():
    decision = Decision(np.array([0.6, 0.25, 0.15]))
    assert decision.answers(THREE).tolist() == [2, 1, 2]


def test_the_second_of_two_classes_is_chosen_from_its_threshold_on():
    assert Decision(np.array([0.75, 0.25])).answers(TWO).tolist() == [1, 1, 1]
    assert Decision(np.array([0.74, 0.26])).answers(TWO).tolist() == [1, 1, 0]


def test_there_is_no_answer_below_the_smallest_probability_of_the_chosen_class():
    decision = Decision(None, np.array([0.45, 0.5, 0.0]))
    assert decision.answers(THREE).tolist() == [0, 1, -1]
    assert decision.choose(THREE).tolist() == [0, 1, 0]


def test_one_part_is_replaced_and_the_other_kept():
    labels = ("no", "yes")
    stored = make_decision(labels, {"yes": 0.2, "no": 0.8}, {"yes": 0.1, "no": 0.72})
    assert stored.answers(TWO).tolist() == [1, 1, 1]
    assert stored.override(labels, threshold=0.5).answers(TWO).tolist() == [-1, 1, 0]
    assert stored.override(labels, min_probability=0.5).answers(TWO).tolist() == [-1, 1, -1]
    assert stored.override(labels, 0.5, 0.0).answers(TWO).tolist() == [0, 1, 0]
    assert stored.override(labels).by_class(labels) == stored.by_class(labels)
    assert stored.by_class(labels)[1] == {"no": 0.72, "yes": 0.1}


@pytest.mark.parametrize(
    ("labels", "values"),
    [("abc", {"threshold": 0.5}), ("ab", {"threshold": 2}), ("ab", {"min_probability": -1})],
)
def test_values_that_do_not_apply_are_refused(labels, values):
    with pytest.raises(LstmError) as caught:
        MOST_PROBABLE.override(labels, **values)
    assert caught.value.exit_code == ExitCode.USAGE

"""What a study found: the order of trials, what they changed, and which settings matter."""

from __future__ import annotations

import json

import optuna
import pytest
from fixtures_study import DEFAULTS, add_trial, make_study, make_summary

from lstm_cli.tune.summary import format_value, short_names, summarize

STATES = ["finished"] * 9 + ["pruned", "interrupted", "failed"]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_best_trials_come_first(direction):
    summary = make_summary(direction)
    assert [trial.number for trial in summary.trials] == [3, 2, 4, 1, 5, 6, 7, 0, 8, 9, 11, 10]
    assert [trial.state for trial in summary.trials] == STATES
    assert summary.maximize == (direction == "maximize")
    assert summary.best.number == 3
    assert summary.default.number == 0


def test_a_trial_has_what_was_recorded():
    by_number = {trial.number: trial for trial in make_summary().trials}
    assert (by_number[3].epochs, by_number[3].seconds) == (9, 3661.0)
    assert by_number[3].run == "trials/x/003"
    assert by_number[10].error == "the loss <b>is NaN</b>"
    assert by_number[0].default and not by_number[3].default


def test_the_changed_settings_of_a_trial_are_those_that_differ_from_the_defaults():
    summary = make_summary()
    by_number = {trial.number: trial for trial in summary.trials}
    # Trial 2 has the default regions, and trial 5 the default units.
    assert summary.changed(by_number[3]) == {
        "learning_rate": 0.003,
        "regions": [2, 3],
        "units": 16,
    }
    assert set(summary.changed(by_number[2])) == {"learning_rate"}
    assert summary.changed(by_number[0]) == {}


def test_the_setting_that_decides_is_the_most_important():
    settings = make_summary().settings
    assert settings[0].key == "train.learning_rate"
    assert settings[0].importance > 0.5
    assert sum(setting.importance for setting in settings) == pytest.approx(1)


def test_few_trials_have_no_importance():
    study = optuna.create_study()
    for _ in range(7):
        add_trial(study, {}, 0.5)
    summary = summarize(study, name="a", data="b", metric="loss", defaults=DEFAULTS)
    assert {setting.importance for setting in summary.settings} == {None}


def test_a_study_without_a_finished_trial_has_no_best_one():
    study = optuna.create_study()
    study.enqueue_trial({})
    summary = summarize(study, name="a", data="b", metric="loss", defaults=DEFAULTS)
    assert [trial.state for trial in summary.trials] == ["waiting"]
    assert (summary.best, summary.default, summary.settings) == (None, None, ())


def test_names_are_shortened_where_they_stay_different():
    keys = ["model.dropout", "linear.dropout", "model.units"]
    assert short_names(keys) == {
        "model.dropout": "model.dropout",
        "linear.dropout": "linear.dropout",
        "model.units": "units",
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.00437697, "0.00438"), (1.0, "1"), (48, "48"), ([2, 3], "[2, 3]"), ("all", "all"),
     (None, "none"), (True, "true")],
)  # fmt: skip
def test_values_are_formatted(value, shown):
    assert format_value(value) == shown


def test_a_summary_is_json():
    summary = make_summary(seconds=12.5)
    found = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert found["best"] == 3
    assert found["seconds"] == 12.5
    assert [trial["number"] for trial in found["trials"]] == [t.number for t in summary.trials]
    assert found["trials"][0]["overrides"]["model.regions"] == [2, 3]
    assert found["settings"][0]["key"] == "train.learning_rate"
    assert make_study().user_attrs.get("winner") is found["winner"] is None

"""Studies of trials that nobody trained."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

from lstm_cli.tune.summary import summarize

DEFAULTS = {
    "model.units": 48,
    "model.dropout": 0.5,
    "model.regions": [],
    "linear.dropout": 0.7,
    "train.learning_rate": 0.006,
}


def add_trial(study, overrides, value=None, state=TrialState.COMPLETE, **attributes):
    """Add a trial with these settings."""
    values = DEFAULTS | overrides
    params = values | {"model.regions": str(values["model.regions"])}
    distributions = {
        "model.units": optuna.distributions.IntDistribution(16, 128, log=True),
        "model.dropout": optuna.distributions.FloatDistribution(0.1, 0.7, step=0.1),
        "model.regions": optuna.distributions.CategoricalDistribution(("[]", "[2, 3]")),
        "linear.dropout": optuna.distributions.FloatDistribution(0.1, 0.9, step=0.1),
        "train.learning_rate": optuna.distributions.FloatDistribution(1e-3, 1e-2, log=True),
    }
    study.add_trial(
        optuna.create_trial(
            state=state,
            value=value,
            params=params,
            distributions=distributions,
            user_attrs={"overrides": overrides, **attributes},
            intermediate_values={} if value is None else {1: value},
        )
    )


def make_study(direction="maximize"):
    """Return a study of twelve trials, in which the learning rate decides; one of each state."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction=direction)
    sign = 1 if direction == "maximize" else -1
    add_trial(study, {}, 0.5 + sign * 0.2, default=True, epochs=10, seconds=31.0)
    for number in range(1, 9):
        rate = 0.001 * number
        overrides = {
            "train.learning_rate": rate,
            "model.regions": [2, 3] if number % 2 else [],
            "model.units": 16 * (1 + number % 3),
        }
        value = 0.5 + sign * (0.4 - 40 * abs(rate - 0.003))
        add_trial(study, overrides, value, epochs=9, seconds=3661.0, run=f"trials/x/{number:03d}")
    pruned = {"model.units": 100}
    add_trial(study, pruned, 0.5 - sign * 0.4, TrialState.PRUNED, epochs=2, seconds=6.0)
    add_trial(study, {"model.units": 101}, state=TrialState.FAIL, error="the loss <b>is NaN</b>")
    add_trial(study, {"model.units": 102}, state=TrialState.FAIL)
    return study


def make_summary(direction="maximize", **changes):
    """Return the summary of `make_study`."""
    known = {"name": "films/quick", "data": "films.csv", "metric": "macro_f1", "defaults": DEFAULTS}
    return summarize(make_study(direction), **known | changes)

"""Learning curves: parts of the training rows, the power law, and what is printed and written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fixtures_errors import refused

from lstm_cli.data import DataSource
from lstm_cli.data.splits import stratified_folds
from lstm_cli.errors import ExitCode
from lstm_cli.evaluation import learning_curve
from lstm_cli.evaluation.learning_curve import FRACTIONS, NUM_FOLDS, measure_curve
from lstm_cli.evaluation.power_law import fit_power_laws

SIZES = np.array([100, 200, 350, 500, 700, 1000])


@pytest.mark.parametrize(("final", "factor", "exponent"), [(0.05, 2.0, 0.5), (0.0, 0.6, 0.2)])
def test_the_forecast_covers_the_law_that_made_the_errors(final, factor, exponent):
    errors = final + factor * SIZES**-exponent
    laws = fit_power_laws(SIZES, errors, 0.01 * errors)
    for times in (2, 4):
        forecast = laws.forecast(1000 * times)
        truth = final + factor * (1000.0 * times) ** -exponent
        assert forecast.low < truth < forecast.high
        assert forecast.error == pytest.approx(truth, rel=0.1)


def test_the_interval_is_wider_with_more_noise_and_further_away():
    errors = 0.05 + 2 * SIZES**-0.5

    def width(noise, num_rows):
        forecast = fit_power_laws(SIZES, errors, noise * errors).forecast(num_rows)
        return forecast.high - forecast.low

    assert width(0.1, 2000) > 1.2 * width(0.01, 2000)
    assert width(0.1, 8000) > width(0.1, 2000)


def test_errors_that_do_not_fall_give_a_flat_forecast():
    forecast = fit_power_laws(SIZES, np.full(6, 0.3), np.full(6, 0.01)).forecast(4000)
    assert forecast.low < 0.3 < forecast.high
    assert forecast.error == pytest.approx(0.3, abs=0.02)
    no_error = fit_power_laws(SIZES, np.zeros(6), np.zeros(6)).forecast(4000)
    assert (no_error.low, no_error.high) == (0, 0)


def test_parts_grow_and_never_contain_held_out_rows():
    labels = np.array([0] * 70 + [1] * 25 + [2] * 5, np.int32)
    parts = list(learning_curve._parts(labels))
    assert len(parts) == NUM_FOLDS * len(FRACTIONS)
    fold_of = stratified_folds(labels, NUM_FOLDS, 0)
    for index, (train, test) in enumerate(parts):
        fold, fraction = index // len(FRACTIONS), FRACTIONS[index % len(FRACTIONS)]
        assert np.array_equal(test, np.flatnonzero(fold_of == fold))
        assert not set(train.tolist()) & set(test.tolist())
        assert len(train) == round(80 * fraction)
        assert set(labels[train].tolist()) == {0, 1, 2}


@pytest.fixture
def table(tmp_path):
    """A table of 150 texts in which each text has one of many words of its class."""
    rng = np.random.default_rng(0)
    lines = ["text,label"]
    for i in range(150):
        lines.append(f"a film {'ab'[i % 2]}{rng.integers(12)}x,{('good', 'bad')[i % 2]}")
    path = tmp_path / "films.csv"
    path.write_text("\n".join(lines))
    return path


def test_the_command_prints_and_writes(table, tmp_path, lstm):
    picture, points = tmp_path / "curve.png", tmp_path / "curve.csv"
    arguments = ("data", "curve", table, "--out", picture, "--out", points)
    code, printed, _ = lstm(*arguments, "--json")
    record = json.loads(printed)
    assert code == 0
    assert [point["num_rows"] for point in record["points"]] == [12, 24, 42, 60, 84, 120]
    accuracies = [point["accuracy"] for point in record["points"]]
    assert accuracies[-1] > accuracies[0] + 0.05
    assert [forecast["num_rows"] for forecast in record["forecasts"]] == [300, 600]
    low, high = record["forecasts"][0]["interval_90"]
    assert 0 <= low <= record["forecasts"][0]["accuracy"] <= high <= 1
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(points.read_text().splitlines()) == 1 + len(FRACTIONS)
    code, printed, _ = lstm("data", "curve", table)
    assert code == 0
    assert f"{accuracies[0]:.4f} ± " in printed


def test_what_has_no_curve_is_refused(table, tmp_path, lstm):
    error = refused(measure_curve, DataSource("digits"), code=ExitCode.USAGE)
    assert "images" in error.message
    short = tmp_path / "short.csv"
    short.write_text("\n".join(table.read_text().splitlines()[:31]))
    assert "30 rows" in refused(measure_curve, DataSource(str(short))).message
    code, _, err = lstm("data", "curve", table, "--out", "curve.pdf")
    assert code == 2
    assert "curve.pdf" in err

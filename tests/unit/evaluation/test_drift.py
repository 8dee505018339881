"""New inputs against those of validation: quiet by chance, loud on each kind of change."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_errors import refused
from fixtures_runs import LABELS, make_text_run
from scipy.stats import chi2_contingency

from lstm_cli.errors import ExitCode
from lstm_cli.evaluation import drift
from lstm_cli.prediction import input_stats
from lstm_cli.prediction.input_stats import StatsCounter
from lstm_cli.runs import directory as runs

MEASURES = ["unknown words", "length", "labels", "confidence"]


def draw(run, num, seed, unknown=0.1, length=40, positive=0.5, confidence=8):
    """Statistics of texts whose properties are drawn at random."""
    rng = np.random.default_rng(seed)
    counter = StatsCounter(LABELS, is_text=True)
    lengths = rng.poisson(length, num) + 1
    for size in lengths.tolist():
        counter.add_row(LABELS[int(rng.random() < positive)], float(rng.beta(confidence, 1)))
        counter.add_text(size, int(rng.binomial(size, unknown)), False)
    return counter.result(run.name, input_stats.model_digest(run))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "one")


def compared(run, **changed):
    return drift.compare(run, draw(run, 1000, 0), draw(run, 500, 1, **changed), "validation")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"unknown": 0.2}, "unknown words"),
        ({"length": 55}, "length"),
        ({"positive": 0.8}, "labels"),
        ({"confidence": 4}, "confidence"),
    ],
)
def test_each_change_is_found_by_its_own_measure(change, name, run):
    assert compared(run, **change).drifted == [name]


def test_draws_from_the_same_distribution_are_not_drift(run):
    found = [
        drift.compare(run, draw(run, 400, 2 * n), draw(run, 200, 2 * n + 1), "") for n in range(8)
    ]
    assert [each.drifted for each in found] == [[]] * 8
    # With two classes, `moved` is one difference, whose mean of eight draws is noise.
    measures = [[m for m in each.measures if m.name != "labels"] for each in found]
    moved = np.mean([[m.moved for m in each] for each in measures], axis=0)
    by_chance = np.mean([[m.by_chance for m in each] for each in measures], axis=0)
    np.testing.assert_allclose(moved, by_chance, rtol=0.3)


def test_a_small_difference_of_many_inputs_is_significant_but_no_drift(run):
    before, now = (
        drift._test(np.array([[50_000, 50_000], [52_000, 48_000]])[[0, i]]) for i in (0, 1)
    )
    assert before[::2] == (0.0, 1.0)
    measure = drift.Measure("labels", "", "", *now, p_corrected=now[2])
    assert measure.is_significant
    assert not measure.is_drift
    assert measure.moved == pytest.approx(0.02)


def test_the_test_is_that_of_scipy_on_joined_bins():
    table = np.array([[0, 30, 3, 0, 40, 27], [2, 10, 1, 0, 30, 7]])
    joined = drift._join_neighbours(table)
    assert joined.tolist() == [[30, 43, 27], [12, 31, 7]]
    assert drift._test(joined)[2] == pytest.approx(
        chi2_contingency(joined, correction=False).pvalue
    )
    assert drift._test(joined)[0] == pytest.approx((0.3 - 0.24 + 0.27 - 0.14 + 0.62 - 0.43) / 2)


def test_rare_classes_are_joined_into_groups():
    table = np.array([[50, 0, 3, 2, 45], [50, 1, 1, 2, 46]])
    assert drift._join_rare(table).tolist() == [[50, 50], [50, 50]]
    even = np.tile(np.arange(3, 5), (2, 10))
    assert drift._join_rare(even).shape[1] == 10
    assert drift._join_rare(even).sum() == even.sum()


def test_statistics_of_another_model_and_too_few_inputs_are_refused(run, tmp_path):
    other = make_text_run(tmp_path / "demo" / "other", texts=("another vocabulary",))
    refused(drift.compare, run, draw(run, 50, 0), draw(other, 50, 0), "", code=ExitCode.USAGE)
    refused(drift.compare, run, draw(run, 50, 0), draw(run, 29, 0), "", code=ExitCode.USAGE)


def test_validation_is_read_from_the_run(run):
    refused(drift.read_reference, run, code=ExitCode.USAGE)
    stats = draw(run, 50, 0)
    run.write_bytes(runs.VALIDATION_STATS, input_stats.to_json(stats))
    run.write_manifest()
    assert drift.read_reference(run) == stats
    run.write_text(runs.VALIDATION_STATS, "{}")
    refused(drift.read_reference, run, code=ExitCode.INTEGRITY)

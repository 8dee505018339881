"""Runs side by side: the statistics, what is shared, what differs, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from fixtures_reports import EVIL, complete, image_run, lstm, read, text_run
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest

from lstm_cli.config.load import load_preset
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation import evaluate
from lstm_cli.evaluation.compare import (
    _shared,
    compare,
    difference_interval,
    differing,
    holm,
    mcnemar,
)
from lstm_cli.io.progress import SilentReporter
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs

OTHER = ("a fine dull film", "just a cast", "not a moment", "fine , not dull")


@pytest.fixture
def root():
    return Path(os.environ["LSTM_RUNS_DIR"])


def answers(run):
    """Test texts of a run, and whether it gets each right."""
    dataset = evaluate.own_data(run, "test")
    scored = evaluate.score(Predictor.load(run), dataset, "test", SilentReporter())
    right = scored.probabilities.argmax(axis=1) == scored.labels
    return dict(zip(dataset.splits["test"].inputs, right.tolist(), strict=True))


def test_mcnemar_gives_known_figures():
    # By hand: 2 (C(13,0) + C(13,1) + C(13,2) + C(13,3)) / 2^13.
    assert mcnemar(10, 3) == pytest.approx(2 * (1 + 13 + 78 + 286) / 2**13)
    assert mcnemar(0, 6) == 2 / 2**6
    assert mcnemar(0, 0) == mcnemar(4, 4) == 1.0
    # Agresti, Categorical data analysis, approval of a prime minister: 150 against 86.
    assert mcnemar(150, 86) == pytest.approx(3.7e-5, rel=0.02)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_binomial_test_seen_from_either_side(first, second):
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(first, second) == mcnemar(second, first)


def test_mcnemar_takes_as_many_examples_as_there_are():
    assert mcnemar(12_600, 12_400) == pytest.approx(binomtest(12_600, 25_000).pvalue, rel=1e-9)
    assert mcnemar(0, 5_000) == 0.0


def test_equal_classifiers_are_told_apart_no_oftener_than_they_should():
    rng = np.random.default_rng(0)
    discordant = rng.binomial(300, 0.2, 4000)
    only_first = rng.binomial(discordant, 0.5)
    pairs = zip(only_first, discordant - only_first, strict=True)
    rate = np.mean([mcnemar(int(a), int(b)) < 0.05 for a, b in pairs])
    assert 0.02 < rate < 0.05  # an exact test errs less often than it may


def test_different_classifiers_are_told_apart():
    rng = np.random.default_rng(0)
    only_first = rng.binomial(60, 0.75, 500)
    rate = np.mean([mcnemar(int(a), 60 - int(a)) < 0.05 for a in only_first])
    assert rate > 0.95


def test_holm_gives_known_figures():
    # Each p times the number of those not smaller, never below one before it, in the order given.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values):
    adjusted = holm(values)
    assert all(p <= a <= 1 for p, a in zip(values, adjusted, strict=True))
    order = np.argsort(values, kind="stable")
    assert list(np.array(adjusted)[order]) == sorted(adjusted)


def test_the_interval_of_a_difference_gives_known_figures():
    # Newcombe 1998, table III, method 10.
    assert difference_interval(36, 12, 2, 0) == pytest.approx((0.0569, 0.3404), abs=1e-4)
    # Here both are often right and wrong together, and the correction for continuity counts.
    assert difference_interval(20, 12, 2, 16) == pytest.approx((0.0562, 0.3292), abs=1e-4)


def test_the_interval_of_a_difference_holds_the_truth_19_times_in_20():
    rng = np.random.default_rng(1)
    chances = (0.78, 0.12, 0.05, 0.05)
    drawn = rng.multinomial(200, chances, 2000)
    intervals = [difference_interval(*map(int, row)) for row in drawn]
    held = np.mean([low <= 0.12 - 0.05 <= high for low, high in intervals])
    assert 0.935 < held < 0.975


@given(*(st.integers(0, 40) for _ in range(4)))
def test_the_interval_of_a_difference_is_around_it_and_turns_with_it(both, first, second, neither):
    if not both + first + second + neither:
        return
    low, high = difference_interval(both, first, second, neither)
    difference = (first - second) / (both + first + second + neither)
    assert -1 - 1e-9 <= low <= difference <= high <= 1 + 1e-9
    swapped = difference_interval(both, second, first, neither)
    assert swapped == pytest.approx((-high, -low), abs=1e-12)


def test_settings_that_differ_are_named_and_no_others():
    first = load_preset("imdb-tutorial")
    second = load_preset("imdb-tutorial", {"model.units": 7, "seed": 3})
    third = load_preset("digits")
    units = (first.model.units, 7)
    assert differing([first, second]) == {"model.units": units, "seed": (first.seed, 3)}
    assert differing([first, first]) == {}
    found = differing([first, second, third])
    assert found["text.max_tokens"] == (first.text.max_tokens, second.text.max_tokens, None)
    assert found["image.shift"] == (None, None, third.image.shift)


def test_examples_are_paired_by_what_they_are_not_by_where_they_stand(root):
    """Two runs whose test splits were cut by different seeds share some of their examples."""
    first = text_run(root / "reviews" / "one")
    second = text_run(root / "reviews" / "two", seed=1)
    # The same file for both, cut otherwise.
    config = second.read_text(runs.CONFIG).replace("two.csv", "one.csv")
    second.write_text(runs.CONFIG, config)
    complete(second, record={"data": first.config().data.name})
    ours, theirs = answers(first), answers(second)
    shared = ours.keys() & theirs.keys()
    assert 0 < len(shared) < len(ours)
    (paired,) = compare([first, second]).paired
    assert paired.num_shared == len(shared)
    assert paired.both_right == sum(ours[text] and theirs[text] for text in shared)
    assert paired.only_first == sum(ours[text] and not theirs[text] for text in shared)
    assert paired.only_second == sum(theirs[text] and not ours[text] for text in shared)


def test_equal_examples_are_paired_one_with_one():
    assert _shared([b"a", b"a", b"b", b"c"], [b"b", b"a"]) == [(0, 1), (2, 0)]
    assert _shared([b"a", b"a"], [b"a", b"b", b"a", b"a"]) == [(0, 0), (1, 2)]


def test_each_pair_of_runs_is_tested_and_corrected_together(root):
    made = [text_run(root / "reviews" / name) for name in ("a", "b", "c")]
    compared = compare(made)
    assert [(p.first, p.second) for p in compared.paired] == [
        ("reviews/a", "reviews/b"),
        ("reviews/a", "reviews/c"),
        ("reviews/b", "reviews/c"),
    ]
    # They differ in nothing but the name of their file.
    assert {p.p_value for p in compared.paired} == {p.adjusted for p in compared.paired} == {1.0}
    assert list(compared.settings) == ["data.name"]
    assert {p.num_shared for p in compared.paired} == {24}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.unlink(), "could not be read"),
        (lambda path: path.write_text(path.read_text() + "a film,positive\n"), "has changed"),
    ],
)
def test_runs_whose_data_is_gone_or_changed_stand_in_the_table_only(root, spoil, why):
    first, second = text_run(root / "reviews" / "one"), text_run(root / "reviews" / "two")
    spoil(root / "reviews" / "two.csv")
    compared = compare([first, second])
    assert len(compared.entries) == 2
    assert compared.paired == ()
    assert why in compared.untested[0].why
    assert "reviews/two" in compared.untested[0].why


def test_runs_on_other_data_are_not_tested_against_each_other(root):
    first = text_run(root / "reviews" / "one")
    image = image_run(root / "digits" / "one")
    labels = text_run(root / "reviews" / "two", labels=("good", "bad"))
    texts = text_run(root / "reviews" / "three", texts=OTHER)
    found = [pair.why for pair in compare([first, image, labels, texts]).untested]
    assert found.count("one reads texts and the other images") == 1
    assert found.count("one reads images and the other texts") == 2
    assert found.count("their classes differ") == 2
    assert found.count("their test splits share no example") == 1


def test_what_cannot_be_compared_is_refused(root):
    run = text_run(root / "reviews" / "one")
    with pytest.raises(LstmError, match="two runs or more") as caught:
        compare([run])
    assert caught.value.exit_code == ExitCode.USAGE
    with pytest.raises(LstmError, match="named twice"):
        compare([run, run])
    other = text_run(root / "reviews" / "two")
    other.write_text(runs.MODEL, "")
    with pytest.raises(LstmError, match=r"model\.onnx") as caught:
        compare([run, other])
    assert caught.value.exit_code == ExitCode.INTEGRITY


def test_the_command_prints_tables_and_writes_a_picture(root, tmp_path):
    text_run(root / "reviews" / "one")
    text_run(root / "reviews" / "two", seed=1)
    out = tmp_path / "curves.png"
    done = lstm("runs", "compare", "one", "two", "--out", out)
    assert done.exit_code == 0
    for told in ("accuracy", "run on disk", "Settings that differ", "seed", "only A"):
        assert told in done.stdout
    with Image.open(out) as picture:
        assert picture.size[0] == 1200
    told = json.loads(lstm("runs", "compare", "one", "two", "--json").stdout)
    assert [run["name"] for run in told["runs"]] == ["reviews/one", "reviews/two"]
    assert told["settings"]["seed"] == {"reviews/one": 0, "reviews/two": 1}
    assert told["paired"][0]["p_value"] == 1.0 or told["untested"]


def test_the_command_writes_a_page_that_loads_nothing(root, tmp_path):
    text_run(root / "reviews" / "one", labels=(EVIL, "x"))
    text_run(root / "reviews" / f"two{EVIL[:8]}", labels=(EVIL, "y"))
    out = tmp_path / "page.html"
    done = lstm(
        "runs", "compare", root / "reviews/one", root / f"reviews/two{EVIL[:8]}", "--out", out
    )
    assert done.exit_code == 0
    seen = read(out)
    assert len(seen.pictures) == 1
    assert "their classes differ" in seen.text
    assert EVIL[:8] in seen.text


def test_a_wrong_name_for_the_output_is_refused_before_the_work(root):
    done = lstm("runs", "compare", "one", "two", "--out", "table.pdf")
    assert done.exception.exit_code == ExitCode.USAGE
    assert ".html" in done.exception.message
    done = lstm("runs", "compare", "nothing", "two")
    assert "no run 'nothing'" in done.exception.message

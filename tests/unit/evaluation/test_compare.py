"""Comparison of runs: shared examples, settings that differ, and errors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fixtures_reports import EVIL, complete, image_run, lstm, parse_page, text_run
from PIL import Image

from lstm_cli.config.load import load_preset
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.compare import _shared_examples, compare, differing_settings
from lstm_cli.evaluation.load_split import own_data
from lstm_cli.evaluation.scored_split import score
from lstm_cli.io.progress import SilentReporter
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs

OTHER = ("a fine dull film", "just a cast", "not a moment", "fine , not dull")


@pytest.fixture
def root():
    return Path(os.environ["LSTM_RUNS_DIR"])


def answers(run):
    """Test texts of a run, and whether it gets each right."""
    dataset = own_data(run, "test")
    scored = score(Predictor.load(run), dataset, "test", SilentReporter())
    right = scored.probabilities.argmax(axis=1) == scored.labels
    return dict(zip(dataset.splits["test"].inputs, right.tolist(), strict=True))


def test_only_settings_that_differ_are_listed():
    first = load_preset("imdb-tutorial")
    second = load_preset("imdb-tutorial", {"model.units": 7, "seed": 3})
    third = load_preset("digits")
    units = (first.model.units, 7)
    assert differing_settings([first, second]) == {"model.units": units, "seed": (first.seed, 3)}
    assert differing_settings([first, first]) == {}
    found = differing_settings([first, second, third])
    assert found["text.max_tokens"] == (first.text.max_tokens, second.text.max_tokens, None)
    assert found["image.shift"] == (None, None, third.image.shift)


def test_examples_are_matched_by_content_not_by_position(root):
    """Test splits drawn with different seeds share some examples."""
    first = text_run(root / "reviews" / "one")
    second = text_run(root / "reviews" / "two", seed=1)
    # The same file for both, split with another seed.
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


def test_equal_examples_are_matched_one_to_one():
    assert _shared_examples([b"a", b"a", b"b", b"c"], [b"b", b"a"]) == [(0, 1), (2, 0)]
    assert _shared_examples([b"a", b"a"], [b"a", b"b", b"a", b"a"]) == [(0, 0), (1, 2)]


def test_p_values_are_adjusted_for_all_pairs(root):
    made = [text_run(root / "reviews" / name) for name in ("a", "b", "c")]
    compared = compare(made)
    assert [(p.first, p.second) for p in compared.paired] == [
        ("reviews/a", "reviews/b"),
        ("reviews/a", "reviews/c"),
        ("reviews/b", "reviews/c"),
    ]
    # Only the file name differs.
    assert (
        {p.p_value for p in compared.paired}
        == {p.adjusted_p_value for p in compared.paired}
        == {1.0}
    )
    assert list(compared.settings) == ["data.name"]
    assert compared.to_dict()["conclusion"] == {
        "better": None,
        "text": "No difference between the 3 runs can be shown: the smallest p of 3 pairs is 1.00 "
        "(Holm).",
    }
    assert {p.num_shared for p in compared.paired} == {24}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "could not be read"),
        (lambda path: path.write_text(path.read_text() + "a film,positive\n"), "has changed"),
    ],
)
def test_runs_whose_data_is_missing_or_changed_are_not_tested(root, spoil, reason):
    first, second = text_run(root / "reviews" / "one"), text_run(root / "reviews" / "two")
    spoil(root / "reviews" / "two.csv")
    compared = compare([first, second])
    assert len(compared.entries) == 2
    assert compared.paired == ()
    assert reason in compared.untested[0].reason
    assert "reviews/two" in compared.untested[0].reason


def test_runs_on_other_data_are_not_tested_against_each_other(root):
    first = text_run(root / "reviews" / "one")
    image = image_run(root / "digits" / "one")
    labels = text_run(root / "reviews" / "two", labels=("good", "bad"))
    texts = text_run(root / "reviews" / "three", texts=OTHER)
    found = [pair.reason for pair in compare([first, image, labels, texts]).untested]
    assert found.count("the first reads texts and the second images") == 1
    assert found.count("the first reads images and the second texts") == 2
    assert found.count("their classes differ") == 2
    assert found.count("their test splits share no example") == 1


def test_runs_that_cannot_be_compared_are_an_error(root):
    run = text_run(root / "reviews" / "one")
    with pytest.raises(LstmError, match="found 1") as caught:
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
    assert done.stdout.startswith("No difference can be shown: ")
    for text in ("accuracy", "run on disk", "Settings that differ", "seed", "only A"):
        assert text in done.stdout
    with Image.open(out) as picture:
        assert picture.size[0] == 1200
    comparison = json.loads(lstm("runs", "compare", "one", "two", "--json").stdout)
    assert [run["name"] for run in comparison["runs"]] == ["reviews/one", "reviews/two"]
    assert comparison["settings"]["seed"] == {"reviews/one": 0, "reviews/two": 1}
    assert comparison["paired"][0]["p_value"] == 1.0 or comparison["untested"]


def test_the_command_writes_html_without_external_resources(root, tmp_path):
    text_run(root / "reviews" / "one", labels=(EVIL, "x"))
    text_run(root / "reviews" / f"two{EVIL[:8]}", labels=(EVIL, "y"))
    out = tmp_path / "page.html"
    done = lstm(
        "runs", "compare", root / "reviews/one", root / f"reviews/two{EVIL[:8]}", "--out", out
    )
    assert done.exit_code == 0
    seen = parse_page(out)
    assert len(seen.pictures) == 1
    assert "The runs could not be tested: their classes differ." in seen.text
    assert EVIL[:8] in seen.text


def test_an_unknown_output_format_is_an_error_before_any_work(root):
    done = lstm("runs", "compare", "one", "two", "--out", "table.pdf")
    assert done.exception.exit_code == ExitCode.USAGE
    assert ".html" in done.exception.message
    done = lstm("runs", "compare", "nothing", "two")
    assert "no run 'nothing'" in done.exception.message

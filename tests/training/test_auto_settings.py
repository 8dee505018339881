"""Settings chosen from the data in training: the description of the data, and what is recorded."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from fixtures_results import whole

from lstm_cli.config import load as configs
from lstm_cli.config.auto import AUTO_KEYS, DataProfile, choose_settings
from lstm_cli.data import Dataset
from lstm_cli.data.dataset import Split, UnlabeledTexts
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.data.profile import describe_data
from lstm_cli.io.progress import SilentReporter
from lstm_cli.io.signals import Interrupted
from lstm_cli.runs import directory as runs
from lstm_cli.text import profile
from lstm_cli.training import auto_settings, loop
from lstm_cli.training.auto_settings import describe_choice, with_auto_settings
from lstm_cli.training.dry_run import dry_run
from lstm_cli.training.pipeline import resume, train
from lstm_cli.training.prepare import load_training_data
from lstm_cli.training.replay import replay
from lstm_cli.training.task import with_language_model

# Without folds, so that a training takes two seconds.
SMALL = {
    "data.folds": 0,
    "embedding.dim": 4,
    "model.units": 3,
    "train.epochs": 2,
    "linear.folds": 2,
}


class Notes(SilentReporter):
    """Keeps the notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        """Keep it."""
        self.notes.append(text)


@pytest.fixture
def table(tmp_path):
    """Sixty texts, half of them with a word that no other has."""
    words = ("fine", "dull")
    rows = [f"a {words[i % 2]} film {'own' if i % 4 else 'rare'}{i},{i % 2}" for i in range(60)]
    path = tmp_path / "films.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def settings(table, **changes):
    return dataset_settings(str(table), None, {**SMALL, **changes})


def dataset(*texts, validation=(), unlabeled=None):
    splits = {"train": Split(list(texts), np.zeros(len(texts), np.int32))}
    if validation:
        splits["validation"] = Split(list(validation), np.zeros(len(validation), np.int32))
    extra = None if unlabeled is None else UnlabeledTexts(list(unlabeled), {}, "0" * 64)
    return Dataset("x", "some texts", "text", ("a", "b", "c"), splits, "f" * 64, unlabeled=extra)


def test_data_is_described_by_its_numbers():
    texts = ["one two three"] * 18 + ["a b c d e f g h i j"]
    found = describe_data(dataset(*texts, validation=[""], unlabeled=["more", "texts"]))
    assert found == DataProfile(
        num_texts=20,
        num_classes=3,
        num_unlabeled=2,
        median_length=3,
        long_length=3,
        num_tokens=18 * 3 + 10,
        unspaced=0.0,
        # Of 13 words, ten occur once.
        once=10 / (18 * 3 + 10),
    )


def test_large_data_is_described_from_a_sample(monkeypatch):
    read = []
    tokenize = profile.tokenize
    monkeypatch.setattr(profile, "tokenize", lambda text: read.append(text) or tokenize(text))
    # Sorted by length: a sample of the first texts would be wrong.
    found = describe_data(dataset(*["short"] * 5000, *["rather long text of six words"] * 5000))
    assert len(read) == 2000
    assert found.num_texts == 10_000
    assert found.num_tokens == pytest.approx(5000 * 1 + 5000 * 6, rel=0.01)
    assert found.long_length == 6
    assert found == describe_data(
        dataset(*["short"] * 5000, *["rather long text of six words"] * 5000)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a fine film", 0.0), ("好看的电影", 1.0), ("หนังดี", 1.0), ("film 电影 好", 0.75), ("", 0.0)],
)
def test_the_fraction_of_scripts_without_spaces(text, expected):
    assert describe_data(dataset(text, text)).unspaced == pytest.approx(expected)


def test_the_choice_is_described_in_short_lines():
    profile = DataProfile(3017, 77, 0, 19, 40, 60_000, 0.0, 0.0)
    values = choose_settings(profile)
    defaults = configs.flatten(configs.to_dict(configs.load_preset("text")))
    lines = describe_choice(profile, defaults, values)
    assert profile.describe() in lines[0]
    assert max(map(len, lines)) <= 80
    sections = [line.strip().partition(":")[0] for line in lines[1:]]
    assert sections == list(dict.fromkeys(sections))
    shown = {
        f"{section}.{pair.partition('=')[0]}": pair.partition("=")[2]
        for section, line in zip(sections, lines[1:], strict=True)
        for pair in line.partition(": ")[2].split(", ")
    }
    assert set(shown) == {key for key, value in values.items() if value != defaults[key]}
    assert shown["text.max_tokens"] == str(values["text.max_tokens"])


def test_a_choice_of_defaults_is_one_line():
    profile = DataProfile(3017, 77, 0, 19, 40, 60_000, 0.0, 0.0)
    values = {"train.epochs": 7, "train.refit": False}
    (line,) = describe_choice(profile, values, values)
    assert profile.describe() in line


def test_only_what_is_listed_is_chosen_and_the_data_is_split_as_chosen(table, monkeypatch):
    chosen = {
        **choose_settings(DataProfile(48, 2, 0, 4, 4, 200, 0.0, 0.0)),
        "data.validation_fraction": 0.25,
    }
    monkeypatch.setattr(auto_settings, "choose_settings", lambda _: chosen)
    before = settings(table, **{"linear.buckets": 77})
    data = load_training_data(before, None)
    reporter = Notes()
    config, split = with_auto_settings(before, data, None, reporter)
    flat = configs.flatten(configs.to_dict(config))
    for key in AUTO_KEYS:
        given = {**SMALL, "linear.buckets": 77}.get(key, chosen[key])
        assert flat[key] == given, key
    assert config.auto == ()
    assert len(split.splits["validation"].inputs) == 12
    assert len(data.splits["validation"].inputs) == 5
    assert not any("buckets=77" in note for note in reporter.notes)
    # Chosen settings are settings: nothing is chosen or reported twice.
    assert with_auto_settings(config, split, None, Notes()) == (config, split)


@pytest.mark.parametrize("section", ["classifier", "language"])
def test_the_columns_that_are_found_become_settings(table, section):
    config = settings(table)
    if section == "language":
        config = with_language_model(config)
    assert (config.data.text_columns, config.data.label_column) == ((), None)
    found, _ = with_auto_settings(config, load_training_data(config, None), None, Notes())
    assert (found.data.text_columns, found.data.label_column) == (("text",), "label")


def test_the_same_split_is_not_read_again(table, monkeypatch):
    config = settings(table)
    data = load_training_data(config, None)
    monkeypatch.setattr(auto_settings, "load_training_data", lambda *_: pytest.fail("read again"))
    assert with_auto_settings(config, data, None, Notes())[1] is data


def test_a_run_records_what_was_chosen_and_replays(table):
    reporter = Notes()
    run = train(settings(table), name="x", reporter=reporter)
    config = run.config()
    assert config.auto == ()
    chosen = choose_settings(describe_data(load_training_data(settings(table), None)))
    flat = configs.flatten(configs.to_dict(config))
    assert {key: flat[key] for key in AUTO_KEYS} == {
        **chosen,
        **{key: value for key, value in SMALL.items() if key in AUTO_KEYS},
    }
    assert any("48 texts of median length 4" in note for note in reporter.notes)
    assert replay(run).identical


def test_an_interrupted_run_goes_on_with_what_was_chosen(table, monkeypatch):
    complete = train(settings(table), name="whole")
    validate = loop.TrainingLoop._validate

    def interrupting(*args):
        os.kill(os.getpid(), signal.SIGINT)
        return validate(*args)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(loop.TrainingLoop, "_validate", interrupting)
        train(settings(table), name="stopped")
    run = runs.RunDir(runs.runs_root() / "films" / "stopped")
    assert run.config().auto == ()
    # Other rules today than when the run began.
    monkeypatch.setattr(auto_settings, "choose_settings", lambda _: pytest.fail("chosen again"))
    resume(run)
    assert whole(run)
    assert run.config() == complete.config()
    assert run.read_bytes(runs.WEIGHTS) == complete.read_bytes(runs.WEIGHTS)


def test_a_dry_run_plans_with_what_training_chooses(table):
    reporter = Notes()
    config = settings(table)
    plan = dry_run(config, reporter=reporter)
    chosen = choose_settings(describe_data(load_training_data(config, None)))
    assert [split.examples for split in plan.splits] == [43, 5]
    assert plan.stages == 1 + chosen["train.refit"]
    assert plan.steps_per_epoch == -(-43 // chosen["train.batch_size"])
    assert any("settings" in note.lower() and "48 texts" in note for note in reporter.notes)
    assert not runs.runs_root().exists()


def test_a_language_model_chooses_its_vocabulary_and_a_classifier_adds_to_it(table):
    config = with_language_model(settings(table))
    assert set(config.auto) == {key for key in AUTO_KEYS if key.startswith("text.")}
    assert train(config, name="free").config().auto == ()
    # Not what the rules choose for the classifier, whose vocabulary has rarer words too.
    words = with_language_model(settings(table, **{"text.min_count": 3}))
    words = train(words, name="words")
    classifier = train(settings(table, **{"train.init_from": "films/words"}), name="x")
    assert classifier.config().text.min_count == 1
    assert classifier.config().auto == ()
    first = words.read_json(runs.TOKENIZER)["model"]["vocab"]
    vocab = classifier.read_json(runs.TOKENIZER)["model"]["vocab"]
    assert "own1" not in first
    assert vocab["own1"] >= len(first)
    assert first.items() <= vocab.items()
    assert classifier.config().text.vocab_size == len(first) + 20_000
    assert classifier.read_json(runs.RUN)["init_from"]["run"] == "films/words"

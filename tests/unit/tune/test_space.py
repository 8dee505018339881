"""The space of a search: what a file may say, and that the default settings lie within it."""

from __future__ import annotations

import re

import optuna
import pytest

from lstm_cli.config import load as configs
from lstm_cli.config.load import load_preset, preset_names
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.tune.resolve import resolve_auto
from lstm_cli.tune.space import Choices, Range, load_space, setting_values
from lstm_cli.tune.space_file import parse_space
from lstm_cli.tune.validation import search_validation

TEXT = load_preset("text")


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def space_file(tmp_path):
    def write(content):
        path = tmp_path / "space.yaml"
        path.write_text(content)
        return path

    return write


def first_trials(space, config, num=1):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space.enqueue_default(study, config)
    trials = [study.ask() for _ in range(num)]
    return trials, [space.suggest(trial) for trial in trials]


@pytest.mark.parametrize("name", [name for name in preset_names() if name != "image"])
def test_the_default_space_has_the_default_settings_and_valid_ones_only(name):
    config = load_preset(name)
    space = load_space(None, config)
    (first, *_), (default, *others) = first_trials(space, config, 30)
    assert default == {}
    assert first.params == space.default_params(config)
    assert set(first.params) == set(space.parameters)
    for values in others:
        assert set(values) == set(space.parameters)
        configs.from_dict(configs.to_dict(config), values)
    assert parse_space(space.to_builtins(), config, "study.yaml") == space


def test_settings_chosen_from_the_data_are_in_the_middle_of_the_default_space(tmp_path):
    table = tmp_path / "films.csv"
    rows = [f"a {('fine', 'dull')[i % 2]} film number {i},{i % 2}" for i in range(60)]
    table.write_text("\n".join(["text,label", *rows]))
    config = dataset_settings(str(table), None, {"train.batch_size": 7})
    unresolved = load_space(None, config)
    assert not set(unresolved.parameters) & set(config.auto)
    resolved = resolve_auto(config).config
    # As `lstm train` chooses them for 60 texts.
    assert (resolved.train.epochs, resolved.text.max_tokens) == (20, 20)
    assert resolved.train.batch_size == 7
    space = load_space(None, resolved)
    assert space.parameters["train.epochs"] == Range(10, 40)
    assert space.parameters["text.max_tokens"] == Choices((10, 20, 40))
    # Training chooses the values of the first trial, not the search.
    _, (default,) = first_trials(space, config)
    assert default == {}


def test_what_a_person_set_is_not_searched():
    space = load_space(None, load_preset("imdb"), ["model.units"])
    assert "model.units" not in space.parameters
    assert "model.layers" in space.parameters


def test_what_must_be_as_in_another_run_or_file_is_not_searched():
    config = load_preset("imdb", {"train.init_from": "runs/demo/a"})
    assert not {"model.units", "embedding.dim"} & set(load_space(None, config).parameters)
    config = load_preset("imdb", {"embedding.vectors_file": "glove.txt"})
    assert "embedding.dim" not in load_space(None, config).parameters


def test_a_default_outside_of_the_usual_values_is_in_the_space():
    changes = {"model.units": 1000, "embedding.bigram_buckets": 77, "model.dropout": 0.03}
    config = load_preset("imdb", changes)
    (first,), _ = first_trials(load_space(None, config), config)
    assert {key: first.params[key] for key in changes} == changes


def test_a_file_has_ranges_and_lists(space_file):
    text = """
train.learning_rate: {low: 1e-4, high: 1e-2, log: true}
model.units: {low: 16, high: 50, step: 16}
model.dropout: {low: 0.1, high: 0.45, step: 0.1}
model.regions: [[], [2, 3]]
train.class_weights: [none, 0.5]
"""
    space = load_space(space_file(text), TEXT)
    assert space.parameters == {
        "train.learning_rate": Range(0.0001, 0.01, log=True),
        "model.units": Range(16, 48, step=16),
        "model.dropout": Range(0.1, 0.4, step=0.1),
        "model.regions": Choices(([], [2, 3])),
        "train.class_weights": Choices(("none", 0.5)),
    }
    _, (_, *tried) = first_trials(space, TEXT, 60)
    assert {values["model.units"] for values in tried} == {16, 32, 48}
    assert {values["model.dropout"] for values in tried} == {0.1, 0.2, 0.3, 0.4}
    assert {str(values["model.regions"]) for values in tried} == {"[]", "[2, 3]"}
    assert {values["train.class_weights"] for values in tried} == {"none", 0.5}


def test_the_first_trial_has_the_default_settings_even_outside_of_a_file(space_file):
    space = load_space(space_file("model.units: [100]\nmodel.layers: [1, 2]"), TEXT)
    (first, second), (default, other) = first_trials(space, TEXT, 2)
    assert (default, first.params) == ({}, {"model.layers": 1})
    assert other["model.units"] == 100
    assert set(second.params) == {"model.units", "model.layers"}


@pytest.mark.parametrize(
    ("text", "place", "named"),
    [
        ("", "", "one setting"),
        ("- model.units", "", "list"),
        ("model.units: [1", "line 1, column", ""),
        ("model.units: [1]\nmodel.units: [2]", "line 2, column 1", "model.units"),
        ("model.layers: [1]\nmodel.unit: [1]", "line 2", "model.unit"),
        ("model: {units: [1]}", "line 1", "section"),
        ("model.units: 64", "line 1", "64"),
        ("model.units: []", "line 1", "empty"),
        ("model.units: [0]", "line 1", "0"),
        ("model.units: [8, '8']", "line 1", "twice"),
        ("model.cell: [lstm, gru]", "line 1", "gru"),
        ("model.regions: [[], [2, 2]]", "line 1", "differ"),
        ("model.layers: [1]\nmodel.units: {low: 9, high: 3}", "line 2", "9 and 3"),
        ("model.units: {low: 9}", "line 1", "'high'"),
        ("model.units: {low: 1, high: 3, hi: 3}", "line 1", "'hi'"),
        ("model.units: {low: 1, high: [3]}", "line 1", "[3]"),
        ("model.units: {low: true, high: 3}", "line 1", "True"),
        ("model.units: {low: 1.5, high: 3}", "line 1", "1.5"),
        ("model.units: {low: 1, high: 99999}", "line 1", "99999"),
        ("model.units: {low: 1, high: 3, step: 0.5}", "line 1", "0.5"),
        ("model.units: {low: 1, high: 3, log: 1}", "line 1", "log"),
        ("model.units: {low: 1, high: 3, log: true, step: 1}", "line 1", "step"),
        ("model.dropout: {low: 0, high: 0.5, log: true}", "line 1", "above 0"),
        ("model.dropout: {low: 0, high: 1}", "line 1", "below 1"),
        ("model.dropout: {low: .nan, high: 0.5}", "line 1", "nan"),
        ("model.cell: {low: 0, high: 1}", "line 1", "range"),
        ("seed: [1, 2]", "line 1", "seed"),
        ("data.validation_fraction: [0.1]", "line 1", "data.validation_fraction"),
        ("image.shift: [1]", "line 1", "image"),
        ("language.window: [3]", "line 1", "language"),
        ("train.epochs: [3]", "line 1", "train.epochs"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(space_file, text, place, named):
    path = space_file(text)
    with pytest.raises(LstmError) as caught:
        load_space(path, TEXT, ["train.epochs"])
    assert caught.value.exit_code == ExitCode.USAGE
    start = f"{path}, {place}" if place else f"{path}:"
    assert caught.value.message.startswith(start)
    assert named in caught.value.message
    assert re.search(r"\d: " if place else ": ", caught.value.message)


def test_a_missing_file_is_an_error_of_the_data(tmp_path):
    with pytest.raises(LstmError) as caught:
        load_space(tmp_path / "no.yaml", TEXT)
    assert caught.value.exit_code == ExitCode.DATA


def test_lists_and_nulls_are_values_that_optuna_stores(space_file):
    space = load_space(space_file("embedding.vectors_file: [null, a.txt]"), TEXT)
    assert space.default_params(TEXT) == {"embedding.vectors_file": None}
    space = load_space(space_file("model.regions: [[2, 3], []]"), TEXT)
    assert space.default_params(TEXT) == {"model.regions": "[]"}
    assert setting_values(TEXT)["model.regions"] == []


def test_a_search_holds_out_more_rows_than_a_training():
    settings = configs.to_dict(load_preset("text"))
    config = configs.from_dict(settings, {"data.validation_fraction": 0.002})
    assert search_validation(config, 3000, ()) == {"data.folds": 3}
    assert search_validation(config, 60_000, ()) == {
        "data.validation_fraction": 0.05, "train.refit": True,
    }  # fmt: skip
    assert search_validation(config, 1_000_000, ()) == {"data.validation_fraction": 0.003}
    # A training would hold out 5,000 rows.
    enough = configs.from_dict(settings, {"data.validation_fraction": 0.005})
    assert search_validation(enough, 1_000_000, ()) == {}


@pytest.mark.parametrize(
    "changes", [{"data.folds": 5}, {"data.validation_file": "dev.csv"}, {"train.refit": False}]
)
def test_a_search_keeps_how_a_person_holds_rows_out(changes):
    config = configs.from_dict(configs.to_dict(load_preset("text")), changes)
    assert search_validation(config, 3000, changes) == {}

"""Settings chosen from the data: properties of the rules, and what wins over them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fixtures_errors import refused
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli import api
from lstm_cli.config import load as configs
from lstm_cli.config.auto import AUTO_KEYS, DataProfile, choose_settings
from lstm_cli.config.describe import describe
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.errors import ExitCode, LstmError

BUCKETS = ("linear.buckets", "linear.char_buckets")
SIZES = (10, 50, 200, 500, 1000, 3000, 8000, 20_000, 100_000, 1_000_000)
# 64 MB of float32.
MAX_WEIGHTS = 16_000_000


def profile(num_texts=5000, num_classes=2, length=20, **changes):
    values = {
        "num_unlabeled": 0,
        "median_length": length,
        "long_length": 2 * length,
        "num_tokens": num_texts * length,
        "unspaced": 0.0,
        "once": 0.0,
    }
    return DataProfile(num_texts, num_classes, **{**values, **changes})


def choose(*args, **changes):
    return choose_settings(profile(*args, **changes))


def by_size(key, **changes):
    return [choose(size, **changes)[key] for size in SIZES]


profiles = st.builds(
    profile,
    num_texts=st.integers(2, 100_000_000),
    num_classes=st.integers(2, 20_000),
    length=st.integers(0, 100_000),
    unspaced=st.floats(0, 1),
    once=st.floats(0, 1),
    num_unlabeled=st.integers(0, 10**9),
)


@relaxed
@given(profiles)
def test_every_choice_is_a_valid_setting(chosen_for):
    values = choose_settings(chosen_for)
    assert tuple(values) == AUTO_KEYS
    config = configs.from_dict(configs.preset_dict("text"), values)
    flat = configs.flatten(configs.to_dict(config))
    assert {key: flat[key] for key in values} == values
    assert config.auto == ()


def test_the_preset_text_leaves_every_setting_that_has_a_rule_to_the_data():
    config = configs.load_preset("text")
    assert sorted(config.auto) == sorted(AUTO_KEYS)
    assert set(AUTO_KEYS) <= set(configs.all_keys())
    # A value there would have no effect.
    assert not set(AUTO_KEYS) & set(configs.flatten(configs.preset_dict("text")))


@pytest.mark.parametrize("name", [n for n in configs.preset_names() if n not in ("text", "image")])
def test_other_presets_choose_nothing(name):
    assert configs.load_preset(name).auto == ()


@pytest.mark.parametrize("key", BUCKETS)
@pytest.mark.parametrize("num_classes", [2, 3, 77, 150, 1000])
@pytest.mark.parametrize("num_tokens", [0, 16_384, 60_000, 100_000, 2**18, 10**6, 2**20, 10**9])
def test_buckets_are_a_power_of_two_and_their_table_is_small(key, num_classes, num_tokens):
    buckets = choose(num_classes=num_classes, num_tokens=num_tokens)[key]
    assert buckets.bit_count() == 1
    assert buckets * (1 if num_classes == 2 else num_classes) <= MAX_WEIGHTS


@pytest.mark.parametrize("key", BUCKETS)
def test_buckets_grow_with_the_tokens_and_shrink_with_the_classes(key):
    sizes = by_size(key)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    many = [choose(100_000, num_classes)[key] for num_classes in (2, 10, 77, 150, 1000)]
    assert many == sorted(many, reverse=True)
    assert many[0] > many[-1]


@pytest.mark.parametrize(
    ("key", "rises"),
    [
        ("text.min_count", True),
        ("train.batch_size", True),
        ("data.folds", False),
        ("data.validation_fraction", False),
        ("linear.folds", False),
        ("train.epochs", False),
        ("train.refit", False),
    ],
)
def test_settings_go_one_way_with_the_number_of_texts(key, rises):
    values = by_size(key)
    assert values == sorted(values, reverse=not rises)
    assert values[0] != values[-1]


def test_few_texts_are_validated_by_folds_or_refitted():
    assert choose(300)["data.folds"] >= 2
    assert choose(300)["train.refit"]
    assert choose(100_000)["data.folds"] == 0


def test_validation_is_small_but_has_each_class():
    assert choose(1000)["data.validation_fraction"] == 0.1
    few = choose(1_000_000, 2)["data.validation_fraction"] * 1_000_000
    assert 100 <= few <= 10_000
    assert choose(1_000_000, 5000)["data.validation_fraction"] * 1_000_000 >= 5000


def test_similar_words_are_read_where_many_words_are_new():
    key = "text.min_similarity"
    assert choose(2000, once=0.2)[key] > 0
    assert choose(2000, once=0.05)[key] == 0
    assert choose(200, once=0.2)[key] == 0
    # There the fraction is from a sample, and too high.
    assert choose(20_000, once=0.2)[key] == 0
    # Single letters have no parts.
    assert choose(2000, once=0.2, unspaced=0.9)[key] == 0


@pytest.mark.parametrize("length", [0, 1, 9, 55, 200])
def test_at_most_a_twentieth_of_the_texts_is_truncated(length):
    assert choose(long_length=length)["text.max_tokens"] >= length


def test_very_long_texts_are_truncated():
    assert choose(long_length=50_000)["text.max_tokens"] < 1000


def test_word_vectors_learn_from_unlabeled_texts():
    assert choose()["embedding.vectors"] == "train"
    assert choose(num_unlabeled=1)["embedding.vectors"] == "unlabeled"


def test_the_linear_model_learns_from_unlabeled_texts_if_they_are_more_than_the_labels():
    key = "linear.self_training"
    assert choose(500)[key] == 0
    assert choose(500, num_unlabeled=400)[key] == 0
    assert choose(500, num_unlabeled=6000)[key] > 0.5
    assert choose(8000, num_unlabeled=6000)[key] == 0
    assert choose(10, num_unlabeled=50)[key] == 0
    # One fit for each class would take hours.
    assert choose(500, 100, num_unlabeled=1_000_000)[key] == 0
    assert choose(500, num_unlabeled=10**8)[key] == 0


def test_the_words_of_unlabeled_texts_count_for_vocabulary_and_buckets():
    few, many = choose(500), choose(500, num_unlabeled=200_000)
    assert few["linear.buckets"] < many["linear.buckets"]
    assert few["text.min_count"] < many["text.min_count"]
    assert (few["linear.char_ngrams"], many["linear.char_ngrams"]) == ("all", "unknown")


def test_longer_n_grams_where_a_script_has_no_spaces():
    spaced, unspaced = choose(unspaced=0.1), choose(unspaced=0.9)
    assert spaced["linear.word_ngrams"] < unspaced["linear.word_ngrams"]


def test_data_is_described_in_words():
    text = profile(3017, 2, 19).describe()
    assert text == "3,017 texts of median length 19, 2 classes"
    more = profile(num_unlabeled=12_345, unspaced=0.9).describe()
    assert "12,345 texts without labels" in more
    assert "without spaces" in more


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "films.csv"
    path.write_text("text,label\n" + "a,x\nb,y\n" * 9)
    return path


@pytest.mark.parametrize("key", AUTO_KEYS)
def test_a_setting_that_is_set_is_not_chosen(key, table, tmp_path):
    value = choose()[key]
    section, _, name = key.partition(".")
    by_hand = dataset_settings(str(table), None, {key: value})
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({section: {name: value}}))
    for config in (by_hand, dataset_settings(str(table), file)):
        assert set(config.auto) == set(AUTO_KEYS) - {key}
        assert configs.flatten(configs.to_dict(config))[key] == value


def test_a_file_wins_over_its_own_list(table, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("auto: [train.epochs, train.batch_size]\ntrain: {epochs: 50}\n")
    config = dataset_settings(str(table), file)
    assert config.auto == ("train.batch_size",)
    assert config.train.epochs == 50
    assert dataset_settings(str(table), file, {"train.batch_size": 8}).auto == ()


def test_auto_can_be_replaced(table, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("auto: [train.epochs]\n")
    assert dataset_settings(str(table), file).auto == ("train.epochs",)
    assert dataset_settings(str(table), None, {"auto": []}).auto == ()
    overrides = configs.parse_overrides(["auto=[train.epochs, data.folds]", "data.folds=3"])
    assert dataset_settings(str(table), None, overrides).auto == ("train.epochs",)


@pytest.mark.parametrize("full", [False, True])
def test_the_file_that_config_show_prints_leaves_the_same_to_the_data(full, table, tmp_path):
    file = tmp_path / "mine.yaml"
    text = configs.full_preset_text("text") if full else configs.preset_text("text")
    file.write_text(text.replace("reviews.csv", str(table)))
    assert dataset_settings(str(table), file) == dataset_settings(str(table))
    file.write_text(file.read_text().replace("train:\n", "train:\n  epochs: 50\n"))
    assert "train.epochs" not in dataset_settings(str(table), file).auto


def test_the_full_text_of_other_presets_has_every_setting():
    assert configs.full_preset_text("demo") == configs.to_yaml(configs.load_preset("demo"))


def test_nothing_is_chosen_for_a_section_that_is_left_out(table, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("linear: null\n")
    config = dataset_settings(str(table), file)
    assert config.linear is None
    assert set(config.auto) == {key for key in AUTO_KEYS if not key.startswith("linear.")}


def test_nothing_of_texts_is_chosen_for_images(tmp_path):
    file = tmp_path / "images.yaml"
    file.write_text("image: {}\ntext: null\nembedding: null\nlinear: null\n")
    assert dataset_settings("tfds:fashion_mnist", file).auto == ()
    file.write_text(file.read_text() + "auto: [train.patience]\n")
    error = refused(dataset_settings, "tfds:fashion_mnist", file, code=ExitCode.USAGE)
    assert "train.patience" in error.message
    assert "images" in error.message


@pytest.mark.parametrize(
    ("auto", "expected", "hint"),
    [
        (["train.epoch"], "train.epoch", "'train.epochs'"),
        (["model.units"], "model.units", ""),
        (["zzz"], "zzz", "train.refit"),
        ("train.epochs", "auto", ""),
        ([3], "auto", ""),
        ([["train.epochs"]], "auto", ""),
        (None, "auto", ""),
    ],
)
def test_a_wrong_list_is_refused(auto, expected, hint, table, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"auto": auto}))
    by_file = refused(dataset_settings, str(table), file, code=ExitCode.USAGE)
    by_hand = refused(dataset_settings, str(table), None, {"auto": auto}, code=ExitCode.USAGE)
    for error in (by_file, by_hand):
        assert expected in error.message
        assert hint in error.hint


def test_a_listed_setting_needs_its_section():
    settings = {**configs.preset_dict("imdb-tutorial"), "auto": ["linear.folds"]}
    assert "linear:" in refused(configs.from_dict, settings, code=ExitCode.USAGE).message


def test_python_settings_are_not_chosen(table, monkeypatch):
    given_to = []
    monkeypatch.setattr("lstm_cli.training.pipeline.train", lambda c, **_: given_to.append(c))
    monkeypatch.setattr("lstm_cli.training.device.load_keras", lambda *_: None)
    settings = {"train.epochs": 2}
    api.train(table, settings=settings)
    api.train(dataset_settings(str(table)), settings=settings)
    for config in given_to:
        assert set(config.auto) == set(AUTO_KEYS) - {"train.epochs"}
        assert config.train.epochs == 2


def test_descriptions_say_what_is_chosen():
    settings = [setting for section in describe().values() for setting in section]
    chosen = {s.key for s in settings if "chooses it from the data" in s.description}
    assert chosen == set(AUTO_KEYS)


def test_the_table_of_the_guide_is_that_of_the_rules():
    script = Path(__file__).parents[3] / "docs" / "auto_settings.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_validation_file_stays_held_out_from_all_models():
    values = choose(300, has_validation_file=True)
    assert values["data.folds"] == 0
    assert not values["train.refit"]
    assert not values["linear.refit"]
    assert choose(1_000_000, has_validation_file=True)["data.validation_fraction"] == 0.1


def test_folds_and_a_validation_file_exclude_each_other():
    settings = {"data.folds": 5, "data.validation_file": "dev.csv"}
    with pytest.raises(LstmError, match="exclude each other") as caught:
        configs.load_preset("text", settings)
    assert caught.value.exit_code == ExitCode.USAGE

"""The settings that are chosen for own images."""

from __future__ import annotations

import pytest
from fixtures_errors import refused
from fixtures_images import make_folder
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.config import load as configs
from lstm_cli.config.auto_images import IMAGE_AUTO_KEYS, ImageProfile, choose_image_settings
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.errors import ExitCode

LENGTHS = st.integers(1, 1024)
PROFILES = st.builds(
    ImageProfile,
    num_images=st.integers(2, 5_000_000),
    num_classes=st.integers(1, 5000),
    rows=LENGTHS,
    columns=LENGTHS,
    border=st.sampled_from(["dark", "bright", "any"]),
    has_validation_file=st.booleans(),
)


def choose(num_images, shape=(28, 28), num_classes=10, **options):
    profile = ImageProfile(num_images, num_classes, *shape, "dark", **options)
    return choose_image_settings(profile)


@given(PROFILES)
def test_every_choice_is_a_valid_setting(profile):
    values = choose_image_settings(profile)
    assert tuple(values) == IMAGE_AUTO_KEYS
    config = configs.from_dict(configs.preset_dict("image"), values)
    flat = configs.flatten(configs.to_dict(config))
    assert {key: flat[key] for key in values} == values
    assert config.auto == ()


def test_the_preset_leaves_every_setting_that_has_a_rule_to_the_data():
    config = configs.load_preset("image")
    assert sorted(config.auto) == sorted(IMAGE_AUTO_KEYS)
    assert not set(IMAGE_AUTO_KEYS) & set(configs.flatten(configs.preset_dict("image")))


def test_few_images_are_cross_validated_and_many_are_not():
    assert choose(300)["data.folds"] == 5
    assert choose(501)["data.folds"] == 0
    assert (choose(3000)["train.refit"], choose(3001)["train.refit"]) == (True, False)
    own = choose(300, has_validation_file=True)
    assert (own["data.folds"], own["train.refit"], own["data.validation_fraction"]) == (
        0,
        False,
        0.1,
    )


@pytest.mark.parametrize(
    ("shape", "shift"),
    [((8, 8), 0), ((15, 100), 0), ((16, 16), 1), ((28, 28), 1), ((64, 64), 2), ((900, 900), 4)],
)
def test_the_shift_is_a_pixel_in_28(shape, shift):
    assert choose(1000, shape)["image.shift"] == shift


def test_own_images_start_from_their_preset(tmp_path):
    config = dataset_settings(str(make_folder(tmp_path / "shapes", 4)))
    assert (config.kind, config.data.name) == ("image", str(tmp_path / "shapes"))
    assert sorted(config.auto) == sorted(IMAGE_AUTO_KEYS)


def test_a_setting_that_somebody_set_is_not_chosen(tmp_path):
    shapes = str(make_folder(tmp_path / "shapes", 4))
    config = dataset_settings(shapes, None, {"image.border": "any", "train.epochs": 3})
    assert set(IMAGE_AUTO_KEYS) - set(config.auto) == {"image.border", "train.epochs"}
    file = tmp_path / "own.yaml"
    file.write_text("model: {units: 9}\nimage: {size: [8, 8]}\n")
    config = dataset_settings(shapes, file)
    assert (config.model.units, config.image.size) == (9, (8, 8))
    assert set(IMAGE_AUTO_KEYS) - set(config.auto) == {"model.units"}


def test_the_settings_that_config_show_prints_are_those_of_other_images_too(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(configs.full_preset_text("image").replace("  name: shapes/\n", ""))
    config = dataset_settings("tfds:fashion_mnist", file)
    assert (config.kind, config.data.name, config.text) == ("image", "tfds:fashion_mnist", None)
    assert sorted(config.auto) == sorted(IMAGE_AUTO_KEYS)


def test_unlabeled_texts_are_refused(tmp_path):
    shapes = str(make_folder(tmp_path / "shapes", 4))
    error = refused(
        dataset_settings, shapes, None, {"data.unlabeled": ["a.txt"]}, code=ExitCode.USAGE
    )
    assert "data.unlabeled" in error.message

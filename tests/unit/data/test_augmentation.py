"""Training images are changed at random within the limits of the settings."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.config.schema import ImageSettings
from lstm_cli.data import augmentation
from lstm_cli.data.augmentation import augment, random_places, random_shift, sample

ROWS, COLUMNS = np.mgrid[:7, :9]
ALL = {"shift": 2, "rotate": 10.0, "stretch": 0.1, "shear": 0.2, "elastic": 0.7}


def images(num=5, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, 7, 9), dtype=np.uint8)


def places(num=50, **settings):
    """Rows and columns that pixels are taken from, `[2, num, 7, 9]`."""
    found = random_places((num, 7, 9), ImageSettings(**settings), np.random.default_rng(3))
    assert found.dtype == np.float32
    return found.astype(np.float64)


@relaxed
@given(st.integers(0, 4), st.integers(0, 2**31 - 1))
def test_an_image_is_shifted_by_at_most_max_shift(max_shift, seed):
    rng = np.random.default_rng(seed)
    # A stroke far from the border is never shifted out.
    images = np.zeros((6, 15, 17), np.uint8)
    images[:, 5:9, 6:10] = rng.integers(1, 256, (6, 4, 4))
    shifted = random_shift(images, max_shift, rng)
    assert shifted.shape == images.shape
    assert shifted.dtype == np.uint8
    for before, after in zip(images, shifted, strict=True):
        rows, columns = np.nonzero(after)
        down, right = rows.min() - 5, columns.min() - 6
        assert abs(down) <= max_shift
        assert abs(right) <= max_shift
        assert np.array_equal(np.roll(before, (down, right), (0, 1)), after)


def test_images_are_shifted_in_every_direction():
    images = np.zeros((400, 9, 9), np.uint8)
    images[:, 4, 4] = 255
    shifted = random_shift(images, 1, np.random.default_rng(0))
    positions = {tuple(np.argwhere(image)[0]) for image in shifted}
    assert positions == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}


def test_pixels_shifted_out_do_not_wrap_around():
    images = np.full((50, 4, 4), 7, np.uint8)
    shifted = random_shift(images, 2, np.random.default_rng(0))
    for image in shifted:
        rows, columns = (image == 7).any(axis=1).sum(), (image == 7).any(axis=0).sum()
        assert (image == 7).sum() == rows * columns
    assert (shifted == 7).all(axis=(1, 2)).mean() < 0.2


def test_what_becomes_free_is_filled_with_the_brightness_of_each_image():
    images = np.stack([np.full((4, 4), value, np.uint8) for value in (7, 250)])
    shifted = random_shift(images, 2, np.random.default_rng(0), images[:, 0, 0])
    assert np.array_equal(shifted, images)


@pytest.mark.parametrize("settings", [{"shift": 2}, ALL])
def test_the_original_images_are_not_changed(settings):
    before = images()
    pixels = before.copy()
    augment(pixels, ImageSettings(**settings), np.random.default_rng(0))
    assert np.array_equal(pixels, before)


def test_nothing_is_changed_without_a_limit():
    pixels = images()
    assert augment(pixels, ImageSettings(), np.random.default_rng(0)) is pixels
    still = places(5)
    assert np.allclose(still[0], ROWS)
    assert np.allclose(still[1], COLUMNS)
    assert np.array_equal(sample(pixels, still.astype(np.float32), pixels[:, 0, 0]), pixels)


def test_a_shift_of_a_distorted_image_is_any_fraction_of_a_pixel():
    down, right = places(shift=2)[0] - ROWS, places(shift=2)[1] - COLUMNS
    for part in (down, right):
        assert np.allclose(part, part[:, :1, :1], atol=1e-5)
        assert 1 < np.abs(part).max() <= 2
        assert np.abs(part - part.round()).max() > 0.2
    assert abs(np.corrcoef(down[:, 0, 0], right[:, 0, 0])[0, 1]) < 0.5


def test_a_rotation_keeps_distances_from_the_middle():
    down, right = places(rotate=30)
    radius = np.hypot(ROWS - 3, COLUMNS - 4)
    assert np.allclose(np.hypot(down - 3, right - 4), radius, atol=1e-4)
    # The pixel that is four columns to the right of the middle.
    angles = np.rad2deg(np.arctan2(down[:, 3, 8] - 3, right[:, 3, 8] - 4))
    assert 20 < np.abs(angles).max() <= 30
    assert angles.min() < 0 < angles.max()


def test_height_and_width_are_stretched_apart():
    down, right = places(stretch=0.2)
    height, width = (down[:, 6, 0] - 3) / 3, (right[:, 0, 8] - 4) / 4
    assert np.allclose(down, 3 + height[:, None, None] * (ROWS - 3), atol=1e-5)
    assert np.allclose(right, 4 + width[:, None, None] * (COLUMNS - 4), atol=1e-5)
    for factor in (height, width):
        assert 0.8 <= factor.min() < 0.9 < 1.1 < factor.max() <= 1.2
    assert abs(np.corrcoef(height, width)[0, 1]) < 0.5


def test_a_slant_moves_each_row_sideways():
    down, right = places(shear=0.5)
    slant = (right[:, 6, 0] - 0) / 3
    assert np.allclose(down, ROWS)
    assert np.allclose(right, COLUMNS + slant[:, None, None] * (ROWS - 3), atol=1e-5)
    assert 0.3 < np.abs(slant).max() <= 0.5


def test_an_elastic_displacement_is_smooth_and_as_large_as_it_says():
    found = random_places((400, 28, 28), ImageSettings(elastic=0.7), np.random.default_rng(1))
    moved = found - np.mgrid[:28, :28][:, None]
    assert moved.std() == pytest.approx(0.7, rel=0.03)
    assert np.diff(moved, axis=3).std() < 0.35
    assert np.diff(moved, axis=2).std() < 0.35
    assert abs(np.corrcoef(moved[0].ravel(), moved[1].ravel())[0, 1]) < 0.1


def test_a_pixel_is_interpolated_between_its_four_neighbours():
    pixels, fill = images(3), np.array([7, 100, 250], np.uint8)
    found = random_places((3, 7, 9), ImageSettings(**ALL), np.random.default_rng(2)) * 1.3 - 1
    expected = np.zeros((3, 7, 9))
    for image, row, column in np.ndindex(expected.shape):
        down, right = found[:, image, row, column].astype(np.float64)
        top, left = int(np.floor(down)), int(np.floor(right))
        for y, x in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            inside = 0 <= y < 7 and 0 <= x < 9
            value = pixels[image, y, x] if inside else fill[image]
            expected[image, row, column] += value * (1 - abs(y - down)) * (1 - abs(x - right))
    assert np.abs(sample(pixels, found, fill) - expected).max() <= 0.501


def test_what_a_distortion_leaves_free_has_the_brightness_of_the_border():
    flat = np.stack([np.full((7, 9), value, np.uint8) for value in (7, 250)])
    settings = ImageSettings(shift=8, rotate=180.0, stretch=0.5, elastic=3.0)
    assert np.array_equal(augment(flat, settings, np.random.default_rng(0)), flat)


def test_images_are_distorted_in_parts_with_the_same_result(monkeypatch):
    settings = ImageSettings(**ALL)
    whole = augment(images(), settings, np.random.default_rng(4))
    assert not np.array_equal(whole, images())
    monkeypatch.setattr(augmentation, "_MAX_PIXELS", 130)
    assert np.array_equal(augment(images(), settings, np.random.default_rng(4)), whole)

"""Image files become the rows the network was trained on, or a clear error."""

from __future__ import annotations

import io
import random
import warnings

import numpy as np
import pytest
from PIL import Image

from lstm_cli.config.load import load_preset
from lstm_cli.data import DataSource, load
from lstm_cli.data.images import (
    decode_image,
    find_border,
    has_other_border,
    read_image,
    read_images,
    with_border,
)
from lstm_cli.errors import LstmError

STROKE = np.zeros((8, 8), np.uint8)
STROKE[2:6, 3:5] = 200


def saved(path, pixels, mode=None, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def test_an_image_of_the_right_size_is_taken_as_it_is(tmp_path):
    path = saved(tmp_path / "a.png", STROKE)
    assert np.array_equal(read_image(path, (8, 8)), STROKE)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_pictures_in_colour_modes_stay_the_same(mode, tmp_path):
    path = saved(tmp_path / "a.png", STROKE, mode)
    assert np.array_equal(read_image(path, (8, 8)), STROKE)


@pytest.mark.parametrize("name", ["a.bmp", "a.gif", "a.tif", "a.webp", "a.pgm"])
def test_other_formats_are_read_too(name, tmp_path):
    options = {"lossless": True} if name.endswith("webp") else {}
    path = saved(tmp_path / name, STROKE, "RGB" if name.endswith("webp") else None, **options)
    assert np.array_equal(read_image(path, (8, 8)), STROKE)


def test_a_jpeg_is_nearly_the_same(tmp_path):
    path = saved(tmp_path / "a.jpg", STROKE, quality=100)
    assert np.abs(read_image(path, (8, 8)).astype(int) - STROKE).max() <= 3


def test_black_and_white_pictures_have_full_strokes(tmp_path):
    path = saved(tmp_path / "a.png", STROKE, "1", dither=None)
    assert set(np.unique(read_image(path, (8, 8)))) <= {0, 255}


def test_dark_strokes_on_light_paper_are_read_as_they_are(tmp_path):
    path = saved(tmp_path / "a.png", 255 - STROKE)
    assert np.array_equal(read_image(path, (8, 8)), 255 - STROKE)


@pytest.mark.parametrize(
    ("border", "inverted"), [("dark", [0, 1]), ("bright", [1, 0]), ("any", [0, 0])]
)
def test_an_image_with_the_opposite_border_is_inverted(border, inverted):
    images = np.stack([STROKE, 255 - STROKE])
    expected = [255 - image if is_ else image for image, is_ in zip(images, inverted, strict=True)]
    assert has_other_border(images, border).tolist() == [bool(is_) for is_ in inverted]
    found = with_border(images, border)
    assert np.array_equal(found, expected)
    assert np.array_equal(with_border(found, border), found)


@pytest.mark.parametrize("border", ["dark", "bright"])
def test_a_second_call_inverts_nothing_for_any_median(border):
    rows = np.arange(256, dtype=np.uint8)
    images = np.stack([np.stack([rows[:-1], rows[1:]], 1), np.stack([rows[:-1], rows[:-1]], 1)])
    images = images.reshape(-1, 2, 1)  # medians of 0, 0.5, 1, ... 254.5
    found = with_border(images, border)
    assert np.array_equal(with_border(found, border), found)


def test_a_stroke_that_touches_the_border_does_not_make_it_paper():
    pixels = np.zeros((1, 8, 8), np.uint8)
    pixels[:, :, 3] = 255
    assert with_border(pixels, "dark") is pixels


def test_the_border_of_all_images_is_found_where_it_is_a_background():
    paper = 255 - STROKE
    assert find_border(np.stack([STROKE, STROKE // 2])) == "dark"
    assert find_border(np.stack([paper, paper])) == "bright"
    assert find_border(np.stack([STROKE, paper])) == "any"
    assert find_border(np.full((3, 8, 8), 90, np.uint8)) == "any"
    assert find_border(np.zeros((0, 8, 8), np.uint8)) == "any"


def test_the_digits_have_the_border_that_their_preset_names():
    images = np.asarray(load(DataSource("digits")).splits["train"].inputs)
    config = load_preset("digits")
    assert find_border(images) == config.image.border == load_preset("mnist").image.border


def test_what_padding_adds_is_as_bright_as_the_border(tmp_path):
    pixels = np.full((8, 16), 250, np.uint8)
    pixels[3:5, 6:10] = 0
    found = read_image(saved(tmp_path / "a.png", pixels), (8, 8))
    assert found[:2].min() >= 245
    assert found[-2:].min() >= 245


def test_colours_and_frames_are_noticed(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    path = saved(tmp_path / "a.png", red)
    assert decode_image(path, path).is_coloured
    path = saved(tmp_path / "b.jpg", Image.fromarray(STROKE).convert("RGB"), quality=90)
    assert not decode_image(path, path).is_coloured
    first, second = Image.fromarray(STROKE), Image.fromarray(STROKE.T.copy())
    path = saved(tmp_path / "c.gif", first, save_all=True, append_images=[second])
    decoded = decode_image(path, path)
    assert decoded.has_frames
    assert np.array_equal(decoded.pixels, STROKE)


def test_transparent_areas_become_white(tmp_path):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[2:6, 3:5] = (0, 0, 0, 255)  # black ink, nothing around it
    found = read_image(saved(tmp_path / "a.png", pixels), (8, 8))
    assert np.array_equal(found, np.where(STROKE, 0, 255))


def test_half_transparent_strokes_become_gray(tmp_path):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[2:6, 3:5] = (0, 0, 0, 128)
    found = read_image(saved(tmp_path / "a.png", pixels), (8, 8))
    assert found[3, 3] == pytest.approx(127, abs=1)


def test_a_transparent_palette_entry_becomes_white(tmp_path):
    image = Image.fromarray(np.where(STROKE, 0, 1).astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 90, 90, 90])
    path = saved(tmp_path / "a.png", image, transparency=1)
    assert np.array_equal(read_image(path, (8, 8)), np.where(STROKE, 0, 255))


def test_sixteen_bits_a_pixel_are_scaled_to_eight(tmp_path):
    pixels = STROKE.astype(np.uint16) * 257
    pixels[4, 4] = 65_535
    found = read_image(saved(tmp_path / "a.png", pixels), (8, 8))
    assert found[2, 3] == 200
    assert found[4, 4] == 255


def test_a_larger_picture_is_scaled_with_its_proportions_kept(tmp_path):
    pixels = np.zeros((56, 112), np.uint8)
    pixels[16:40, 44:68] = 255  # a square of 24, in the middle
    found = read_image(saved(tmp_path / "a.png", pixels), (28, 28))
    rows, columns = np.nonzero(found > 127)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (6, 6)
    assert rows.mean() == pytest.approx(13.5, abs=0.6)
    assert columns.mean() == pytest.approx(13.5, abs=0.6)


def test_a_smaller_picture_is_scaled_up(tmp_path):
    pixels = np.zeros((4, 4), np.uint8)
    pixels[1:3, 1:3] = 255
    found = read_image(saved(tmp_path / "a.png", pixels), (28, 28))
    assert 150 < (found > 127).sum() < 250


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 1000), (29, 28), (27, 28)])
@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (5, 9)])
def test_any_size_fits_any_input_shape(size, shape, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 100, size, dtype=np.uint8)
    found = read_image(saved(tmp_path / "a.png", pixels), shape)
    assert found.shape == shape
    assert found.dtype == np.uint8


def test_a_strip_takes_no_more_memory_than_its_pixels(tmp_path):
    path = saved(tmp_path / "a.png", np.zeros((2, 1_000_000), np.uint8))
    assert read_image(path, (28, 28)).shape == (28, 28)


def test_the_orientation_of_a_photograph_is_applied(tmp_path):
    pixels = np.zeros((8, 8), np.uint8)
    pixels[0:2, 0:2] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated by 90 degrees clockwise
    path = saved(tmp_path / "a.png", pixels, exif=exif)
    assert np.array_equal(read_image(path, (8, 8)), np.rot90(pixels, -1))


def test_several_files_are_read_in_order(tmp_path):
    paths = []
    for number in range(3):
        pixels = np.zeros((8, 8), np.uint8)
        pixels[3, 3] = number + 1
        paths.append(saved(tmp_path / f"{number}.png", pixels))
    found = read_images([paths[2], paths[0], paths[1]], (8, 8))
    assert found[:, 3, 3].tolist() == [3, 1, 2]
    assert read_images([], (8, 8)).shape == (0, 8, 8)


def refused(path):
    with pytest.raises(LstmError) as caught:
        read_image(path, (8, 8))
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value.message


def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "gone.png")


@pytest.mark.parametrize(
    "content", [b"", b"label,text\n1,good\n", b"<svg/>", b"%!PS-Adobe-3.0 EPSF"]
)
def test_a_file_that_is_not_an_image_is_named(content, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("form", ["EPS", "TGA", "PCX"])
def test_rare_formats_are_refused(form, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path, form)
    refused(path)


def test_a_folder_is_refused(tmp_path):
    refused(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tif", "a.webp"])
def test_a_truncated_image_is_named(name, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    path = saved(tmp_path / name, pixels)
    path.write_bytes(path.read_bytes()[:-1500])
    refused(path)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", np.zeros((30, 30), np.uint8))
    for limit in (500, 100):  # Pillow warns above its limit and raises above twice that
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert "pixels" in refused(path)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_flipped_bytes_give_a_picture_or_a_clear_error(form, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    rng = random.Random(0)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 14, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    path = tmp_path / "a.img"
    for _ in range(60):
        content = bytearray(buffer.getvalue())
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            content[rng.randrange(min(len(content), 200))] = rng.randrange(256)
        path.write_bytes(content)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                assert read_image(path, (8, 8)).shape == (8, 8)
            except LstmError as error:
                assert str(path) in error.message
        assert not warned

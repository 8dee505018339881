"""What `predict` of an image run reads in Python: arrays, lists of them, images of Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures_errors import refused
from fixtures_runs import make_image_run
from PIL import Image

import lstm_cli
from lstm_cli.data import images as image_files
from lstm_cli.errors import ExitCode
from lstm_cli.prediction.image_inputs import read_images

SHAPE = (8, 8)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return lstm_cli.load(make_image_run(tmp_path_factory.mktemp("runs") / "demo" / "images"))


def read(inputs):
    return read_images(inputs, SHAPE, "it").tolist()


def test_every_method_reads_them(model):
    expected = model.predict(IMAGES)
    first = Image.fromarray(IMAGES[0])
    assert model.predict(IMAGES.tolist()) == expected
    assert model.predict(first) == model.predict(IMAGES[0]) == expected[:1]
    assert model.explain(first).prediction.label == expected[0].label
    assert model.predict_proba(list(IMAGES)).tolist() == model.probabilities(IMAGES).tolist()
    message = refused(model.explain, IMAGES, code=ExitCode.USAGE).message
    assert "one text or image, found 3" in message
    assert model.predict([]) == []
    assert model.predict_proba([]).shape == (0, 10)
    for call in (model.predict, model.predict_proba, model.explain, model.probabilities):
        refused(call, "one text", code=ExitCode.USAGE)


@pytest.mark.parametrize(
    "form",
    [
        list,
        iter,
        np.int64,
        lambda images: images[..., None],
        lambda images: images.tolist(),
        lambda images: images.astype(object),
        lambda images: [image[..., None] for image in images],
        lambda images: [Image.fromarray(image) for image in images],
        lambda images: [images[0], Image.fromarray(images[1]), images[2].tolist()],
    ],
)
def test_images_in_any_form_give_the_same(form):
    assert read(form(IMAGES)) == IMAGES.tolist()


@pytest.mark.parametrize("single", [IMAGES[0], IMAGES[0][..., None], Image.fromarray(IMAGES[0])])
def test_one_image_is_one_image(single):
    assert read(single) == IMAGES[:1].tolist()


@pytest.mark.parametrize("empty", [[], (), np.zeros(0), np.zeros((0, *SHAPE), np.uint8)])
def test_no_images_give_none(empty):
    assert read_images(empty, SHAPE, "it").shape == (0, *SHAPE)


def test_a_column_of_images_is_read():
    pandas = pytest.importorskip("pandas")
    assert read(pandas.Series(list(IMAGES))) == IMAGES.tolist()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F"])
def test_an_image_of_pillow_is_read_as_its_file_is(tmp_path, mode):
    gray = Image.fromarray(np.random.default_rng(1).integers(0, 256, (12, 9), dtype=np.uint8))
    image = gray.convert("I").convert(mode) if mode == "I;16" else gray.convert(mode)
    path = tmp_path / f"image.{'tiff' if mode == 'F' else 'png'}"
    image.save(path)
    assert read(image) == read([image]) == [image_files.read_image(path, SHAPE).tolist()]


def test_a_file_that_is_damaged_or_closed_is_refused(tmp_path):
    path = tmp_path / "cut.png"
    Image.effect_noise((50, 50), 50).save(path)
    path.write_bytes(path.read_bytes()[:200])
    with Image.open(path) as image:
        assert "cut.png" in refused(read, image).message
    with Image.open(path) as image:
        image.close()
        assert "cut.png" in refused(read, image).message
    assert "no pixels" in refused(read, Image.new("L", (0, 0))).message


@pytest.mark.parametrize(
    ("images", "found"),
    [
        ([IMAGES[0], IMAGES[1, :4]], "<uint8>[4, 8] at position 1 "),
        ([IMAGES[0], np.zeros((8, 8, 3), np.uint8)], "<uint8>[8, 8, 3] at position 1 "),
        ([IMAGES[0], None], "None (NoneType) at position 1 "),
        (["a.png"], "'a.png' (str) at position 0 "),
        (Path("a.png"), "Path"),
        ({"image": IMAGES[0]}, "(dict)"),
        (np.array(None), "(ndarray)"),
        (3, "3 (int)"),
        (np.array(3), "<int64>[]"),
        (np.full(SHAPE, -1), "values from -1 to -1"),
        (np.full(SHAPE, np.nan), "not finite"),
    ],
)
def test_the_error_says_what_was_found(images, found):
    error = refused(read, images, code=ExitCode.USAGE)
    assert found in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("images", "hint"),
    [
        (np.zeros((2, 64), np.uint8), "np.reshape(images, (-1, 8, 8))"),
        (np.full((1, 8, 8), 0.5), "(images * 255)"),
        (np.full((1, 8, 8), 99.0), "(images)"),
        (np.ones((1, 8, 8), bool), "* 255"),
        (np.zeros((2, 9, 9), np.uint8), "for image in images"),
        (np.zeros((9, 9), np.uint8), "Give PIL.Image.fromarray"),
    ],
)
def test_the_error_says_how_to_convert_images(images, hint):
    assert hint in refused(read, images, code=ExitCode.USAGE).hint

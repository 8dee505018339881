"""Random changes of training images: shifts, and distortions as in handwriting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import ImageSettings
from lstm_cli.data.images import border_medians

# Half waves of the smoothest and the finest wave of an elastic displacement, in each direction.
_NUM_WAVES = 6
# Pixels that are sampled at once: the arrays stay in the cache of the processor, and below the size
# from which the C library gets memory anew for each.
_MAX_PIXELS = 25_000

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def augment(images: Pixels, settings: ImageSettings, rng: np.random.Generator) -> Pixels:
    """Return images changed at random, as the settings say; what becomes free is as the border.

    Args:
        images: `<uint8>[batch, rows, columns]`.
        settings: How much images are changed at most.
        rng: Source of the random numbers.
    """
    if not settings.shift and not settings.is_distorted:
        return images
    fill = border_medians(images).astype(np.uint8)
    if not settings.is_distorted:
        return random_shift(images, settings.shift, rng, fill)
    places = random_places(images.shape, settings, rng)
    distorted = np.empty_like(images)
    num = max(1, _MAX_PIXELS // (images.shape[1] * images.shape[2]))
    for start in range(0, len(images), num):
        part = slice(start, start + num)
        distorted[part] = sample(images[part], places[:, part], fill[part])
    return distorted


def random_shift(
    images: Pixels,
    max_shift: int,
    rng: np.random.Generator,
    fill: Pixels | None = None,
) -> Pixels:
    """Shift each image by a random number of whole pixels, and fill what becomes free.

    Args:
        images: `<uint8>[batch, rows, columns]`.
        max_shift: Maximum number of pixels in each direction.
        rng: Source of the random shifts.
        fill: What each image is filled with, `<uint8>[batch]`; None for zeros.
    """
    num, rows, columns = images.shape
    fill = np.zeros(num, np.uint8) if fill is None else fill
    canvas = _with_margin(images, fill, max_shift, max_shift)
    down, right = rng.integers(0, 2 * max_shift + 1, (2, num))
    shifted = np.empty_like(images)
    for i in range(num):
        shifted[i] = canvas[i, down[i] : down[i] + rows, right[i] : right[i] + columns]
    return shifted


def random_places(
    shape: tuple[int, ...], settings: ImageSettings, rng: np.random.Generator
) -> Floats:
    """Draw for each pixel of each image the place in the image that it is taken from.

    An affine map of the whole image, about its middle, plus a smooth displacement of each pixel: a
    sum of cosine waves with random weights.

    Source: Simard, Steinkraus & Platt 2003, "Best Practices for Convolutional Neural Networks
        Applied to Visual Document Analysis", section 2, where a Gaussian filter makes the
        displacement smooth.

    Args:
        shape: Number, rows and columns of the images.
        settings: How much images are changed at most.
        rng: Source of the random numbers.

    Returns:
        Row and column, counted from the middle of the first pixel, `<float32>[2, batch, rows,
        columns]`.
    """
    num, rows, columns = shape
    angle, *stretch, shear, down, right = rng.uniform(-1, 1, (6, num)).astype(np.float32)
    angle = angle * np.float32(np.deg2rad(settings.rotate))
    height, width = (1 + np.float32(settings.stretch) * part for part in stretch)
    shear = shear * np.float32(settings.shear)
    cos, sin = np.cos(angle), np.sin(angle)
    middle_row, middle_column = (rows - 1) / 2, (columns - 1) / 2
    by_column = np.stack([sin * width, cos * width])
    by_row = np.stack([sin * shear + cos * height, cos * shear - sin * height])
    offset = np.stack([middle_row + settings.shift * down, middle_column + settings.shift * right])
    weights = rng.standard_normal((2, num, _NUM_WAVES, _NUM_WAVES), np.float32)
    places = _waves(rows) @ (weights * np.float32(settings.elastic)) @ _waves(columns).T
    row_from_middle = np.arange(rows, dtype=np.float32) - np.float32(middle_row)
    column_from_middle = np.arange(columns, dtype=np.float32) - np.float32(middle_column)
    places += (by_row[..., None] * row_from_middle + offset[..., None])[..., None]
    places += (by_column[..., None] * column_from_middle)[..., None, :]
    return np.asarray(places, np.float32)


def _waves(length: int) -> Floats:
    """Return cosine waves, `<float32>[length, waves]`; the mean square of a weighted sum is 1.

    The weights are independent with variance 1, and the mean is over all positions.
    """
    waves = np.arange(_NUM_WAVES)
    angles = np.pi * (np.arange(length)[:, None] + 0.5) * waves / length
    return (np.cos(angles) * np.sqrt(np.where(waves, 2, 1) / _NUM_WAVES)).astype(np.float32)


def sample(images: Pixels, places: Floats, fill: Pixels) -> Pixels:
    """Return for each pixel the brightness at its place, interpolated between four pixels.

    Args:
        images: `<uint8>[batch, rows, columns]`.
        places: As from `random_places`.
        fill: Brightness outside each image, `<uint8>[batch]`.
    """
    num, rows, columns = images.shape
    # A margin of one pixel before and two behind: every place has four neighbours.
    canvas = _with_margin(images, fill, 1, 2)
    down = np.clip(places[0], -1, rows) + np.float32(1)
    right = np.clip(places[1], -1, columns) + np.float32(1)
    top, left = down.astype(np.intp), right.astype(np.intp)
    down -= top.astype(np.float32)
    right -= left.astype(np.float32)
    _, height, width = canvas.shape
    index = top * width + left + (np.arange(num) * (height * width))[:, None, None]
    pixels = canvas.ravel().astype(np.float32)
    above, below = pixels.take(index), pixels.take(index + width)
    above += right * (pixels.take(index + 1) - above)
    below += right * (pixels.take(index + (width + 1)) - below)
    above += down * (below - above)
    return np.asarray(above + np.float32(0.5), np.uint8)


def _with_margin(images: Pixels, fill: Pixels, before: int, behind: int) -> Pixels:
    """Return images with a margin of one brightness each."""
    num, rows, columns = images.shape
    canvas = np.empty((num, rows + before + behind, columns + before + behind), np.uint8)
    canvas[:] = fill[:, None, None]
    canvas[:, before : before + rows, before : before + columns] = images
    return canvas

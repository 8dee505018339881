"""Image files -> rows of pixels, as the network was trained on them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError

# Pillow's other readers are for formats nobody has pictures in; one runs Ghostscript, some raise
# what they please.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def read_images(paths: Sequence[Path], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read image files in order.

    Args:
        paths: PNG, JPEG, GIF, BMP, TIFF, WebP or PNM.
        shape: Rows and columns that the network takes.

    Returns:
        `<uint8>[num, rows, columns]`, bright strokes on black.

    Raises:
        LstmError: A file is missing, no image, or absurdly large.
    """
    images = np.zeros((len(paths), *shape), np.uint8)
    for image, path in zip(images, paths, strict=True):
        image[:] = read_image(path, shape)
    return images


def read_image(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read one image file: grey, scaled to the network's size, proportions kept, on black.

    Dark strokes on light paper, told by the brightness of the border, are inverted: MNIST's
    digits are bright on black.

    Raises:
        LstmError: The file is missing, no image, or has over 89 million pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Damaged metadata is no news to someone who wants the picture read.
            warnings.simplefilter("ignore")
            # Pillow only warns of a decompression bomb of up to twice its limit.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as opened:
                grey = _on_white(opened)
    except FileNotFoundError:
        raise LstmError(
            f"There is no image {path}.", "A run that reads images takes image files."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LstmError(f"{path}: {error}", "Scale it down first.") from None
    except UnidentifiedImageError:
        raise LstmError(
            f"{path} is no image that can be read.", f"Give one of {', '.join(_FORMATS)}."
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise LstmError(f"Cannot read {path}: {error.strerror}.", "Check the path.") from None
        raise LstmError(f"{path} cannot be read as an image: {error}.", "Save it anew.") from None
    pixels = np.asarray(grey, np.uint8)
    if np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])) > 127:
        pixels = 255 - pixels
    return _fit(pixels, shape)


def _on_white(image: object) -> object:
    """Return the image upright and in grey; what is transparent lies on white paper."""
    from PIL import Image, ImageOps

    assert isinstance(image, Image.Image)
    # A phone writes how it was held beside the pixels.
    image = ImageOps.exif_transpose(image)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode in ("I;16", "I", "F"):
        wide = np.asarray(image, np.float64)
        top = wide.max() if wide.size and wide.max() > 255 else 255.0
        return Image.fromarray((wide / top * 255).clip(0, 255).astype(np.uint8))
    return image.convert("L")


def _fit(pixels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale to fit into `shape`, proportions kept, and centre on black."""
    from PIL import Image

    if pixels.shape == shape:
        return pixels
    # Scaled before it is padded: a strip of 1 x 80 million pixels, padded first, is no square
    # that any memory holds.
    scale = max(pixels.shape[0] / shape[0], pixels.shape[1] / shape[1])
    rows, columns = (max(1, round(length / scale)) for length in pixels.shape)
    small = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.LANCZOS)
    canvas = np.zeros(shape, np.uint8)
    top, left = (shape[0] - rows) // 2, (shape[1] - columns) // 2
    canvas[top : top + rows, left : left + columns] = np.asarray(small, np.uint8)
    return canvas

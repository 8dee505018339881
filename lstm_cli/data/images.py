"""Read image files as pixels, in the form the model was trained on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError

# Pillow's other readers are for rare formats. One of them runs Ghostscript, and some raise
# undocumented exceptions.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def read_images(paths: Sequence[Path], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read image files in order.

    Args:
        paths: PNG, JPEG, GIF, BMP, TIFF, WebP or PNM files.
        shape: Rows and columns of the model's input.

    Returns:
        `<uint8>[num, rows, columns]`, bright strokes on black.

    Raises:
        LstmError: See `read_image`.
    """
    images = np.zeros((len(paths), *shape), np.uint8)
    for image, path in zip(images, paths, strict=True):
        image[:] = read_image(path, shape)
    return images


def read_image(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read one image file in gray, scaled to `shape` with its proportions, on black.

    If the border of the image is bright, the image is inverted, because MNIST has bright digits on
    black.

    Args:
        path: A PNG, JPEG, GIF, BMP, TIFF, WebP or PNM file.
        shape: Rows and columns of the model's input.

    Returns:
        `<uint8>[rows, columns]`.

    Raises:
        LstmError: The file is missing, is not an image, or has over 89 million pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Damaged metadata does not matter here.
            warnings.simplefilter("ignore")
            # Up to twice its limit, Pillow only warns of a decompression bomb.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as opened:
                gray = _to_gray(opened)
    except FileNotFoundError:
        raise LstmError(
            f"There is no image {path}.",
            "This run classifies images: give image files.",
            ExitCode.DATA,
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LstmError(f"{path}: {error}", "Reduce its size first.") from None
    except UnidentifiedImageError:
        raise LstmError(
            f"{path} is not an image that can be read.", f"Give one of {', '.join(_FORMATS)}."
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise LstmError(
                f"Cannot read {path}: {error.strerror}.", "Check the path.", ExitCode.DATA
            ) from None
        raise LstmError(f"{path} cannot be read as an image: {error}.", "Save it again.") from None
    pixels = np.asarray(gray, np.uint8)
    if np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])) > 127:
        pixels = 255 - pixels
    return _fit(pixels, shape)


def _to_gray(image: object) -> object:
    """Return the image upright and in gray; transparent areas become white."""
    from PIL import Image, ImageOps

    assert isinstance(image, Image.Image)
    # Phones store the orientation as metadata.
    image = ImageOps.exif_transpose(image)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode in ("I;16", "I", "F"):
        wide = np.asarray(image, np.float64)
        max_value = wide.max() if wide.size and wide.max() > 255 else 255.0
        return Image.fromarray((wide / max_value * 255).clip(0, 255).astype(np.uint8))
    return image.convert("L")


def _fit(pixels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale to fit into `shape` with the same proportions, and center on black."""
    from PIL import Image

    if pixels.shape == shape:
        return pixels
    # Scaled before it is padded: a strip of 1 x 80 million pixels, padded to a square first, would
    # not fit into memory.
    scale = max(pixels.shape[0] / shape[0], pixels.shape[1] / shape[1])
    rows, columns = (max(1, round(length / scale)) for length in pixels.shape)
    scaled = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.LANCZOS)
    canvas = np.zeros(shape, np.uint8)
    top, left = (shape[0] - rows) // 2, (shape[1] - columns) // 2
    canvas[top : top + rows, left : left + columns] = np.asarray(scaled, np.uint8)
    return canvas

"""Read image files as pixels: gray, upright, of one size, with one rule for their border."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError

# Endings of the formats below. What a file holds decides how it is read.
SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff"}
    | {".webp", ".pbm", ".pgm", ".ppm", ".pnm"}
)
# Pillow's other readers are for rare formats. One of them runs Ghostscript, and some raise
# undocumented exceptions.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
# Channels of a gray image that was saved in colour differ by less, also after JPEG.
_MAX_GRAY_DIFFERENCE = 16
# Where the border of each training image is this near to black or white, it is a background.
_MAX_BACKGROUND = 32

Border = Literal["dark", "bright", "any"]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class DecodedImage:
    """An image file as it was read.

    Attributes:
        pixels: `<uint8>[rows, columns]`, gray and upright; 255 is white.
        is_coloured: Whether the file has colours, which are lost.
        has_frames: Whether the file has several frames or pages, of which the first is read.
    """

    pixels: Pixels
    is_coloured: bool
    has_frames: bool


def read_images(paths: Sequence[Path], shape: tuple[int, int]) -> Pixels:
    """Read image files in order.

    Args:
        paths: PNG, JPEG, GIF, BMP, TIFF, WebP or PNM files.
        shape: Rows and columns of the model's input.

    Returns:
        `<uint8>[num, rows, columns]`.

    Raises:
        LstmError: See `decode_image`.
    """
    images = np.zeros((len(paths), *shape), np.uint8)
    for image, path in zip(images, paths, strict=True):
        image[:] = read_image(path, shape)
    return images


def read_image(path: Path, shape: tuple[int, int]) -> Pixels:
    """Read one image file in gray, scaled to `shape` with its proportions.

    Args:
        path: A PNG, JPEG, GIF, BMP, TIFF, WebP or PNM file.
        shape: Rows and columns of the model's input.

    Returns:
        `<uint8>[rows, columns]`.

    Raises:
        LstmError: See `decode_image`.
    """
    return fit(decode_image(path, path).pixels, shape)


def decode_image(source: Path | BinaryIO, path: Path) -> DecodedImage:
    """Decode one image in gray, in its own size.

    Args:
        source: The file, or its content.
        path: The file, for errors.

    Raises:
        LstmError: The file is missing, is not an image, is damaged, or has over 89 million pixels.
    """
    from PIL import Image

    with _reading(path), Image.open(source, formats=_FORMATS) as opened:
        has_frames = getattr(opened, "n_frames", 1) > 1
        return DecodedImage(*_to_gray(opened), has_frames)


def from_pillow(image: object, shape: tuple[int, int]) -> Pixels:
    """Return an image of Pillow as its file would be read: upright, in gray, scaled to `shape`.

    Args:
        image: A `PIL.Image.Image`.
        shape: Rows and columns of the model's input.

    Raises:
        LstmError: Its file is damaged or closed, or it has no pixels.
    """
    path = Path(getattr(image, "filename", "") or "The image")
    with _reading(path):
        pixels, _ = _to_gray(image)
    if not pixels.size:
        raise LstmError(f"{path} has no pixels: {list(pixels.shape)}.", "Leave it out.")
    return fit(pixels, shape)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what Pillow raises and warns of into errors that name the file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Damaged metadata does not matter here.
            warnings.simplefilter("ignore")
            # Up to twice its limit, Pillow only warns of a decompression bomb.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
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
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise LstmError(
                f"Cannot read {path}: {error.strerror}.", "Check the path.", ExitCode.DATA
            ) from None
        raise LstmError(f"{path} cannot be read as an image: {error}.", "Save it again.") from None


def _to_gray(image: object) -> tuple[Pixels, bool]:
    """Return an image upright and in gray, and whether it has colours; transparent is white."""
    from PIL import Image, ImageOps

    assert isinstance(image, Image.Image)
    # Phones store the orientation as metadata.
    image = ImageOps.exif_transpose(image)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode in ("I;16", "I;16B", "I", "F"):
        wide = np.asarray(image, np.float64)
        max_value = wide.max() if wide.size and wide.max() > 255 else 255.0
        return (wide / max_value * 255).clip(0, 255).astype(np.uint8), False
    return np.asarray(image.convert("L"), np.uint8), _is_coloured(image)


def _is_coloured(image: object) -> bool:
    from PIL import Image

    assert isinstance(image, Image.Image)
    if image.mode in ("1", "L", "LA"):
        return False
    channels = np.asarray(image.convert("RGB"))
    low, high = channels.min(axis=2), channels.max(axis=2)
    return bool(((high - low) > _MAX_GRAY_DIFFERENCE).any())


def fit(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """Scale an image to fit into `shape` with its proportions, in the middle.

    The rest is filled with the median of its border.

    Args:
        pixels: `<uint8>[rows, columns]`.
        shape: Rows and columns of the result.
    """
    from PIL import Image

    if pixels.shape == shape:
        return pixels
    # Scaled before it is padded: a strip of 1 x 80 million pixels, padded to a square first, would
    # not fit into memory.
    scale = max(pixels.shape[0] / shape[0], pixels.shape[1] / shape[1])
    rows, columns = (max(1, round(length / scale)) for length in pixels.shape)
    scaled = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.LANCZOS)
    canvas = np.full(shape, border_medians(pixels[None])[0], np.uint8)
    top, left = (shape[0] - rows) // 2, (shape[1] - columns) // 2
    canvas[top : top + rows, left : left + columns] = np.asarray(scaled, np.uint8)
    return canvas


def find_border(images: Pixels) -> Border:
    """Return what the border of all images is: a dark background, a bright one, or any.

    Args:
        images: `<uint8>[num, rows, columns]`.
    """
    medians = border_medians(images)
    if not len(medians):
        return "any"
    if medians.max() <= _MAX_BACKGROUND:
        return "dark"
    return "bright" if medians.min() >= 255 - _MAX_BACKGROUND else "any"


def with_border(images: Pixels, border: Border) -> Pixels:
    """Invert the images whose border is not as that of the training images.

    A second call changes nothing.

    Args:
        images: `<uint8>[num, rows, columns]`.
        border: Setting `image.border`: `dark`, `bright`, or `any` to invert none.
    """
    inverted = has_other_border(images, border)
    if not inverted.any():
        return images
    return np.where(inverted[:, None, None], 255 - images, images)


def has_other_border(images: Pixels, border: Border) -> NDArray[np.bool_]:
    """Return which images `with_border` inverts, `<bool>[num]`."""
    if border == "any" or not len(images):
        return np.zeros(len(images), np.bool_)
    medians = border_medians(images)
    # In the middle is 127.5: it is neither, so that an inverted image is not inverted again.
    return np.asarray(medians > 127.5 if border == "dark" else medians < 127.5)


def border_medians(images: Pixels) -> NDArray[np.float64]:
    """Return the median of the outermost pixels of each image, `<float64>[num]`.

    Args:
        images: `<uint8>[num, rows, columns]`.
    """
    edges = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    return np.asarray(np.median(np.concatenate(edges, axis=1), axis=1), np.float64)

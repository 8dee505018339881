"""Small images as people bring them: folders of files, and IDX files."""

from __future__ import annotations

import gzip
import struct

import numpy as np
from PIL import Image

TRAIN, TEST = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"


def bars(num, shape=(4, 6), seed=0):
    """Images with a bright row (class 0) or column (class 1), in turns, and their labels."""
    rng = np.random.default_rng(seed)
    images = np.zeros((num, *shape), np.uint8)
    labels = np.arange(num) % 2
    for image, label in zip(images, labels, strict=True):
        value = rng.integers(100, 256)
        if label:
            image[:, rng.integers(1, shape[1] - 1)] = value
        else:
            image[rng.integers(1, shape[0] - 1)] = value
    return images, labels.astype(np.uint8)


def save(path, pixels, **options):
    """Write an image file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def make_folder(path, num=24, names=("row", "column"), **options):
    """Write a folder with a subfolder of PNG files for each class."""
    images, labels = bars(num, **options)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        save(path / names[label] / f"{number:03}.png", image)
    return path


def idx_bytes(values, magic=None, sizes=None):
    """The content of an IDX file of bytes."""
    magic = magic if magic is not None else 0x0800 + values.ndim
    sizes = values.shape if sizes is None else sizes
    return struct.pack(f">I{len(sizes)}I", magic, *sizes) + values.tobytes()


def make_idx(folder, images, labels, name=TRAIN, packed=False):
    """Write an images file and its labels file; return the first."""
    folder.mkdir(parents=True, exist_ok=True)
    pack = gzip.compress if packed else bytes
    suffix = ".gz" if packed else ""
    labels_name = name.replace("images", "labels").replace("idx3", "idx1")
    (folder / f"{labels_name}{suffix}").write_bytes(pack(idx_bytes(labels)))
    path = folder / f"{name}{suffix}"
    path.write_bytes(pack(idx_bytes(images)))
    return path

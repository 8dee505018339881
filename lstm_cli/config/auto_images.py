"""Settings that are chosen from the number and the size of own images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from lstm_cli.config.auto_rules import by_size, is_refitted, num_folds, validation_fraction


class ImageProfile(msgspec.Struct, frozen=True):
    """What settings are chosen from.

    Attributes:
        num_images: Images for training and validation.
        num_classes: Number of classes.
        rows: Rows of an image.
        columns: Columns of an image.
        border: Border of all these images, as `image.border`.
        has_validation_file: As in `auto.DataProfile`.
    """

    num_images: int
    num_classes: int
    rows: int
    columns: int
    border: Literal["dark", "bright", "any"]
    has_validation_file: bool = False

    def describe(self) -> str:
        """Return a description for people: `1,438 images of 8 x 8 pixels, 10 classes`."""
        return (
            f"{self.num_images:,} images of {self.rows:,} x {self.columns:,} pixels (rows x "
            f"columns), {self.num_classes:,} classes"
        )


def choose_image_settings(profile: ImageProfile) -> dict[str, Any]:
    """Choose settings from a description of the images.

    The table in `docs/images.md` lists them with their reasons.

    Args:
        profile: The description.

    Returns:
        Values by dotted key, for all keys of `IMAGE_AUTO_KEYS`.
    """
    return {key: rule(profile) for key, rule in _RULES.items()}


def _size(profile: ImageProfile) -> int:
    return profile.num_images


def _validation_fraction(profile: ImageProfile) -> float:
    if profile.has_validation_file:
        return 0.1
    return validation_fraction(profile.num_images, profile.num_classes)


def _shift(profile: ImageProfile) -> int:
    """One pixel in 28, and none where a pixel is much of a stroke."""
    shortest = min(profile.rows, profile.columns)
    return 0 if shortest < 16 else min(4, round(shortest / 28) or 1)


_RULES: Mapping[str, Callable[[ImageProfile], Any]] = {
    "data.validation_fraction": _validation_fraction,
    "data.folds": lambda profile: num_folds(profile.num_images, profile.has_validation_file),
    "image.border": lambda profile: profile.border,
    "image.shift": _shift,
    "model.units": by_size(_size, (5000, 64), above=128),
    "train.batch_size": by_size(_size, (500, 16), (5000, 32), (20_000, 64), above=128),
    "train.epochs": by_size(_size, (2000, 50), (5000, 40), (20_000, 25), above=14),
    "train.refit": lambda profile: is_refitted(profile.num_images, profile.has_validation_file),
}
IMAGE_AUTO_KEYS = tuple(_RULES)

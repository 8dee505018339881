"""A description of a data set, from which settings are chosen."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from lstm_cli.config.auto import DataProfile
from lstm_cli.config.auto_images import ImageProfile
from lstm_cli.data.dataset import Dataset
from lstm_cli.data.images import find_border
from lstm_cli.io.text_store import join_texts
from lstm_cli.text.profile import describe_texts


def describe_data(dataset: Dataset) -> DataProfile:
    """Describe a data set of texts.

    Args:
        dataset: With `train`, and with `validation` if it is split off.
    """
    learned = [split for name, split in dataset.splits.items() if name != "test"]
    inputs = [split.inputs for split in learned if not isinstance(split.inputs, np.ndarray)]
    texts = join_texts(*inputs)
    num_unlabeled = 0 if dataset.unlabeled is None else len(dataset.unlabeled)
    profile = describe_texts(texts, len(dataset.labels), num_unlabeled)
    return replace(
        profile,
        multi_label=dataset.is_multi_label,
        has_validation_file="validation" in dataset.files,
    )


def describe_images(dataset: Dataset) -> ImageProfile:
    """Describe a data set of images.

    Args:
        dataset: With `train`, and with `validation` if it is split off.
    """
    learned = [split for name, split in dataset.splits.items() if name != "test"]
    parts = [np.asarray(split.inputs) for split in learned]
    borders = {find_border(part) for part in parts}
    return ImageProfile(
        num_images=sum(map(len, parts)),
        num_classes=len(dataset.labels),
        rows=parts[0].shape[1],
        columns=parts[0].shape[2],
        border=borders.pop() if len(borders) == 1 else "any",
        has_validation_file="validation" in dataset.files,
    )

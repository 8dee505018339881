"""Choose the settings that the configuration leaves to the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_cli.config import load as configs
from lstm_cli.config.auto import DataProfile, choose_settings
from lstm_cli.config.auto_images import ImageProfile, choose_image_settings
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.data.images import find_border
from lstm_cli.io.progress import Reporter
from lstm_cli.io.text_store import join_texts
from lstm_cli.runs.limits import check_labels
from lstm_cli.text.profile import describe_texts
from lstm_cli.text.vector_file import vector_width
from lstm_cli.training.folds import check_folds
from lstm_cli.training.init_weights import settings_of_run
from lstm_cli.training.prepare import load_training_data
from lstm_cli.training.task import check_multi_label


def with_auto_settings(
    config: Config, dataset: Dataset, data_dir: Path | None, reporter: Reporter
) -> tuple[Config, Dataset]:
    """Choose the settings in `config.auto` from the data, and report them.

    Args:
        config: The settings.
        dataset: As `load_training_data` returns it.
        data_dir: Folder of TFDS data sets.
        reporter: Receives notes.

    Returns:
        The settings with `auto` empty, and the data with the splits that they ask for.

    Raises:
        LstmError: As `load_training_data`; or there are fewer rows than folds.
    """
    config = with_data_format(config, dataset)
    if not config.auto:
        check_folds(config, dataset)
        return config, dataset
    profile, choices = _choose(config, dataset)
    values = {key: value for key, value in choices.items() if key in config.auto}
    before = configs.to_dict(config)
    chosen = configs.from_dict(before, {**values, "auto": []})
    for line in describe_choice(profile, configs.flatten(before), values):
        reporter.note(line)
    if chosen.data != config.data:
        dataset = load_training_data(chosen, data_dir, dataset.labels)
    check_folds(chosen, dataset)
    return chosen, dataset


def _choose(config: Config, dataset: Dataset) -> tuple[DataProfile | ImageProfile, dict[str, Any]]:
    """Return a description of the data, and the settings chosen from it."""
    has_validation_file = "validation" in dataset.files
    if dataset.kind == "image":
        images = replace(describe_images(dataset), has_validation_file=has_validation_file)
        return images, choose_image_settings(images)
    texts = replace(describe_data(dataset), has_validation_file=has_validation_file)
    choice = choose_settings(texts)
    if dataset.num_replayed:
        # How the data is split depends on its own rows.
        own = replace(texts, num_texts=texts.num_texts - dataset.num_replayed)
        choice |= {k: v for k, v in choose_settings(own).items() if k.startswith("data.")}
    choice |= settings_of_run(config, choice["text.vocab_size"])
    if config.embedding is not None and config.embedding.vectors_file is not None:
        choice["embedding.dim"] = vector_width(Path(config.embedding.vectors_file))
    return texts, choice


def with_data_format(config: Config, dataset: Dataset) -> Config:
    """Return the settings with the columns and `data.multi_label` as they were found in the data.

    So a run reads the same columns later, whatever other columns a file has by then.

    Raises:
        LstmError: A setting is not available for several labels a text, or a run cannot hold so
            many or so long labels.
    """
    if config.language is None:
        check_labels(dataset.labels, dataset.source)
    columns = {"text_columns": dataset.text_columns, "label_column": dataset.label_column}
    found = {key: value for key, value in columns.items() if value}
    config = replace(config, data=replace(config.data, **found))
    if config.language is not None or not dataset.is_multi_label:
        return config
    if not config.data.label_columns:
        config = replace(config, data=replace(config.data, multi_label=dataset.multi_label))
    check_multi_label(config)
    return config


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
    return replace(profile, multi_label=dataset.is_multi_label)


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
    )


def describe_choice(
    profile: DataProfile | ImageProfile, defaults: Mapping[str, Any], values: Mapping[str, Any]
) -> list[str]:
    """Describe the settings that were chosen, in short lines.

    Args:
        profile: The description of the data.
        defaults: Values by dotted key before the choice.
        values: Values by dotted key that were chosen.

    Returns:
        A heading, and a line for each section with the values that are not the defaults.
    """
    sections: dict[str, list[str]] = {}
    for key, value in values.items():
        if value != defaults[key]:
            section, _, name = key.partition(".")
            sections.setdefault(section, []).append(f"{name}={_format(value)}")
    if not sections:
        return [f"Default settings for {profile.describe()}."]
    heading = f"Settings chosen for {profile.describe()}:"
    return [heading, *(f"  {name}: {', '.join(parts)}" for name, parts in sections.items())]


def _format(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

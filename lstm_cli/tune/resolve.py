"""The default settings of a data set, without the libraries of training."""

from __future__ import annotations

from pathlib import Path

from lstm_cli import data
from lstm_cli.config import load as configs
from lstm_cli.config.auto import choose_settings
from lstm_cli.config.auto_images import choose_image_settings
from lstm_cli.config.schema import Config
from lstm_cli.data.profile import describe_data, describe_images
from lstm_cli.data.source import from_config


def resolve_auto(config: Config, data_dir: Path | None = None) -> Config:
    """Choose the settings in `config.auto` from the data, as training does.

    Rows of `data.replay_files` are not counted. The result is for the space of a search; training
    chooses these settings itself.

    Args:
        config: The settings.
        data_dir: Folder of TFDS data sets.

    Returns:
        The settings with `auto` empty.

    Raises:
        LstmError: The data is missing (exit code 3), malformed, or cannot be split.
    """
    if not config.auto:
        return config
    source = from_config(config, data_dir)
    dataset = data.load(source)
    if dataset.kind == "image":
        choice = choose_image_settings(describe_images(dataset))
    else:
        if config.data.unlabeled:
            dataset = data.with_unlabeled(
                dataset, config.data.unlabeled, config.data.limit, source.read_options
            )
        choice = choose_settings(describe_data(dataset))
    values = {key: value for key, value in choice.items() if key in config.auto}
    return configs.from_dict(configs.to_dict(config), {**values, "auto": []})

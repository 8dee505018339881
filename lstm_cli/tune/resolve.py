"""The default settings of a data set, without the libraries of training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lstm_cli import data
from lstm_cli.config import load as configs
from lstm_cli.config.auto import choose_settings
from lstm_cli.config.auto_images import choose_image_settings
from lstm_cli.config.schema import Config
from lstm_cli.data.profile import describe_data, describe_images
from lstm_cli.data.source import from_config


@dataclass(frozen=True)
class Resolved:
    """Settings that suit a data set.

    Attributes:
        config: The settings with `auto` empty.
        num_rows: Number of labeled rows to train and validate on; None if the settings were
            complete, and the data was not read.
        is_multi_label: Whether an example has several labels; None if the settings leave that to
            the data, which was not read.
    """

    config: Config
    num_rows: int | None
    is_multi_label: bool | None


def resolve_auto(config: Config, data_dir: Path | None = None) -> Resolved:
    """Choose the settings in `config.auto` from the data, as training does.

    Rows of `data.replay_files` are not counted. The result is for the space of a search; training
    chooses these settings itself.

    Args:
        config: The settings.
        data_dir: Folder of TFDS data sets.

    Raises:
        LstmError: The data is missing (exit code 3), malformed, or cannot be split.
    """
    if not config.auto:
        is_known = config.is_multi_label or config.data.multi_label != "auto"
        return Resolved(config, None, config.is_multi_label if is_known else None)
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
    rows = [len(dataset.splits[name]) for name in ("train", "validation") if name in dataset.splits]
    return Resolved(
        configs.from_dict(configs.to_dict(config), {**values, "auto": []}),
        sum(rows) - dataset.num_replayed,
        dataset.is_multi_label,
    )

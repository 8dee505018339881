"""From what people type for DATASET to the data set's name and to complete settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.data.readers.texts import check_path
from lstm_cli.data.registry import check_split_files, is_path, resolve
from lstm_cli.data.replayed import check_replay_path
from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.io import paths

# Settings for a data set that has no preset of its own.
DEFAULT_PRESET, _IMAGE_PRESET = "text", "image"


def locate(dataset: str) -> str:
    """Return `data.name` for a preset, a path (made absolute) or `tfds:NAME`.

    Raises:
        LstmError: There is no such data set; the hint offers similar names (exit code 2 or 3).
    """
    presets = configs.preset_names()
    if dataset in presets:
        return configs.load_preset(dataset).data.name
    if dataset.startswith("tfds:"):
        return dataset
    path = paths.expand(dataset)
    if not paths.exists(path) and "/" not in dataset and not path.suffix:
        raise LstmError(
            f"There is no data set '{dataset}'.",
            f"{suggest(dataset, presets)} Or give a table such as data.csv, a folder with a "
            "subfolder per class, or tfds:NAME.",
            ExitCode.USAGE,
        )
    resolve(dataset)
    return str(paths.resolve(path))


def dataset_settings(
    dataset: str, file: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Config:
    """Return the settings for a data set.

    Args:
        dataset: A preset, a path or `tfds:NAME`; the latter two start from the preset `text`, or
            `image` for own images.
        file: YAML settings that replace those of the preset.
        overrides: Values by dotted key (`model.units`) that replace both.

    Raises:
        LstmError: The data set is unknown, or a setting does not exist or is out of range.
    """
    name = locate(dataset)
    preset = dataset if dataset in configs.preset_names() else _default_preset(name, file)
    base = configs.preset_dict(preset)
    base["data"] = {**base["data"], "name": name} if preset == dataset else {"name": name}
    config = _read(base, file, overrides, f"preset {preset}")
    if not config.data.folds and config.data.validation_file is None:
        # Settings are chosen by it: nothing else is held out, and there is no refit.
        base["data"] |= {"validation_file": _validation_folder(name)}
        config = _read(base, file, overrides, f"preset {preset}")
    if config.data.unlabeled:
        # The word vectors learn from them, unless the settings name something else.
        base["embedding"] = {**base["embedding"], "vectors": "unlabeled"}
        config = _read(base, file, overrides, f"preset {preset}")
    if file is not None and config.data.name != name:
        raise LstmError(
            f"{file} is for the data set '{config.data.name}', the command line for '{name}'.",
            f"Leave out 'data.name' in {file}, or name that data set.",
            ExitCode.USAGE,
        )
    return with_absolute_paths(config)


def _validation_folder(name: str) -> str | None:
    """Return the folder of the validation texts beside those of train, if a data set has one."""
    if resolve(name) != "folder":
        return None
    from lstm_cli.data.readers.folder import find_splits

    folder = find_splits(Path(name)).get("validation")
    return None if folder is None else str(folder)


def _default_preset(name: str, file: Path | None) -> str:
    """Return the preset that settings start from: by the data, or by the sections of a file."""
    if resolve(name) == "images":
        return _IMAGE_PRESET
    settings = configs.read_settings(file) if file is not None else {}
    is_image = "image" in settings and "text" not in settings
    return _IMAGE_PRESET if is_image else DEFAULT_PRESET


def _read(
    base: Mapping[str, Any], file: Path | None, overrides: Mapping[str, Any] | None, source: str
) -> Config:
    """Return the settings of a base, replaced by those of a file and by overrides."""
    if file is None:
        return configs.from_dict(base, overrides, source)
    return configs.load_file(file, base, overrides or {})


def with_absolute_paths(config: Config) -> Config:
    """Return settings in which the paths of files beside the data set are absolute.

    Raises:
        LstmError: There is no such file or folder, it is of a type that is not read, or it has no
            effect.
    """
    data = config.data
    validation_file, test_file = _absolute(data.validation_file), _absolute(data.test_file)
    check_split_files(data.name, validation_file, test_file)
    files = [paths.resolve(file) for file in data.unlabeled]
    for file in files:
        check_path(file)
    replayed = [paths.resolve(file) for file in data.replay_files]
    for file in replayed:
        check_replay_path(file)
    embedding = config.embedding
    if embedding is not None:
        embedding = replace(embedding, vectors_file=_absolute(embedding.vectors_file))
    return replace(
        config,
        embedding=embedding,
        data=replace(
            data,
            unlabeled=tuple(map(str, files)),
            replay_files=tuple(map(str, replayed)),
            validation_file=validation_file,
            test_file=test_file,
        ),
    )


def _absolute(file: str | None) -> str | None:
    return None if file is None else str(paths.resolve(file))


def run_folder(name: str) -> str:
    """Return the folder under the folder of all runs that holds the runs on a data set.

    Args:
        name: `data.name` of the settings.
    """
    if is_path(name):
        from lstm_cli.data.readers.path import run_name

        return run_name(paths.expand(name))
    return name.replace(":", "-").replace("/", "-")

"""What DATASET on a command line means: a preset, a path or `tfds:NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.data import resolve as origin
from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.io import paths
from lstm_cli.runs.directory import RunDir, runs_root
from lstm_cli.runs.find import find


def locate(dataset: str) -> str:
    """Return the name of the data: of a preset its own, of a path the absolute one.

    Raises:
        LstmError: It is nothing known; the nearest names are offered.
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
            f"{suggest(dataset, presets)} Or give a .csv, .tsv or .jsonl file, a folder with a "
            "subfolder per class, or tfds:NAME.",
            ExitCode.USAGE,
        )
    origin(dataset)
    return str(path.absolute())


def settings(dataset: str, file: Path | None, overrides: dict[str, Any]) -> Config:
    """Put together the settings that a command line names.

    Args:
        dataset: A preset, a path or `tfds:NAME`; the latter two start from the preset `text`.
        file: Settings laid over the preset's.
        overrides: Dotted settings laid over both.

    Raises:
        LstmError: The data set is unknown, or a setting does not exist or is out of range.
    """
    name = locate(dataset)
    preset = dataset if dataset in configs.preset_names() else "text"
    base = configs.preset_dict(preset)
    base["data"] = {**base["data"], "name": name} if preset == dataset else {"name": name}
    if file is None:
        return configs.from_dict(base, overrides, f"preset {preset}")
    config = configs.load_file(file, base, overrides)
    if config.data.name != name:
        raise LstmError(
            f"{file} is for the data set '{config.data.name}', the command line for '{name}'.",
            f"Leave out 'data.name' in {file}, or name that data set.",
            ExitCode.USAGE,
        )
    return config


def init_from(wanted: str | None, runs_dir: Path | None) -> str | None:
    """Return the path of the run that `--init-from` names, so that it means one run for ever.

    Raises:
        LstmError: There is no such run, or it did not finish.
    """
    if wanted is None:
        return None
    return str(find(runs_root(runs_dir), wanted, language=True).path.absolute())


def check_unchanged(
    run: RunDir, dataset: str, file: Path | None, overrides: dict[str, Any]
) -> None:
    """Hold the settings typed with `--resume` to those the run was started with.

    What is not typed is the run's own; `train.epochs` may grow.

    Raises:
        LstmError: A setting differs: the key and both values are named.
    """
    began = configs.to_dict(run.config())
    read = configs.read_settings(file) if file else {}
    typed = {"data.name": locate(dataset), **configs.flatten(read)}
    typed |= {key: value for key, value in overrides.items() if key != "train.epochs"}
    # Through validation, so that "1e-3" and 0.001 are equal.
    now = configs.to_dict(configs.from_dict(began, typed, "--resume"))
    before, after = configs.flatten(began), configs.flatten(now)
    changed = [key for key in after if after[key] != before.get(key)]
    if changed:
        told = "; ".join(f"{key} was {before.get(key)!r}, now {after[key]!r}" for key in changed)
        raise LstmError(
            f"Run {run.name} was started with other settings: {told}.",
            "Leave them out to go on with the run, or start a new one without --resume.",
            ExitCode.USAGE,
        )

"""From what a person asks to the request of a study, checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.data.dataset_settings import dataset_settings, locate
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import find
from lstm_cli.tune import metrics
from lstm_cli.tune.folder import StudyFolder, StudyRequest, new_folder
from lstm_cli.tune.resolve import resolve_auto
from lstm_cli.tune.space import load_space, setting_values
from lstm_cli.tune.storage import without_password
from lstm_cli.tune.validation import search_validation

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True)
class Question:
    """What a person asks a search for.

    Attributes:
        dataset: As typed.
        config: YAML file of settings.
        overrides: Settings by dotted key.
        metric: As typed for `--metric`.
        space: File of the space.
        name: Of the study; None for the start time and a short hash.
        trials: Number of trials; None without a limit.
        seconds: Seconds of search; None without a limit.
        jobs: How many trials run at once.
        storage: URL of the database; None for the journal.
        device: Where to train.
        data_dir: Folder of TFDS data sets.
    """

    dataset: str
    config: Path | None
    overrides: Mapping[str, Any]
    metric: str
    space: Path | None
    name: str | None
    trials: int | None
    seconds: float | None
    jobs: int
    storage: str | None
    device: Literal["auto", "cpu", "gpu"]
    data_dir: Path | None


def make_request(question: Question, root: Path) -> tuple[StudyFolder, StudyRequest]:
    """Check a question, and read the data for the settings that are chosen from it.

    Args:
        question: What is asked.
        root: Folder of all runs.

    Returns:
        The folder of the study, which is not written yet, and the request.

    Raises:
        LstmError: A setting, the space, the metric or the name is not valid (exit code 2), or the
            data cannot be read.
    """
    metric = metrics.parse_metric(question.metric)
    config = dataset_settings(question.dataset, question.config, question.overrides)
    config = _with_run_paths(config, root)
    if config.language is not None:
        raise LstmError(
            "A search trains classifiers, and these settings are of a language model.",
            "Leave out the section 'language:'.",
            ExitCode.USAGE,
        )
    folder = new_folder(root, config, question.name)
    settings = _typed_settings(question, config)
    data = resolve_auto(config, question.data_dir)
    resolved = data.config
    _check_metric(metric, data.is_multi_label)
    space = load_space(question.space, resolved, settings)
    if data.num_rows is not None:
        validation = search_validation(resolved, data.num_rows, settings)
        settings |= validation
        resolved = configs.from_dict(configs.to_dict(resolved), validation)
    is_preset = question.dataset in configs.preset_names()
    return folder, StudyRequest(
        data=question.dataset if is_preset else locate(question.dataset),
        # Hyperband's brackets follow from it: in a journal of its own, every study has the same.
        study=folder.dataset if question.storage is None else folder.full_name,
        metric=metric,
        direction=metrics.direction(metric),
        seed=config.seed,
        settings=settings,
        resolved=configs.to_dict(resolved),
        space=space.to_builtins(),
        jobs=question.jobs,
        trials=question.trials,
        seconds=question.seconds,
        storage=None if question.storage is None else without_password(question.storage),
        device=question.device,
        data_dir=None if question.data_dir is None else str(question.data_dir.absolute()),
    )


def parse_time(text: str) -> float:
    """Return the seconds of `90s`, `30m`, `2h`, `1h30m` or `1d`.

    Raises:
        LstmError: It is not a time above 0 (exit code 2).
    """
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([smhd])", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not seconds:
        raise LstmError(
            f"--time expects a number with a unit, found {text!r}.",
            "For example: --time 90s, --time 30m, --time 1h30m",
            ExitCode.USAGE,
        )
    return seconds


def _typed_settings(question: Question, config: Config) -> dict[str, Any]:
    """Return the settings that were typed, by dotted key, with absolute paths."""
    file = {} if question.config is None else configs.flatten(
        configs.read_settings(question.config)
    )  # fmt: skip
    values = setting_values(config)
    typed = {**file, **question.overrides}
    typed.pop("data.name", None)
    return {key: values.get(key, value) for key, value in typed.items()}


def _with_run_paths(config: Config, root: Path) -> Config:
    """Return settings in which runs are absolute paths: trials have another folder of runs.

    Raises:
        LstmError: There is no such run, or it is not finished.
    """
    train = config.train
    if train.init_from is not None and not Path(train.init_from).is_absolute():
        path = find.find_initial(root, train.init_from).location.absolute()
        train = replace(train, init_from=str(path))
    if train.teacher is not None and not Path(train.teacher).is_absolute():
        train = replace(train, teacher=str(find.find(root, train.teacher).location.absolute()))
    return replace(config, train=train)


def _check_metric(metric: str, is_multi_label: bool | None) -> None:
    """Check that the metric is defined; training does if the data has not been read.

    Raises:
        LstmError: It is one of several labels a text, and each text has one (exit code 2).
    """
    if metric == "micro_f1" and is_multi_label is False:
        raise LstmError(
            "--metric micro_f1 is for several labels a text; here each input has one class.",
            "Use accuracy or macro_f1.",
            ExitCode.USAGE,
        )

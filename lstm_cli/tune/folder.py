"""The folder of a study: what was asked, its trials, and where they are.

`docs/tune.md` describes its files.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.config.yaml import parse_mapping
from lstm_cli.data.dataset_settings import locate, run_folder
from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.io.atomic_write import RUNS_HINT, write_atomic
from lstm_cli.runs.create import check_name
from lstm_cli.runs.directory import RunDir
from lstm_cli.tune import metrics
from lstm_cli.tune.space import Space
from lstm_cli.tune.space_file import parse_space

STUDY = "study.yaml"
JOURNAL = "journal.log"
SETTINGS = "settings.yaml"
_SUFFIX = ".study"
_EXAMPLE = "Start one: lstm tune reviews.csv --time 30m"


class StudyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a search was asked for: `study.yaml`.

    Attributes:
        data: The data set: a preset, an absolute path, or `tfds:NAME`.
        study: Name of the study in its storage.
        metric: Name of the metric; `metrics.METRICS`.
        direction: Which values of it are better.
        seed: Seed of the search.
        settings: Settings by dotted key that all trials share.
        resolved: Every setting of the first trial, with those chosen from the data.
        space: What trials may change, as in a space file.
        jobs: How many trials run at once.
        trials: Number of trials; None without a limit.
        seconds: Seconds of search; None without a limit.
        storage: URL of the database, without its password; None for the journal in the folder.
        device: Where to train.
        data_dir: Folder of TFDS data sets; None for the default.
    """

    data: str
    study: str
    metric: str
    direction: metrics.Direction
    seed: int
    settings: dict[str, Any]
    resolved: dict[str, Any]
    space: dict[str, Any]
    jobs: int = 1
    trials: int | None = None
    seconds: float | None = None
    storage: str | None = None
    device: Literal["auto", "cpu", "gpu"] = "auto"
    data_dir: str | None = None

    @property
    def config(self) -> Config:
        """The settings of the first trial."""
        return configs.from_dict(self.resolved, None, STUDY)

    def load_space(self) -> Space:
        """Return the space of the search."""
        return parse_space(self.space, self.config, STUDY)

    @property
    def question(self) -> dict[str, Any]:
        """What must be equal for processes that work on one study."""
        # Paths of files may differ from machine to machine.
        settings = {key: value for key, value in self.resolved.items() if key != "data"}
        return {
            "data": run_folder(self.config.data.name),
            "metric": self.metric,
            "settings": msgspec.to_builtins(settings),
            "space": msgspec.to_builtins(self.space),
        }


@dataclass(frozen=True)
class StudyFolder:
    """The folder of a study: `<runs>/<dataset>/<name>.study`.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def name(self) -> str:
        """Name of the study, without its data set."""
        return self.path.name.removesuffix(_SUFFIX)

    @property
    def dataset(self) -> str:
        """Name of the folder that holds the runs on the data set."""
        return self.path.parent.name

    @property
    def full_name(self) -> str:
        """What `--resume` takes: `<dataset>/<name>`."""
        return f"{self.dataset}/{self.name}"

    @property
    def trials(self) -> Path:
        """The folder of all runs of trials, as `--runs-dir` takes it."""
        return self.path / "trials"

    @property
    def shared(self) -> Path:
        """The folder for what trainings share."""
        return self.path / "shared"

    def run_path(self, number: int) -> str:
        """Return the path of the run of a trial, relative to the folder."""
        return f"trials/{self.dataset}/{number:03d}"

    def log(self, number: int) -> Path:
        """Return the file with what the training process of a trial printed."""
        return self.path / "logs" / f"{number:03d}.log"

    def winner(self, number: int) -> RunDir:
        """Return the run that a trial becomes when it wins."""
        return RunDir(self.path.parent / f"{self.name}-{number:03d}")

    def request(self) -> StudyRequest:
        """Read `study.yaml`.

        Raises:
            LstmError: It is missing or not valid (exit code 5).
        """
        file = self.path / STUDY
        try:
            mapping = parse_mapping(file.read_text(encoding="utf-8"), str(file))
            return msgspec.convert(mapping, StudyRequest)
        except (OSError, ValueError) as error:
            raise LstmError(
                f"Cannot read {file}: {error}.", "Start a new study.", ExitCode.INTEGRITY
            ) from error

    def write(self, request: StudyRequest) -> None:
        """Write `study.yaml`, and the settings that all trials share.

        Raises:
            LstmError: The folder cannot be written.
        """
        write_atomic(self.path / SETTINGS, _to_yaml(_nest(request.settings)), RUNS_HINT)
        write_atomic(self.path / STUDY, _to_yaml(msgspec.to_builtins(request)), RUNS_HINT)


def new_folder(root: Path, config: Config, name: str | None) -> StudyFolder:
    """Return the folder for a new study; nothing is written.

    Args:
        root: Folder of all runs.
        config: Settings with the data set.
        name: Of the study; None for the start time and a short hash.

    Raises:
        LstmError: The name is not valid (exit code 2), or taken.
    """
    parent = root / run_folder(config.data.name)
    if name is None:
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    check_name(name)
    return StudyFolder((parent / f"{name}{_SUFFIX}").absolute())


def all_studies(root: Path, dataset: str | None = None) -> list[StudyFolder]:
    """List the studies under a folder of runs, the oldest first.

    Args:
        root: Folder of all runs.
        dataset: Only those in this subfolder.
    """
    files = root.glob(f"{dataset or '*'}/*{_SUFFIX}/{STUDY}")
    paths = sorted(files, key=lambda file: (file.stat().st_mtime_ns, str(file)))
    return [StudyFolder(file.parent.absolute()) for file in paths]


def find_study(root: Path, name: str | None) -> StudyFolder:
    """Find the study that a person names, or the newest one.

    Args:
        root: Folder of all runs.
        name: A path, `<dataset>/<name>`, a name, a data set or its folder (its newest study), or
            None.

    Raises:
        LstmError: There is none, or more than one with that name (exit code 2).
    """
    studies = all_studies(root)
    if name is None:
        found = studies[-1:]
    elif (Path(name) / STUDY).is_file():
        found = [StudyFolder(Path(name).absolute())]
    else:
        names = (name, name.removesuffix(_SUFFIX))
        found = [s for s in studies if s.full_name in names or s.name in names]
        found = found or [s for s in studies if s.dataset == name][-1:]
        if not found:
            dataset = _dataset_folder(name)
            found = [s for s in studies if s.dataset == dataset][-1:]
    if len(found) > 1:
        raise LstmError(
            f"{len(found)} studies are named '{name}': "
            f"{', '.join(study.full_name for study in found)}.",
            "Put the data set before the name.",
            ExitCode.USAGE,
        )
    if found:
        return found[0]
    if not studies or name is None:
        raise LstmError(f"There is no study under {root}.", _EXAMPLE)
    counts = Counter(study.name for study in studies)
    known = [study.name if counts[study.name] == 1 else study.full_name for study in studies]
    raise LstmError(f"There is no study '{name}' under {root}.", suggest(name, known))


def _dataset_folder(dataset: str) -> str | None:
    """Return the folder of the runs on a data set, such as a table; None if there is none."""
    try:
        return run_folder(locate(dataset))
    except LstmError:
        return None


def _nest(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings by dotted key as nested mappings."""
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        section, _, name = key.rpartition(".")
        if section:
            nested.setdefault(section, {})[name] = value
        else:
            nested[name] = value
    return nested


def _to_yaml(value: dict[str, Any]) -> bytes:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode()

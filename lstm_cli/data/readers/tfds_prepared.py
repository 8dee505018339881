"""Finding TFDS data sets that are on disk, without importing TFDS."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lstm_cli.data.source import DataSource
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths


@dataclass(frozen=True)
class TfdsName:
    """A TFDS data set by name, and the configuration and version asked for, if any."""

    name: str
    config: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        config = f"/{self.config}" if self.config else ""
        return f"{self.name}{config}" + (f":{self.version}" if self.version else "")


REGISTERED = {"imdb": TfdsName("imdb_reviews", "plain_text"), "mnist": TfdsName("mnist")}


def parse_name(name: str) -> TfdsName:
    """Take `imdb`, `mnist` or `tfds:NAME[/CONFIG][:VERSION]` apart.

    Raises:
        LstmError: It is none of these.
    """
    if name in REGISTERED:
        return REGISTERED[name]
    match = re.fullmatch(r"tfds:(\w+)(?:/([\w.+-]+))?(?::(\d+\.\d+\.\d+))?", name, re.ASCII)
    if not match:
        raise LstmError(
            f"{name!r} is not of the form tfds:NAME, tfds:NAME/CONFIG or tfds:NAME:1.0.0.",
            exit_code=ExitCode.USAGE,
        )
    return TfdsName(*match.groups())


def resolve_data_dir(source: DataSource) -> Path:
    """The folder TFDS data sets lie in: as asked for, else `TFDS_DATA_DIR`, else TFDS' default."""
    # TFDS reads the variable once, at import; so we always pass the folder on.
    folder = source.data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return paths.expand(folder)


def find_prepared(wanted: TfdsName, folder: Path) -> Path | None:
    """The folder of a prepared data set: the newest version, or None when there is none."""
    root = folder / wanted.name
    if wanted.config is not None:
        found = _versions(root / wanted.config)
    else:
        found = _versions(root)
        if not found and paths.is_folder(root):
            configs = [path for path in sorted(root.iterdir()) if _versions(path)]
            found = _versions(_default_config(root, configs)) if configs else []
    fitting = [path for path in found if wanted.version in (None, path.name)]
    return max(fitting, key=lambda path: [int(part) for part in path.name.split(".")], default=None)


def _versions(folder: Path) -> list[Path]:
    return [
        path.parent
        for path in folder.glob("*/dataset_info.json")
        if re.fullmatch(r"\d+\.\d+\.\d+", path.parent.name)
    ]


def _default_config(root: Path, configs: list[Path]) -> Path:
    """The configuration meant when none is named: the default if it is there, or the only one."""
    metadata = root / ".config" / "metadata.json"
    if metadata.is_file():
        default = root / str(json.loads(metadata.read_text()).get("default_config_name"))
        if default in configs:
            return default
    if len(configs) > 1:
        raise LstmError(
            f"TFDS {root.name} is there in {len(configs)} configurations: "
            f"{', '.join(path.name for path in configs)}.",
            f"Name one, such as tfds:{root.name}/{configs[0].name}.",
            ExitCode.USAGE,
        )
    return configs[0]

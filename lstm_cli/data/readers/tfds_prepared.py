"""Find prepared TFDS data sets on disk, without importing TFDS."""

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
    """The name of a TFDS data set, with a configuration and a version if they were requested."""

    name: str
    config: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        config = f"/{self.config}" if self.config else ""
        return f"{self.name}{config}" + (f":{self.version}" if self.version else "")


REGISTERED = {"imdb": TfdsName("imdb_reviews", "plain_text"), "mnist": TfdsName("mnist")}


def parse_name(name: str) -> TfdsName:
    """Parse `imdb`, `mnist` or `tfds:NAME[/CONFIG][:VERSION]`.

    Raises:
        LstmError: The name has another form.
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
    """Return the folder of the TFDS data sets: `data_dir`, `TFDS_DATA_DIR`, or TFDS' default."""
    # TFDS reads the variable only at import, so the folder is always passed on explicitly.
    folder = source.data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return paths.expand(folder)


def find_prepared(tfds_name: TfdsName, folder: Path) -> Path | None:
    """Return the folder of the newest prepared version of a data set; None if there is none."""
    root = folder / tfds_name.name
    if tfds_name.config is not None:
        versions = _versions(root / tfds_name.config)
    else:
        versions = _versions(root)
        if not versions and paths.is_folder(root):
            configs = [path for path in sorted(root.iterdir()) if _versions(path)]
            versions = _versions(_default_config(root, configs)) if configs else []
    matching = [path for path in versions if tfds_name.version in (None, path.name)]
    return max(
        matching, key=lambda path: [int(part) for part in path.name.split(".")], default=None
    )


def _versions(folder: Path) -> list[Path]:
    return [
        path.parent
        for path in folder.glob("*/dataset_info.json")
        if re.fullmatch(r"\d+\.\d+\.\d+", path.parent.name)
    ]


def _default_config(root: Path, configs: list[Path]) -> Path:
    """Return the default configuration, or the only one."""
    metadata = root / ".config" / "metadata.json"
    if metadata.is_file():
        default = root / str(json.loads(metadata.read_text()).get("default_config_name"))
        if default in configs:
            return default
    if len(configs) > 1:
        raise LstmError(
            f"TFDS {root.name} is prepared in {len(configs)} configurations: "
            f"{', '.join(path.name for path in configs)}.",
            f"Name one, such as tfds:{root.name}/{configs[0].name}.",
            ExitCode.USAGE,
        )
    return configs[0]

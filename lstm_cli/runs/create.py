"""Make a new run directory."""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.atomic_write import is_temp_file, make_folder
from lstm_cli.runs.directory import CONFIG, LABELS, LOCK, TOKENIZER, RunDir
from lstm_cli.runs.find import exists, has_separator

# The limit of most file systems for one name, in UTF-8.
_MAX_NAME_BYTES = 255


def create_run(root: Path, dataset: str, name: str | None = None) -> RunDir:
    """Make a new run directory, `<root>/<dataset>/<name>`.

    A folder that a killed process left before its training began is reused.

    Args:
        root: Folder of all runs.
        dataset: Name of the data set.
        name: Of the run; None for the start time and a short hash.

    Raises:
        LstmError: The name is taken or not valid, or the folder cannot be written.
    """
    name = _unused_name(root / dataset) if name is None else name
    path = check_free(root, dataset, name)
    try:
        make_folder(path)
    except OSError as error:
        raise LstmError(
            f"Cannot write runs under {root}: {error.strerror or error}.",
            "Name another folder with --runs-dir or LSTM_RUNS_DIR.",
        ) from None
    return RunDir(path)


def check_free(root: Path, dataset: str, name: str) -> Path:
    """Return the folder that a new run with this name gets.

    Raises:
        LstmError: The name is taken or not valid.
    """
    check_name(name)
    path = root / dataset / name
    if exists(path) and not _is_before_training(path):
        raise LstmError(
            f"There is already a run {path}.", "Give another --name, or remove that folder."
        )
    return path


def check_name(name: str, option: str = "--name") -> None:
    """Check what was typed as the name of a run.

    Args:
        name: As typed.
        option: The option or argument that it was typed for.

    Raises:
        LstmError: It is not the name of a visible folder (exit code 2).
    """
    if not _is_valid_name(name):
        raise LstmError(
            f"{option} expects the name of a folder, found {name!r}.",
            "For example: --name baseline" if option == "--name" else "For example: baseline",
            ExitCode.USAGE,
        )


def _unused_name(folder: Path) -> str:
    while True:
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        if not exists(folder / name):
            return name


def _is_before_training(path: Path) -> bool:
    """Return whether a folder holds only files that are written before `run.json`."""
    names = {LOCK, CONFIG, LABELS, TOKENIZER}
    try:
        return all(entry.name in names or is_temp_file(entry) for entry in path.iterdir())
    except OSError:
        return False


def _is_valid_name(name: str) -> bool:
    """Return whether a name is a visible folder that fits on a line and is not an option."""
    is_printable = name == name.strip() and name.isprintable()
    is_short = 0 < len(name.encode("utf-8", "surrogatepass")) <= _MAX_NAME_BYTES
    return is_short and is_printable and not name.startswith((".", "-")) and not has_separator(name)

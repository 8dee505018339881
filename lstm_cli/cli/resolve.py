"""From words on the command line to runs and data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lstm_cli.cli.command import Conflict

if TYPE_CHECKING:
    from lstm_cli.runs.directory import RunDir

# How a table is read (`table_options.read_options`).
ROW_COLUMNS = ("--id-column", "--weight-column")
READ_OPTIONS = ("--input-format", "--encoding", "--delimiter", "--quoting", "--no-header")
LABEL_CONFLICTS = (
    Conflict(
        "--label-columns", ("--label-column", "--multi-label"), "each column is a label of its own"
    ),
)


def find_run(
    run: str | None, runs_dir: Path | None, kind: str | None = None, language: bool = False
) -> RunDir:
    """Find the run that is named, or the newest finished one; that one is named on stderr.

    Args:
        run: As typed; None for the newest.
        runs_dir: As typed.
        kind: `text` or `image`: what the newest run must read.
        language: Whether the newest run must be a language model.

    Raises:
        LstmError: There is no such run, or it is not finished.
    """
    from lstm_cli.cli.output import print_note
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find

    found = find(runs_root(runs_dir), run, kind=None if run else kind, language=language)
    if run is None:
        print_note(f"Run: {found.name}")
    return found


def leak_conflicts(dataset: str) -> tuple[Conflict, ...]:
    """Return what is refused with a data set whose splits are fixed.

    Raises:
        LstmError: There is no such data set.
    """
    from lstm_cli.data.dataset_settings import locate
    from lstm_cli.data.registry import is_known

    if not is_known(locate(dataset)):
        return ()
    return (Conflict("", ("--fail-on",), f"the splits of {dataset} are fixed"),)


def column_conflicts(dataset: str) -> tuple[Conflict, ...]:
    """Return what is refused with a data set that has no columns to choose from.

    Raises:
        LstmError: There is no such data set.
    """
    from lstm_cli.data.dataset_settings import locate
    from lstm_cli.data.registry import resolve

    origin = resolve(locate(dataset))
    if origin == "table":
        return ()
    several = Conflict(
        "", ("--multi-label", "--label-columns"), f"{dataset} has one label for each input"
    )
    # The files of a folder have an encoding, too.
    options = tuple(o for o in READ_OPTIONS if o != "--encoding" or origin != "folder")
    not_read = Conflict("", (*options, *ROW_COLUMNS), f"{dataset} is not a table")
    if origin == "tfds":
        return (several, not_read)
    columns = Conflict("", ("--text-column", "--label-column"), f"{dataset} has no columns")
    return (columns, several, not_read)


def image_conflicts(dataset: str) -> tuple[Conflict, ...]:
    """Return what is refused with a data set that is not one of own images.

    Raises:
        LstmError: There is no such data set.
    """
    from lstm_cli.data.dataset_settings import locate
    from lstm_cli.data.registry import resolve

    if resolve(locate(dataset)) == "images":
        return ()
    return (Conflict("", ("--image-size",), f"{dataset} does not hold images of your own"),)

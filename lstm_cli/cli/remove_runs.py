"""`lstm runs rm`, `prune` and `rename`: make room, and give runs other names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lstm_cli.cli import options
from lstm_cli.cli.completion import complete_dataset, complete_run

if TYPE_CHECKING:
    from lstm_cli.runs.prune import Removable

_OWN_RUN_HELP = "its folder, DATASET/NAME or NAME"
_Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help=f"Which runs to remove, in any state: {_OWN_RUN_HELP}.",
        autocompletion=complete_run,
    ),
]
_Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help=f"Which run: {_OWN_RUN_HELP}.", autocompletion=complete_run),
]
_NewName = Annotated[str, typer.Argument(metavar="NEW", help="Its new name, without the data set.")]
_DataSet = Annotated[
    str | None,
    typer.Argument(
        metavar="DATASET",
        help="Remove only runs of this data set. Without it: of each one.",
        autocompletion=complete_dataset,
    ),
]
_Keep = Annotated[
    int,
    typer.Option(
        "--keep",
        metavar="N",
        min=1,
        help="How many finished runs of each data set stay, the newest ones; language models are "
        "counted on their own.",
    ),
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be removed, and remove nothing.")
]


def rm(
    runs: _Runs,
    yes: _Yes = False,
    dry_run: _DryRun = False,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Remove runs, after saying what goes and asking.

    A run that another process is training is refused, and so are archives and symbolic links. If
    the command is killed, the rest of a run is not listed as a run; the next rm or prune deletes
    it. Without a terminal, --yes is needed.

    For example:

    ```
    lstm runs rm imdb/first imdb/second
    lstm runs rm first --yes
    ```
    """
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find_own
    from lstm_cli.runs.lock import check_free
    from lstm_cli.runs.prune import describe

    root = runs_root(runs_dir)
    found = list(dict.fromkeys(find_own(root, name) for name in runs))
    for run in found:
        check_free(run.path)
    _remove(describe(found, root), {}, root, (yes, dry_run, json))


def prune(
    keep: _Keep,
    dataset: _DataSet = None,
    yes: _Yes = False,
    dry_run: _DryRun = False,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Remove all but the newest finished runs of a data set, after saying what goes and asking.

    Runs that did not finish go too if they are older than those that stay. A run that another
    process is training stays, and so does a symbolic link. The accuracy has no influence: look at
    the list, or begin with --dry-run. Without a terminal, --yes is needed.

    For example:

    ```
    lstm runs prune imdb --keep 5
    lstm runs prune --keep 2 --dry-run
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.errors import LstmError
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import all_runs
    from lstm_cli.runs.prune import choose_old

    root = runs_root(runs_dir)
    if dataset is not None and not all_runs(root, dataset):
        raise LstmError(f"There is no run of '{dataset}' under {root}.", "See 'lstm runs list'.")
    chosen = choose_old(root, dataset, keep)
    for name, reason in chosen.untouched.items():
        output.print_note(f"{name} stays: {reason}.")
    _remove(chosen.old, chosen.untouched, root, (yes, dry_run, json))


def rename(
    run: _Run, new: _NewName, runs_dir: options.RunsDir = None, json: options.Json = False
) -> None:
    """Give a run another name; its data set stays.

    Runs that started from it (--init-from) or had it as their teacher find it by its old name.
    Scripts with the old name must be changed. A run that another process is training is refused.

    For example:

    ```
    lstm runs rename imdb/20260101-120000-3f2a baseline
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.runs import rename as runs_rename
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find_own

    old = find_own(runs_root(runs_dir), run)
    renamed = runs_rename.rename(old, new)
    if json:
        output.print_json({"before": old.name, "name": renamed.name, "path": str(renamed.path)})
    else:
        output.print_line(f"Renamed: {old.name} is now {renamed.name}")


def _remove(
    found: Sequence[Removable],
    untouched: dict[str, str],
    root: Path,
    how: tuple[bool, bool, bool],
) -> None:
    """Say what goes, ask, and remove it.

    Args:
        found: The runs.
        untouched: Runs that stay, with the reason; those that were resumed are added.
        root: Folder of all runs.
        how: `--yes`, `--dry-run` and `--json`.

    Raises:
        LstmError: There is no terminal to ask on (exit code 2), or a run cannot be removed.
    """
    from lstm_cli.cli import output, print_removals
    from lstm_cli.runs import removal

    yes, dry_run, as_json = how
    if not as_json:
        print_removals.print_removable(found)
    is_agreed = not dry_run and (yes or not found or print_removals.ask(found, as_json))
    removed: list[Removable] = []
    num_leftovers = 0
    try:
        if is_agreed:
            num_leftovers, problems = removal.remove_leftovers(root)
            for problem in problems:
                output.print_note(str(problem))
            for each in found:
                if reason := _reason_to_stay(each):
                    untouched[each.run.name] = reason
                    output.print_note(f"{each.run.name} stays: {reason}.")
                else:
                    removal.remove(each.run)
                    removed.append(each)
    finally:
        state = print_removals.Outcome(found, removed, untouched, num_leftovers, dry_run)
        print_removals.print_outcome(state, as_json)


def _reason_to_stay(each: Removable) -> str:
    """Return why a run is not removed after the question; empty if nothing has changed."""
    from lstm_cli.runs.prune import changed_status

    status = changed_status(each)
    return f"its status was '{each.summary.status}' and is '{status}' now" if status else ""

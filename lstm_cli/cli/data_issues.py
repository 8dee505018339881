"""`lstm data issues`: rows whose label is probably wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lstm_cli.cli import options, table_options
from lstm_cli.cli.command import Conflict, check_conflicts
from lstm_cli.cli.completion import complete_dataset
from lstm_cli.cli.option_groups import with_groups
from lstm_cli.cli.resolve import READ_OPTIONS, column_conflicts

if TYPE_CHECKING:
    from lstm_cli.evaluation.label_issues import LabelIssues
    from lstm_cli.runs.directory import RunDir

_RunOrData = Annotated[
    str,
    typer.Argument(
        metavar="RUN|DATASET",
        help="A run that was trained with folds, or a data set: a table, a folder, a preset or "
        "tfds:NAME.",
        autocompletion=complete_dataset,
    ),
]
_Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many rows to print.")]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Also write all of them, with whole texts, as a table: .csv, .tsv or .jsonl.",
        show_default="none",
    ),
]
_RUN_CONFLICTS = (
    Conflict(
        "",
        ("--text-column", "--label-column", "--id-column", *READ_OPTIONS, "--data-dir"),
        "a run has its own data",
    ),
)
_MAX_TEXT = 160


@with_groups
def issues(
    ctx: typer.Context,
    source: _RunOrData,
    *,
    limit: _Limit = 20,
    out: _Out = None,
    text_column: table_options.TextColumn = None,
    label_column: table_options.LabelColumn = None,
    id_column: table_options.IdColumn = None,
    table_format: table_options.TableFormatOptions,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """List rows whose label is probably wrong, the most certain first, then doubtful ones.

    The labels are compared with the predictions of models that have not seen the row (confident
    learning). Of a run, these are its out-of-fold predictions: 'lstm train --folds 5' writes them.
    For a data set, a linear model is cross-validated, which takes seconds, or a minute with many
    classes.

    A row is where the text is: the line of a table at which it starts, else its number, from 1.
    With --id-column, or for a run that was trained with it, it is the id of the row.

    For example:

    ```
    lstm data issues tickets.csv
    lstm data issues tickets.csv --out suspects.csv
    lstm data issues tickets/first --limit 50
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.cli.reporter import make_reporter
    from lstm_cli.data import DataSource
    from lstm_cli.data.dataset_settings import locate
    from lstm_cli.data.readers.read_options import format_of
    from lstm_cli.evaluation.label_issues import issues_of_data, issues_of_run, to_table
    from lstm_cli.io.atomic_write import check_writable, write_atomic

    format_ = None if out is None else format_of(out)
    if out is not None:
        check_writable(out)
    run = _find_run(source, runs_dir)
    if run is not None:
        check_conflicts(ctx, _RUN_CONFLICTS)
        found = issues_of_run(run)
    else:
        check_conflicts(ctx, column_conflicts(source))
        data = DataSource(
            locate(source),
            data_dir,
            tuple(text_column or ()),
            label_column,
            id_column=id_column,
            read_options=table_format.read_options(),
        )
        output.print_note("Cross-validating the linear model ...")
        found = issues_of_data(data, make_reporter())
    if out is not None and format_ is not None:
        table = to_table(found.issues, format_)
        write_atomic(out, table.encode("utf-8", "backslashreplace"))
    _print(found, limit, out, json)


def _find_run(name: str, runs_dir: Path | None) -> RunDir | None:
    """Return the run that is named; None for a data set.

    Raises:
        LstmError: There is neither such a run nor such data.
    """
    from lstm_cli.data.dataset_settings import locate
    from lstm_cli.errors import LstmError
    from lstm_cli.runs.directory import RUN, runs_root
    from lstm_cli.runs.find import exists, find

    root = runs_root(runs_dir)
    if any(exists(folder / name / RUN) for folder in (Path(), root)):
        return find(root, name)
    try:
        locate(name)
    except LstmError as error:
        try:
            return find(root, name)
        except LstmError:
            raise error from None
    return None


def _name_of_rows(found: LabelIssues) -> str:
    """Return what rows are named by."""
    return "row" if found.issues[0].id is None else "id"


def _print(found: LabelIssues, limit: int, out: Path | None, as_json: bool) -> None:
    """Print the first issues, and how they were found."""
    from lstm_cli.cli import output
    from lstm_cli.io.text_format import number, percent, short_label, shorten

    if as_json:
        output.print_json(found.to_dict(limit))
        return
    num, num_probable = len(found.issues), found.num_probable
    rows = [
        (
            issue.name,
            short_label(issue.label),
            short_label(issue.suggested) + " ?" * (not issue.is_probable),
            number(issue.probability, ".3f"),
            shorten(issue.text, _MAX_TEXT),
        )
        for issue in found.issues[:limit]
    ]
    title = f"{num_probable:,} of {found.num_rows:,} labels are probably wrong: {found.source}"
    if rows:
        columns = (_name_of_rows(found), "label", "suggested", "probability", "text")
        output.print_rows(rows, columns, right=("row", "probability"), title=title)
    else:
        output.print_heading(title)
    output.print_text(
        f"\nFound by {found.model}. It predicts {percent(found.accuracy)} of the labels of rows "
        "that it has not seen: the fewer, the more of this list are its own mistakes. Read the "
        "rows before you change them."
    )
    doubtful = f"{num - num_probable:,} more that it is less sure of (marked ?)"
    place = f"in {out}" if out is not None else f"with --limit {num} or --out FILE"
    if num > limit or out is not None:
        output.print_text(f"All {num_probable:,}, and {doubtful}: {place}.")

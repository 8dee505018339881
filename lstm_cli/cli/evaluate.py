"""`lstm eval`: score a run on a split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lstm_cli.cli import options, table_options
from lstm_cli.cli.command import Conflict, check_conflicts
from lstm_cli.cli.completion import complete_preset
from lstm_cli.cli.option_groups import with_groups
from lstm_cli.cli.resolve import READ_OPTIONS

if TYPE_CHECKING:
    from lstm_cli.runs.directory import RunDir

_Dataset = Annotated[
    str | None,
    typer.Argument(
        metavar="DATASET",
        help="What to score on: the run's own data set, or any other with the same labels (a "
        "preset, a table, a folder, tfds:NAME). Without it: the run's own.",
        autocompletion=complete_preset,
    ),
]
_Split = Annotated[
    Literal["train", "validation", "test"],
    typer.Option(
        "--split",
        help="Which part of the data. Of a table or folder that the run was not trained on, all "
        "rows are used.",
    ),
]
_Errors = Annotated[
    int,
    typer.Option(
        "--errors", metavar="N", min=0, help="List the N mistakes the run was most sure of."
    ),
]
_Leaks = Annotated[
    int,
    typer.Option(
        "--leaks",
        metavar="N",
        min=0,
        help="List N of the examples that the run has learned from. The table counts them.",
    ),
]
_Coverage = Annotated[
    bool,
    typer.Option(
        "--coverage", help="Also print the accuracy for each share of the examples answered."
    ),
]
_WantedPrecision = Annotated[
    float | None,
    typer.Option(
        "--wanted-precision",
        metavar="P",
        min=0,
        max=1,
        help="With --coverage: find the --min-probability that gives this accuracy of the answers. "
        "It is chosen on validation, and measured here.",
        show_default="none",
    ),
]
_Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        min=1,
        help="Use at most N examples of data that is not the run's own.",
        show_default="all examples",
    ),
]
# For the data that the run was trained on.
_OWN_DATA = (
    Conflict(
        "",
        ("--limit", "--text-column", "--label-column", "--id-column", *READ_OPTIONS),
        "the run's own data is read as for training",
    ),
)
_WITHOUT_COVERAGE = (Conflict("", ("--wanted-precision",), "it needs --coverage"),)


@with_groups
def command(
    ctx: typer.Context,
    dataset: _Dataset = None,
    *,
    run: options.Run = None,
    split: _Split = "test",
    errors: _Errors = 0,
    leaks: _Leaks = 0,
    coverage: _Coverage = False,
    wanted_precision: _WantedPrecision = None,
    text_column: table_options.RunTextColumn = None,
    label_column: table_options.RunLabelColumn = None,
    id_column: table_options.IdColumn = None,
    table_format: table_options.TableFormatOptions,
    limit: _Limit = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
    fail_under: options.FailUnder = None,
    fail_on: options.FailOn = None,
) -> None:
    """Score a run on a data set; write a report and plots into the run.

    If the run has thresholds ('lstm runs set-threshold'), they decide what is predicted. The
    accuracy is then that of the answers, and the share of examples that get one is printed too.

    For example:

    ```
    lstm eval imdb --errors 5
    lstm eval --run demo
    lstm eval reviews.csv --run imdb --fail-on leak
    lstm eval --coverage --wanted-precision 0.95
    lstm eval imdb --fail-under accuracy=0.88 --fail-under f1=0.88
    ```
    """
    from lstm_cli.cli import output, print_evaluation
    from lstm_cli.cli.reporter import make_reporter
    from lstm_cli.cli.training import check_thresholds
    from lstm_cli.data import DataSource
    from lstm_cli.evaluation.evaluate import evaluate
    from lstm_cli.evaluation.thresholds import parse_thresholds

    parse_thresholds(fail_under or [])
    if not coverage:
        check_conflicts(ctx, _WITHOUT_COVERAGE)
    found, name = _find(dataset, run, runs_dir)
    if name is None:
        check_conflicts(ctx, _OWN_DATA)
    output.print_note(f"Run: {found.name}")
    source = None
    if name is not None:
        source = DataSource(
            name,
            None,
            tuple(text_column or ()),
            label_column,
            id_column=id_column,
            limit=limit,
            read_options=table_format.read_options(),
        )
    evaluation = evaluate(
        found,
        source,
        split=split,
        data_dir=data_dir,
        num_mistakes=errors,
        with_coverage=coverage,
        wanted_precision=wanted_precision,
        num_leaks=leaks,
        fail_on=(fail_on,) if fail_on else (),
        reporter=make_reporter(),
    )
    print_evaluation.print_evaluation(evaluation, json)
    check_thresholds(evaluation.report.to_dict(), fail_under or [])


def _find(dataset: str | None, run: str | None, runs_dir: Path | None) -> tuple[RunDir, str | None]:
    """Return the run, and the name of the data if it is not the run's own.

    Raises:
        LstmError: There is no such run or data set.
    """
    from lstm_cli.data.dataset_settings import locate
    from lstm_cli.errors import LstmError
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import all_runs, find

    root = runs_root(runs_dir)
    if dataset is None:
        return find(root, run), None
    try:
        name = locate(dataset)
    except LstmError:
        # The data set that runs are filed under: `tickets` for runs on tickets.csv.
        if "/" in dataset or not all_runs(root, dataset):
            raise
        found = find(root, run or dataset)
        if found.path.parent.name != dataset:
            raise
        return found, None
    found = find(root, run, data_name=None if run else name)
    return found, None if found.config().data.name == name else name

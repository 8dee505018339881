"""`lstm data`: data sets to learn from."""

from __future__ import annotations

from typing import Annotated

import typer

from lstm_cli.cli import data_curve, data_issues, options
from lstm_cli.cli.command import Command, Group, check_conflicts
from lstm_cli.cli.completion import complete_dataset
from lstm_cli.cli.resolve import column_conflicts

app = typer.Typer(cls=Group, help="List, show and download data sets.", no_args_is_help=True)

_Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="A name that 'lstm data list' shows, tfds:NAME, a table, or a folder.",
        autocompletion=complete_dataset,
    ),
]
_Examples = Annotated[
    int,
    typer.Option("--examples", metavar="N", min=0, help="How many examples of each class to show."),
]


@app.command(name="list", cls=Command)
def list_(json: options.Json = False) -> None:
    """List the data sets known by name."""
    from dataclasses import asdict

    from lstm_cli.cli import output
    from lstm_cli.data import names

    if json:
        output.print_json({"datasets": [asdict(entry) for entry in names()]})
        return
    rows = [
        (e.name, e.kind, f"{e.train:,}", f"{e.test:,}", e.num_classes, e.description)
        for e in names()
    ]
    columns = ("name", "kind", "train", "test", "classes", "what it is")
    output.print_rows(rows, columns, right=("train", "test", "classes"))
    output.print_line(
        "\nOr tfds:NAME for any TFDS data set with one text and one label, a .csv, .tsv or .jsonl "
        "file,\nor a folder with a subfolder of .txt files per class."
    )


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    dataset: _Dataset,
    data_dir: options.DataDir = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    unlabeled: options.Unlabeled = None,
    examples: _Examples = 1,
    json: options.Json = False,
) -> None:
    """Show sizes, classes, text lengths and examples of a data set.

    For example:

    ```
    lstm data show demo
    lstm data show reviews.csv --label-column stars --examples 3
    lstm data show labeled.csv --unlabeled all.csv
    ```
    """
    from lstm_cli.cli import print_data
    from lstm_cli.data import DataSource, describe
    from lstm_cli.data.dataset_settings import locate

    check_conflicts(ctx, column_conflicts(dataset))
    source = DataSource(locate(dataset), data_dir, text_column, label_column)
    print_data.print_description(describe(source, examples, unlabeled or ()), json)


@app.command(cls=Command)
def prepare(dataset: _Dataset, data_dir: options.DataDir = None) -> None:
    """Download a data set and prepare it, so that training can start at once.

    For example:

    ```
    lstm data prepare imdb
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.data import DataSource
    from lstm_cli.data import prepare as prepare_data
    from lstm_cli.data.dataset_settings import locate

    output.print_line(prepare_data(DataSource(locate(dataset), data_dir)))


app.command(cls=Command)(data_issues.issues)
app.command(cls=Command)(data_curve.curve)

"""`lstm data`: data sets to learn from."""

from __future__ import annotations

from typing import Annotated

import typer

from lstm_cli.cli import data_curve, data_issues, options, table_options
from lstm_cli.cli.command import Command, Group, check_conflicts
from lstm_cli.cli.completion import complete_dataset
from lstm_cli.cli.option_groups import with_groups
from lstm_cli.cli.resolve import LABEL_CONFLICTS, column_conflicts, image_conflicts

app = typer.Typer(cls=Group, help="List, show, check and download data sets.", no_args_is_help=True)

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
_Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="Tables, folders with a subfolder per class, or a data set. What has "
        "'train' in its name is the training data, else the first.",
        autocompletion=complete_dataset,
    ),
]
_Limit = Annotated[
    int,
    typer.Option("--limit", metavar="N", min=0, help="How many findings of each kind to list."),
]
_FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="KIND[,KIND...]",
        help="End with exit code 4 if there is one of these: leak, near-leak, conflict, duplicate, "
        "near-duplicate, labels, new-label, no-label, empty, one-word, mojibake. Repeatable.",
        show_default="no check",
    ),
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
        "\nOr tfds:NAME for any TFDS data set with one text and one label, a table (CSV,\nTSV, "
        "JSONL, JSON, Parquet, Arrow or fastText's format), a folder with a\nsubfolder of text "
        "files or of images per class, or IDX files of images."
    )


@app.command(cls=Command)
@with_groups
def show(
    ctx: typer.Context,
    dataset: _Dataset,
    *,
    data_dir: options.DataDir = None,
    text_column: table_options.TextColumn = None,
    label_column: table_options.LabelColumn = None,
    multi_label: table_options.MultiLabel = None,
    label_columns: table_options.LabelColumns = None,
    table_format: table_options.TableFormatOptions,
    unlabeled: options.Unlabeled = None,
    image_size: options.ImageSize = None,
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
    from lstm_cli.data.readers.label_sets import AUTO

    check_conflicts(ctx, LABEL_CONFLICTS + column_conflicts(dataset) + image_conflicts(dataset))
    source = DataSource(
        locate(dataset),
        data_dir,
        tuple(text_column or ()),
        label_column,
        multi_label or AUTO,
        table_options.split_columns(label_columns),
        image_size=options.parse_image_size(image_size),
        read_options=table_format.read_options(),
    )
    print_data.print_description(describe(source, examples, unlabeled or ()), json)


@app.command(cls=Command)
@with_groups
def check(
    ctx: typer.Context,
    files: _Files,
    *,
    data_dir: options.DataDir = None,
    text_column: table_options.TextColumn = None,
    label_column: table_options.LabelColumn = None,
    id_column: table_options.IdColumn = None,
    multi_label: table_options.MultiLabel = None,
    label_columns: table_options.LabelColumns = None,
    table_format: table_options.TableFormatOptions,
    limit: _Limit = 10,
    fail_on: _FailOn = None,
    json: options.Json = False,
) -> None:
    """Look for what is wrong with labeled texts or images, and list the rows.

    Finds copies of a text within a file and between files, also nearly equal ones; texts that are
    labelled in two ways; labels that look alike; empty texts; mojibake; words that the training
    file does not have. Give the files of train and test together: what is in both is a leak.
    Of own images, it finds equal ones, and those of one brightness.

    For example:

    ```
    lstm data check tickets.csv
    lstm data check train.csv test.csv --limit 50
    lstm data check train.csv test.csv --fail-on leak,conflict
    lstm data check shapes/
    ```
    """
    from lstm_cli.checks import check_data, check_images, check_nothing_found, parse_kinds
    from lstm_cli.cli import output, print_checks
    from lstm_cli.data.image_rows import are_images, read_image_rows
    from lstm_cli.data.readers.label_sets import AUTO
    from lstm_cli.data.readers.row_columns import describe_ids
    from lstm_cli.data.rows import read_rows

    kinds = parse_kinds(fail_on or [])
    by_file = [column_conflicts(file) for file in files]
    # An option has an effect if it has one on any file.
    check_conflicts(ctx, LABEL_CONFLICTS + (by_file[0] if all(by_file) else ()))
    if are_images(files):
        result = check_images(read_image_rows(files), limit, kinds)
    else:
        columns = table_options.split_columns(label_columns)
        parts = read_rows(
            files,
            tuple(text_column or ()),
            label_column,
            data_dir,
            multi_label or AUTO,
            columns,
            table_format.read_options(),
            id_column,
        )
        for note in (note for part in parts for note in part.notes):
            output.print_note(f"Note: {note}")
        for part in parts:
            if part.ids is not None and (remark := describe_ids(part.ids, str(id_column))):
                output.print_note(f"{part.name}: {remark}")
        result = check_data(parts, limit, kinds)
    print_checks.print_check(result, json)
    check_nothing_found(result, kinds)


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

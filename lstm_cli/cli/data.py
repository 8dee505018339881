"""`lstm data`: what there is to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lstm_cli.cli.options import DataDir, Json, LabelColumn, TextColumn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lstm_cli.data import Description

app = typer.Typer(help="What there is to learn from.", no_args_is_help=True)

_SHADES = " .:-=+*#%@"
_Name = Annotated[
    str, typer.Argument(metavar="DATASET", help="A name from the list, tfds:NAME, or a path.")
]


@app.command(name="list")
def list_(json: Json = False) -> None:
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


@app.command()
def show(
    dataset: _Name,
    data_dir: DataDir = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    examples: Annotated[int, typer.Option("--examples", min=0, help="To show of each class.")] = 1,
    json: Json = False,
) -> None:
    """Show sizes, class balance, lengths and example rows."""
    from lstm_cli.cli import output
    from lstm_cli.cli.dataset_argument import locate
    from lstm_cli.data import DataSource, describe
    from lstm_cli.io import text_format

    source = DataSource(locate(dataset), data_dir, text_column, label_column)
    found = describe(source, examples)
    if json:
        output.print_json(_plain(found))
        return
    kind = (
        "texts" if found.shape is None else "images of {} rows and {} columns".format(*found.shape)
    )
    output.print_heading(f"{found.name}: {kind} from {found.source}")
    for note in found.notes:
        output.print_note(f"Note: {note}")
    _print_splits(found)
    _print_balance(found)
    for label, inputs in found.examples.items():
        for example in inputs:
            output.print_line("")
            output.print_heading(label)
            shown = (
                text_format.shorten(example, 500) if isinstance(example, str) else _draw(example)
            )
            output.print_text(shown)


@app.command()
def prepare(dataset: _Name, data_dir: DataDir = None) -> None:
    """Download and prepare a data set ahead of time."""
    from lstm_cli.cli import output
    from lstm_cli.cli.dataset_argument import locate
    from lstm_cli.data import DataSource
    from lstm_cli.data import prepare as make_ready

    output.print_line(make_ready(DataSource(locate(dataset), data_dir)))


def _print_splits(found: Description) -> None:
    from lstm_cli.cli import output

    columns = ["split", "examples"]
    if found.shape is None:
        columns += ["words: 50%", "90%", "99%", "longest", "empty"]
    rows = []
    for split in found.splits:
        row: list[object] = [split.name, f"{split.num_examples:,}"]
        if found.shape is None:
            row += [*(f"{words:,}" for words in split.word_percentiles), f"{split.num_empty:,}"]
        rows.append(row)
    output.print_rows(rows, columns, right=columns[1:])


def _print_balance(found: Description) -> None:
    """Print how many examples each class has in train, and its share."""
    from lstm_cli.cli import output
    from lstm_cli.io import text_format

    output.print_line("")
    train = found.splits[0]
    most = max(train.class_counts)
    rows = [
        (
            label,
            f"{count:,}",
            text_format.percent(count / train.num_examples),
            "█" * round(24 * count / most),
        )
        for label, count in zip(found.labels, train.class_counts, strict=True)
    ]
    output.print_rows(rows, ("class", "train", "share", ""), right=("train", "share"))


def _draw(image: NDArray[np.uint8]) -> str:
    """Draw an image with characters, two to a pixel as they are twice as high as wide."""
    last = len(_SHADES) - 1
    return "\n".join("".join(2 * _SHADES[int(p) * last // 255] for p in row) for row in image)


def _plain(found: Description) -> dict[str, Any]:
    from dataclasses import asdict

    told = asdict(found)
    told["examples"] = {
        label: [example if isinstance(example, str) else example.tolist() for example in inputs]
        for label, inputs in found.examples.items()
    }
    return told

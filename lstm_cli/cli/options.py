"""Options that several commands share, said the same way everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help="A run: its folder, DATASET/NAME, NAME, or a data set, whose newest run is taken. "
        "The newest finished run if not given.",
    ),
]
RunsDir = Annotated[
    Path | None,
    typer.Option(
        "--runs-dir",
        metavar="DIR",
        help="Folder of all runs.",
        envvar="LSTM_RUNS_DIR",
        show_default="./runs",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Folder of TFDS data sets.",
        envvar="TFDS_DATA_DIR",
        show_default="~/tensorflow_datasets",
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option("--text-column", metavar="NAME", help="Of a table; found if not given."),
]
LabelColumn = Annotated[
    str | None,
    typer.Option("--label-column", metavar="NAME", help="Of a table; found if not given."),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")
]
FailUnder = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under",
        metavar="METRIC=VALUE",
        help="Exit with 4 if a test metric is lower: accuracy, f1, precision, recall, roc_auc. "
        "Repeatable.",
    ),
]

"""Option types that commands of several kinds share.

Every help text says what the option does; its default stands beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lstm_cli.cli.completion import complete_run
from lstm_cli.errors import ExitCode, LstmError

RUN_HELP = (
    "its folder, its archive (.zip), DATASET/NAME, NAME, or a data set, which means its newest run"
)

Run = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help=f"Which run to use: {RUN_HELP}.",
        show_default="the newest finished run",
        autocompletion=complete_run,
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN", help=f"Which run: {RUN_HELP}.", autocompletion=complete_run),
]
RunsDir = Annotated[
    Path | None,
    typer.Option(
        "--runs-dir",
        metavar="DIR",
        help="Folder that holds all runs.",
        envvar="LSTM_RUNS_DIR",
        show_default="./runs",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Folder where TensorFlow Datasets (TFDS) keeps its data.",
        envvar="TFDS_DATA_DIR",
        show_default="~/tensorflow_datasets",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the result as one JSON object instead of tables."),
]
FailUnder = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under",
        metavar="METRIC=VALUE",
        help="End with exit code 4 if a metric of the result is lower than VALUE. METRIC is "
        "accuracy, f1, precision, recall, roc_auc or answered (the share of inputs that get an "
        "answer); with several labels a text also micro_f1. Repeatable.",
        show_default="no check",
    ),
]
FailOn = Annotated[
    Literal["leak"] | None,
    typer.Option(
        "--fail-on",
        metavar="leak",
        help="leak: if texts of test or validation are in the training data too, train or score "
        "nothing and end with exit code 4.",
        show_default="a warning",
    ),
]

Unlabeled = Annotated[
    list[str] | None,
    typer.Option(
        "--unlabeled",
        metavar="FILE",
        help="Texts without labels to learn from: a table (labels are ignored), a file with one "
        "text per line, or a folder of text files. Repeatable.",
        show_default="none",
    ),
]

ImageSize = Annotated[
    str | None,
    typer.Option(
        "--image-size",
        metavar="ROWSxCOLUMNS",
        help="Scale own images to this size, with their proportions: 32x32. Short for --set "
        "image.size=[ROWS,COLUMNS].",
        show_default="their own size, which must be the same",
    ),
]


def parse_image_size(size: str | None) -> tuple[int, int] | None:
    """Return the rows and columns of `--image-size`; None without it.

    Raises:
        LstmError: It is not ROWSxCOLUMNS, or out of range (exit code 2).
    """
    import re

    from lstm_cli.config.schema import MAX_IMAGE_LENGTH

    if size is None:
        return None
    found = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", size.strip(), re.IGNORECASE)
    rows, columns = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (1 <= rows <= MAX_IMAGE_LENGTH and 1 <= columns <= MAX_IMAGE_LENGTH):
        raise LstmError(
            f"--image-size expects ROWSxCOLUMNS, each from 1 to {MAX_IMAGE_LENGTH:,}; found "
            f"{size!r}.",
            "For example: --image-size 28x28",
            ExitCode.USAGE,
        )
    return rows, columns

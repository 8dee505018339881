"""Option types that several commands share, and options as settings.

Every help text says what the option does; its default stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lstm_cli.cli.completion import complete_assignment, complete_run
from lstm_cli.errors import ExitCode, LstmError

RUN_HELP = "its folder, DATASET/NAME, NAME, or a data set, which means its newest run"

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
TextColumn = Annotated[
    str | None,
    typer.Option(
        "--text-column",
        metavar="NAME",
        help="Column of a table that holds the text.",
        show_default="found by itself",
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column",
        metavar="NAME",
        help="Column of a table that holds the label.",
        show_default="found by itself",
    ),
]
MultiLabel = Annotated[
    str | None,
    typer.Option(
        "--multi-label",
        metavar="SEP",
        help="A text has any number of labels, separated by SEP in the label column (an empty "
        "cell: none). 'list': JSON lists. 'none': the whole cell is one label.",
        show_default="found by itself",
    ),
]
LabelColumns = Annotated[
    str | None,
    typer.Option(
        "--label-columns",
        metavar="A,B,...",
        help="A text has any number of labels: columns of a table with 1 or 0, one for each label.",
        show_default="one column of labels",
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

Unlabeled = Annotated[
    list[str] | None,
    typer.Option(
        "--unlabeled",
        metavar="FILE",
        help="Texts without labels to learn from: a table (.csv, .tsv, .jsonl; labels are "
        "ignored), a .txt file with one text per line, or a folder of .txt files. Repeatable.",
        show_default="none",
    ),
]

# Options of `train` and `pretrain`.
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="[RUN]",
        help="Continue a run from its newest checkpoint instead of starting one. Without RUN: the "
        "newest unfinished run on DATASET.",
        show_default="start a new run",
        autocompletion=complete_run,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="YAML file with settings that replace those of the preset.",
        show_default="the preset alone",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one setting, for example model.units=64; wins over --config. Repeatable. "
        "'lstm config describe' lists all settings.",
        show_default="no change",
        autocompletion=complete_assignment,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs",
        metavar="N",
        help="How many times to go through the training data at most; short for --set "
        "train.epochs=N.",
        show_default="the preset's",
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        metavar="K",
        help="Cross-validate: train K times, each time with another K-th of the rows held out, "
        "then once on all of them. Short for --set data.folds=K.",
        show_default="5 up to 500 texts, else none",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="Start value of all random numbers: the same seed gives the same result. Short for "
        "--set seed=N.",
        show_default="0",
    ),
]
ClassWeights = Annotated[
    str | None,
    typer.Option(
        "--class-weights",
        metavar="none|balanced|POWER",
        help="Weights of classes in the loss, for classes of uneven size. balanced: the inverse "
        "of their frequency; POWER: a power of that from 0 (none) to 1 (balanced), such as 0.5. "
        "Short for --set train.class_weights=...",
        show_default="the preset's",
    ),
]
Name = Annotated[
    str | None,
    typer.Option("--name", help="Name of the new run.", show_default="start time and a hash"),
]
InitFrom = Annotated[
    str | None,
    typer.Option(
        "--init-from",
        metavar="RUN",
        help="Start with the vocabulary and the weights of this run, usually one made by 'lstm "
        f"pretrain': {RUN_HELP}.",
        show_default="random weights",
        autocompletion=complete_run,
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "gpu"],
    typer.Option("--device", help="Where to train. 'auto' takes a GPU if there is one."),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        help="Use at most N examples of each split, for a quick try.",
        show_default="all examples",
    ),
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Also write logs for TensorBoard into the run.")
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Load the data, build the model and time a few steps; print the plan and train "
        "nothing.",
    ),
]


def to_overrides(assignments: Sequence[str] | None, **options: Any) -> dict[str, Any]:
    """Turn options into settings.

    Args:
        assignments: Values of `--set`, as typed.
        options: Values of the short options by name: `epochs`, `folds`, `seed`, `class_weights`,
            `limit`, `text_column`, `label_column`, `multi_label`, `label_columns` (separated by
            commas), `init_from`, `unlabeled`. None is skipped.

    Returns:
        Values by dotted key: `train.epochs`.

    Raises:
        LstmError: An assignment is not KEY=VALUE, or a setting is set twice (exit code 2).
    """
    from lstm_cli.config.load import parse_overrides

    keys = {
        "epochs": "train.epochs",
        "folds": "data.folds",
        "seed": "seed",
        "class_weights": "train.class_weights",
        "init_from": "train.init_from",
        "limit": "data.limit",
        "text_column": "data.text_column",
        "label_column": "data.label_column",
        "multi_label": "data.multi_label",
        "label_columns": "data.label_columns",
        "unlabeled": "data.unlabeled",
    }
    overrides = parse_overrides(assignments or [])
    if options.get("label_columns") is not None:
        options["label_columns"] = split_columns(options["label_columns"])
    short = {keys[name]: value for name, value in options.items() if value is not None}
    for key in short:
        if key in overrides:
            raise LstmError(
                f"{key} is set twice: with --set {key} and with its own option.",
                "Leave out one of them.",
                ExitCode.USAGE,
            )
    return overrides | short


def split_columns(names: str | None) -> tuple[str, ...]:
    """Return the columns that `--label-columns` names; none without it."""
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())

"""Option types that several commands share, and options as settings.

Every help text says what the option does; its default stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lstm_cli.cli import table_options
from lstm_cli.cli.completion import complete_assignment, complete_run
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

ReplayData = Annotated[
    list[str] | None,
    typer.Option(
        "--replay-data",
        metavar="FILE",
        help="Old labeled texts to mix into the training rows, so that --init-from does not "
        "forget them: a table, or a folder with one subfolder of text files per class. They are "
        "never validated or tested on. Repeatable.",
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

# Options of `train` and `pretrain`.
ValidationFile = Annotated[
    str | None,
    typer.Option(
        "--validation",
        metavar="FILE",
        help="Table or folder with the validation rows, by which the best epoch is "
        "chosen. Short for --set data.validation_file=FILE.",
        show_default="a part of DATASET",
    ),
]
TestFile = Annotated[
    str | None,
    typer.Option(
        "--test",
        metavar="FILE",
        help="Table or folder with the test rows, on which the run is scored at the end. "
        "They are checked before training. Short for --set data.test_file=FILE.",
        show_default="DATASET's own, or a part of it",
    ),
]
Vectors = Annotated[
    str | None,
    typer.Option(
        "--vectors",
        metavar="FILE",
        help="Start with the word vectors of a file: the text format of word2vec, GloVe or "
        "fastText (also .gz), or .npz or .safetensors with words and vectors.",
        show_default="learned from the texts",
    ),
]
FreezeVectors = Annotated[
    bool,
    typer.Option("--freeze-vectors", help="Do not train the word vectors; they stay as they are."),
]
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
        help="Start with the vocabulary and the weights of this run of 'lstm train' or 'lstm "
        f"pretrain'; new words and labels are added. {RUN_HELP[0].upper()}{RUN_HELP[1:]} "
        "(a language model if there is one).",
        show_default="random weights",
        autocompletion=complete_run,
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="RUN",
        help="Learn from the labels that this run predicts for the unlabeled texts "
        f"(train.teacher). {RUN_HELP[0].upper()}{RUN_HELP[1:]}.",
        show_default="the linear model",
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
NoTest = Annotated[
    bool,
    typer.Option(
        "--no-test",
        help="Do not score the run on test at the end; --resume can do so later.",
    ),
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Also write logs for TensorBoard into the run.")
]
Track = Annotated[
    Literal["mlflow"] | None,
    typer.Option(
        "--track",
        metavar="mlflow",
        help="Also send settings, metrics and the files of the run to the MLflow server of "
        "MLFLOW_TRACKING_URI. If it fails, training goes on.",
        show_default="nowhere",
    ),
]
Distributed = Annotated[
    bool,
    typer.Option(
        "--distributed",
        help="Train with several processes that share each batch; needs KERAS_BACKEND=jax. Start "
        "the same command once for each process.",
    ),
]
Coordinator = Annotated[
    str | None,
    typer.Option(
        "--coordinator",
        metavar="HOST:PORT",
        help="Of --distributed: where process 0 waits for the others.",
        show_default="what JAX finds, as under SLURM",
    ),
]
NumProcesses = Annotated[
    int | None,
    typer.Option(
        "--num-processes",
        metavar="N",
        min=1,
        help="Of --distributed: the number of processes.",
        show_default="what JAX finds",
    ),
]
ProcessId = Annotated[
    int | None,
    typer.Option(
        "--process-id",
        metavar="I",
        min=0,
        help="Of --distributed: which process this is, from 0. Process 0 writes the run.",
        show_default="what JAX finds",
    ),
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
            `limit`, `text_columns`, `label_column`, `multi_label`, `label_columns` (separated by
            commas), `id_column`, `weight_column`, `validation_file`, `test_file`, `init_from`,
            `teacher`, `unlabeled`, `replay_data`, `vectors`, `trainable`, `image_size`,
            `read_options` (from the function of that name). None is skipped.

    Returns:
        Values by dotted key: `train.epochs`.

    Raises:
        LstmError: An assignment is not KEY=VALUE, a size is not ROWSxCOLUMNS, or a setting is set
            twice (exit code 2).
    """
    from lstm_cli.config.load import parse_overrides

    keys = {
        "epochs": "train.epochs",
        "folds": "data.folds",
        "seed": "seed",
        "class_weights": "train.class_weights",
        "init_from": "train.init_from",
        "teacher": "train.teacher",
        "limit": "data.limit",
        "text_columns": "data.text_columns",
        "label_column": "data.label_column",
        "id_column": "data.id_column",
        "weight_column": "data.weight_column",
        "multi_label": "data.multi_label",
        "label_columns": "data.label_columns",
        "unlabeled": "data.unlabeled",
        "replay_data": "data.replay_files",
        "vectors": "embedding.vectors_file",
        "trainable": "embedding.trainable",
        "validation_file": "data.validation_file",
        "test_file": "data.test_file",
        "image_size": "image.size",
    }
    overrides = parse_overrides(assignments or [])
    reading = table_options.changed_settings(options.pop("read_options", None))
    if options.get("label_columns") is not None:
        options["label_columns"] = table_options.split_columns(options["label_columns"])
    options["image_size"] = parse_image_size(options.get("image_size"))
    short = {keys[name]: value for name, value in options.items() if value is not None} | reading
    for key in short:
        if key in overrides:
            raise LstmError(
                f"{key} is set twice: with --set {key} and with its own option.",
                "Leave out one of them.",
                ExitCode.USAGE,
            )
    return overrides | short


def parse_image_size(size: str | None) -> tuple[int, int] | None:
    """Return the rows and columns of `--image-size`; None without it.

    Raises:
        LstmError: It is not ROWSxCOLUMNS, or out of range (exit code 2).
    """
    import re

    from lstm_cli.config.schema import MAX_IMAGE_LENGTH
    from lstm_cli.errors import ExitCode, LstmError

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

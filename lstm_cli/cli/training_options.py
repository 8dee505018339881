"""Options of `train`, `pretrain` and `tune`, and the settings that they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lstm_cli.cli import table_options
from lstm_cli.cli.completion import complete_assignment, complete_run
from lstm_cli.cli.options import RUN_HELP, Unlabeled
from lstm_cli.errors import ExitCode, LstmError

if TYPE_CHECKING:
    from lstm_cli.training.cluster import Cluster

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


@dataclass(frozen=True)
class SettingOptions:
    """The options that change settings of any kind."""

    config: ConfigFile = None
    set_: Set = None
    epochs: Epochs = None
    folds: Folds = None
    seed: Seed = None
    class_weights: ClassWeights = None

    def overrides(self) -> dict[str, Any]:
        """Return the settings of the short options, by dotted key; None if not given."""
        return {
            "train.epochs": self.epochs,
            "data.folds": self.folds,
            "seed": self.seed,
            "train.class_weights": self.class_weights,
        }


@dataclass(frozen=True)
class StartOptions:
    """The options that say what a training starts from."""

    init_from: InitFrom = None
    teacher: Teacher = None
    vectors: Vectors = None
    freeze_vectors: FreezeVectors = False

    def overrides(self, runs_dir: Path | None) -> dict[str, Any]:
        """Return the settings of the options, by dotted key; None if not given.

        Args:
            runs_dir: As typed. Runs are named by absolute paths, which always mean the same run.

        Raises:
            LstmError: There is no such run, or it is not finished.
        """
        from lstm_cli.runs.directory import runs_root
        from lstm_cli.runs.find import find, find_initial

        root = runs_root(runs_dir)
        initial = None if self.init_from is None else find_initial(root, self.init_from)
        teacher = None if self.teacher is None else find(root, self.teacher)
        return {
            "train.init_from": initial and str(initial.location.absolute()),
            "train.teacher": teacher and str(teacher.location.absolute()),
            **vector_overrides(self.vectors, self.freeze_vectors),
        }


@dataclass(frozen=True)
class ColumnOptions:
    """The options for the columns of a table to train on."""

    text_column: table_options.TextColumn = None
    label_column: table_options.LabelColumn = None
    id_column: table_options.IdColumn = None
    weight_column: table_options.WeightColumn = None
    multi_label: table_options.MultiLabel = None
    label_columns: table_options.LabelColumns = None

    def overrides(self) -> dict[str, Any]:
        """Return the settings of the options, by dotted key; None if not given."""
        columns = self.label_columns
        return {
            "data.text_columns": self.text_column,
            "data.label_column": self.label_column,
            "data.id_column": self.id_column,
            "data.weight_column": self.weight_column,
            "data.multi_label": self.multi_label,
            "data.label_columns": None if columns is None else table_options.split_columns(columns),
        }


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """The options for the rows to train on, and how to read them."""

    columns: ColumnOptions
    validation: ValidationFile = None
    test: TestFile = None
    table_format: table_options.TableFormatOptions
    unlabeled: Unlabeled = None
    replay_data: ReplayData = None

    def overrides(self) -> dict[str, Any]:
        """Return the settings of the options, by dotted key; None if not given.

        Raises:
            LstmError: A file cannot be read as the options say (exit code 2).
        """
        return {
            **self.columns.overrides(),
            **self.table_format.overrides(),
            "data.validation_file": self.validation,
            "data.test_file": self.test,
            "data.unlabeled": self.unlabeled,
            "data.replay_files": self.replay_data,
        }


@dataclass(frozen=True)
class ProcessOptions:
    """The options of training with several processes."""

    distributed: Distributed = False
    coordinator: Coordinator = None
    num_processes: NumProcesses = None
    process_id: ProcessId = None

    def cluster(self) -> Cluster | None:
        """Return the processes that the options name to train with; None to train alone.

        Raises:
            LstmError: The options do not belong together, or the backend cannot train so (exit
                code 2).
        """
        from lstm_cli.io import environment

        if not self.distributed:
            given = {
                "--coordinator": self.coordinator,
                "--num-processes": self.num_processes,
                "--process-id": self.process_id,
            }
            for name, value in given.items():
                if value is not None:
                    raise LstmError(
                        f"{name} has no effect without --distributed.",
                        f"Add --distributed, or leave out {name}.",
                        ExitCode.USAGE,
                    )
            return None
        environment.check_backend()
        if environment.backend() != "jax":
            raise LstmError(
                f"--distributed trains with JAX only; the backend is {environment.backend()}.",
                "Set KERAS_BACKEND=jax.",
                ExitCode.USAGE,
            )
        from lstm_cli.training.cluster import Cluster

        return Cluster(self.coordinator, self.num_processes, self.process_id)


def vector_overrides(vectors: str | None, freeze_vectors: bool) -> dict[str, Any]:
    """Return the settings of `--vectors` and `--freeze-vectors`; None if not given."""
    return {
        "embedding.vectors_file": vectors,
        "embedding.trainable": False if freeze_vectors else None,
    }


def to_overrides(assignments: Sequence[str] | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Join the settings of `--set` and those of other options.

    Args:
        assignments: Values of `--set`, as typed.
        settings: Those of other options, by dotted key. None is skipped.

    Returns:
        Values by dotted key: `train.epochs`.

    Raises:
        LstmError: An assignment is not KEY=VALUE, or a setting is set twice (exit code 2).
    """
    from lstm_cli.config.load import parse_overrides

    overrides = parse_overrides(assignments or [])
    given = {key: value for key, value in settings.items() if value is not None}
    for key in given:
        if key in overrides:
            raise LstmError(
                f"{key} is set twice: with --set {key} and with its own option.",
                "Leave out one of them.",
                ExitCode.USAGE,
            )
    return overrides | given

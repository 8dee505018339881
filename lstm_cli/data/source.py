"""What to read (`DataSource`) and what a reader found (`RawDataset`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lstm_cli.config.schema import Config
from lstm_cli.data.dataset import Kind, SourceFile, Split
from lstm_cli.data.readers.labels import find_labels
from lstm_cli.data.readers.read_options import DEFAULT, ReadOptions
from lstm_cli.errors import ExitCode, LstmError, command_line

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class DataSource:
    """How to read a data set: the `data:` section of a config.

    Attributes:
        name: `imdb`, `mnist`, `digits`, `demo`, `tfds:NAME[/CONFIG]`, or the path of a table or of
            a folder with one subfolder per class.
        data_dir: The folder of the TFDS data sets. The default is `TFDS_DATA_DIR`, then
            `~/tensorflow_datasets`.
        text_columns: The columns of the texts, joined in this order. Without them, the first column
            with a common name.
        label_column: The column of the labels. The default is the first column with a common name.
        multi_label: The setting `data.multi_label`.
        label_columns: Columns of 0 and 1, one for each label.
        id_column: The column of a table that names its rows; None without ids.
        weight_column: The column of the training file that says how much each row counts; None
            if all count the same. Rows of weight 0 are left out.
        validation_file: The file or folder with the validation examples, if `name` is a path.
            Without it, a fraction of the training examples is split off.
        test_file: The file or folder with the test examples, if `name` is a path. Without it, a
            fraction of `name` is split off.
        validation_fraction: Fraction of the training examples used for validation if there is no
            validation file, above 0 and below 0.5.
        test_fraction: Fraction used for testing if a data set has no test split, above 0 and
            below 0.9.
        seed: The seed of these splits and of the sample for `limit`.
        limit: The largest number of examples to keep of each split.
        image_size: Rows and columns that own images are scaled to. The default is their own size.
        demo_train: Number of reviews that `demo` generates for training and validation.
        demo_test: Number of reviews that `demo` generates for testing.
        read_options: How to read the tables.
        labels: Class names of a model that is to know this data. Those that the data lacks are
            classes, too.

    Raises:
        LstmError: A value is out of range.
    """

    name: str
    data_dir: Path | None = None
    text_columns: tuple[str, ...] = ()
    label_column: str | None = None
    multi_label: str = "auto"
    label_columns: tuple[str, ...] = ()
    id_column: str | None = None
    weight_column: str | None = None
    validation_file: Path | None = None
    test_file: Path | None = None
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    seed: int = 0
    limit: int | None = None
    image_size: tuple[int, int] | None = None
    demo_train: int = 6000
    demo_test: int = 1000
    read_options: ReadOptions = DEFAULT
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ranges = {
            "validation_fraction": (0 < self.validation_fraction < 0.5, "above 0 and below 0.5"),
            "test_fraction": (0 < self.test_fraction < 0.9, "above 0 and below 0.9"),
            "seed": (self.seed >= 0, "0 or more"),
            "limit": (self.limit is None or self.limit >= 1, "1 or more"),
            "demo_train": (self.demo_train >= 20, "20 or more"),
            "demo_test": (self.demo_test >= 2, "2 or more"),
        }
        for key, (is_valid, expected) in ranges.items():
            if not is_valid:
                raise LstmError(
                    f"data.{key} must be {expected}, not {getattr(self, key)}.",
                    f"Set it with --set data.{key}=VALUE or in the config file.",
                    ExitCode.USAGE,
                )


@dataclass(frozen=True)
class RawDataset:
    """A data set as a reader found it, before splitting and limits.

    Attributes:
        name: The folder name of its runs.
        source: Where it comes from, as shown to people.
        kind: The kind of input.
        labels: Class names; the index is the class id.
        read: Functions that read `train`, and `validation` and `test` if the data set has splits of
            its own for them.
        identity: A string that identifies what training can read. Equal strings mean equal
            examples in equal order, but for the test split if that is a file of its own.
        is_path: Whether the data is a file or folder of the user. If so, a run that was trained on
            other data is evaluated on all of it.
        unlabeled: Reads the texts without labels, if the data set has them.
        text_columns: The columns of the texts, if they come from a table.
        label_column: The column of the labels, if they come from one column of a table.
        multi_label: As in `Dataset`.
        notes: Remarks from reading.
        files: As in `Dataset`.
    """

    name: str
    source: str
    kind: Kind
    labels: tuple[str, ...]
    read: Mapping[str, Callable[[], Split]]
    identity: str
    is_path: bool = False
    unlabeled: Callable[[], Sequence[str]] | None = None
    text_columns: tuple[str, ...] = ()
    label_column: str | None = None
    multi_label: str = "none"
    notes: tuple[str, ...] = field(default=())
    files: Mapping[str, SourceFile] = field(default_factory=dict)


def from_config(
    config: Config, data_dir: Path | None = None, labels: Sequence[str] = ()
) -> DataSource:
    """Return the source that a config's `data:` section names.

    Args:
        config: The settings of the run; the splits use its seed.
        data_dir: The folder of the TFDS data sets.
        labels: Class names of a model that may know more classes than the data.
    """
    settings = config.data
    return DataSource(
        name=settings.name,
        data_dir=data_dir,
        text_columns=settings.text_columns,
        label_column=settings.label_column,
        multi_label=settings.multi_label,
        label_columns=settings.label_columns,
        id_column=settings.id_column,
        weight_column=settings.weight_column,
        validation_file=Path(settings.validation_file) if settings.validation_file else None,
        test_file=Path(settings.test_file) if settings.test_file else None,
        validation_fraction=settings.validation_fraction,
        test_fraction=settings.test_fraction,
        seed=config.seed,
        limit=settings.limit,
        image_size=config.image.size if config.image else None,
        demo_train=settings.demo_train,
        demo_test=settings.demo_test,
        read_options=ReadOptions(
            settings.format,
            settings.encoding,
            settings.delimiter,
            settings.quoting,
            settings.header,
        ),
        labels=tuple(labels),
    )


def sort_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels in the order of their class ids: as integers, else as strings."""
    distinct = sorted(set(labels))
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}", label) for label in distinct):
        distinct.sort(key=int)
    return tuple(distinct)


def add_labels(known: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """Return class names with those of others that are not equal to any of them, sorted.

    Args:
        known: Their spelling counts, and their order too if there is nothing to add.
        others: Class names of other data.
    """
    found = find_labels(others, known)
    new = [label for label in others if label not in found]
    if not known:
        return tuple(others)
    return sort_labels([*known, *new]) if new else tuple(known)


def check_command(source: DataSource) -> str:
    """Return the command that lists the rows with something wrong.

    Args:
        source: A table, a folder or `tfds:NAME`.
    """
    files = [
        source.name,
        *(str(file) for file in (source.validation_file, source.test_file) if file),
    ]
    # Each once: the same file may be given for both.
    words = ["lstm", "data", "check", *dict.fromkeys(map(_relative, files))]
    # These two are found without an option.
    text_columns = () if source.text_columns == ("text",) else source.text_columns
    columns = {
        "--label-column": source.label_column if source.label_column != "label" else None,
        "--multi-label": source.multi_label if source.multi_label != "auto" else None,
        "--label-columns": ",".join(source.label_columns),
        "--id-column": source.id_column,
    }
    words += [word for name in text_columns for word in ("--text-column", name)]
    words += [word for option, name in columns.items() if name for word in (option, name)]
    return command_line(*words, *source.read_options.words())


def _relative(name: str) -> str:
    """Return a path below the working directory relative to it, anything else unchanged."""
    try:
        return str(Path(name).relative_to(Path.cwd()))
    except (OSError, ValueError):
        return name

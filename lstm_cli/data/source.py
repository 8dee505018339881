"""What was asked for (`Source`) and what a reader found (`RawDataset`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lstm_cli.config.schema import Config
from lstm_cli.data.dataset import Kind, Split
from lstm_cli.errors import ExitCode, LstmError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class DataSource:
    """How to read a data set; the `data:` section of a config.

    Attributes:
        name: `imdb`, `mnist`, `digits`, `demo`, `tfds:NAME[/CONFIG]`, or a path to a .csv,
            .tsv or .jsonl file or to a folder with a subfolder per class.
        data_dir: Where TFDS data sets lie; else `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.
        text_column: Column of the texts, when it does not go by a common name.
        label_column: Column of the labels, likewise.
        test: A file or folder to test on, for a path; without it a share of `name` is set aside.
        validation: Share of the training examples set aside for validation; above 0, below 0.5.
        test_fraction: Share set aside for testing where a data set has no test split; above 0,
            below 0.9.
        seed: Of these cuts and of `limit`.
        limit: Keep at most so many examples of each split.
        demo_train: Number of reviews `demo` writes for training and validation.
        demo_test: Number of reviews `demo` writes for testing.

    Raises:
        LstmError: A value is out of its range.
    """

    name: str
    data_dir: Path | None = None
    text_column: str | None = None
    label_column: str | None = None
    test: Path | None = None
    validation: float = 0.1
    test_fraction: float = 0.2
    seed: int = 0
    limit: int | None = None
    demo_train: int = 6000
    demo_test: int = 1000

    def __post_init__(self) -> None:
        _require(0 < self.validation < 0.5, "validation", "above 0 and below 0.5", self.validation)
        _require(
            0 < self.test_fraction < 0.9,
            "test_fraction",
            "above 0 and below 0.9",
            self.test_fraction,
        )
        _require(self.seed >= 0, "seed", "0 or more", self.seed)
        _require(self.limit is None or self.limit >= 1, "limit", "1 or more", self.limit)
        _require(self.demo_train >= 20, "demo_train", "20 or more", self.demo_train)
        _require(self.demo_test >= 2, "demo_test", "2 or more", self.demo_test)


def _require(holds: bool, key: str, expected: str, found: object) -> None:
    if not holds:
        raise LstmError(
            f"data.{key} must be {expected}, not {found}.",
            f"Set it with --set data.{key}=VALUE or in the config file.",
            ExitCode.USAGE,
        )


@dataclass(frozen=True)
class RawDataset:
    """A data set as it was found, before validation is cut and limits are applied.

    Attributes:
        name: What runs are filed under.
        source: Where it came from, for people.
        kind: What an input is.
        labels: Class names; the index is the class id.
        read: Reads `train`, and `test` where the data set has one of its own.
        identity: Stands for the content: equal identities mean equal examples in equal order.
        unlabeled: Reads texts without labels, where the data set has some.
        whole: Whether `train` is all there is when somebody else's run is evaluated on it (a path).
        notes: What was noticed while reading.
    """

    name: str
    source: str
    kind: Kind
    labels: tuple[str, ...]
    read: Mapping[str, Callable[[], Split]]
    identity: str
    whole: bool = False
    unlabeled: Callable[[], Sequence[str]] | None = None
    notes: tuple[str, ...] = field(default=())


def from_config(config: Config, data_dir: Path | None = None) -> DataSource:
    """Return the source that a config's `data:` section names.

    Args:
        config: The experiment; its seed decides the cuts.
        data_dir: Where TFDS data sets lie.
    """
    settings = config.data
    return DataSource(
        name=settings.name,
        data_dir=data_dir,
        text_column=settings.text_column,
        label_column=settings.label_column,
        test=Path(settings.test) if settings.test else None,
        validation=settings.validation,
        test_fraction=settings.test_fraction,
        seed=config.seed,
        limit=settings.limit,
        demo_train=settings.demo_train,
        demo_test=settings.demo_test,
    )

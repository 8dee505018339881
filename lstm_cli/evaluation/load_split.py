"""Load the split to evaluate on: of the run's own data, of a copy of it, or of other data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lstm_cli import data
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset, DataSource
from lstm_cli.data.dataset import Kind
from lstm_cli.data.readers.known_columns import with_known_columns
from lstm_cli.data.registry import resolve
from lstm_cli.data.source import from_config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation import seen
from lstm_cli.io.progress import Reporter
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import RunInfo


def load_own(predictor: Predictor, split: str, data_dir: Path | None) -> Dataset:
    """Load a split of the data that a run was trained on.

    Raises:
        LstmError: The data is not available (exit code 3), or the run has learned from the split.
    """
    return load_split(predictor, None, True, split, data_dir)


def load_split(
    predictor: Predictor,
    source: DataSource | None,
    is_own: bool,
    split: str,
    data_dir: Path | None,
) -> Dataset:
    """Load a split of the run's own data, which may be a copy, or of another source.

    Own images get the size of the run's.
    """
    run = predictor.run
    if source is None or is_own:
        _check_not_seen(run, split)
        return own_data(run, split, data_dir, source.name if source else None)
    source = replace(source, data_dir=data_dir)
    if resolve(source.name) == "images":
        check_kind(predictor, "image", source.name)
        source = replace(source, image_size=predictor.shape)
    source, note = _as_trained(source, run.config())
    dataset = data.load_for_labels(source, predictor.labels, split)
    return replace(dataset, notes=(*filter(None, [note]), *dataset.notes))


def own_data(
    run: RunDir, split: str, data_dir: Path | None = None, copy: str | None = None
) -> Dataset:
    """Read a split of the data a run was trained on; a note says if the data has changed since.

    Args:
        run: The run.
        split: The name of the split.
        data_dir: Where TFDS data sets are.
        copy: Path of a copy of the data, to read in its place.

    Raises:
        LstmError: The data is missing (exit code 3) or malformed, or the run fails its integrity
            check (exit code 5).
    """
    config = run.config()
    source = _with_label_format(from_config(config, data_dir, run.labels()), config)
    source = replace(source, name=copy or source.name)
    dataset = data.load(source, (split,))
    trained_on = run.with_manifest().decode(runs.RUN, RunInfo).dataset
    change = None if trained_on is None else trained_on.learned_change(dataset)
    if change is None and trained_on is not None and split == "test":
        change = trained_on.test_change(dataset)
    if change is None:
        return dataset
    note = f"{change.source} has changed since run {run.name} was trained on it."
    return replace(dataset, notes=(note, *dataset.notes))


def is_own_data(run: RunDir, source: DataSource, reporter: Reporter) -> bool:
    """Return whether a source is the data that the run was trained on, or a copy of it.

    Raises:
        LstmError: It is to be read in another way than for training (exit code 2).
    """
    config = run.config()
    if not seen.is_training_data(run.with_manifest(), source.name):
        return False
    if source != DataSource(source.name, source.data_dir):
        raise LstmError(
            f"{source.name} is the data that run {run.name} was trained on: it is read as for "
            "training.",
            "Leave out --limit, and the options for columns and reading.",
            ExitCode.USAGE,
        )
    if source.name != config.data.name:
        reporter.note(
            f"Note: {source.name} is a copy of the data that run {run.name} was trained on, which "
            "is split as in training."
        )
    return True


def _as_trained(source: DataSource, config: Config) -> tuple[DataSource, str]:
    """Return a source that is read as the run's data were, with a note if it lacks its columns."""
    source = _with_label_format(source, config)
    if resolve(source.name) != "table":
        return source, ""
    columns = config.data.text_columns, config.data.label_column, config.data.id_column
    return with_known_columns(Path(source.name), source, *columns)


def _with_label_format(source: DataSource, config: Config) -> DataSource:
    """Return a source whose labels are read as those of the run were."""
    return replace(
        source,
        multi_label=config.data.multi_label if config.is_multi_label else "none",
        label_columns=config.data.label_columns,
    )


def _check_not_seen(run: RunDir, split: str) -> None:
    """Refuse the validation split of a run whose model was trained on it at the end.

    Raises:
        LstmError: It was (exit code 2).
    """
    if split == "validation" and run.config().has_seen_validation:
        raise LstmError(
            f"The model of run {run.name} was refitted on train and validation: on the validation "
            "split it would look better than it is.",
            f"'lstm runs show {run.name}' has the validation results from before the refit.",
            ExitCode.USAGE,
        )


def check_kind(predictor: Predictor, kind: Kind, name: str) -> None:
    """Check that data is of the kind that the model reads.

    Raises:
        LstmError: It is not (exit code 2).
    """
    if kind != predictor.kind:
        raise LstmError(
            f"{name} holds {kind}s; run {predictor.run.name} reads {predictor.kind}s.",
            f"Choose a run that reads {kind}s with --run.",
            ExitCode.USAGE,
        )

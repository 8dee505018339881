"""TFDS data sets with one text (or one grey image) and one label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lstm_cli.data.dataset import Kind, Split
from lstm_cli.data.readers.tfds_download import ensure_prepared, suppress_native_logs
from lstm_cli.data.readers.tfds_prepared import REGISTERED, parse_name, resolve_data_dir
from lstm_cli.data.source import DataSource, RawDataset
from lstm_cli.errors import ExitCode, LstmError

UNLABELED = "unsupervised"
BATCH_SIZE = 1000  # examples at once: as fast as all at once, with a fraction of the memory


@dataclass(frozen=True)
class _Columns:
    """Which features are the input and the label, and what kind the input is."""

    input: str
    label: str
    kind: Kind
    labels: tuple[str, ...]


def open_tfds(source: DataSource) -> RawDataset:
    """Find a TFDS data set, preparing it first if need be.

    Examples without a label (TFDS writes -1) are left out; a test split of nothing else, as in
    GLUE, counts as none, so that one is cut from train. Bytes that are no UTF-8 become U+FFFD: what
    TFDS ships is not the user's to mend.

    Raises:
        LstmError: It cannot be had, or has no single text and label.
    """
    directory = ensure_prepared(parse_name(source.name), resolve_data_dir(source))
    builder = _builder(directory)
    title = f"TFDS {builder.info.full_name}"
    columns = _columns(builder.info.features, title, source)
    available = dict(builder.info.splits)
    if "train" not in available:
        raise LstmError(
            f"{title} has no train split, only {', '.join(available)}.", exit_code=ExitCode.DATA
        )
    notes: list[str] = []
    wanted = ["train"]
    if "test" in available:
        if source.name in REGISTERED or _has_labels(directory, columns):
            wanted.append("test")
        else:
            notes.append("Its test split has no labels, so one is cut from train.")
    read: dict[str, Callable[[], Split]] = {
        split: partial(_read, directory, split, columns) for split in wanted
    }
    return RawDataset(
        name=_run_name(source.name),
        source=title,
        kind=columns.kind,
        labels=columns.labels,
        read=read,
        identity=_identity(directory, columns),
        notes=tuple(notes),
        unlabeled=_unlabeled(directory, available, columns),
    )


def _run_name(name: str) -> str:
    return name if name in REGISTERED else name.replace(":", "-").replace("/", "-")


def _identity(directory: Path, columns: _Columns) -> str:
    """What TFDS wrote of a content: version, shards, sizes, checksums; without its prose."""
    info = json.loads((directory / "dataset_info.json").read_text(encoding="utf-8"))
    keys = ("name", "configName", "version", "splits", "downloadChecksums")
    content = json.dumps({key: info.get(key) for key in keys}, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"tfds {digest} {columns.input} {columns.label}"


def _builder(directory: Path) -> Any:
    """A reader of a prepared data set; TensorFlow, which takes seconds, is not imported yet."""
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(directory)


def _columns(features: Any, title: str, source: DataSource) -> _Columns:
    """Choose the input and the label among the features of a data set."""
    import tensorflow_datasets as tfds

    # Sorted: read back from disk, they come in another order in each process.
    typed = dict(sorted(features.items())) if hasattr(features, "items") else {}
    texts = [key for key, value in typed.items() if isinstance(value, tfds.features.Text)]
    labels = [key for key, value in typed.items() if isinstance(value, tfds.features.ClassLabel)]
    images = [
        key
        for key, value in typed.items()
        if isinstance(value, tfds.features.Image) and value.shape[-1] == 1 and all(value.shape)
    ]
    kind: Kind = "text" if texts or not images else "image"
    chosen = _only("text", texts or images, source.text_column, typed, title)
    label = _only("label", labels, source.label_column, typed, title)
    return _Columns(chosen, label, kind, tuple(typed[label].names))


def _only(
    role: str, candidates: list[str], asked: str | None, typed: dict[str, Any], title: str
) -> str:
    """The one feature for a role, or the one asked for."""
    if asked in candidates:
        return str(asked)
    if asked is None and len(candidates) == 1:
        return candidates[0]
    listed = ", ".join(f"{key} ({type(value).__name__})" for key, value in typed.items())
    found = f"no {asked!r}" if asked else f"{len(candidates) or 'none'}"
    hint = "Choose another data set, or export this one to CSV."
    if candidates:
        hint = f"Choose with --{role}-column {candidates[0]}."
    raise LstmError(
        f"{title} should have one {role} feature, and has {found} among: {listed}.",
        hint,
        ExitCode.USAGE,
    )


def _has_labels(directory: Path, columns: _Columns) -> bool:
    """Whether the first test example has a label."""
    batch = next(iter(_batches(directory, "test[:1]", columns)), None)
    return batch is not None and int(batch[columns.label][0]) >= 0


def _unlabeled(
    directory: Path, available: Mapping[str, Any], columns: _Columns
) -> Callable[[], Sequence[str]] | None:
    """The reader of the split that TFDS calls `unsupervised`, where there is one."""
    if UNLABELED not in available or columns.kind != "text":
        return None

    def read() -> Sequence[str]:
        batches = _batches(directory, UNLABELED, columns)
        return [text.decode("utf-8", "replace") for b in batches for text in b[columns.input]]

    return read


def _read(directory: Path, split: str, columns: _Columns) -> Split:
    """Read a split in the order TFDS wrote it."""
    inputs: list[Any] = []
    labels = []
    for batch in _batches(directory, split, columns):
        labelled = batch[columns.label] >= 0
        labels.append(batch[columns.label][labelled].astype(np.int32))
        values = batch[columns.input][labelled]
        if columns.kind == "text":
            inputs += [text.decode("utf-8", errors="replace") for text in values]
        else:
            inputs.append(values[..., 0])
    ids = np.concatenate(labels) if labels else np.zeros(0, np.int32)
    if columns.kind == "text" or not inputs:
        return Split(inputs, ids)
    return Split(np.concatenate(inputs), ids)


def _batches(directory: Path, split: str, columns: _Columns) -> Any:
    """Batches of a split as dicts of arrays, the two columns only.

    Raises:
        LstmError: A file of the data set is missing or damaged.
    """
    with suppress_native_logs():
        import tensorflow as tf
        import tensorflow_datasets as tfds

    columns_only = tfds.decode.PartialDecoding({columns.input: True, columns.label: True})
    try:
        data = _builder(directory).as_dataset(
            split=split, batch_size=BATCH_SIZE, decoders=columns_only, shuffle_files=False
        )
        yield from tfds.as_numpy(data)
    except (tf.errors.OpError, AssertionError, OSError) as error:
        raise LstmError(
            f"{directory} is incomplete or damaged: {str(error).splitlines()[0]}",
            "Delete that folder and prepare the data set again with `lstm data prepare`.",
            ExitCode.DATA,
        ) from error

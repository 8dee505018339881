"""TFDS data sets with one text (or one gray image) and one label.

A prepared data set is read without TFDS and TensorFlow (`tfrecord`); they are imported only to
prepare one (`tfds_download`).
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lstm_cli.data.dataset import Kind, Split
from lstm_cli.data.readers.tfds_download import ensure_prepared
from lstm_cli.data.readers.tfds_prepared import REGISTERED, parse_name, resolve_data_dir
from lstm_cli.data.readers.tfrecord import Value, parse_example, read_shards
from lstm_cli.data.source import DataSource, RawDataset
from lstm_cli.errors import ExitCode, LstmError

UNLABELED = "unsupervised"
_FILE_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


@dataclass(frozen=True)
class _Columns:
    """The features that are the input and the label, and the kind of the input."""

    input: str
    label: str
    kind: Kind
    labels: tuple[str, ...]


def open_tfds(source: DataSource) -> RawDataset:
    """Open a TFDS data set, after downloading and preparing it if necessary.

    Examples without a label (-1 in TFDS) are left out. If all test examples are such, as in GLUE,
    the test split is split off train. Invalid UTF-8 becomes U+FFFD, because users cannot fix the
    files of TFDS.

    Raises:
        LstmError: The data set is not available, or does not have one text and one label.
    """
    directory = ensure_prepared(parse_name(source.name), resolve_data_dir(source))
    info = _read_json(directory / "dataset_info.json")
    name = "/".join(info[key] for key in ("name", "configName", "version") if info.get(key))
    title = f"TFDS {name}"
    columns = _find_columns(directory, title, source)
    splits = {split["name"]: split for split in info.get("splits", ())}
    if "train" not in splits:
        raise LstmError(
            f"{title} has no train split, only {', '.join(splits)}.", exit_code=ExitCode.DATA
        )
    records = {split: partial(_read_examples, directory, info, splits[split]) for split in splits}
    notes: list[str] = []
    names = ["train"]
    if "test" in splits:
        if source.name in REGISTERED or _has_labels(records["test"], columns):
            names.append("test")
        else:
            notes.append("Its test split has no labels; the test split is split off train.")
    read: dict[str, Callable[[], Split]] = {
        split: partial(_read, records[split], columns) for split in names
    }
    has_unlabeled = UNLABELED in splits and columns.kind == "text"
    return RawDataset(
        name=_run_name(source.name),
        source=title,
        kind=columns.kind,
        labels=columns.labels,
        read=read,
        identity=_identity(info, columns),
        notes=tuple(notes),
        unlabeled=partial(_read_texts, records[UNLABELED], columns) if has_unlabeled else None,
    )


def _run_name(name: str) -> str:
    return name if name in REGISTERED else name.replace(":", "-").replace("/", "-")


def _identity(info: Mapping[str, Any], columns: _Columns) -> str:
    """Identify the content: version, shards, sizes and checksums, but not the description."""
    keys = ("name", "configName", "version", "splits", "downloadChecksums")
    content = json.dumps({key: info.get(key) for key in keys}, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"tfds {digest} {columns.input} {columns.label}"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path.parent, f"{path.name}: {error}") from error
    return content if isinstance(content, dict) else {}


def _find_columns(directory: Path, title: str, source: DataSource) -> _Columns:
    """Find the input and the label among the features of a data set."""
    content = _read_json(directory / "features.json").get("featuresDict", {})
    features: dict[str, dict[str, Any]] = dict(sorted(content.get("features", {}).items()))
    texts = [key for key, feature in features.items() if "text" in feature]
    labels = [key for key, feature in features.items() if "classLabel" in feature]
    images = [key for key, feature in features.items() if _is_gray_image(feature)]
    kind: Kind = "text" if texts or not images else "image"
    chosen = _choose("text", texts or images, source.text_column, features, title)
    label = _choose("label", labels, source.label_column, features, title)
    return _Columns(chosen, label, kind, _class_names(directory, label, features[label]))


def _is_gray_image(feature: Mapping[str, Any]) -> bool:
    shape = feature.get("image", {}).get("shape", {}).get("dimensions", ())
    sizes = [int(size) for size in shape]
    return len(sizes) == 3 and sizes[-1] == 1 and min(sizes) > 0


def _class_names(directory: Path, label: str, feature: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the class names of TFDS, or the class ids as strings if they have no names."""
    path = directory / f"{label}.labels.txt"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").split("\n")
        return tuple(line.strip() for line in lines if line.strip())
    return tuple(str(i) for i in range(int(feature["classLabel"]["numClasses"])))


def _choose(
    role: str,
    candidates: list[str],
    requested: str | None,
    features: Mapping[str, Mapping[str, Any]],
    title: str,
) -> str:
    """Return the requested feature, or the only one for a role."""
    if requested in candidates:
        return str(requested)
    if requested is None and len(candidates) == 1:
        return candidates[0]
    kinds = {key: feature["pythonClassName"].split(".")[-1] for key, feature in features.items()}
    available = ", ".join(f"{key} ({kind})" for key, kind in kinds.items())
    found = f"no {requested!r}" if requested else f"{len(candidates) or 'none'}"
    hint = "Choose another data set, or export this one to CSV."
    if candidates:
        hint = f"Choose with --{role}-column {shlex.quote(candidates[0])}."
    raise LstmError(
        f"{title} should have one {role} feature, and has {found} among: {available}.",
        hint,
        ExitCode.USAGE,
    )


_Examples = Callable[[], Iterator[dict[str, Value]]]


def _has_labels(examples: _Examples, columns: _Columns) -> bool:
    """Return whether the first example has a label."""
    first = next(examples(), None)
    return first is not None and int(first[columns.label]) >= 0


def _read_texts(examples: _Examples, columns: _Columns) -> list[str]:
    return [_text(example[columns.input]) for example in examples()]


def _read(examples: _Examples, columns: _Columns) -> Split:
    """Read the labeled examples of a split in the order of TFDS."""
    decode = _text if columns.kind == "text" else _decode_image
    inputs, labels = [], []
    for example in examples():
        label = int(example[columns.label])
        if label >= 0:
            labels.append(label)
            inputs.append(decode(example[columns.input]))
    ids = np.array(labels, np.int32)
    if columns.kind == "text" or not inputs:
        return Split(inputs, ids)
    return Split(np.stack(inputs), ids)


def _text(value: Value) -> str:
    assert isinstance(value, bytes)
    return value.decode("utf-8", errors="replace")


def _decode_image(value: Value) -> Any:
    """Return the pixels of a PNG or JPEG file, `<uint8>[rows, columns]`."""
    from PIL import Image

    assert isinstance(value, bytes)
    with Image.open(io.BytesIO(value), formats=("PNG", "JPEG")) as image:
        return np.asarray(image)


def _read_examples(
    directory: Path, info: Mapping[str, Any], split: Mapping[str, Any]
) -> Iterator[dict[str, Value]]:
    """Yield the examples of a split.

    Raises:
        LstmError: A file of the data set is missing or damaged.
    """
    lengths = [int(length) for length in split.get("shardLengths", ())]
    names = {
        "DATASET": info["name"],
        "SPLIT": split["name"],
        "FILEFORMAT": info.get("fileFormat", "tfrecord"),
        "NUM_SHARDS": f"{len(lengths):05}",
    }
    if names["FILEFORMAT"] != "tfrecord":
        raise _damaged(directory, f"its files are {names['FILEFORMAT']}, not tfrecord")
    template = split.get("filepathTemplate", _FILE_TEMPLATE)
    paths = [
        directory
        / template.format(
            SHARD_INDEX=f"{i:05}", SHARD_X_OF_Y=f"{i:05}-of-{len(lengths):05}", **names
        )
        for i, length in enumerate(lengths)
        if length
    ]
    num = 0
    try:
        for record in read_shards(paths, is_shuffled=not info.get("disableShuffling", False)):
            yield parse_example(record)
            num += 1
        if num != sum(lengths):
            raise ValueError(f"{num} of {sum(lengths)} examples found in {split['name']}")
    except (OSError, ValueError) as error:
        raise _damaged(directory, str(error)) from error


def _damaged(directory: Path, reason: str) -> LstmError:
    return LstmError(
        f"{directory} is incomplete or damaged: {reason}.",
        "Delete that folder and prepare the data set again with `lstm data prepare`.",
        ExitCode.DATA,
    )

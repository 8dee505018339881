"""TFDS data sets with texts (or one gray image) and one label.

A prepared data set is read without TFDS and TensorFlow (`tfrecord`); they are imported only to
prepare one (`tfds_download`).
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.data.dataset import Kind, Split
from lstm_cli.data.readers.text_columns import check_distinct
from lstm_cli.data.readers.tfds_download import ensure_prepared
from lstm_cli.data.readers.tfds_prepared import REGISTERED, parse_name, resolve_data_dir
from lstm_cli.data.readers.tfrecord import parse_example, read_shards
from lstm_cli.data.source import DataSource, RawDataset
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.fields import join_fields
from lstm_cli.io.optional import require

UNLABELED = "unsupervised"
_FILE_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


_Examples = Callable[[], Iterator[tuple[Any, int]]]  # yields inputs and labels


@dataclass(frozen=True)
class _Columns:
    """The features that are the inputs and the label, and the kind of the inputs."""

    inputs: tuple[str, ...]
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
    if columns.kind == "image":
        require("PIL")
    splits = {split["name"]: split for split in info.get("splits", ())}
    if "train" not in splits:
        raise LstmError(
            f"{title} has no train split, only {', '.join(splits)}.", exit_code=ExitCode.DATA
        )
    examples = {
        name: partial(_read_examples, directory, info, split, columns)
        for name, split in splits.items()
    }
    notes: list[str] = []
    names = ["train"]
    if "test" in splits:
        if source.name in REGISTERED or _has_labels(examples["test"]):
            names.append("test")
        else:
            notes.append("Its test split has no labels; the test split is split off train.")
    read: dict[str, Callable[[], Split]] = {
        split: partial(_read, examples[split], columns.kind) for split in names
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
        text_columns=source.text_columns,
        unlabeled=partial(_read_texts, examples[UNLABELED]) if has_unlabeled else None,
    )


def _run_name(name: str) -> str:
    return name if name in REGISTERED else name.replace(":", "-").replace("/", "-")


def _identity(info: Mapping[str, Any], columns: _Columns) -> str:
    """Identify the content: version, shards, sizes and checksums, but not the description."""
    keys = ("name", "configName", "version", "splits", "downloadChecksums")
    content = json.dumps({key: info.get(key) for key in keys}, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"tfds {digest} {' '.join(columns.inputs)} {columns.label}"


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
    check_distinct(source.text_columns)
    inputs = tuple(
        _choose("text", texts or images, name, features, title)
        for name in source.text_columns or (None,)
    )
    label = _choose("label", labels, source.label_column, features, title)
    return _Columns(inputs, label, kind, _class_names(directory, label, features[label]))


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


def _has_labels(examples: _Examples) -> bool:
    """Return whether the first example has a label."""
    return next((label >= 0 for _, label in examples()), False)


def _read_texts(examples: _Examples) -> list[str]:
    return [text for text, _ in examples()]


def _read(examples: _Examples, kind: Kind) -> Split:
    """Read the labeled examples of a split in the order of TFDS."""
    labeled = [(value, label) for value, label in examples() if label >= 0]
    inputs = [value for value, _ in labeled]
    labels = np.array([label for _, label in labeled], np.int32)
    return Split(np.stack(inputs) if kind == "image" and inputs else inputs, labels)


def _decode_texts(values: Sequence[bytes]) -> str:
    """Return the text of one feature, or those of several, joined."""
    return join_fields([value.decode("utf-8", errors="replace") for value in values])


def _decode_image(values: Sequence[bytes]) -> NDArray[np.uint8]:
    """Return the pixels of a PNG or JPEG file, `<uint8>[rows, columns]`."""
    from PIL import Image

    with Image.open(io.BytesIO(values[0]), formats=("PNG", "JPEG")) as image:
        return np.asarray(image)


def _read_examples(
    directory: Path, info: Mapping[str, Any], split: Mapping[str, Any], columns: _Columns
) -> Iterator[tuple[Any, int]]:
    """Yield the input and the label of each example of a split.

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
    shards = [
        directory
        / template.format(SHARD_INDEX=i, SHARD_X_OF_Y=f"{i}-of-{names['NUM_SHARDS']}", **names)
        for i in [f"{i:05}" for i, length in enumerate(lengths) if length]
    ]
    decode = _decode_texts if columns.kind == "text" else _decode_image
    num = 0
    try:
        for record in read_shards(shards, is_shuffled=not info.get("disableShuffling", False)):
            example = parse_example(record)
            yield decode([example[name] for name in columns.inputs]), int(example[columns.label])
            num += 1
        if num != sum(lengths):
            raise ValueError(f"{num} of {sum(lengths)} examples found in {split['name']}")
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise _damaged(directory, str(error)) from error


def _damaged(directory: Path, reason: str) -> LstmError:
    return LstmError(
        f"{directory} is incomplete or damaged: {reason}.",
        "Delete that folder and prepare the data set again with `lstm data prepare`.",
        ExitCode.DATA,
    )

"""Descriptions of data sets, for people or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_cli.cli import output
from lstm_cli.data.balance import advice
from lstm_cli.io.text_format import percent, short_label, shorten

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lstm_cli.data import Description

_SHADES = " .:-=+*#%@"
_BAR_WIDTH, _MIN_BAR_WIDTH = 24, 4
# Beside a bar and its label: a number of up to 9 digits, a share, and the gaps.
_OTHER_COLUMNS = 25
_MAX_CHARACTERS = 500
# Taller images get one character for two rows of a column, others two characters for a pixel:
# characters are twice as high as wide.
_MAX_ROWS = 16
_MAX_LENGTH = 64
_GAP = 3
# Of more classes, only the largest and the smallest are shown.
_MAX_CLASSES, _NUM_LARGEST, _NUM_SMALLEST = 40, 5, 3


def print_description(description: Description, as_json: bool) -> None:
    """Print sizes, classes, text lengths and examples."""
    if as_json:
        output.print_json(_to_dict(description))
        return
    shape = description.shape
    kind = "texts" if shape is None else f"images of {shape[0]} rows and {shape[1]} columns"
    output.print_heading(f"{description.name}: {kind} from {description.source}")
    for note in description.notes:
        output.print_note(f"Note: {note}")
    _print_splits(description)
    _print_balance(description)
    shown = dict(_classes_to_show(description.labels, description.splits[0].class_counts))
    examples = {label: each for label, each in description.examples.items() if label in shown}
    if shape is None:
        for label, texts in examples.items():
            for text in texts:
                output.print_line("")
                output.print_heading(short_label(label))
                output.print_text(shorten(str(text), _MAX_CHARACTERS))
    else:
        _print_images(examples)


def _print_splits(description: Description) -> None:
    columns = ["split", "examples"]
    if description.shape is None:
        columns += ["words: 50%", "90%", "99%", "longest", "empty"]
    rows = []
    unlabeled = [description.unlabeled] if description.unlabeled else []
    for split in [*description.splits, *unlabeled]:
        row: list[object] = [split.name, f"{split.num_examples:,}"]
        if description.shape is None:
            row += [*(f"{words:,}" for words in split.word_percentiles), f"{split.num_empty:,}"]
        rows.append(row)
    output.print_rows(rows, columns, right=columns[1:])


def _print_balance(description: Description) -> None:
    """Print how many training examples each class has, and their share."""
    output.print_line("")
    train = description.splits[0]
    most = max(train.class_counts)
    shown = _classes_to_show(description.labels, train.class_counts)
    longest = max(len(short_label(label)) for label, _ in shown)
    bar_width = _BAR_WIDTH
    if output.is_terminal():
        bar_width = min(_BAR_WIDTH, max(_MIN_BAR_WIDTH, output.width() - longest - _OTHER_COLUMNS))
    rows = [
        (
            short_label(label),
            f"{count:,}",
            percent(count / train.num_examples),
            "█" * round(bar_width * count / most),
        )
        for label, count in shown
    ]
    num_hidden = len(description.labels) - len(rows)
    if num_hidden:
        rows.insert(_NUM_LARGEST, (f"... {num_hidden:,} more (--json has all)", "", "", ""))
    noun = "class" if description.multi_label == "none" else "label"
    output.print_rows(rows, (noun, "train", "share", ""), ("train", "share"), unfolded=("",))
    if description.imbalance:
        sentence = description.imbalance.describe(description.labels)
        output.print_line(f"\n{sentence} {advice('none')}")


def _classes_to_show(labels: Sequence[str], counts: Sequence[int]) -> list[tuple[str, int]]:
    """Return all classes with their counts; of many, the largest and the smallest ones."""
    pairs = list(zip(labels, counts, strict=True))
    if len(pairs) <= _MAX_CLASSES:
        return pairs
    pairs.sort(key=lambda pair: -pair[1])
    return pairs[:_NUM_LARGEST] + pairs[-_NUM_SMALLEST:]


def _print_images(examples: Mapping[str, Sequence[str | NDArray[np.uint8]]]) -> None:
    """Print images side by side, as many as fit, with the label above each."""
    blocks = [
        [short_label(label), *draw_image(np.asarray(image))]
        for label, images in examples.items()
        for image in images
    ]
    if not blocks:
        return
    width = max(len(blocks[0][1]), 1)
    per_line = max(1, (output.width() + _GAP) // (width + _GAP))
    for start in range(0, len(blocks), per_line):
        output.print_line("")
        for line in side_by_side(blocks[start : start + per_line], width):
            output.print_line(line)


def side_by_side(blocks: Sequence[Sequence[str]], width: int) -> list[str]:
    """Join blocks of lines of one height into lines."""
    gap = " " * _GAP
    return [
        gap.join(f"{line[:width]:<{width}}" for line in lines).rstrip()
        for lines in zip(*blocks, strict=True)
    ]


def draw_image(image: NDArray[np.uint8]) -> list[str]:
    """Draw an image `<uint8>[rows, columns]` with characters; a large one in part of its size."""
    image = _shrink(image, -(-max(image.shape) // _MAX_LENGTH))
    repeat = 2
    if len(image) > _MAX_ROWS:
        if len(image) % 2:
            image = np.concatenate([image, image[-1:]])
        image = image.reshape(len(image) // 2, 2, -1).mean(axis=1).astype(np.uint8)
        repeat = 1
    last = len(_SHADES) - 1
    return ["".join(repeat * _SHADES[int(p) * last // 255] for p in row) for row in image]


def _shrink(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Scale an image down by a whole number; what is left of it at the end is dropped."""
    height, width = (min(factor, length) for length in image.shape)
    rows, columns = image.shape[0] // height, image.shape[1] // width
    blocks = image[: rows * height, : columns * width].reshape(rows, height, columns, width)
    return np.asarray(blocks.mean(axis=(1, 3)), np.uint8)


def _to_dict(description: Description) -> dict[str, Any]:
    values = asdict(description)
    values["examples"] = {
        label: [example if isinstance(example, str) else example.tolist() for example in inputs]
        for label, inputs in description.examples.items()
    }
    return values

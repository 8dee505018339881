"""The data sets that need no download: `demo` and `digits`."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version

import numpy as np

from lstm_cli.data import splits
from lstm_cli.data.dataset import Split
from lstm_cli.data.readers import demo
from lstm_cli.data.source import DataSource, RawDataset
from lstm_cli.io.optional import require

# The test split is fixed, as in TFDS: `DataSource.seed` decides only the validation split, so that
# runs with different seeds are tested on the same examples.
DIGITS_SEED = 22
DIGITS_TEST_FRACTION = 0.2


def open_demo(source: DataSource) -> RawDataset:
    """Generate reviews from the grammar. No test review occurs in train."""
    train, test = demo.generate_splits(source.demo_train, source.demo_test)
    content = hashlib.sha256("\n".join(example.text for example in train).encode())
    return RawDataset(
        name="demo",
        source=f"generated reviews, {source.demo_train} train and {source.demo_test} test",
        kind="text",
        labels=demo.LABELS,
        read={"train": lambda: _split(train), "test": lambda: _split(test)},
        identity=f"demo {content.hexdigest()} {source.demo_test}",
    )


def _split(examples: list[demo.Example]) -> Split:
    labels = np.array([example.label for example in examples], np.int32)
    return Split([example.text for example in examples], labels)


def open_digits(source: DataSource) -> RawDataset:
    """Read 1,797 handwritten digits of 8 rows and 8 columns; a fifth of them is the test split."""
    train, test = _digits()
    content = hashlib.sha256(b"".join(np.asarray(part.inputs).tobytes() for part in (train, test)))
    return RawDataset(
        name="digits",
        source=f"scikit-learn {version('scikit-learn')} load_digits",
        kind="image",
        labels=tuple("0123456789"),
        read={"train": lambda: train, "test": lambda: test},
        identity=f"digits {content.hexdigest()}",
    )


@cache
def _digits() -> tuple[Split, Split]:
    require("sklearn", purpose="The digits data set")
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    examples = Split(images, digits.target.astype(np.int32))
    return splits.stratified_split(examples, DIGITS_TEST_FRACTION, DIGITS_SEED, splits.TEST_SPLIT)

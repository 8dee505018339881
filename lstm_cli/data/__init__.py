"""Data sets: from a name or a path to labeled splits.

What is in here:
    dataset     `Dataset` and `Split`, what every reader produces in the end
    source      `DataSource` (what to read) and `RawDataset` (what a reader found)
    registry    the data sets known by name, and which reader a name or a path belongs to
    loading     `load`: read, split, limit, fingerprint
    replayed    `with_replayed`: labeled rows of other files in the training split
    unlabeled   `with_unlabeled`: texts without labels from files beside a data set
    splits      stratified splits and samples
    iterative_stratification  the same for examples with several labels
    balance     when classes are uneven, and class weights
    profile     what settings are chosen from
    summary     `lstm data show` and `lstm data prepare`
    records     the inputs that `lstm predict` reads from files and pipes (`pipe`)
    kept_columns  what of these inputs is carried to the output
    single_text  the text that `lstm explain` reads from the pipe
    images      image files as pixels, and the rule for their border
    image_rows  own images with their files, for `lstm data check`
    readers/    one module per kind of source

Start with `loading.load`. This package may import `config`, `io` and `errors`.
"""

from __future__ import annotations

from lstm_cli.data.dataset import Dataset, Kind, Split, UnlabeledTexts
from lstm_cli.data.loading import load, load_for_labels, load_labeled, load_unlabeled
from lstm_cli.data.registry import Entry, names, resolve
from lstm_cli.data.replayed import read_replay, with_replayed
from lstm_cli.data.source import DataSource
from lstm_cli.data.summary import Description, SplitSummary, describe, prepare
from lstm_cli.data.unlabeled import with_unlabeled

__all__ = [
    "DataSource",
    "Dataset",
    "Description",
    "Entry",
    "Kind",
    "Split",
    "SplitSummary",
    "UnlabeledTexts",
    "describe",
    "load",
    "load_for_labels",
    "load_labeled",
    "load_unlabeled",
    "names",
    "prepare",
    "read_replay",
    "resolve",
    "with_replayed",
    "with_unlabeled",
]

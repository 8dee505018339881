"""What training has learned from, as hashes, and which rows of other data are among it.

The hashes outlive the data: a file that has grown and was split anew is compared with the rows of
before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_cli.checks.keys import input_keys, label_key
from lstm_cli.data.dataset import Split


@dataclass(frozen=True)
class Keys:
    """Hashes of examples.

    Inputs with equal keys are equal after normalising. Labels count as equal if they look alike.

    Attributes:
        inputs: The key of each input, `<uint64>[num]`; 0 for an empty text.
        labeled: The key of each input together with its labels, `<uint64>[num]`.
    """

    inputs: NDArray[np.uint64]
    labeled: NDArray[np.uint64]


@dataclass(frozen=True)
class Learned:
    """The examples that a model has seen, in training or to choose its best epoch.

    Attributes:
        inputs: The key of each input, ascending, each once, without empty texts.
        labeled: The key of each input together with its labels, likewise.
        num_relabeled: How many inputs are there with several labels.
    """

    inputs: NDArray[np.uint64]
    labeled: NDArray[np.uint64]
    num_relabeled: int = 0


@dataclass(frozen=True)
class Overlap:
    """Which examples of a split a model has seen.

    Attributes:
        is_seen: Whether an input is among those learned from, `<bool>[num]`.
        is_relabeled: Whether it is there with other labels only, `<bool>[num]`.
    """

    is_seen: NDArray[np.bool_]
    is_relabeled: NDArray[np.bool_]

    @property
    def num_seen(self) -> int:
        """Number of examples seen before."""
        return int(np.count_nonzero(self.is_seen))

    @property
    def num_relabeled(self) -> int:
        """How many of them have other labels here."""
        return int(np.count_nonzero(self.is_relabeled))

    def describe(self, split: str, where: str, noun: str = "texts") -> str:
        """Say how many there are; empty if there are none.

        Args:
            split: Of the examples: `test`.
            where: Where they are too: "in train".
            noun: For the inputs.
        """
        if not self.num_seen:
            return ""
        other = f" ({self.num_relabeled:,} with another label)" if self.num_relabeled else ""
        return f"{self.num_seen:,} of {len(self.is_seen):,} {split} {noun} are {where} too{other}"


def keys_of(split: Split, labels: Sequence[str]) -> Keys:
    """Return the keys of the examples of a split.

    Args:
        split: The examples.
        labels: Class names, by class id.
    """
    inputs = input_keys(split.inputs)
    names = [hashlib.blake2b(label_key(label).encode("utf-8", "replace")) for label in labels]
    of_label = np.array([int.from_bytes(name.digest()[:8], "little") for name in names], np.uint64)
    if split.labels.ndim == 1:
        return Keys(inputs, inputs ^ of_label[split.labels])
    # A sum does not depend on the order of the labels.
    return Keys(inputs, inputs ^ (split.labels.astype(np.uint64) @ of_label))


def learn(*splits: Keys) -> Learned:
    """Return the examples of some splits together."""
    inputs = np.concatenate([keys.inputs for keys in splits])
    labeled = np.concatenate([keys.labeled for keys in splits])
    # Sorted by both, each pair once. `np.unique` of pairs would need several times the memory.
    order = np.lexsort((labeled, inputs))[np.count_nonzero(inputs == 0) :]
    inputs, labeled = inputs[order], labeled[order]
    is_new = _differs(inputs)
    is_pair = is_new | _differs(labeled)
    counts = np.diff(np.flatnonzero(is_new[is_pair]), append=np.count_nonzero(is_pair))
    relabeled = int(np.count_nonzero(counts > 1))
    return Learned(inputs[is_new], np.unique(labeled[is_pair]), relabeled)


def _differs(values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return whether a value is another one than the value before it, `<bool>[num]`."""
    differs = np.ones(len(values), np.bool_)
    differs[1:] = values[1:] != values[:-1]
    return differs


def join(first: Learned, second: Learned) -> Learned:
    """Return the examples of both, with the number of relabeled ones of the first."""
    return Learned(
        np.union1d(first.inputs, second.inputs),
        np.union1d(first.labeled, second.labeled),
        first.num_relabeled,
    )


def overlap(learned: Learned, keys: Keys) -> Overlap:
    """Find the examples that are among those learned from."""
    is_seen = _is_in(keys.inputs, learned.inputs)
    return Overlap(is_seen, is_seen & ~_is_in(keys.labeled, learned.labeled))


def _is_in(values: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return whether each value is among others, which are ascending, `<bool>[num]`."""
    if not len(known):
        return np.zeros(len(values), np.bool_)
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    found: NDArray[np.bool_] = known[places] == values
    return found

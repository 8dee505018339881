"""What training has learned from, as hashes, and which rows of other data are among it.

The hashes outlive the data: a file that has grown and was split anew is compared with the rows of
before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_cli.checks.keys import input_keys, label_key
from lstm_cli.data.dataset import Split
from lstm_cli.io.array_file import ArrayFolder, drop_pages

# Examples that are compared at a time; with more, what was learned from is on disk.
_MANY = 1 << 20


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
        labeled = of_label[split.labels]
        labeled ^= inputs
        return Keys(inputs, labeled)
    # A sum does not depend on the order of the labels.
    return Keys(inputs, inputs ^ (split.labels.astype(np.uint64) @ of_label))


def learn(*splits: Keys) -> Learned:
    """Return the examples of some splits together."""
    ranges = _ranges(sum(len(keys.inputs) for keys in splits))
    if len(ranges) == 1:
        pairs = _pairs(splits, *ranges[0])
        return Learned(pairs.inputs, _labeled(splits, *ranges[0]), pairs.num_relabeled)
    arrays, num_relabeled = ArrayFolder(), 0
    for low, high in ranges:
        pairs = _pairs(splits, low, high)
        num_relabeled += pairs.num_relabeled
        arrays.append("inputs", pairs.inputs)
        arrays.append("labeled", _labeled(splits, low, high))
    return Learned(**arrays.finish(), num_relabeled=num_relabeled)


def _ranges(num: int) -> list[tuple[np.uint64, np.uint64]]:
    """Return the first and the last hash of ranges that about `_MANY` of `num` hashes are in."""
    bits = (num // _MANY).bit_length()
    firsts = [part << (64 - bits) for part in range(1 << bits)]
    return [(np.uint64(first), np.uint64(first + (1 << (64 - bits)) - 1)) for first in firsts]


class _Pairs(NamedTuple):
    inputs: NDArray[np.uint64]
    num_relabeled: int


def _pairs(splits: Sequence[Keys], low: np.uint64, high: np.uint64) -> _Pairs:
    """Return the inputs in a range, each once, and how many of them have several labels."""
    picked = [_is_between(keys.inputs, max(low, np.uint64(1)), high) for keys in splits]
    inputs = np.concatenate([k.inputs[at] for k, at in zip(splits, picked, strict=True)])
    labeled = np.concatenate([k.labeled[at] for k, at in zip(splits, picked, strict=True)])
    # Sorted by both, each pair once. `np.unique` of pairs would need several times the memory.
    order = np.lexsort((labeled, inputs))
    inputs, labeled = inputs[order], labeled[order]
    is_new = _differs(inputs)
    is_pair = is_new | _differs(labeled)
    counts = np.diff(np.flatnonzero(is_new[is_pair]), append=np.count_nonzero(is_pair))
    return _Pairs(inputs[is_new], int(np.count_nonzero(counts > 1)))


def _labeled(splits: Sequence[Keys], low: np.uint64, high: np.uint64) -> NDArray[np.uint64]:
    """Return the keys of inputs with labels in a range, without empty texts, each once."""
    parts = [
        keys.labeled[_is_between(keys.labeled, low, high) & (keys.inputs != 0)] for keys in splits
    ]
    return np.unique(np.concatenate(parts))


def _is_between(values: NDArray[np.uint64], low: np.uint64, high: np.uint64) -> NDArray[np.bool_]:
    return (values >= low) & (values <= high)


def among(keys: Keys, others: Keys) -> Keys:
    """Return the examples whose input is also one of others."""
    picked = _is_in(keys.inputs, np.unique(others.inputs))
    return Keys(keys.inputs[picked], keys.labeled[picked])


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
    found = Overlap(is_seen, is_seen & ~_is_in(keys.labeled, learned.labeled))
    drop_pages(learned.inputs, learned.labeled)
    return found


def _is_in(values: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return whether each value is among others, which are ascending, `<bool>[num]`."""
    found: NDArray[np.bool_] = np.zeros(len(values), np.bool_)
    for start in range(0, len(values) if len(known) else 0, _MANY):
        part = values[start : start + _MANY]
        places = np.minimum(np.searchsorted(known, part), len(known) - 1)
        found[start : start + _MANY] = known[places] == part
    return found

"""Values of many rows, of which few are different: four bytes a row, whatever the values are."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from lstm_cli.io.array_file import drop_pages, on_disk

T = TypeVar("T", bound=Hashable)
U = TypeVar("U", bound=Hashable)
_CHUNK = 1 << 16


class CodedValues(Sequence[T], Generic[T]):
    """A sequence that holds each different value once.

    Args:
        distinct: The different values.
        codes: The index in these of each value, `<int32>[num]`.
    """

    def __init__(self, distinct: Sequence[T], codes: NDArray[np.int32]) -> None:
        self.distinct = distinct
        self.codes = codes

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> CodedValues[T]: ...

    def __getitem__(self, index: int | slice) -> T | CodedValues[T]:
        """Return a value, or a sequence of a part of the values."""
        if isinstance(index, slice):
            return CodedValues(self.distinct, self.codes[index])
        return self.distinct[int(self.codes[index])]

    def __iter__(self) -> Iterator[T]:
        for start in range(0, len(self.codes), _CHUNK):
            yield from map(self.distinct.__getitem__, self.codes[start : start + _CHUNK].tolist())
        drop_pages(self.codes)


class CodedWriter(Generic[T]):
    """Collects values for `CodedValues`."""

    def __init__(self) -> None:
        self._codes: dict[T, int] = {}
        self._rows = array("i")

    def append(self, value: T) -> None:
        """Add a value."""
        self._rows.append(self._codes.setdefault(value, len(self._codes)))

    def finish(self) -> CodedValues[T]:
        """Return all values; the different ones are in the order in which they came."""
        return CodedValues([*self._codes], on_disk(np.frombuffer(self._rows, np.int32)))


def recode(values: Sequence[T], function: Callable[[T], U]) -> Sequence[U]:
    """Return a function of each value; it is called once for each different one."""
    if isinstance(values, CodedValues):
        return CodedValues([function(value) for value in values.distinct], values.codes)
    results = {value: function(value) for value in set(values)}
    return [results[value] for value in values]


def map_to_ids(values: Sequence[T], ids: Mapping[T, int]) -> NDArray[np.int32]:
    """Return the id of each value, `<int32>[num]`.

    Args:
        values: Each is a key of `ids`.
        ids: The id of each different value.
    """
    if isinstance(values, CodedValues):
        found = np.array([ids[value] for value in values.distinct], np.int32)[values.codes]
        drop_pages(values.codes)
        return found
    return np.array([ids[value] for value in values], np.int32)

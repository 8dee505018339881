"""Read TFRecord files of `tf.train.Example` messages, without TensorFlow.

Importing TensorFlow takes seconds and 500 MB; reading the files needs neither. The order of the
examples is the order in which TFDS reads them.

Source: https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details";
    tensorflow/core/example/example.proto and feature.proto.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER_SIZE = 12  # the length as a little-endian uint64, and its checksum
_FOOTER_SIZE = 4  # the checksum of the record
_MASK_DELTA = 0xA282EAD8
_CRC32C_POLYNOMIAL = 0x82F63B78  # reflected
# The defaults of `tfds.ReadConfig` for a data set that was shuffled when it was written.
_CYCLE_LENGTH = 16
_BLOCK_LENGTH = 16
_VARINT, _LENGTH_DELIMITED = 0, 2


def read_shards(paths: Sequence[Path], is_shuffled: bool) -> Iterator[bytes]:
    """Yield the records of several files in the order of `tfds.as_dataset`.

    Args:
        paths: The shards of a split, in the order of their numbers.
        is_shuffled: Whether TFDS shuffled the examples when it wrote them. If so, it reads blocks
            of 16 records from each of 16 files in turn; if not, one file after the other.

    Raises:
        ValueError: A file is incomplete or damaged.
        OSError: A file cannot be read.
    """
    pending = map(read_records, paths)
    if not is_shuffled:
        yield from chain.from_iterable(pending)
        return
    # As in tf.data's interleave: a slot whose file has ended gets the next file one round later.
    slots: deque[Iterator[bytes] | None] = deque([None] * _CYCLE_LENGTH)
    num_idle = 0
    while num_idle < _CYCLE_LENGTH:
        records = slots.popleft() or next(pending, None)
        block = list(islice(records, _BLOCK_LENGTH)) if records else []
        yield from block
        slots.append(records if len(block) == _BLOCK_LENGTH else None)
        num_idle = 0 if records else num_idle + 1


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of one file after checking all checksums.

    Raises:
        ValueError: The file is incomplete or damaged.
        OSError: The file cannot be read.
    """
    # Mapped, because up to 16 files are open at once.
    content: NDArray[np.uint8] = np.memmap(path, np.uint8, "r")
    starts, lengths = [], []
    position, end = 0, len(content)
    while position < end:
        if end - position < _HEADER_SIZE:
            raise ValueError(f"{path.name} ends within a record")
        (length,) = struct.unpack_from("<Q", content.data, position)
        starts.append(position + _HEADER_SIZE)
        lengths.append(length)
        position += _HEADER_SIZE + length + _FOOTER_SIZE
        if position > end:
            raise ValueError(f"{path.name} ends within a record")
    _check(content, np.array(starts), np.array(lengths), path)
    for start, length in zip(starts, lengths, strict=True):
        yield content[start : start + length].tobytes()


def _check(
    content: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], path: Path
) -> None:
    """Compare the checksums of a file's headers and records with those that it holds."""
    headers = starts - _HEADER_SIZE
    for begin, size in ((headers, np.full_like(lengths, 8)), (starts, lengths)):
        crc = crc32c(content, begin, size)
        masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(_MASK_DELTA)
        stored = content[(begin + size)[:, None] + np.arange(4)].view("<u4")[:, 0]
        if not np.array_equal(masked, stored):
            index = int(np.flatnonzero(masked != stored)[0])
            raise ValueError(f"{path.name} has a wrong checksum at record {index}")


def crc32c(
    content: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """Return the CRC-32C of many ranges of bytes: all ranges at once, one byte at a time.

    Args:
        content: `<uint8>[size]`.
        starts: Where each range starts, `<int64>[num]`.
        lengths: How long each range is, `<int64>[num]`.

    Returns:
        `<uint32>[num]`.
    """
    table = _crc32c_table()
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    crc = np.full(len(starts), 0xFFFFFFFF, np.uint32)
    # The longest ranges come first, so those that have a byte at an offset are a prefix.
    longest = int(lengths[0]) if len(lengths) else 0
    num_active = np.searchsorted(-lengths, -np.arange(longest), side="left")
    for offset, num in enumerate(num_active.tolist()):
        head = crc[:num]
        crc[:num] = table[(head ^ content[starts[:num] + offset]) & 0xFF] ^ (head >> np.uint32(8))
    result = np.empty_like(crc)
    result[order] = ~crc
    return result


@cache
def _crc32c_table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_CRC32C_POLYNOMIAL), table >> 1)
    return table


def parse_example(record: bytes) -> dict[str, Any]:
    """Return the first value of each feature of a `tf.train.Example`: bytes or an integer.

    Raises:
        ValueError: The record is not such a message.
    """
    features: dict[str, Any] = {}
    try:
        for _, message in _fields(record):
            for _, entry in _fields(message):
                key, feature = (value for _, value in _fields(entry))
                for kind, values in _fields(feature):
                    for _, value in _fields(values):
                        features[bytes(key).decode()] = _scalar(kind, value)
                        break
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError("a record is not a tf.train.Example") from error
    return features


def _scalar(kind: int, value: Any) -> bytes | int:
    """Return a value of a `BytesList` (kind 1) or, also packed, of an `Int64List` (kind 3)."""
    if kind != 3:
        return bytes(value)
    number: int = _varint(value, 0)[0] if isinstance(value, bytes) else value
    return number - (1 << 64) if number >> 63 else number


def _fields(message: Any) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each field of a protocol buffer message, as bytes."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        value, position = _varint(message, position)
        if key & 7 == _LENGTH_DELIMITED:
            if value > end - position:
                raise ValueError("a field is longer than its message")
            yield key >> 3, message[position : position + value]
            position += value
        elif key & 7 == _VARINT:
            yield key >> 3, value
        else:
            raise ValueError(f"unexpected wire type {key & 7}")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Return a base-128 number, lowest bits first, and the position after it."""
    byte = message[position]
    if byte < 0x80:
        return byte, position + 1
    value, shift = byte & 0x7F, 7
    while True:
        position += 1
        byte = message[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7

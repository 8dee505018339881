"""Texts that are nearly the same: similar sets of character sequences, found in linear time.

The similarity of two texts is the Jaccard index of their shingles: the sequences of `_SIZE`
characters, or of `_WIDE_SIZE` where a character says about as much as a word of other scripts.
MinHash and bands find candidates without comparing each text with each other; the similarity of a
candidate is then computed exactly. So every pair that is returned is similar. About one pair in
5,000 is missed, and more where hundreds of texts share most of their shingles.

Source: Broder 1997, "On the resemblance and containment of documents", for shingles and MinHash;
Leskovec, Rajaraman & Ullman 2020, "Mining of Massive Datasets", section 3.4, for bands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lstm_cli.text.ngrams import mix

THRESHOLD = 0.8

_SIZE, _WIDE_SIZE = 5, 2
# From here on: Chinese, Japanese and Korean characters.
_FIRST_WIDE = 0x2E80
# Together as long as a shingle, so that each text has one.
_START, _END = "\x02\x02", "\x03\x03\x03"
# Of the shingles of a long text, those with the smallest hashes stand for all.
_MAX_SHINGLES = 256
_BANDS, _BAND_ROWS = 16, 4
_MIN_ESTIMATE = 0.6
# Candidates of a text whose similarity is computed exactly.
_MAX_CANDIDATES = 2
# Bounds the memory of the hashes.
_CHUNK_CHARACTERS = 1 << 17
_CHUNK_PAIRS = 1 << 16


@dataclass(frozen=True)
class NearPair:
    """A text that is nearly the same as an earlier one.

    Attributes:
        index: Index of the text.
        earlier: Index of the earlier text.
        similarity: Jaccard index of their shingles, from `THRESHOLD` to 1.
    """

    index: int
    earlier: int
    similarity: float


def find_near_pairs(
    num_texts: int, text_of: Callable[[int], str], files: NDArray[np.int64]
) -> list[NearPair]:
    """Find for each text a similar one before it, in its own file and in earlier files.

    Args:
        num_texts: Number of texts. Equal texts within a file must be left out.
        text_of: Returns the normalized text of an index.
        files: The file of each text, ascending, `<int64>[num_texts]`.

    Returns:
        Pairs in the order of `index`; for each text at most one pair with a text of its own file,
        and one with a text of an earlier file.
    """
    signatures = _signatures(num_texts, text_of)
    earlier, later, estimates = _candidates(signatures, files)
    # The first text of a band is compared with many.
    shingles = lru_cache(64)(lambda index: _shingles(text_of(index)))
    found: dict[tuple[int, bool], NearPair] = {}
    for i, j in _most_similar(earlier, later, estimates, files):
        key = (j, bool(files[i] == files[j]))
        if key not in found and (similarity := _jaccard(shingles(i), shingles(j))) >= THRESHOLD:
            found[key] = NearPair(j, i, similarity)
    return sorted(found.values(), key=lambda pair: (pair.index, pair.earlier))


def _jaccard(first: set[str], second: set[str]) -> float:
    num_shared = len(first & second)
    return num_shared / (len(first) + len(second) - num_shared)


def _shingles(text: str) -> set[str]:
    marked = f"{_START}{text}{_END}"
    if text.isascii():
        return {marked[i : i + _SIZE] for i in range(len(marked) - _SIZE + 1)}
    ends = (
        start + (_WIDE_SIZE if ord(letter) >= _FIRST_WIDE else _SIZE)
        for start, letter in enumerate(marked)
    )
    return {marked[start:end] for start, end in enumerate(ends) if end <= len(marked)}


def _shingle_hashes(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the hashes of the shingles of texts, and how many each text has, at least one.

    They are those of `_shingles`, a text may have the same one several times.
    """
    marked = [f"{_START}{text}{_END}" for text in texts]
    letters = np.frombuffer("".join(marked).encode("utf-32-le", "replace"), np.uint32)
    lengths = np.fromiter(map(len, marked), np.int64, len(marked))
    # Number of characters from each position to the end of its text.
    remaining = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(letters))
    is_wide = letters >= _FIRST_WIDE
    hashes = np.full(len(letters), 2_166_136_261, np.uint32)
    for size in range(1, _SIZE + 1):
        num = max(0, len(letters) - size + 1)
        grows = slice(None, num) if size <= _WIDE_SIZE else np.flatnonzero(~is_wide[:num])
        hashes[grows] = (hashes[grows] ^ letters[size - 1 :][grows]) * np.uint32(16_777_619)
    fits = remaining >= np.where(is_wide, _WIDE_SIZE, _SIZE)
    ends = np.cumsum(lengths)
    counts = np.add.reduceat(fits.astype(np.int64), ends - lengths)
    return mix(hashes[fits]), counts


def _signatures(num_texts: int, text_of: Callable[[int], str]) -> NDArray[np.uint32]:
    """Return the MinHash signatures of texts, `<uint32>[num_texts, _BANDS * _BAND_ROWS]`.

    Two texts have the same value at a place with the probability of their similarity.
    """
    rng = np.random.default_rng(0)
    # Odd factors make `hash * factor + offset` a permutation of the 32-bit numbers.
    factors = rng.integers(0, 1 << 31, _BANDS * _BAND_ROWS, np.uint32) * np.uint32(2) + np.uint32(1)
    offsets = rng.integers(0, 1 << 32, _BANDS * _BAND_ROWS, np.uint32)
    signatures = np.empty((num_texts, _BANDS * _BAND_ROWS), np.uint32)
    for start, texts in _chunks(num_texts, text_of):
        hashes, counts = _sample(*_shingle_hashes(texts))
        starts = np.cumsum(counts) - counts
        rows = signatures[start : start + len(texts)]
        for column, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            # Mixed, as the smallest value would otherwise depend on the order of the hashes.
            rows[:, column] = np.minimum.reduceat(mix(hashes * factor + offset), starts)
    return signatures


def _chunks(num_texts: int, text_of: Callable[[int], str]) -> Iterator[tuple[int, list[str]]]:
    """Yield consecutive texts with the index of the first, until they are long together."""
    start, size, texts = 0, 0, list[str]()
    for index in range(num_texts):
        texts.append(text_of(index))
        size += len(texts[-1])
        if size >= _CHUNK_CHARACTERS:
            yield start, texts
            start, size, texts = index + 1, 0, []
    if texts:
        yield start, texts


def _sample(
    hashes: NDArray[np.uint32], counts: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Keep at most `_MAX_SHINGLES` hashes of each text, the smallest ones."""
    if counts.max() <= _MAX_SHINGLES:
        return hashes, counts
    texts = np.repeat(np.arange(len(counts), dtype=np.uint64), counts)
    codes = np.sort(texts << np.uint64(32) | hashes)
    codes = codes[np.diff(codes, prepend=~codes[0]) != 0]
    texts = codes >> np.uint64(32)
    starts = np.searchsorted(texts, np.arange(len(counts), dtype=np.uint64))
    kept = np.arange(len(codes)) - np.repeat(starts, np.diff([*starts, len(codes)])) < _MAX_SHINGLES
    counts = np.bincount(texts[kept].astype(np.int64), minlength=len(counts))
    return (codes[kept] & np.uint64(0xFFFF_FFFF)).astype(np.uint32), counts


def _candidates(
    signatures: NDArray[np.uint32], files: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return pairs of texts that share a band, each with its estimated similarity.

    Of the texts that share a band, each is paired with the one before it, with the first one and
    with the first one of its file. So the number of pairs is linear, however many share a band.

    Returns:
        Indices of the earlier and of the later texts, and estimates, each `[pairs]`.
    """
    num = len(signatures)
    codes = np.zeros(0, np.int64)
    for band in range(_BANDS):
        values = np.ascontiguousarray(signatures[:, band * _BAND_ROWS : (band + 1) * _BAND_ROWS])
        keys = values.view(np.dtype((np.void, values.itemsize * _BAND_ROWS))).ravel()
        _, buckets = np.unique(keys, return_inverse=True)
        order = np.argsort(buckets, kind="stable")
        is_new = np.diff(buckets[order], prepend=-1) != 0
        starts_file = is_new | (np.diff(files[order], prepend=-1) != 0)
        previous = np.concatenate([order[:1], order[:-1]])
        pairs = [
            earlier * num + order
            for earlier in (previous, _first(order, is_new), _first(order, starts_file))
        ]
        found = np.concatenate([pairs[0][~is_new], *pairs[1:]])
        codes = np.sort(np.concatenate([codes, found[found // num < found % num]]))
        codes = codes[np.diff(codes, prepend=-1) != 0]
    earlier, later = codes // num, codes % num
    estimates = np.zeros(len(codes))
    for start in range(0, len(codes), _CHUNK_PAIRS):
        part = slice(start, start + _CHUNK_PAIRS)
        estimates[part] = (signatures[earlier[part]] == signatures[later[part]]).mean(axis=1)
    return earlier, later, estimates


def _first(order: NDArray[np.int64], is_new: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for each place the value of `order` at the last place where a group starts."""
    places = np.maximum.accumulate(np.where(is_new, np.arange(len(order)), 0))
    return order[places]


def _most_similar(
    earlier: NDArray[np.int64],
    later: NDArray[np.int64],
    estimates: NDArray[np.float64],
    files: NDArray[np.int64],
) -> Iterator[tuple[int, int]]:
    """Yield the pairs to compute exactly.

    Of each text, those with the highest estimates among the texts of its file, and among others.
    """
    kept = estimates >= _MIN_ESTIMATE
    earlier, later, estimates = earlier[kept], later[kept], estimates[kept]
    groups = 2 * later + (files[earlier] == files[later])
    order = np.lexsort((earlier, -estimates, groups))
    rank = np.arange(len(order)) - np.searchsorted(groups[order], groups[order])
    chosen = order[rank < _MAX_CANDIDATES]
    yield from zip(earlier[chosen].tolist(), later[chosen].tolist(), strict=True)

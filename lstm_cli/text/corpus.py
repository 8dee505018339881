"""A corpus as token ids on disk (memory-mapped), cached by content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from lstm_cli.config.schema import TextSettings
from lstm_cli.errors import LstmError
from lstm_cli.io.worker import Worker
from lstm_cli.text.tokenizer import UNKNOWN_ID, Tokenizer, head_and_tail, learn, number

_FORMAT = "2"
_CHUNK = 2048
_KEEP_BYTES = 4 << 30
_SCRATCH = ".writing-"
_SUMS = "sha256.json"
_LOCK_SECONDS = 600.0
_STALE_SECONDS = 86_400.0
_ARRAYS = {"ids": np.uint16, "starts": np.int64, "num_tokens": np.int32, "num_unknown": np.int32}


@dataclass(frozen=True)
class Corpus:
    """Encoded texts, one after the other.

    Attributes:
        ids: Token ids of all texts, `<uint16>[sum of lengths]`.
        starts: Where each text begins, and the end, `<int64>[num + 1]`.
        num_tokens: Tokens in each text before any cut, `<int32>[num]`.
        num_unknown: Unknown tokens among those, `<int32>[num]`.
    """

    ids: NDArray[np.uint16]
    starts: NDArray[np.int64]
    num_tokens: NDArray[np.int32]
    num_unknown: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.num_tokens)

    def __getitem__(self, index: int) -> NDArray[np.uint16]:
        """Return the ids of one text, `<uint16>[time]`."""
        return self.ids[self.starts[index] : self.starts[index + 1]]

    def take(self, indices: NDArray[np.int64]) -> Corpus:
        """Return some of the texts, as a corpus of their own."""
        rows = [self[int(i)] for i in indices]
        starts = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        totals, unknown = self.num_tokens[indices], self.num_unknown[indices]
        return Corpus(np.concatenate(rows), starts, totals, unknown)

    def concatenated_with(self, other: Corpus) -> Corpus:
        """Return these texts and those of another corpus, in this order, in memory."""
        return Corpus(
            np.concatenate([self.ids, other.ids]),
            np.concatenate([self.starts, self.starts[-1] + other.starts[1:]]),
            np.concatenate([self.num_tokens, other.num_tokens]),
            np.concatenate([self.num_unknown, other.num_unknown]),
        )

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text as the network sees it, at least 1, `<int64>[num]`."""
        return np.diff(self.starts)

    @property
    def coverage(self) -> float:
        """Share of tokens that the vocabulary knows."""
        total = int(self.num_tokens.sum())
        return 1.0 - int(self.num_unknown.sum()) / total if total else 1.0

    @property
    def truncated(self) -> float:
        """Share of texts whose middle was left out."""
        return float(np.mean(self.num_tokens > self.lengths)) if len(self) else 0.0


def cache_dir() -> Path:
    """Return the folder of encoded corpora: `LSTM_CACHE_DIR`, else the user's cache."""
    if given := os.environ.get("LSTM_CACHE_DIR"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lstm"


def fit_and_encode(
    texts: Sequence[str], settings: TextSettings, worker: Worker | None = None
) -> tuple[Tokenizer, Corpus]:
    """Learn a vocabulary and encode the texts it was learned from, taking them apart only once.

    Args:
        texts: The training split.
        settings: Of the vocabulary and the greatest length.
        worker: Takes its share of the texts apart.

    Raises:
        LstmError: No word occurs often enough to be learned.
    """
    tokenizer, ids, lengths = learn(texts, settings, worker)
    return tokenizer, _cut(ids, lengths, settings.max_tokens)


def encode(texts: Sequence[str], tokenizer: Tokenizer) -> Corpus:
    """Encode texts in memory."""
    if tokenizer.vocab_size > 1 << 16:
        raise LstmError(
            f"The vocabulary has {tokenizer.vocab_size} tokens; at most 65536 can be stored.",
            "Lower text.vocab_size.",
        )
    parts = []
    # In parts: the ids of all at once would take twice the memory.
    for start in range(0, max(1, len(texts)), _CHUNK):
        ids, lengths = number(texts[start : start + _CHUNK], tokenizer.id_of)
        parts.append(_cut(ids.astype(np.uint16), lengths, tokenizer.max_tokens))
    return Corpus(
        np.concatenate([part.ids for part in parts]),
        np.cumsum([0, *np.concatenate([part.lengths for part in parts])], dtype=np.int64),
        np.concatenate([part.num_tokens for part in parts]),
        np.concatenate([part.num_unknown for part in parts]),
    )


def encode_cached(texts: Sequence[str], tokenizer: Tokenizer) -> Corpus:
    """Encode texts once; later calls with equal texts and tokenizer map the arrays from disk.

    Processes that need the same corpus at once take turns: the first encodes, the others map what
    it stored. An unusable cache folder costs the cache, never the result.

    Args:
        texts: What to encode.
        tokenizer: With its vocabulary and greatest length.
    """
    try:
        folder = cache_dir() / "corpora" / _key(texts, tokenizer)
    except RuntimeError:
        # The user has no home folder, as in some containers.
        return encode(texts, tokenizer)
    cached = _open(folder)
    if cached is not None:
        return cached
    with _corpus_lock(folder):
        cached = _open(folder)
        if cached is not None:
            return cached
        corpus = encode(texts, tokenizer)
        try:
            _store(corpus, folder)
        except OSError:
            return corpus
    return _open(folder) or corpus


@contextlib.contextmanager
def _corpus_lock(folder: Path) -> Iterator[None]:
    """Let one process at a time encode a corpus; where no lock can be had, nobody waits.

    The system lifts the lock from a process that dies.
    """
    from filelock import FileLock

    # One of sixteen files by the key's first digit: a file for each corpus could never be removed.
    locks = folder.parents[1] / "locks"
    lock = FileLock(locks / folder.name[0])
    # Some file systems have no locks at all.
    with contextlib.suppress(OSError, NotImplementedError):
        locks.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_LOCK_SECONDS)
    try:
        yield
    finally:
        if lock.is_locked:
            lock.release()


def _key(texts: Sequence[str], tokenizer: Tokenizer) -> str:
    """Return the SHA-256 of everything the ids depend on."""
    digest = hashlib.sha256()
    settings = [_FORMAT, tokenizer.max_tokens, tokenizer.words, len(texts)]
    digest.update(json.dumps(settings).encode())
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        # The length keeps ["ab", "c"] and ["a", "bc"] apart.
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()


def _cut(ids: NDArray[np.uint16], lengths: NDArray[np.int64], max_tokens: int) -> Corpus:
    """Leave out the middles of long texts, and give a text without tokens an unknown one.

    Args:
        ids: Of all tokens, one text after the other, `<uint16>[sum of lengths]`.
        lengths: How many each text has, `<int64>[num]`.
        max_tokens: The greatest length; `Tokenizer.kept` is the same for one text.
    """
    ends = np.cumsum(lengths)
    unknown = np.cumsum(np.concatenate([[0], ids == UNKNOWN_ID]))
    num_unknown = unknown[ends] - unknown[ends - lengths]
    head, tail = head_and_tail(max_tokens)
    middles = [
        np.arange(end - length + head, end - tail)
        for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
        if length > max_tokens
    ]
    if middles:
        ids = np.delete(ids, np.concatenate(middles))
    kept = np.minimum(lengths, max_tokens)
    ids = np.insert(ids, (np.cumsum(kept) - kept)[lengths == 0], UNKNOWN_ID)
    starts = np.cumsum([0, *np.maximum(kept, 1)], dtype=np.int64)
    return Corpus(ids, starts, lengths.astype(np.int32), num_unknown.astype(np.int32))


def _open(folder: Path) -> Corpus | None:
    """Map a stored corpus, or None where there is none that is as it was stored."""
    try:
        if json.loads((folder / _SUMS).read_bytes()) != _sums(folder):
            return None
        corpus = Corpus(*(open_memmap(folder / f"{name}.npy", mode="r") for name in _ARRAYS))
    # NumPy reads a header as Python source: a damaged one fails in many ways.
    except (OSError, ValueError, EOFError, OverflowError, tokenize.TokenError):
        return None
    if not _fits(corpus):
        return None
    # The newest use decides what `_prune` keeps; a cache of others cannot be touched.
    with contextlib.suppress(OSError):
        os.utime(folder)
    return corpus


def _fits(corpus: Corpus) -> bool:
    """Tell whether arrays from disk are what a corpus is made of."""
    for name, dtype in _ARRAYS.items():
        array = getattr(corpus, name)
        if array.dtype != dtype or array.ndim != 1:
            return False
    num, starts = len(corpus.num_tokens), corpus.starts
    if len(corpus.num_unknown) != num or len(starts) != num + 1:
        return False
    return bool(starts[0] == 0 and starts[-1] == len(corpus.ids) and np.all(np.diff(starts) > 0))


def _store(corpus: Corpus, folder: Path) -> None:
    """Write a corpus beside its place and move it there whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _prune(folder.parent)
    scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=folder.parent))
    try:
        for name in _ARRAYS:
            np.save(scratch / f"{name}.npy", getattr(corpus, name))
        # Instead of waiting for the disk: what a power cut leaves of the arrays is told by these.
        (scratch / _SUMS).write_text(json.dumps(_sums(scratch)))
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    finally:
        # The disk is full, another process was first, or someone interrupts.
        shutil.rmtree(scratch, ignore_errors=True)


def _sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each array: what is trained on must be what was encoded."""
    sums = {}
    for name in _ARRAYS:
        with (folder / f"{name}.npy").open("rb") as file:
            sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def _prune(folder: Path) -> None:
    """Remove the corpora used longest ago where all together take over `_KEEP_BYTES`.

    What a process left half-written that was killed goes too.
    """
    entries = [(p, p.stat().st_mtime) for p in folder.iterdir() if p.is_dir()]
    total, stale = 0, time.time() - _STALE_SECONDS
    for path, used in sorted(entries, key=lambda entry: -entry[1]):
        total += sum(f.stat().st_size for f in path.iterdir())
        if total > _KEEP_BYTES or (path.name.startswith(_SCRATCH) and used < stale):
            shutil.rmtree(path, ignore_errors=True)

"""A cache of encoded corpora: memory-mapped arrays on disk, found by the hash of their content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import tokenize
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from lstm_cli.io.paths import cache_dir
from lstm_cli.text import tokenizer_json
from lstm_cli.text.corpus import Corpus, encode
from lstm_cli.text.tokenizer import Tokenizer

_FORMAT = "3"
_MAX_BYTES = 4 << 30
_TEMP_PREFIX = ".writing-"
_CHECKSUMS = "sha256.json"
_LOCK_SECONDS = 600.0
_STALE_SECONDS = 86_400.0
_ARRAYS = {
    "ids": np.uint16,
    "starts": np.int64,
    "num_tokens": np.int32,
    "num_unknown": np.int32,
    "ngrams": np.int32,
    "ngram_starts": np.int64,
}


def encode_cached(texts: Sequence[str], tokenizer: Tokenizer) -> Corpus:
    """Encode texts once; later calls with equal texts and tokenizer map the arrays from disk.

    If several processes need the same corpus, the first one encodes it and the others wait for its
    result. If the cache folder cannot be used, the texts are encoded in memory.

    Args:
        texts: Texts to encode.
        tokenizer: Vocabulary and maximum length.
    """
    try:
        folder = cache_dir() / "corpora" / _key(texts, tokenizer)
    except RuntimeError:
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
    """Let one process at a time encode a corpus; without lock support, do not wait.

    The operating system releases the lock when the process ends.
    """
    from filelock import FileLock

    # One of sixteen lock files, by the first digit of the key. One file for each corpus could
    # never be removed safely.
    locks = folder.parents[1] / "locks"
    lock = FileLock(locks / folder.name[0])
    # Some file systems do not support locks.
    with contextlib.suppress(OSError, NotImplementedError):
        locks.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_LOCK_SECONDS)
    try:
        yield
    finally:
        if lock.is_locked:
            lock.release()


def _key(texts: Sequence[str], tokenizer: Tokenizer) -> str:
    """Return the SHA-256 of everything that the ids depend on."""
    digest = hashlib.sha256()
    # The file also holds the rules of the tokenization; some depend on the version of Unicode.
    rules = [tokenizer_json.write(tokenizer), unicodedata.unidata_version]
    settings = [_FORMAT, tokenizer.max_tokens, tokenizer.char_buckets, tokenizer.min_similarity]
    settings += [rules, len(texts)]
    digest.update(json.dumps(settings).encode())
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        # The length makes ["ab", "c"] differ from ["a", "bc"].
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()


def _open(folder: Path) -> Corpus | None:
    """Map a stored corpus; None if there is none or it is damaged."""
    try:
        if json.loads((folder / _CHECKSUMS).read_bytes()) != _checksums(folder):
            return None
        corpus = Corpus(*(open_memmap(folder / f"{name}.npy", mode="r") for name in _ARRAYS))
    # NumPy parses the header as Python source: a damaged header raises many kinds of errors.
    except (OSError, ValueError, EOFError, OverflowError, tokenize.TokenError):
        return None
    if not _is_valid(corpus):
        return None
    # `_prune` removes the least recently used. The cache of another user cannot be touched.
    with contextlib.suppress(OSError):
        os.utime(folder)
    return corpus


def _is_valid(corpus: Corpus) -> bool:
    """Return whether arrays from disk have the types, shapes and order of a corpus."""
    for name, dtype in _ARRAYS.items():
        array = getattr(corpus, name)
        # Ids take more bytes where unknown words are read as similar ones.
        dtypes = (dtype, np.int32) if name == "ids" else (dtype,)
        if array.dtype not in dtypes or array.ndim != 1:
            return False
    num, starts, ngram_starts = len(corpus.num_tokens), corpus.starts, corpus.ngram_starts
    if len(corpus.num_unknown) != num or not len(starts) == len(ngram_starts) == num + 1:
        return False
    return bool(
        starts[0] == ngram_starts[0] == 0
        and (starts[-1], ngram_starts[-1]) == (len(corpus.ids), len(corpus.ngrams))
        and np.all(np.diff(starts) > 0)
        and np.all(np.diff(ngram_starts) >= 0)
    )


def _store(corpus: Corpus, folder: Path) -> None:
    """Write a corpus to a temporary folder, then rename that folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _prune(folder.parent)
    temp = Path(tempfile.mkdtemp(prefix=_TEMP_PREFIX, dir=folder.parent))
    try:
        for name in _ARRAYS:
            np.save(temp / f"{name}.npy", getattr(corpus, name))
        # There is no fsync: after a power cut, the checksums tell whether the arrays are complete.
        (temp / _CHECKSUMS).write_text(json.dumps(_checksums(temp)))
        shutil.rmtree(folder, ignore_errors=True)
        temp.rename(folder)
    finally:
        # The disk is full, another process was first, or the user interrupted.
        shutil.rmtree(temp, ignore_errors=True)


def _checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each array file."""
    checksums = {}
    for name in _ARRAYS:
        with (folder / f"{name}.npy").open("rb") as file:
            checksums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return checksums


def _prune(folder: Path) -> None:
    """Remove the least recently used corpora beyond `_MAX_BYTES`, and old temporary folders."""
    entries = [(p, p.stat().st_mtime) for p in folder.iterdir() if p.is_dir()]
    total, stale = 0, time.time() - _STALE_SECONDS
    for path, modified in sorted(entries, key=lambda entry: -entry[1]):
        total += sum(f.stat().st_size for f in path.iterdir())
        if total > _MAX_BYTES or (path.name.startswith(_TEMP_PREFIX) and modified < stale):
            shutil.rmtree(path, ignore_errors=True)

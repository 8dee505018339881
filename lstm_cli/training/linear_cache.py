"""Linear models that trainings with equal data and settings share, such as those of a search.

A fit is a function of its arguments, so the same arguments give the same bits. A search sets the
variable `LINEAR_CACHE` to a folder; without it nothing is stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from lstm_cli import __version__
from lstm_cli.config.schema import LinearSettings
from lstm_cli.errors import LstmError
from lstm_cli.io.atomic_write import write_atomic
from lstm_cli.io.environment import LINEAR_CACHE
from lstm_cli.models import linear
from lstm_cli.models.linear import LinearModel
from lstm_cli.models.linear_features import LinearTables
from lstm_cli.runs import safetensors_reader
from lstm_cli.runs.arrays import check_finite
from lstm_cli.text.corpus import Corpus

_MAX_BYTES = 1 << 30
# What else decides the bits of a fit.
_PACKAGES = ("numpy", "scipy", "scikit-learn")
_TABLES = ("linear/words", "linear/word_ngrams", "linear/biases")
_LOGITS, _SCALE, _OFFSET = "train_logits", "scale", "offset"

Arrays = dict[str, NDArray[Any]]


def fit_linear_model(
    corpus: Corpus,
    labels: NDArray[np.int32],
    num_classes: int,
    words: Sequence[str],
    settings: LinearSettings,
    seed: int,
    class_weights: Any = "none",
    unlabeled: Corpus | None = None,
    row_weights: NDArray[np.float64] | None = None,
) -> LinearModel:
    """Do what `linear.fit_linear_model` does, or read what it has returned for these arguments."""

    def fit() -> LinearModel:
        return linear.fit_linear_model(
            corpus, labels, num_classes, words, settings, seed, class_weights, unlabeled,
            row_weights,
        )  # fmt: skip

    folder = os.environ.get(LINEAR_CACHE)
    if not folder or unlabeled is not None:
        return fit()
    rest = [num_classes, seed, class_weights]
    file = _file(folder, "fit", corpus, labels, words, settings, row_weights, rest)
    arrays = _read(file, len(words), len(labels))
    if arrays is None:
        model = fit()
        scales = {_SCALE: np.asarray(model.scale), _OFFSET: np.asarray(model.offset)}
        _write(file, {**model.tables.arrays(), _LOGITS: model.train_logits, **scales})
        return model
    scale, offset = (
        arrays[name] if arrays[name].ndim else float(arrays[name]) for name in (_SCALE, _OFFSET)
    )
    return LinearModel(LinearTables.from_arrays(arrays), arrays[_LOGITS], scale, offset)


def refit_tables(
    model: LinearModel,
    corpus: Corpus,
    labels: NDArray[np.int32],
    num_classes: int,
    words: Sequence[str],
    settings: LinearSettings,
    class_weights: Any = "none",
    unlabeled: Corpus | None = None,
    row_weights: NDArray[np.float64] | None = None,
) -> LinearTables:
    """Do what `linear.refit_tables` does, or read what it has returned for these arguments."""

    def fit() -> LinearTables:
        return linear.refit_tables(
            model, corpus, labels, num_classes, words, settings, class_weights, unlabeled,
            row_weights,
        )  # fmt: skip

    folder = os.environ.get(LINEAR_CACHE)
    if not folder or unlabeled is not None:
        return fit()
    scales = [np.asarray(each).tolist() for each in (model.scale, model.offset)]
    rest = [num_classes, class_weights, *scales]
    file = _file(folder, "refit", corpus, labels, words, settings, row_weights, rest)
    arrays = _read(file, len(words), None)
    if arrays is not None:
        return LinearTables.from_arrays(arrays)
    tables = fit()
    _write(file, tables.arrays())
    return tables


def _file(
    folder: str,
    kind: str,
    corpus: Corpus,
    labels: NDArray[np.int32],
    words: Sequence[str],
    settings: LinearSettings,
    row_weights: NDArray[np.float64] | None,
    rest: Sequence[Any],
) -> Path:
    """Return the file of a fit: its name is the SHA-256 of all that the fit depends on."""
    # These settings are for what follows the fit.
    of_fit = msgspec.structs.replace(settings, dropout=0.0, refit=False)
    versions = [__version__, *(metadata.version(package) for package in _PACKAGES)]
    values = [kind, versions, list(words), msgspec.to_builtins(of_fit), list(rest)]
    digest = hashlib.sha256(json.dumps(values).encode("utf-8", "surrogatepass"))
    for array in (corpus.ids, corpus.starts, corpus.num_tokens, corpus.num_unknown, corpus.ngrams,
                  corpus.ngram_starts, labels, row_weights):  # fmt: skip
        found = np.zeros(0) if array is None else np.ascontiguousarray(array)
        digest.update(f"{found.dtype.str}{found.shape}".encode())
        digest.update(found.tobytes())
    return Path(folder) / f"{digest.hexdigest()}.safetensors"


def _read(file: Path, num_words: int, num_texts: int | None) -> Arrays | None:
    """Read a stored fit; None if there is none, or it is damaged."""
    try:
        arrays = safetensors_reader.read_any(file.read_bytes())
        check_finite(arrays)
    except (OSError, ValueError):
        return None
    expected = _TABLES if num_texts is None else (*_TABLES, _LOGITS, _SCALE, _OFFSET)
    if not arrays.keys() >= set(expected) or len(arrays[_TABLES[0]]) != num_words:
        return None
    if num_texts is not None and len(arrays[_LOGITS]) != num_texts:
        return None
    with contextlib.suppress(OSError):
        # `_prune` removes the least recently used.
        os.utime(file)
    return arrays


def _write(file: Path, arrays: Arrays) -> None:
    """Store a fit; if the disk is full, it is not stored."""
    import safetensors.numpy

    content = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in arrays.items()})
    with contextlib.suppress(LstmError, OSError):
        _prune(file.parent, _MAX_BYTES - len(content))
        write_atomic(file, content)


def _prune(folder: Path, max_bytes: int) -> None:
    """Remove the least recently used files beyond a number of bytes."""
    if not folder.is_dir():
        return
    stats = [(path, path.stat()) for path in folder.glob("*.safetensors")]
    total = 0
    for path, stat in sorted(stats, key=lambda entry: -entry[1].st_mtime):
        total += stat.st_size
        if total > max_bytes:
            path.unlink(missing_ok=True)

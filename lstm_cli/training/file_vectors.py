"""Initial word vectors from a file that people have: `embedding.vectors_file`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm_cli.config.schema import Config
from lstm_cli.errors import LstmError
from lstm_cli.io.progress import Reporter
from lstm_cli.io.text_format import percent
from lstm_cli.models.word_vectors import fit_width
from lstm_cli.runs.schema import Change
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.token_ids import SPECIAL_TOKENS
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.text.vector_file import FileVectors, digest, read_vectors


def start_from_file(
    model: Any, config: Config, tokenizer: Tokenizer, counts: np.ndarray, reporter: Reporter
) -> dict[str, Any]:
    """Assign the vectors of a file to the words that it has; the others keep their start.

    Args:
        model: A built model.
        config: The settings, with `embedding.vectors_file`.
        tokenizer: The vocabulary.
        counts: How often each word occurs in the training texts, `<int64>[vocabulary]`.
        reporter: Receives notes.

    Returns:
        `vectors` of `run.json`.

    Raises:
        LstmError: The file is missing or damaged, or has none of the words.
    """
    assert config.embedding is not None
    assert config.embedding.vectors_file is not None
    path = Path(config.embedding.vectors_file)
    found = read_vectors(path, tokenizer.words)
    if not found.is_found.any():
        raise LstmError(
            f"{path} has none of the {tokenizer.vocab_size - len(SPECIAL_TOKENS):,} words of the "
            f"vocabulary, such as {tokenizer.words[len(SPECIAL_TOKENS)]!r}.",
            "Give vectors of the language of the texts.",
        )
    embedding = model.get_layer("embedding")
    (table,) = (np.array(array) for array in embedding.get_weights())
    vectors = fit_width(found.vectors, found.is_found, config.embedding.dim)
    table[found.is_found] = vectors[found.is_found]
    embedding.set_weights([table])
    record = _record(found, path, counts)
    reporter.note(_describe(record, config.embedding.dim))
    for note in found.notes:
        reporter.note(f"Note: {path}: {note}")
    return record


def word_counts(corpus: Corpus, tokenizer: Tokenizer) -> np.ndarray:
    """Return how often each word occurs in texts, `<int64>[vocabulary]`."""
    return np.bincount(corpus.own_ids, minlength=tokenizer.vocab_size)


def _record(found: FileVectors, path: Path, counts: np.ndarray) -> dict[str, Any]:
    return {
        "file": str(path),
        "sha256": found.sha256,
        "width": found.vectors.shape[1],
        "rows": found.num_rows,
        "found": int(found.is_found.sum()),
        "words": len(found.is_found) - len(SPECIAL_TOKENS),
        "tokens": float(counts[found.is_found].sum() / max(1, counts.sum())),
    }


def _describe(record: Mapping[str, Any], dim: int) -> str:
    """Return what a file covers, for people."""
    share = percent(record["found"] / max(1, record["words"]))
    width = record["width"]
    fitted = f"{width:,} dimensions"
    if width > dim:
        fitted += f", projected to {dim:,}"
    elif width < dim:
        fitted += f", padded to {dim:,}"
    return (
        f"Word vectors of {record['file']} ({fitted}): for {record['found']:,} of "
        f"{record['words']:,} words ({share}), {percent(record['tokens'])} of the training tokens."
    )


def changed_file(record: Mapping[str, Any]) -> Change | None:
    """Return whether the file of vectors of a run has changed since.

    Args:
        record: `run.json` of the run.

    Returns:
        The file, its SHA-256 before, and now; None without a change or without such a file.

    Raises:
        LstmError: The file is missing or cannot be read (exit code 3).
    """
    vectors = record.get("vectors")
    if not vectors:
        return None
    now = digest(Path(vectors["file"]))
    return None if now == vectors["sha256"] else Change(vectors["file"], vectors["sha256"], now)


def warn_of_changed_file(record: Mapping[str, Any], reporter: Reporter) -> None:
    """Say that the file of vectors has changed; a checkpoint has what was read from it.

    Args:
        record: `run.json` of the run.
        reporter: Receives the warning.
    """
    vectors = record.get("vectors")
    if vectors and Path(vectors["file"]).is_file() and changed_file(record) is not None:
        reporter.warn(
            f"{vectors['file']} has changed since the run was started. Training goes on with the "
            "vectors that were read then, which the checkpoint has."
        )

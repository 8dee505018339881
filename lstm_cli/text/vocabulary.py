"""Learn a vocabulary from texts: in memory, or on disk for texts on disk; on two cores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import TextSettings
from lstm_cli.errors import LstmError
from lstm_cli.io.array_file import ArrayWriter, drop_pages, map_array
from lstm_cli.io.fields import SEPARATOR
from lstm_cli.io.temp_folder import TempFolder
from lstm_cli.io.text_store import is_stored
from lstm_cli.io.worker import Worker
from lstm_cli.text.token_ids import SPECIAL_TOKENS
from lstm_cli.text.tokenizer import Tokenizer, encode_tokens

# Fraction of the texts that this process tokenizes itself: the worker starts later.
_OWN_FRACTION = 0.65
# Texts that are tokenized at a time, and tokens that are counted or numbered again at a time, if
# the numbers go to disk.
_CHUNK = 2048
_MANY_TOKENS = 1 << 22


class FittedVocabulary(NamedTuple):
    """A vocabulary, and the encoding of the texts that it was learned from.

    Attributes:
        tokenizer: With the vocabulary.
        lengths: Tokens in each text, without truncation, `<int64>[num]`; `<int32>` for texts on
            disk.
        tokens: The distinct tokens of the texts.
        token_ids: The id of each of these, `<uint16>[tokens]`; `<int32>` if unknown words are read
            as similar ones.
        numbers: Index in `tokens` of each token, one text after the other,
            `<int32>[sum of lengths]`; on disk for texts on disk.
        num_left_out: Words that are frequent enough, but for which the vocabulary has no room.
    """

    tokenizer: Tokenizer
    lengths: NDArray[np.int32 | np.int64]
    tokens: list[str]
    token_ids: NDArray[np.uint16 | np.int32]
    numbers: NDArray[np.int32]
    num_left_out: int


def fit_vocabulary(
    texts: Sequence[str],
    settings: TextSettings,
    char_buckets: int = 0,
    worker: Worker | None = None,
    known: Sequence[str] = SPECIAL_TOKENS,
) -> FittedVocabulary:
    """Learn a vocabulary: the most frequent tokens; ties are in alphabetical order.

    Texts that are joined from several columns have a separator (`io.fields`), which comes first.

    Args:
        texts: The training split only.
        settings: Vocabulary size, minimum count, maximum length.
        char_buckets: As for `Tokenizer`.
        worker: Tokenizes a part of the texts in parallel.
        known: The tokens that the vocabulary begins with, whether the texts have them or not.

    Raises:
        LstmError: No token is frequent enough.
    """
    if is_stored(texts):
        tokens, numbers, lengths = _number_stored_tokens(texts, worker)
    elif worker is not None and worker.is_alive:
        tokens, numbers, lengths = _number_tokens_in_parallel(texts, worker)
    else:
        tokens, numbers, lengths = _number_tokens(texts)
    counts = _count(numbers, len(tokens)).tolist()
    is_known = set(known)
    frequent = [
        i for i, num in enumerate(counts) if num >= settings.min_count and tokens[i] not in is_known
    ]
    # The separator of columns always gets an id, however small the vocabulary is.
    frequent.sort(key=lambda i: (tokens[i] != SEPARATOR, -counts[i], tokens[i]))
    selected = frequent[: max(0, settings.vocab_size - len(known))]
    if not selected and len(known) == len(SPECIAL_TOKENS):
        raise LstmError(
            f"No word occurs {settings.min_count} times in the training texts.",
            "Lower text.min_count, or check that the text column contains texts.",
        )
    words = (*known, *(tokens[i] for i in selected))
    tokenizer = Tokenizer(words, settings.max_tokens, char_buckets, settings.min_similarity)
    token_ids: NDArray[Any] = np.array([*map(tokenizer.token_to_id, tokens)], tokenizer.id_dtype)
    num_left_out = len(frequent) - len(selected)
    return FittedVocabulary(tokenizer, lengths, tokens, token_ids, numbers, num_left_out)


def _count(numbers: NDArray[np.int32], num_tokens: int) -> NDArray[np.int64]:
    """Count each number below `num_tokens`; in parts, because NumPy copies them as int64."""
    counts = np.zeros(num_tokens, np.int64)
    for part in _parts(numbers):
        counts += np.bincount(part, minlength=num_tokens)
    return counts


_NumberedTokens = tuple[list[str], NDArray[np.int32], NDArray[np.int32 | np.int64]]


def _number_tokens(texts: Sequence[str]) -> _NumberedTokens:
    """Tokenize texts and number their distinct tokens in order of appearance.

    Returns:
        The distinct tokens, and the result of `encode_tokens` with their numbers as ids.
    """
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    ids, lengths = encode_tokens(texts, numbers.__getitem__)
    return [*numbers], ids, lengths


def _number_tokens_in_parallel(texts: Sequence[str], worker: Worker) -> _NumberedTokens:
    """Return the result of `_number_tokens`; the worker tokenizes the last texts."""
    num_own = round(_OWN_FRACTION * len(texts))
    wait_for_result = worker.submit(_number_tokens, texts[num_own:])
    tokens, ids, lengths = _number_tokens(texts[:num_own])
    other_tokens, other_ids, other_lengths = wait_for_result()
    renumbered = _renumber(tokens, other_tokens)
    return (
        tokens,
        np.concatenate([ids, renumbered[other_ids]]),
        np.concatenate([lengths, other_lengths]),
    )


def _renumber(tokens: list[str], others: Sequence[str]) -> NDArray[np.int32]:
    """Add to a list the tokens that it lacks; return the places of all, `<int32>[others]`."""
    numbers = dict(zip(tokens, count()))
    renumbered = np.array([numbers.setdefault(token, len(numbers)) for token in others], np.int32)
    tokens[:] = numbers
    return renumbered


def _number_stored_tokens(texts: Sequence[str], worker: Worker | None) -> _NumberedTokens:
    """Return the result of `_number_tokens`, with the numbers on disk."""
    folder = TempFolder()
    path, other_path = folder.path / "numbers", folder.path / "others"
    if worker is None or not worker.is_alive:
        tokens, lengths = _write_numbers(texts, path)
        result = tokens, map_array(path, np.int32), lengths
        folder.remove()  # The mapped file lives as long as the array.
        return result
    num_own = round(_OWN_FRACTION * len(texts))
    wait_for_result = worker.submit(_write_numbers, texts[num_own:], other_path)
    numbers = ArrayWriter(path, np.int32)
    tokens, lengths = _write_numbers(texts[:num_own], numbers)
    other_tokens, other_lengths = wait_for_result()
    renumbered = _renumber(tokens, other_tokens)
    for part in _parts(map_array(other_path, np.int32)):
        numbers.append(renumbered[part])
    result = tokens, numbers.finish(), np.concatenate([lengths, other_lengths])
    folder.remove()
    return result


def _write_numbers(
    texts: Sequence[str], file: Path | ArrayWriter
) -> tuple[list[str], NDArray[np.int32]]:
    """Tokenize texts and write the numbers of their tokens to a file.

    Args:
        texts: On disk.
        file: The new file; or a writer, which stays open.

    Returns:
        The distinct tokens, and the number of tokens in each text.
    """
    writer = ArrayWriter(file, np.int32) if isinstance(file, Path) else file
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    all_lengths = [np.zeros(0, np.int32)]
    for start in range(0, len(texts), _CHUNK):
        ids, lengths = encode_tokens(texts[start : start + _CHUNK], numbers.__getitem__)
        writer.append(ids)
        all_lengths.append(lengths.astype(np.int32))
    if isinstance(file, Path):
        writer.finish()
    return [*numbers], np.concatenate(all_lengths)


def _parts(numbers: NDArray[np.int32]) -> Iterator[NDArray[np.int32]]:
    """Yield an array in parts, so that what is computed from it stays small."""
    for start in range(0, len(numbers), _MANY_TOKENS):
        yield numbers[start : start + _MANY_TOKENS]
        drop_pages(numbers)

"""Windows of a stream of texts, and the batches of a window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.text.batching import evaluation_batches, pad_batch
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import Encoding, Tokenizer

# Texts are sorted by length within a window. It holds enough texts for batches with little
# padding, and it limits the memory for files of any length.
_WINDOW_TEXTS = 2048
_WINDOW_CHARACTERS = 8 << 20
# Texts are tokenized in parts: the batches of one part run while the next is tokenized.
_PART_TEXTS = 512
_BATCH_TEXTS = 16
_BATCH_TOKENS = 8192
_BATCH_IMAGES = 128

# Positions of the inputs of a batch, and a function that makes the model's inputs by name.
Batch = tuple[NDArray[np.int64], Callable[[], dict[str, NDArray[Any]]]]


def windows(texts: Iterable[str]) -> Iterator[list[str]]:
    """Split a stream of texts into lists limited in texts and in characters."""
    window: list[str] = []
    num_characters = 0
    for text in texts:
        window.append(text)
        num_characters += len(text)
        if len(window) >= _WINDOW_TEXTS or num_characters >= _WINDOW_CHARACTERS:
            yield window
            window, num_characters = [], 0
    if window:
        yield window


def window_batches(
    texts: Sequence[str], tokenizer: Tokenizer, encodings: list[Encoding]
) -> Iterator[Batch]:
    """Tokenize a window part by part, and yield the batches of each part.

    Args:
        texts: The window.
        tokenizer: Of the run.
        encodings: The encoding of each text is appended here.
    """
    for start in range(0, len(texts), _PART_TEXTS):
        part = tokenizer.encode(texts[start : start + _PART_TEXTS])
        encodings += part
        for indices, feed in text_batches(part, tokenizer.char_buckets > 0):
            yield start + indices, feed


def text_batches(texts: Corpus | Sequence[Encoding], char_ngrams: bool) -> Iterator[Batch]:
    """Yield the batches of encoded texts, grouped by length so that padding is rare.

    The longest come first: a long batch at the end would leave all cores but one idle.

    Args:
        texts: The texts.
        char_ngrams: Whether the model reads the character n-grams of unknown words.
    """
    ids = texts if isinstance(texts, Corpus) else [text.ids for text in texts]
    lengths = np.array([len(ids[i]) for i in range(len(ids))], np.int64)

    def feed(indices: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        inputs: dict[str, NDArray[Any]] = {
            "tokens": pad_batch([ids[i] for i in indices.tolist()]),
            "lengths": lengths[indices].astype(np.int32),
        }
        if char_ngrams:
            rows = [_char_ngrams(texts, i) for i in indices.tolist()]
            inputs["char_ngrams"] = pad_batch(rows)
        return inputs

    for indices in reversed(evaluation_batches(lengths, _BATCH_TEXTS, _BATCH_TOKENS)):
        yield indices, partial(feed, indices)


def _char_ngrams(texts: Corpus | Sequence[Encoding], index: int) -> NDArray[np.int32]:
    if isinstance(texts, Corpus):
        return texts.ngrams[texts.ngram_starts[index] : texts.ngram_starts[index + 1]]
    return texts[index].ngrams


def image_batches(images: NDArray[np.uint8]) -> Iterator[Batch]:
    """Yield the batches of images, `<uint8>[num, rows, columns]`, in order."""

    def feed(indices: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        return {"images": images[indices]}

    for start in range(0, len(images), _BATCH_IMAGES):
        indices = np.arange(start, min(start + _BATCH_IMAGES, len(images)))
        yield indices, partial(feed, indices)

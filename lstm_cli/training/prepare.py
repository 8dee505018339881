"""Data for training: loaded, tokenized, encoded; and word vectors learned from it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_cli import data
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.data.source import from_config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Reporter
from lstm_cli.models import word_vectors
from lstm_cli.text import corpus_cache
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training.objectives.classification import Examples
from lstm_cli.training.options import TrainOptions


def load_data(config: Config, splits: Sequence[str], data_dir: Path | None) -> Dataset:
    """Read splits of the data set that the settings name.

    Raises:
        LstmError: The data set is missing or malformed, or does not fit the model (texts, images).
    """
    dataset = data.load(from_config(config, data_dir), splits)
    if dataset.kind != config.kind:
        sections = "'image:'" if dataset.kind == "image" else "'text:' and 'embedding:'"
        raise LstmError(
            f"{dataset.name} holds {dataset.kind}s, but the settings are for {config.kind}s.",
            f"Use settings with {sections}; see 'lstm config show "
            f"{'digits' if dataset.kind == 'image' else 'text'}'.",
            ExitCode.USAGE,
        )
    return dataset


def load_training_data(config: Config, data_dir: Path | None) -> Dataset:
    """Read the splits that training needs: a language model reads no validation split.

    Raises:
        LstmError: As `load_data`.
    """
    splits = ("train",) if config.language is not None else ("train", "validation")
    return load_data(config, splits, data_dir)


def fit_tokenizer(config: Config, dataset: Dataset) -> Tokenizer | None:
    """Learn the vocabulary from the training split; None for images."""
    if config.text is None:
        return None
    texts = dataset.splits["train"].inputs
    assert not isinstance(texts, np.ndarray)
    return Tokenizer.fit(texts, config.text, config.char_buckets)


def encode(dataset: Dataset, split: str, tokenizer: Tokenizer | None) -> Examples:
    """Return a split as the model reads it; texts go through the cache on disk."""
    inputs, labels = dataset.splits[split].inputs, dataset.splits[split].labels
    if isinstance(inputs, np.ndarray):
        return Examples(inputs, labels)
    assert tokenizer is not None
    return Examples(corpus_cache.encode_cached(inputs, tokenizer), labels)


def encode_unlabeled(config: Config, tokenizer: Tokenizer, options: TrainOptions) -> list[Corpus]:
    """Return the unlabeled texts of a data set as one corpus, or no corpus if it has none.

    Raises:
        LstmError: The data is missing.
    """
    texts = data.load_unlabeled(from_config(config, options.data_dir))
    if not texts:
        options.reporter.warn(f"{config.data.name} has no unlabeled texts; only train is used.")
        return []
    return [corpus_cache.encode_cached(texts, tokenizer)]


def init_word_vectors(
    config: Config, model: Any, tokenizer: Tokenizer, corpora: Sequence[Corpus], reporter: Reporter
) -> None:
    """Learn word vectors from texts and assign them to the embedding of a model."""
    assert config.embedding is not None
    table = word_vectors.learn_word_vectors(
        corpora, tokenizer.vocab_size, config.embedding.dim, config.seed
    )
    model.get_layer("embedding").set_weights([table])
    num_texts = sum(len(corpus) for corpus in corpora)
    reporter.note(f"Word vectors: learned from {num_texts:,} texts.")


@contextlib.contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Record the seconds that a block takes, under the name of the part."""
    start = time.perf_counter()
    yield
    seconds[part] = round(time.perf_counter() - start, 3)

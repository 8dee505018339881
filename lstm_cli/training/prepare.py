"""Data for training: loaded, tokenized, encoded; and word vectors learned from it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli import data
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.data.images import with_border
from lstm_cli.data.registry import is_known
from lstm_cli.data.row_windows import check_window
from lstm_cli.data.source import SPLITS, add_labels, from_config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Reporter
from lstm_cli.io.text_format import percent
from lstm_cli.io.text_store import join_texts
from lstm_cli.text import corpus_cache
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import Tokenizer, head_and_tail
from lstm_cli.training.objectives.classification import Examples
from lstm_cli.training.options import TrainOptions
from lstm_cli.training.task import check_unlabeled_is_used, check_weights_are_used

# The largest value of `text.max_tokens`.
_MAX_TOKENS = 100_000


def load_data(
    config: Config, splits: Sequence[str], data_dir: Path | None, labels: Sequence[str] = ()
) -> Dataset:
    """Read splits of the data set that the settings name.

    Args:
        config: The settings.
        splits: Names of the splits.
        data_dir: Folder of TFDS data sets.
        labels: Class names that the model has, whether the data has them or not.

    Raises:
        LstmError: The data set is missing or malformed, or does not fit the model (texts, images),
            or its images have too few rows.
    """
    dataset = data.load(from_config(config, data_dir, labels), splits)
    if dataset.kind != config.kind:
        sections = "'image:'" if dataset.kind == "image" else "'text:' and 'embedding:'"
        raise LstmError(
            f"{dataset.name} holds {dataset.kind}s, but the settings are for {config.kind}s.",
            f"Use settings with {sections}; see 'lstm config show "
            f"{'image' if dataset.kind == 'image' else 'text'}'.",
            ExitCode.USAGE,
        )
    if config.image is not None:
        check_window(config.image, np.asarray(dataset.splits[splits[0]].inputs).shape[1])
    return dataset


def load_training_data(
    config: Config, data_dir: Path | None, labels: Sequence[str] = ()
) -> Dataset:
    """Read the splits of a training, and the files beside the data set.

    The test split is read too, unless the data set is known by name: errors in it are reported
    before training, not after it. A language model needs neither validation nor test. Where there
    are unlabeled texts or rows to replay, both are read to drop copies of their texts.

    Args:
        config: The settings.
        data_dir: Folder of TFDS data sets.
        labels: As for `load_data`.

    Raises:
        LstmError: As `load_data`; or a file of unlabeled texts or of rows to replay is missing or
            malformed, or has no effect.
    """
    check_unlabeled_is_used(config)
    check_weights_are_used(config)
    splits: tuple[str, ...] = ("train",) if config.language is not None else SPLITS
    if config.language is None and is_known(config.data.name):
        splits = ("train", "validation")
    if not config.data.unlabeled and not config.data.replay_files:
        return load_data(config, splits, data_dir, labels)
    if config.data.replay_files:
        dataset = _load_with_replayed(config, data_dir, labels)
    else:
        dataset = load_data(config, SPLITS, data_dir, labels)
    if config.data.unlabeled:
        options = from_config(config, data_dir).read_options
        dataset = data.with_unlabeled(dataset, config.data.unlabeled, config.data.limit, options)
    return replace(dataset, splits={name: dataset.splits[name] for name in splits})


def _load_with_replayed(config: Config, data_dir: Path | None, labels: Sequence[str]) -> Dataset:
    """Read all splits of the data set, and the rows of `data.replay_files`."""
    train = load_data(config, ("train",), data_dir, labels)
    source = from_config(config, data_dir, labels)
    found = data.read_replay(train, source, config.data.replay_files)
    # A test split may have a class that only these rows have examples of.
    dataset = load_data(config, SPLITS, data_dir, add_labels(train.labels, found.labels))
    return data.with_replayed(dataset, found, config.data.limit, config.seed)


def vocabulary_texts(dataset: Dataset) -> Sequence[str]:
    """Return the texts of the vocabulary: the training split, then `data.unlabeled`."""
    texts = dataset.splits["train"].inputs
    assert not isinstance(texts, np.ndarray)
    return texts if dataset.unlabeled is None else join_texts(texts, dataset.unlabeled.texts)


def encode(config: Config, dataset: Dataset, split: str, tokenizer: Tokenizer | None) -> Examples:
    """Return a split as the model reads it; texts go through the cache on disk."""
    examples = dataset.splits[split]
    inputs, labels = examples.inputs, examples.labels
    if isinstance(inputs, np.ndarray):
        assert config.image is not None
        return Examples(with_border(inputs, config.image.border), labels, None, examples.weights)
    assert tokenizer is not None
    corpus = corpus_cache.encode_cached(inputs, tokenizer)
    return Examples(corpus, labels, None, examples.weights)


def encode_unlabeled(
    config: Config, dataset: Dataset, tokenizer: Tokenizer, options: TrainOptions
) -> list[Corpus]:
    """Return the unlabeled texts as one corpus, or no corpus if there are none.

    They are those that the data set itself has, and those of `data.unlabeled`.

    Raises:
        LstmError: The data is missing.
    """
    texts = unlabeled_texts(config, dataset, options)
    if not texts:
        options.reporter.warn(f"{config.data.name} has no unlabeled texts; only train is used.")
        return []
    return [corpus_cache.encode_cached(texts, tokenizer)]


def unlabeled_texts(config: Config, dataset: Dataset, options: TrainOptions) -> Sequence[str]:
    """Return the unlabeled texts of the data set itself, then those of `data.unlabeled`.

    Raises:
        LstmError: The data is missing.
    """
    texts = data.load_unlabeled(from_config(config, options.data_dir))
    return texts if dataset.unlabeled is None else join_texts(texts, dataset.unlabeled.texts)


def describe_truncation(corpora: Sequence[Corpus], max_tokens: int) -> str:
    """Say how many texts are not read whole; empty if all are.

    Args:
        corpora: The labeled texts.
        max_tokens: The setting `text.max_tokens`.
    """
    num_tokens = np.concatenate([corpus.num_tokens for corpus in corpora])
    longer = num_tokens[num_tokens > max_tokens]
    if not len(longer):
        return ""
    unread = (longer - max_tokens).sum() / num_tokens.sum()
    head, tail = head_and_tail(max_tokens)
    longest = int(longer.max())
    value = min(longest, _MAX_TOKENS)
    return (
        f"{len(longer):,} of {len(num_tokens):,} texts are longer than {max_tokens:,} tokens (the "
        f"longest has {longest:,}): only their first {head:,} and last {tail:,} are read, and "
        f"{percent(unread)} of all tokens are not. With --set text.max_tokens={value} training "
        "reads more, and takes longer."
    )


def init_word_vectors(
    model: Any, table: NDArray[np.float32], num_texts: int, reporter: Reporter
) -> None:
    """Assign word vectors, as `learn_word_vectors` returns them, to the embedding of a model."""
    model.get_layer("embedding").set_weights([table])
    reporter.note(f"Word vectors: learned from {num_texts:,} texts.")


@contextlib.contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add the seconds that a block takes to those under the name of the part."""
    start = time.perf_counter()
    yield
    seconds[part] = round(seconds.get(part, 0.0) + time.perf_counter() - start, 3)

"""Classes of the run that training starts from: whether they stay classes of the new run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.data.dataset import class_counts
from lstm_cli.data.readers.columns import join_names
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Reporter
from lstm_cli.io.text_format import pluralize
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.token_ids import SPECIAL_TOKENS
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training.init_weights import InitialWeights, LabelsOfRun, labels_of_run
from lstm_cli.training.prepare import load_training_data

# Labels that a note lists.
_MAX_NAMED = 5


def load_with_labels_of_run(
    config: Config, data_dir: Path | None
) -> tuple[Dataset, tuple[str, ...]]:
    """Read the data of a new training, whose classes join those of the run of `train.init_from`.

    Args:
        config: As `resolve_init_from` returns it.
        data_dir: Folder of TFDS data sets.

    Returns:
        The data, and the class names of that run; these are empty if they do not stay classes.

    Raises:
        LstmError: As `load_training_data`; or the labels of that run cannot stay.
    """
    of_run = labels_of_run(config)
    dataset = load_training_data(config, data_dir, of_run.names)
    if not of_run.names or _should_keep(config, dataset, of_run):
        return dataset, of_run.names
    return load_training_data(config, data_dir), ()


def _should_keep(config: Config, dataset: Dataset, of_run: LabelsOfRun) -> bool:
    """Return whether the classes of a run stay classes."""
    same_format = dataset.is_multi_label == of_run.multi_label
    if config.train.init_labels == "keep":
        if not same_format:
            several, one = "any number of labels", "one label"
            there, here = (several, one) if of_run.multi_label else (one, several)
            raise LstmError(
                f"train.init_labels is keep, but in run {of_run.run} a text has {there}, and here "
                f"it has {here}.",
                "Leave it out to train with the classes of the data alone.",
                ExitCode.USAGE,
            )
        return True
    return same_format and bool(set(present_labels(dataset)) & set(of_run.names))


def kept_labels(config: Config, dataset: Dataset) -> tuple[str, ...]:
    """Return the class names of the run of `train.init_from`, if they are classes of the data.

    Args:
        config: Settings of a run whose training has started.
        dataset: Its data, with the classes of the run.
    """
    of_run = labels_of_run(config)
    is_kept = set(of_run.names) <= set(dataset.labels)
    return of_run.names if is_kept and of_run.multi_label == dataset.is_multi_label else ()


def present_labels(dataset: Dataset) -> list[str]:
    """Return the labels that examples for training or validation have."""
    counts = sum(
        class_counts(dataset.splits[name].labels, len(dataset.labels))
        for name in ("train", "validation")
        if name in dataset.splits
    )
    return [dataset.labels[i] for i in np.flatnonzero(counts).tolist()]


def labels_of_started(run: RunDir, config: Config) -> Sequence[str]:
    """Return the class names of a run that may have more classes than its data; else none.

    Args:
        run: A run whose training has started.
        config: Its settings.
    """
    has_others = config.train.init_from is not None or config.data.replay_files
    return run.labels() if has_others and config.language is None else ()


def report_start(
    init: InitialWeights,
    tokenizer: Tokenizer | None,
    num_left_out: int,
    dataset: Dataset,
    reporter: Reporter,
) -> None:
    """Report what a training takes from the run that it starts from, and what is new.

    Args:
        init: The starting point; only a run is reported.
        tokenizer: The vocabulary, which begins with that of the run.
        num_left_out: Frequent words that the vocabulary has no room for.
        dataset: The data, with the classes of the model.
        reporter: Receives notes and a warning.
    """
    if init.kind != "run" or tokenizer is None:
        return
    num_special = len(SPECIAL_TOKENS)
    parts = [_words_part(len(init.words) - num_special, tokenizer.vocab_size - num_special)]
    if init.labels:
        new = [label for label in dataset.labels if label not in set(init.labels)]
        added = f"{pluralize(len(new), 'new label')} ({_few(new)})" if new else "no new label"
        parts.append(f"{added}; {len(init.labels):,} kept")
    reporter.note(f"Starting from run {init.record['run']}: {'. '.join(parts)}.")
    if num_left_out:
        size = min(1 << 16, tokenizer.vocab_size + num_left_out)
        reporter.note(
            f"{pluralize(num_left_out, 'more word')} would be new, but text.vocab_size is "
            f"{tokenizer.vocab_size:,}: --set text.vocab_size={size} has room for them."
        )
    missing = sorted(set(init.labels) - set(present_labels(dataset)))
    if missing:
        verb = "has" if len(missing) == 1 else "have"
        reporter.warn(
            f"{pluralize(len(missing), 'label')} of run {init.record['run']} {verb} no example "
            f"here ({_few(missing)}): the model will forget them. --replay-data FILE mixes old "
            "rows in; --set train.init_labels=drop leaves these classes out."
        )


def _words_part(num_known: int, num_words: int) -> str:
    new = pluralize(num_words - num_known, "new word") if num_words > num_known else "no new word"
    return f"{new}; {num_known:,} kept"


def _few(labels: Sequence[str]) -> str:
    return join_names(labels, _MAX_NAMED)

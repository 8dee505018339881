"""Train a preset with some settings changed, and validate it on reviews of unseen films.

Usage: ablate.py PRESET [KEY=VALUE ...] RESULT.json   (linear=null: without the linear model)

All reviews are from the train split; the test split is not read.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks import edited, films
from benchmarks.scripts import NO_LINEAR, clock
from lstm_cli.config.load import load_preset, parse_overrides
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset, Split
from lstm_cli.models.calibration import SplitLogits, loss_and_accuracy
from lstm_cli.text.corpus import encode
from lstm_cli.training import device

if TYPE_CHECKING:
    from lstm_cli.io.progress import Epoch
    from lstm_cli.training.classifier_task import ClassifierTask
    from lstm_cli.training.objectives.classification import Examples

_NUM_VALIDATION = 4000


def main() -> None:
    """Train, validate, and write the result."""
    _, preset, *changes, path = sys.argv
    config = load_preset(preset, parse_overrides([c for c in changes if c != NO_LINEAR]))
    if NO_LINEAR in changes:
        config = msgspec.structs.replace(config, linear=None)
    Path(path).write_text(json.dumps(measure(config)))


def measure(config: Config) -> dict[str, Any]:
    """Train on the reviews of some films and validate on those of others.

    Returns:
        Accuracy and loss (calibrated), the same of the LSTM without the linear model, correct
        predictions of edited reviews (`edited.count_right`, for imdb alone), the history, seconds
        and peak memory.
    """
    device.load_keras("cpu")
    started_at = time.perf_counter()
    dataset = split_by_film(config)
    split_at = time.perf_counter()
    task, history = _train(config, dataset)
    trained_at = time.perf_counter()
    assert task.validation is not None
    labels = task.validation.labels
    logits = _predict(task, task.validation)
    lstm_only = SplitLogits(logits.lstm, None)
    return {
        **_metrics(logits, labels),
        **({} if logits.linear is None else {"lstm": _metrics(lstm_only, labels)}),
        **({"pairs": _score_pairs(task, logits.fit_scales(labels))} if _is_imdb(config) else {}),
        "num_train": len(task.train),
        "num_validation": len(labels),
        "epochs": [asdict(epoch) for epoch in history],
        "prepare_seconds": sum(task.seconds.values()),
        "seconds": trained_at - split_at,
        "split_seconds": split_at - started_at,
        "peak_mb": clock.peak_mb(),
    }


def _train(config: Config, dataset: Dataset) -> tuple[ClassifierTask, Sequence[Epoch]]:
    """Return the trained classifier, with the weights that training keeps, and the history."""
    from lstm_cli.models import classifier
    from lstm_cli.training.init_weights import read_initial_weights
    from lstm_cli.training.loop import TrainingLoop
    from lstm_cli.training.options import TrainOptions
    from lstm_cli.training.prepare_classifier import prepare_classifier

    options = TrainOptions(device="cpu")
    device_info = device.configure_backend(config, "cpu", options.reporter)
    init = read_initial_weights(config)
    task = prepare_classifier(config, dataset, init, device_info, options)
    objective = task.make_objective(options.reporter)
    result = TrainingLoop(task.model, config, objective, options.reporter).run()
    classifier.set_weights(task.model, result.weights)
    return task, result.history


def _predict(task: ClassifierTask, examples: Examples) -> SplitLogits:
    from lstm_cli.training.objectives.classification import predict, split_logits

    return split_logits(task.model, examples, predict(task.model, examples))


def _is_imdb(config: Config) -> bool:
    """Return whether the edited reviews are among those of the data set."""
    return config.data.name == "imdb" and not config.data.limit


def _score_pairs(task: ClassifierTask, scales: tuple[float, float]) -> dict[str, dict[str, int]]:
    """Count correct predictions of edited reviews and of their originals."""
    from lstm_cli.models.linear import linear_logits
    from lstm_cli.training.objectives.classification import Examples

    assert task.tokenizer is not None
    texts = task.dataset.splits["validation"].inputs
    pairs = edited.load_pairs([str(text) for text in texts])
    corpus = encode(edited.pair_texts(pairs), task.tokenizer)
    linear = None
    if task.linear is not None:
        assert task.config.linear is not None
        linear = linear_logits(corpus, task.linear.tables, task.config.linear)
    examples = Examples(corpus, np.zeros(len(corpus), np.int32), linear)
    return edited.count_right(pairs, _predict(task, examples), scales)


def split_by_film(config: Config) -> Dataset:
    """Return the data set with train and validation splits that share no film."""
    from lstm_cli.training.prepare import load_data

    dataset = load_data(config, ("train", "validation"), None)
    splits = dataset.splits.values()
    texts = [text for split in splits for text in split.inputs]
    labels = np.concatenate([split.labels for split in splits])
    parts = films.split_by_film(texts, min(_NUM_VALIDATION, len(texts) // 5))
    return replace(
        dataset,
        splits={
            name: Split([texts[i] for i in indices], labels[indices])
            for name, indices in (("train", parts.train), ("validation", parts.validation))
        },
    )


def _metrics(logits: SplitLogits, labels: NDArray[np.int32]) -> dict[str, float]:
    """Return accuracy and loss after calibration."""
    loss, accuracy = loss_and_accuracy(logits.scaled(*logits.fit_scales(labels)), labels)
    return {"accuracy": accuracy, "loss": loss}


if __name__ == "__main__":
    main()

"""A language model, from the texts of a data set to its run directory; labels are not looked at."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config, LanguageModelSettings
from lstm_cli.data import Dataset
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Epoch, Reporter, SilentReporter, perplexity
from lstm_cli.models import language_model
from lstm_cli.report.model_card import language_card
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.text import tokenizer_json
from lstm_cli.text.corpus import Corpus, encode_cached
from lstm_cli.text.lm_windows import Texts, hold_out, unigram
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training import artifacts, device, init_weights
from lstm_cli.training.init_weights import InitialWeights
from lstm_cli.training.loop import TrainingResult, num_parameters
from lstm_cli.training.objectives.language_model import LanguageModelObjective
from lstm_cli.training.pipeline import Task, TrainOptions, begin, resume_run
from lstm_cli.training.prepare import (
    encode_unlabeled,
    fit_tokenizer,
    load_data,
    set_vectors,
    start,
    timed,
)

_TIMED_STEPS = 4
_WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Prepared:
    """Everything pretraining needs, ready.

    Attributes:
        config: The experiment.
        dataset: With `train`, of which the texts are used.
        tokenizer: As a classifier's, but for the greatest length: texts are read whole.
        train: Texts to learn from.
        held_out: Texts that perplexity is measured on.
        unlabeled: How many of all texts came without labels.
        model: Compiled, with its initial weights.
        device_info: The device and kernel.
        seconds: What each part took.
    """

    config: Config
    dataset: Dataset
    tokenizer: Tokenizer
    train: Texts
    held_out: Texts
    unlabeled: int
    model: Any
    device_info: device.DeviceInfo
    seconds: dict[str, float]


def pretrain(
    config: Config,
    *,
    runs_dir: Path | None = None,
    name: str | None = None,
    data_dir: Path | None = None,
    use: device.Device = "auto",
    callbacks: Sequence[Any] = (),
    tensorboard: bool = False,
    reporter: Reporter | None = None,
) -> RunDir:
    """Train a language model and write its run directory.

    Args:
        config: The experiment; the section `language` may be missing, and has its defaults then.
        runs_dir: As for `train.train`, as are the others.
        name: Of the run.
        data_dir: Where TFDS data sets lie.
        use: The device.
        callbacks: Keras callbacks.
        tensorboard: Write TensorBoard logs into the run.
        reporter: Told how it goes.

    Returns:
        The finished run, which `train.init_from` can name.

    Raises:
        LstmError: The data has no text or is not there, a setting does not fit, the disk is full.
    """
    options = TrainOptions(data_dir, use, callbacks, tensorboard, reporter or SilentReporter())
    return begin(_LanguageModel, settled(config), runs_dir, name, options)


def resume(
    run: RunDir,
    *,
    epochs: int | None = None,
    data_dir: Path | None = None,
    use: device.Device = "auto",
    callbacks: Sequence[Any] = (),
    tensorboard: bool = False,
    reporter: Reporter | None = None,
) -> RunDir:
    """Go on with a language model, to the bits it would have ended with; as `train.resume`.

    Args:
        run: One that did not finish; or any, with more epochs.
        epochs: A new last epoch.
        data_dir: As for `pretrain`, as are the others.
        use: The device.
        callbacks: Keras callbacks.
        tensorboard: Write TensorBoard logs into the run.
        reporter: Told how it goes.

    Raises:
        LstmError: Nothing is left to train, the data has changed, or another process is at it.
    """
    options = TrainOptions(data_dir, use, callbacks, tensorboard, reporter or SilentReporter())
    return resume_run(_LanguageModel, run, epochs, options)


def settled(config: Config) -> Config:
    """Return settings with a `language` section.

    Raises:
        LstmError: They are for images (exit code 2).
    """
    if config.kind != "text":
        raise LstmError(
            f"{config.data.name} has no text: a language model learns from words.",
            "Pretrain on a data set of texts, for example 'lstm pretrain demo'.",
            ExitCode.USAGE,
        )
    # A language model has no verdict, of itself or of others, to learn from.
    train = replace(config.train, self_training=False)
    language_settings = config.language or LanguageModelSettings()
    return replace(config, linear=None, train=train, language=language_settings)


def prepare(
    config: Config,
    dataset: Dataset,
    device_info: device.DeviceInfo,
    data_dir: Path | None,
    reporter: Reporter,
    fresh: bool = True,
    init: InitialWeights | None = None,
) -> Prepared:
    """Encode the texts of train and those without labels, and build the model.

    The words are those of a classifier with the same settings, learned from train alone; the
    texts of its validation split are not used at all.

    Args:
        config: The experiment.
        dataset: With `train`.
        device_info: The device.
        data_dir: Where TFDS data sets lie, for unlabeled texts.
        reporter: Told what there is.
        fresh: Whether the model begins with its initial weights.
        init: What it begins with, else chance or word vectors.

    Raises:
        LstmError: The data does not fit the settings.
    """
    assert config.language is not None
    for note in dataset.notes:
        reporter.note(f"Note: {note}")
    seconds: dict[str, float] = {}
    with timed(seconds, "encode"):
        tokenizer = init.tokenizer if init is not None else fit_tokenizer(config, dataset)
        assert tokenizer is not None
        corpora, unlabeled = _corpora(
            config, dataset, tokenizer.without_truncation(), data_dir, reporter
        )
        train, held_out = hold_out(corpora, config.language.held_out, config.seed)
    reporter.note(
        f"Data: {dataset.source}, {len(train):,} texts of {train.num_tokens:,} words "
        f"({unlabeled:,} unlabeled); {len(held_out):,} texts are held out."
    )
    with timed(seconds, "build"):
        model = _build(config, tokenizer, train, init)
    if init is None and fresh and config.embedding and config.embedding.vectors != "random":
        with timed(seconds, "vectors"):
            some = corpora if config.embedding.vectors == "unlabeled" else corpora[:1]
            set_vectors(config, model, tokenizer, some, reporter)
    return Prepared(
        config, dataset, tokenizer, train, held_out, unlabeled, model, device_info, seconds
    )


def _corpora(
    config: Config,
    dataset: Dataset,
    tokenizer: Tokenizer,
    data_dir: Path | None,
    reporter: Reporter,
) -> tuple[list[Corpus], int]:
    """Encode the texts of train and the unlabeled ones; count the latter."""
    texts = dataset.splits["train"].inputs
    assert not isinstance(texts, np.ndarray)
    unlabeled = encode_unlabeled(config, tokenizer, data_dir, reporter)
    return [encode_cached(texts, tokenizer), *unlabeled], sum(map(len, unlabeled))


def _build(config: Config, tokenizer: Tokenizer, train: Texts, init: InitialWeights | None) -> Any:
    model = language_model.build(config, tokenizer.vocab_size)
    language_model.set_frequencies(model, unigram(train, tokenizer.vocab_size))
    init_arrays = init_weights.give(model, init) if init is not None else []
    language_model.compile_model(model, config.train, init_arrays)
    return model


class _LanguageModel(Task[Prepared]):
    """A language model being trained."""

    splits = ("train",)
    selection_metric = "held-out perplexity"

    @staticmethod
    def prepare(*args: Any, **options: Any) -> Prepared:
        """Encode the texts and build the model."""
        return prepare(*args, **options)

    @staticmethod
    def describe(prepared: Prepared) -> dict[str, Any]:
        """Return the part of `run.json` that is known before training."""
        return _describe(prepared)

    def make_objective(self) -> LanguageModelObjective:
        """Return what to train for."""
        return _reading(self.prepared)

    def write_inputs(self) -> None:
        """Write settings, tokenizer, and how the run stands."""
        self.run.write_text(runs.CONFIG, configs.to_yaml(self.prepared.config))
        self.run.write_text(runs.TOKENIZER, tokenizer_json.write(self.prepared.tokenizer))
        self.run.write_json(runs.RUN, self.record)

    def write_history(self) -> None:
        """Write one line an epoch."""
        _write_history(self.run, self.loop.history)

    def write_model(self, fitted: TrainingResult) -> None:
        """Write weights and history."""
        import safetensors.numpy

        self.run.write_bytes(runs.WEIGHTS, safetensors.numpy.save(fitted.weights))
        _write_history(self.run, fitted.history)

    def finish(self, fitted: TrainingResult) -> None:
        """Measure the kept weights on what was held out, and write what people read."""
        prepared, reading = self.prepared, self.loop.work
        assert isinstance(reading, LanguageModelObjective)
        with timed(prepared.seconds, "evaluate"):
            score = reading.score(prepared.model)
        held_out = score.to_dict() | {"unigram_perplexity": reading.unigram_perplexity}
        self.run.write_json(runs.METRICS, {"best_epoch": fitted.best_epoch, "held_out": held_out})
        total = time.perf_counter() - self.work_began
        self.record |= {
            "status": "finished",
            "finished": artifacts.now(),
            "epochs": len(fitted.history),
            "best_epoch": fitted.best_epoch,
            "stopped": fitted.stopped,
            "seconds": {**prepared.seconds, "total": round(total, 3)},
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        settings = configs.to_dict(prepared.config)
        card = {**self.record, "name": self.run.name, "config": settings, "held_out": held_out}
        self.run.write_text(runs.CARD, language_card(card))
        self.run.write_json(runs.RUN, self.record)
        self.run.write_manifest()


def _reading(prepared: Prepared) -> LanguageModelObjective:
    return LanguageModelObjective(
        prepared.config, prepared.train, prepared.held_out, prepared.tokenizer.vocab_size
    )


def _describe(prepared: Prepared) -> dict[str, Any]:
    """Return the part of `run.json` that is known before training."""
    dataset = prepared.dataset
    return {
        "dataset": {
            "name": dataset.name,
            "source": dataset.source,
            "kind": dataset.kind,
            "fingerprint": dataset.fingerprint,
            "sizes": {"train": len(prepared.train), "held_out": len(prepared.held_out)},
            "unlabeled": prepared.unlabeled,
            "words": {
                "train": prepared.train.num_tokens,
                "held_out": prepared.held_out.num_tokens,
            },
            "notes": list(dataset.notes),
        },
        "parameters": num_parameters(prepared.model),
        "vocab_size": prepared.tokenizer.vocab_size,
        **asdict(prepared.device_info),
    }


def _write_history(run: RunDir, history: Sequence[Epoch]) -> None:
    """Write one line an epoch: losses, and the perplexities that are read off them."""
    lines = []
    for epoch in history:
        line = {k: v for k, v in asdict(epoch).items() if not k.endswith("accuracy")}
        line["perplexity"] = perplexity(epoch.loss)
        line["val_perplexity"] = perplexity(epoch.val_loss)
        lines.append(runs.json_line(line))
    run.write_text(runs.HISTORY, "".join(lines))


@dataclass(frozen=True)
class Plan:
    """What `pretrain` would do.

    Attributes:
        source: Where the texts come from.
        texts: How many to learn from, and how many held out.
        words: In them.
        vocab_size: Of the tokenizer.
        parameters: Trainable numbers.
        steps_per_epoch: Batches in an epoch.
        epochs: At most.
        words_per_second: Measured here.
        seconds: Estimate for the steps of all epochs.
        device: Where it would run, and on which kernel.
    """

    source: str
    texts: dict[str, int]
    words: dict[str, int]
    vocab_size: int
    parameters: int
    steps_per_epoch: int
    epochs: int
    words_per_second: float
    seconds: float
    device: str


def plan(
    config: Config,
    *,
    data_dir: Path | None = None,
    runs_dir: Path | None = None,
    use: device.Device = "auto",
    reporter: Reporter | None = None,
) -> Plan:
    """Load, encode and build as `pretrain` would, time a few steps, and keep nothing.

    Raises:
        LstmError: As `pretrain`.
    """
    reporter = reporter or SilentReporter()
    config = init_weights.resolved(settled(config), runs.runs_root(runs_dir))
    device_info = start(config, use, reporter)
    dataset = load_data(config, ("train",), data_dir)
    init = init_weights.read(config)
    # Word vectors would change nothing of what is told here.
    prepared = prepare(config, dataset, device_info, data_dir, reporter, init is not None, init)
    reading = _reading(prepared)
    seconds, words = _time_step(prepared.model, reading)
    facts = _describe(prepared)
    return Plan(
        source=dataset.source,
        texts=facts["dataset"]["sizes"],
        words=facts["dataset"]["words"],
        vocab_size=facts["vocab_size"],
        parameters=facts["parameters"],
        steps_per_epoch=reading.num_steps,
        epochs=config.train.epochs,
        words_per_second=words / seconds,
        seconds=config.train.epochs * reading.num_steps * seconds,
        device=f"{device_info.device} ({device_info.kernel})",
    )


def _time_step(model: Any, reading: LanguageModelObjective) -> tuple[float, int]:
    """Measure the seconds of a step, and count the words that it predicts."""
    batches = reading.batches(0, 0)
    indices, inputs = next(batches)
    for number in range(_WARM_UP_STEPS + _TIMED_STEPS):
        if number == _WARM_UP_STEPS:
            began = time.perf_counter()
        told = reading.train_step(model, indices, inputs)
    return (time.perf_counter() - began) / _TIMED_STEPS, told.num

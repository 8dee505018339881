"""Everything training needs: data read, vocabulary fitted, texts encoded, model built."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lstm_cli import data
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.data.source import from_config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import worker as workers
from lstm_cli.io.progress import Reporter
from lstm_cli.io.worker import Worker
from lstm_cli.models import classifier, word_vectors
from lstm_cli.models import linear as linear
from lstm_cli.models.linear import LinearModel
from lstm_cli.text import corpus as encoded
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training import device, init_weights
from lstm_cli.training.init_weights import InitialWeights
from lstm_cli.training.loop import num_parameters
from lstm_cli.training.objectives.classification import ClassificationObjective, Examples
from lstm_cli.training.objectives.self_training import SelfTrainingObjective

# For fewer, a second process takes longer to start than it saves: of 5,000 reviews nothing, of
# 10,000 half a second in four.
_MANY_TEXTS = 10_000


@dataclass(frozen=True)
class Prepared:
    """Everything training needs, ready.

    Attributes:
        config: The experiment.
        dataset: With `train` and `validation`; the test split is not read yet.
        tokenizer: Fitted on `train`; None for images.
        train: Encoded.
        validation: Encoded.
        model: Compiled, with its initial weights.
        device_info: The device and kernel.
        seconds: What each part took; of `linear`, how long it was waited for.
        linear: What words and pairs say by themselves, where the config wants it.
        unlabeled: Texts for self-training, with evidence, where the config wants it.
    """

    config: Config
    dataset: Dataset
    tokenizer: Tokenizer | None
    train: Examples
    validation: Examples
    model: Any
    device_info: device.DeviceInfo
    seconds: dict[str, float]
    linear: LinearModel | None = None
    unlabeled: Examples | None = None

    @property
    def num_parameters(self) -> int:
        """Numbers that were learned: those of the network, and the table of its evidence."""
        table = 0 if self.linear is None else self.linear.table.size
        return num_parameters(self.model) + table

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns of an image; None for texts."""
        if self.tokenizer is not None:
            return None
        images = np.asarray(self.train.inputs)
        return int(images.shape[1]), int(images.shape[2])


def start(config: Config, use: device.Device, reporter: Reporter) -> device.DeviceInfo:
    """Choose the device and seed every generator.

    Raises:
        LstmError: A GPU was asked for and there is none.
    """
    device_info = device.device_info(use, config.model.cell)
    keras.utils.set_random_seed(config.seed)
    if config.train.deterministic:
        device.make_deterministic()
    reporter.note(
        f"Training on {device_info.device} ({device_info.why}); LSTM kernel: {device_info.kernel}."
    )
    return device_info


def prepare(
    config: Config,
    dataset: Dataset,
    device_info: device.DeviceInfo,
    data_dir: Path | None,
    reporter: Reporter,
    fresh: bool = True,
    init: InitialWeights | None = None,
) -> Prepared:
    """Fit the tokenizer, encode, and build the model.

    Args:
        config: The experiment.
        dataset: With `train` and `validation`.
        device_info: The device.
        data_dir: Where TFDS data sets lie, for unlabeled texts.
        reporter: Told what there is.
        fresh: Whether the model begins with its initial weights; else a checkpoint will replace
            them, and no word vectors are learned.
        init: What training begins with; else it begins by chance, or with word vectors.

    Raises:
        LstmError: The data does not fit the settings.
    """
    _report_data(dataset, reporter)
    seconds: dict[str, float] = {}
    with workers.found(should_use_worker(config, dataset, init)) as worker:
        if config.linear is not None:
            worker.ask(workers.load, *linear.NEEDED)
        with timed(seconds, "encode"):
            tokenizer, train = _encode_train(config, dataset, init, worker)
            learned = _fit_linear(config, len(dataset.labels), train, worker)
            validation = encode(dataset, "validation", tokenizer)
            others = _unlabeled(config, tokenizer, data_dir, reporter, fresh, init)
        with timed(seconds, "build"):
            model = _build(config, dataset, tokenizer, train, init)
        if fresh:
            _begin(model, config, tokenizer, train, others, init, seconds, reporter)
        if learned is None:
            return Prepared(
                config, dataset, tokenizer, train, validation, model, device_info, seconds
            )
        # What the partner has not done by now is waited for.
        with timed(seconds, "linear"):
            found = learned()
    train, validation = replace(train, linear=found.train), _with_linear_logits(validation, found)
    unlabeled = _unlabeled_examples(others, found) if config.train.self_training else None
    if init is None or "head/kernel" not in init.record["arrays"]:
        classifier.init_from_linear_model(model, found)
    return Prepared(
        config, dataset, tokenizer, train, validation, model, device_info, seconds, found, unlabeled
    )


def should_use_worker(config: Config, dataset: Dataset, init: InitialWeights | None) -> bool:
    """Tell whether there is something that a partner does, and enough of it."""
    many = dataset.kind == "text" and len(dataset.splits["train"]) >= _MANY_TEXTS
    return many and (init is None or config.linear is not None)


def _report_data(dataset: Dataset, reporter: Reporter) -> None:
    for note in dataset.notes:
        reporter.note(f"Note: {note}")
    sizes = " + ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    reporter.note(f"Data: {dataset.source}, {sizes}, {len(dataset.labels)} classes.")


def objective_for(prepared: Prepared, reporter: Reporter) -> ClassificationObjective:
    """Return what a loop is to do with what was prepared."""
    num_classes = len(prepared.dataset.labels)
    splits = prepared.train, prepared.validation
    if prepared.unlabeled is None:
        return ClassificationObjective(prepared.config, num_classes, *splits)
    assert prepared.linear is not None
    assert prepared.unlabeled.linear is not None
    pseudo_labels = linear.pseudo_labels(prepared.linear, prepared.unlabeled.linear)
    return SelfTrainingObjective(
        prepared.config, num_classes, *splits, prepared.unlabeled, pseudo_labels, reporter
    )


def load_data(config: Config, splits: Sequence[str], data_dir: Path | None) -> Dataset:
    """Read splits of the data set a config names.

    Raises:
        LstmError: It is not there, malformed, or of another kind than the config's model.
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


def _encode_train(
    config: Config, dataset: Dataset, init: InitialWeights | None, worker: Worker
) -> tuple[Tokenizer | None, Examples]:
    """Encode the training split, with a vocabulary learned from it where none is given."""
    if init is not None:
        return init.tokenizer, encode(dataset, "train", init.tokenizer)
    split = dataset.splits["train"]
    if config.text is None:
        return None, encode(dataset, "train", None)
    assert not isinstance(split.inputs, np.ndarray)
    tokenizer, corpus = encoded.fit_and_encode(split.inputs, config.text, worker)
    return tokenizer, Examples(corpus, split.labels)


def fit_tokenizer(config: Config, dataset: Dataset) -> Tokenizer | None:
    """Learn the vocabulary from the training split; None for images."""
    if config.text is None:
        return None
    texts = dataset.splits["train"].inputs
    assert not isinstance(texts, np.ndarray)
    return Tokenizer.fit(texts, config.text)


def encode(dataset: Dataset, split: str, tokenizer: Tokenizer | None) -> Examples:
    """Turn a split into what the network reads; texts through the cache on disk."""
    inputs, labels = dataset.splits[split].inputs, dataset.splits[split].labels
    if isinstance(inputs, np.ndarray):
        return Examples(inputs, labels)
    assert tokenizer is not None
    return Examples(encoded.encode_cached(inputs, tokenizer), labels)


def _build(
    config: Config,
    dataset: Dataset,
    tokenizer: Tokenizer | None,
    train: Examples,
    init: InitialWeights | None,
) -> Any:
    """Build and compile the model for the data."""
    shape = None if tokenizer is not None else train.inputs.shape[1:]  # type: ignore[union-attr]
    vocab_size = None if tokenizer is None else tokenizer.vocab_size
    model = classifier.build(config, len(dataset.labels), vocab_size, shape)
    init_arrays = init_weights.give(model, init) if init is not None else []
    classifier.compile_model(model, config.train, len(dataset.labels), init_arrays)
    return model


def _begin(
    model: Any,
    config: Config,
    tokenizer: Tokenizer | None,
    train: Examples,
    others: Sequence[Corpus],
    init: InitialWeights | None,
    seconds: dict[str, float],
    reporter: Reporter,
) -> None:
    """Tell what the model begins with, and have it begin with word vectors where it should."""
    if init is not None:
        arrays, run = init.record["arrays"], init.record["run"]
        reporter.note(f"Begun with {len(arrays)} arrays and the words of run {run}.")
    elif config.embedding is not None and config.embedding.vectors != "random":
        assert tokenizer is not None
        assert isinstance(train.inputs, Corpus)
        wanted = others if config.embedding.vectors == "unlabeled" else []
        with timed(seconds, "vectors"):
            set_vectors(config, model, tokenizer, [train.inputs, *wanted], reporter)


def _fit_linear(
    config: Config, num_classes: int, train: Examples, worker: Worker
) -> Callable[[], LinearModel] | None:
    """Have a partner learn the evidence of words and pairs from train, where it is wanted."""
    if config.linear is None:
        return None
    assert isinstance(train.inputs, Corpus)
    return worker.ask(
        linear.learn, train.inputs, train.labels, num_classes, config.linear, config.seed
    )


def _with_linear_logits(examples: Examples, found: LinearModel) -> Examples:
    assert isinstance(examples.inputs, Corpus)
    return replace(examples, linear=linear.of(examples.inputs, found.table))


def _unlabeled(
    config: Config,
    tokenizer: Tokenizer | None,
    data_dir: Path | None,
    reporter: Reporter,
    fresh: bool,
    init: InitialWeights | None,
) -> list[Corpus]:
    """Encode the texts without labels where something is to be learned from them."""
    vectors_too = config.embedding is not None and config.embedding.vectors == "unlabeled"
    if not config.train.self_training and not (vectors_too and fresh and init is None):
        return []
    assert tokenizer is not None
    return encode_unlabeled(config, tokenizer, data_dir, reporter)


def _unlabeled_examples(corpora: Sequence[Corpus], found: LinearModel) -> Examples | None:
    """Return unlabeled texts with their evidence; None where there are none."""
    if not corpora:
        return None
    (corpus,) = corpora
    return Examples(corpus, np.zeros(len(corpus), np.int32), linear.of(corpus, found.table))


def encode_unlabeled(
    config: Config, tokenizer: Tokenizer, data_dir: Path | None, reporter: Reporter
) -> list[Corpus]:
    """Encode the texts without labels of a data set, as one corpus or, without such, none.

    Raises:
        LstmError: The data is not there.
    """
    texts = data.load_unlabeled(from_config(config, data_dir))
    if not texts:
        reporter.warn(f"{config.data.name} has no unlabeled texts; train alone is used.")
        return []
    return [encoded.encode_cached(texts, tokenizer)]


def set_vectors(
    config: Config, model: Any, tokenizer: Tokenizer, corpora: Sequence[Corpus], reporter: Reporter
) -> None:
    """Learn word vectors from texts and have a model's embedding start from them."""
    assert config.embedding is not None
    table = word_vectors.learn(corpora, tokenizer.vocab_size, config.embedding.dim, config.seed)
    model.get_layer("embedding").set_weights([table])
    num_texts = sum(len(corpus) for corpus in corpora)
    reporter.note(f"Word vectors: learned from {num_texts:,} texts.")


@contextlib.contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Record how long a block takes, in seconds by part."""
    began = time.perf_counter()
    yield
    seconds[part] = round(time.perf_counter() - began, 3)

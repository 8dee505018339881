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
from lstm_cli.training import device, init_weights
from lstm_cli.text import corpus as encoded
from lstm_cli.models import classifier, linear as evidence, word_vectors
from lstm_cli.io import worker as partners
from lstm_cli.training.objectives.classification import Classifying, Examples
from lstm_cli.data import Dataset
from lstm_cli.data.source import from_config
from lstm_cli.text.corpus import Corpus
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.models.linear import Evidence
from lstm_cli.training.loop import num_parameters
from lstm_cli.io.worker import Partner
from lstm_cli.io.progress import Reporter
from lstm_cli.config.schema import Config
from lstm_cli.training.objectives.self_training import SelfTraining
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training.init_weights import Start

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
        used: The device and kernel.
        seconds: What each part took; of `evidence`, how long it was waited for.
        evidence: What words and pairs say by themselves, where the config wants it.
        unlabeled: Texts for self-training, with evidence, where the config wants it.
    """

    config: Config
    dataset: Dataset
    tokenizer: Tokenizer | None
    train: Examples
    validation: Examples
    model: Any
    used: device.Used
    seconds: dict[str, float]
    evidence: Evidence | None = None
    unlabeled: Examples | None = None

    @property
    def num_parameters(self) -> int:
        """Numbers that were learned: those of the network, and the table of its evidence."""
        table = 0 if self.evidence is None else self.evidence.table.size
        return num_parameters(self.model) + table

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns of an image; None for texts."""
        if self.tokenizer is not None:
            return None
        images = np.asarray(self.train.inputs)
        return int(images.shape[1]), int(images.shape[2])


def start(config: Config, use: device.Device, reporter: Reporter) -> device.Used:
    """Choose the device and seed every generator.

    Raises:
        LstmError: A GPU was asked for and there is none.
    """
    used = device.used(use, config.model.cell)
    keras.utils.set_random_seed(config.seed)
    if config.train.deterministic:
        device.make_deterministic()
    reporter.note(f"Training on {used.device} ({used.why}); LSTM kernel: {used.kernel}.")
    return used


def prepare(
    config: Config,
    dataset: Dataset,
    used: device.Used,
    data_dir: Path | None,
    reporter: Reporter,
    fresh: bool = True,
    begun: Start | None = None,
) -> Prepared:
    """Fit the tokenizer, encode, and build the model.

    Args:
        config: The experiment.
        dataset: With `train` and `validation`.
        used: The device.
        data_dir: Where TFDS data sets lie, for unlabeled texts.
        reporter: Told what there is.
        fresh: Whether the model begins with its initial weights; else a checkpoint will replace
            them, and no word vectors are learned.
        begun: What training begins with; else it begins by chance, or with word vectors.

    Raises:
        LstmError: The data does not fit the settings.
    """
    _tell_of_data(dataset, reporter)
    seconds: dict[str, float] = {}
    with partners.found(_is_for_two(config, dataset, begun)) as partner:
        if config.evidence is not None:
            partner.ask(partners.load, *evidence.NEEDED)
        with timed(seconds, "encode"):
            tokenizer, train = _encode_train(config, dataset, begun, partner)
            learned = _learn_evidence(config, len(dataset.labels), train, partner)
            validation = encode(dataset, "validation", tokenizer)
            others = _unlabeled(config, tokenizer, data_dir, reporter, fresh, begun)
        with timed(seconds, "build"):
            model = _build(config, dataset, tokenizer, train, begun)
        if fresh:
            _begin(model, config, tokenizer, train, others, begun, seconds, reporter)
        if learned is None:
            return Prepared(config, dataset, tokenizer, train, validation, model, used, seconds)
        # What the partner has not done by now is waited for.
        with timed(seconds, "evidence"):
            found = learned()
    train, validation = replace(train, evidence=found.train), _with_evidence(validation, found)
    unlabeled = _to_be_taught(others, found) if config.train.self_training else None
    if begun is None or "head/kernel" not in begun.record["arrays"]:
        classifier.set_evidence(model, found)
    return Prepared(
        config, dataset, tokenizer, train, validation, model, used, seconds, found, unlabeled
    )


def _is_for_two(config: Config, dataset: Dataset, begun: Start | None) -> bool:
    """Tell whether there is something that a partner does, and enough of it."""
    many = dataset.kind == "text" and len(dataset.splits["train"]) >= _MANY_TEXTS
    return many and (begun is None or config.evidence is not None)


def _tell_of_data(dataset: Dataset, reporter: Reporter) -> None:
    for note in dataset.notes:
        reporter.warn(note)
    sizes = " + ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    reporter.note(f"Data: {dataset.source}, {sizes}, {len(dataset.labels)} classes.")


def work_of(prepared: Prepared, reporter: Reporter) -> Classifying:
    """Return what a loop is to do with what was prepared."""
    num_classes = len(prepared.dataset.labels)
    splits = prepared.train, prepared.validation
    if prepared.unlabeled is None:
        return Classifying(prepared.config, num_classes, *splits)
    assert prepared.evidence is not None
    assert prepared.unlabeled.evidence is not None
    verdicts = evidence.verdicts(prepared.evidence, prepared.unlabeled.evidence)
    return SelfTraining(
        prepared.config, num_classes, *splits, prepared.unlabeled, verdicts, reporter
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
    config: Config, dataset: Dataset, begun: Start | None, partner: Partner
) -> tuple[Tokenizer | None, Examples]:
    """Encode the training split, with a vocabulary learned from it where none is given."""
    if begun is not None:
        return begun.tokenizer, encode(dataset, "train", begun.tokenizer)
    split = dataset.splits["train"]
    if config.text is None:
        return None, encode(dataset, "train", None)
    assert not isinstance(split.inputs, np.ndarray)
    tokenizer, corpus = encoded.fit_and_encode(split.inputs, config.text, partner)
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
    begun: Start | None,
) -> Any:
    """Build and compile the model for the data."""
    shape = None if tokenizer is not None else train.inputs.shape[1:]  # type: ignore[union-attr]
    vocab_size = None if tokenizer is None else tokenizer.vocab_size
    model = classifier.build(config, len(dataset.labels), vocab_size, shape)
    lowered = init_weights.give(model, begun) if begun is not None else []
    classifier.compile_model(model, config.train, len(dataset.labels), lowered)
    return model


def _begin(
    model: Any,
    config: Config,
    tokenizer: Tokenizer | None,
    train: Examples,
    others: Sequence[Corpus],
    begun: Start | None,
    seconds: dict[str, float],
    reporter: Reporter,
) -> None:
    """Tell what the model begins with, and have it begin with word vectors where it should."""
    if begun is not None:
        arrays, run = begun.record["arrays"], begun.record["run"]
        reporter.note(f"Begun with {len(arrays)} arrays and the words of run {run}.")
    elif config.embedding is not None and config.embedding.vectors != "random":
        assert tokenizer is not None
        assert isinstance(train.inputs, Corpus)
        wanted = others if config.embedding.vectors == "unlabeled" else []
        with timed(seconds, "vectors"):
            set_vectors(config, model, tokenizer, [train.inputs, *wanted], reporter)


def _learn_evidence(
    config: Config, num_classes: int, train: Examples, partner: Partner
) -> Callable[[], Evidence] | None:
    """Have a partner learn the evidence of words and pairs from train, where it is wanted."""
    if config.evidence is None:
        return None
    assert isinstance(train.inputs, Corpus)
    return partner.ask(
        evidence.learn, train.inputs, train.labels, num_classes, config.evidence, config.seed
    )


def _with_evidence(examples: Examples, found: Evidence) -> Examples:
    assert isinstance(examples.inputs, Corpus)
    return replace(examples, evidence=evidence.of(examples.inputs, found.table))


def _unlabeled(
    config: Config,
    tokenizer: Tokenizer | None,
    data_dir: Path | None,
    reporter: Reporter,
    fresh: bool,
    begun: Start | None,
) -> list[Corpus]:
    """Encode the texts without labels where something is to be learned from them."""
    vectors_too = config.embedding is not None and config.embedding.vectors == "unlabeled"
    if not config.train.self_training and not (vectors_too and fresh and begun is None):
        return []
    assert tokenizer is not None
    return encode_unlabeled(config, tokenizer, data_dir, reporter)


def _to_be_taught(corpora: Sequence[Corpus], found: Evidence) -> Examples | None:
    """Return unlabeled texts with their evidence; None where there are none."""
    if not corpora:
        return None
    (corpus,) = corpora
    return Examples(corpus, np.zeros(len(corpus), np.int32), evidence.of(corpus, found.table))


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

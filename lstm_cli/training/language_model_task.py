"""A language model as a training task: data, model, objective, and the files of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.io.progress import Epoch, Reporter, perplexity
from lstm_cli.models import language_model
from lstm_cli.models.word_vectors import learn_word_vectors
from lstm_cli.report.model_card import language_card
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.corpus_cache import encode_cached
from lstm_cli.text.lm_windows import TextSubset, hold_out, unigram_probabilities
from lstm_cli.text.token_ids import SPECIAL_TOKENS
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.text.vocabulary import fit_vocabulary
from lstm_cli.training import artifacts
from lstm_cli.training.device import DeviceInfo
from lstm_cli.training.file_vectors import start_from_file, word_counts
from lstm_cli.training.init_weights import InitialWeights
from lstm_cli.training.labels_of_run import report_start
from lstm_cli.training.loop import TrainingResult, num_parameters
from lstm_cli.training.objectives.language_model import LanguageModelObjective
from lstm_cli.training.options import TrainOptions
from lstm_cli.training.prepare import (
    encode_unlabeled,
    init_word_vectors,
    timed,
    vocabulary_texts,
)
from lstm_cli.training.taken_arrays import TakenArrays, apply_initial_weights
from lstm_cli.training.task import Evaluation


@dataclass(frozen=True)
class LanguageModelTask:
    """A language model that is ready to train, with its data and the files of its run.

    Attributes:
        config: The settings.
        dataset: With `train`; its labels are not read.
        tokenizer: That of a classifier with the same settings, but without truncation.
        train: Texts to train on.
        held_out: Texts to measure perplexity on.
        num_unlabeled: How many of all texts have no label.
        model: The compiled model, with its initial weights.
        device_info: Device and kernel.
        init_record: `init_from` of `run.json`; empty without another run to start from.
        seconds: Seconds by part of the work.
        vectors_record: `vectors` of `run.json`; empty without a file of word vectors.
    """

    selection_metric: ClassVar[str] = "held-out perplexity"

    config: Config
    dataset: Dataset
    tokenizer: Tokenizer
    train: TextSubset
    held_out: TextSubset
    num_unlabeled: int
    model: Any
    device_info: DeviceInfo
    init_record: Mapping[str, Any]
    seconds: dict[str, float]
    vectors_record: Mapping[str, Any] = field(default_factory=dict)

    def make_objective(self, reporter: Reporter) -> LanguageModelObjective:
        """Return the objective: predict the next and the previous word."""
        return LanguageModelObjective(
            self.config, self.train, self.held_out, self.tokenizer.vocab_size
        )

    def describe(self) -> dict[str, Any]:
        """Return what `run.json` says of data and model before training."""
        subsets = {"train": self.train, "held_out": self.held_out}
        return {
            "dataset": {
                **artifacts.describe(self.dataset),
                "sizes": {name: len(subset) for name, subset in subsets.items()},
                "unlabeled": self.num_unlabeled,
                "words": {name: subset.num_tokens for name, subset in subsets.items()},
            },
            "parameters": num_parameters(self.model),
            "vocab_size": self.tokenizer.vocab_size,
            **({"vectors": dict(self.vectors_record)} if self.vectors_record else {}),
        }

    def write_inputs(self, run: RunDir) -> None:
        """Write settings and tokenizer."""
        artifacts.write_inputs(run, self.config, self.tokenizer)

    def write_history(self, run: RunDir, history: Sequence[Epoch]) -> None:
        """Write one line per epoch: losses, and the perplexities computed from them."""
        lines = []
        for epoch in history:
            line = {k: v for k, v in asdict(epoch).items() if not k.endswith("accuracy")}
            line["perplexity"] = perplexity(epoch.loss)
            if epoch.val_loss is not None:
                line["val_perplexity"] = perplexity(epoch.val_loss)
            lines.append(runs.json_line(line))
        run.write_text(runs.HISTORY, "".join(lines))

    def write_model(self, run: RunDir, result: TrainingResult) -> None:
        """Write weights and history."""
        import safetensors.numpy

        run.write_bytes(runs.WEIGHTS, safetensors.numpy.save(result.weights))
        self.write_history(run, result.history)

    def evaluate(
        self, run: RunDir, result: TrainingResult, objective: Any, options: TrainOptions
    ) -> Evaluation:
        """Measure the perplexity on the held-out texts."""
        with timed(self.seconds, "evaluate"):
            score = objective.score(self.model)
        held_out = score.to_dict() | {"unigram_perplexity": objective.unigram_perplexity}
        run.write_json(runs.METRICS, {"best_epoch": result.best_epoch, "held_out": held_out})
        return Evaluation({}, {}, {"held_out": held_out})

    def model_card(self, record: Mapping[str, Any], evaluation: Evaluation) -> str:
        """Return the model card."""
        return language_card({**record, "config": self.config, **evaluation.card})


def prepare_language_model(
    config: Config,
    dataset: Dataset,
    init: InitialWeights,
    device_info: DeviceInfo,
    options: TrainOptions,
) -> LanguageModelTask:
    """Encode the texts of the training split and the unlabeled texts, and build the model.

    The vocabulary is that of a classifier with the same settings: it comes from the training split
    and `data.unlabeled`. The validation split is not learned from.

    Args:
        config: The settings, with the section `language`.
        dataset: With `train`.
        init: What training starts from.
        device_info: Device and kernel.
        options: Data folder and reporter.

    Raises:
        LstmError: The data does not fit the settings.
    """
    assert config.language is not None
    assert config.text is not None
    reporter = options.reporter
    for note in dataset.notes:
        reporter.note(f"Note: {note}")
    seconds: dict[str, float] = {}
    with timed(seconds, "encode"):
        tokenizer, left_out = _vocabulary(config, dataset, init)
        corpora = _encode_texts(config, dataset, tokenizer.without_truncation(), options)
        num_unlabeled = sum(map(len, corpora[1:]))
        train, held_out = hold_out(corpora, config.language.validation_fraction, config.seed)
    reporter.note(
        f"Data: {dataset.source}, {len(train):,} texts of {train.num_tokens:,} words "
        f"({num_unlabeled:,} unlabeled); {len(held_out):,} texts are held out."
    )
    with timed(seconds, "build"):
        model, taken = _build(config, tokenizer, train, init)
    init_record = {**init.record, **taken.to_record()} if init.record else {}
    report_start(init, tokenizer, left_out, dataset, reporter)
    if init.kind == "word_vectors":
        with timed(seconds, "vectors"):
            _learn_word_vectors(config, model, corpora, tokenizer, reporter)
    vectors_record = {}
    if init.has_file:
        counts = np.sum([word_counts(corpus, tokenizer) for corpus in corpora], axis=0)
        with timed(seconds, "vectors"):
            vectors_record = start_from_file(model, config, tokenizer, counts, reporter)
    return LanguageModelTask(
        config, dataset, tokenizer, train, held_out, num_unlabeled, model, device_info, init_record,
        seconds, vectors_record,
    )  # fmt: skip


def _vocabulary(config: Config, dataset: Dataset, init: InitialWeights) -> tuple[Tokenizer, int]:
    """Return the vocabulary, and the number of frequent words that it has no room for."""
    if init.tokenizer is not None:
        return init.tokenizer, 0
    assert config.text is not None
    fitted = fit_vocabulary(
        vocabulary_texts(dataset),
        config.text,
        config.char_buckets,
        known=init.words or SPECIAL_TOKENS,
    )
    return fitted.tokenizer, fitted.num_left_out


def _learn_word_vectors(
    config: Config, model: Any, corpora: Sequence[Corpus], tokenizer: Tokenizer, reporter: Reporter
) -> None:
    """Learn word vectors from the texts that the settings name, and start from them."""
    assert config.embedding is not None
    used = corpora if config.embedding.vectors == "unlabeled" else corpora[:1]
    table = learn_word_vectors(used, tokenizer.vocab_size, config.embedding.dim, config.seed)
    init_word_vectors(model, table, sum(map(len, used)), reporter)


def _encode_texts(
    config: Config, dataset: Dataset, tokenizer: Tokenizer, options: TrainOptions
) -> list[Corpus]:
    """Encode the texts of the training split and, if there are any, the unlabeled texts."""
    texts = dataset.splits["train"].inputs
    assert not isinstance(texts, np.ndarray)
    unlabeled = encode_unlabeled(config, dataset, tokenizer, options)
    return [encode_cached(texts, tokenizer), *unlabeled]


def _build(
    config: Config, tokenizer: Tokenizer, train: TextSubset, init: InitialWeights
) -> tuple[Any, TakenArrays]:
    """Build and compile the model; return it with the names of the arrays of another run."""
    model = language_model.build_language_model(config, tokenizer.vocab_size)
    language_model.init_output_bias(model, unigram_probabilities(train, tokenizer.vocab_size))
    taken = apply_initial_weights(model, init)
    language_model.compile_language_model(model, config.train, taken.slow)
    return model, taken

"""Prepare a classifier for training: encode the data, build the model, start the worker."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.checks import QuickCheck, quick_check
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset, splits
from lstm_cli.data.balance import advice, imbalance
from lstm_cli.data.source import from_config
from lstm_cli.io import worker as workers
from lstm_cli.io.memory import release_memory
from lstm_cli.io.progress import Reporter
from lstm_cli.io.worker import Worker
from lstm_cli.models import classifier, linear, linear_sample
from lstm_cli.models.word_vectors import learn_word_vectors
from lstm_cli.text import corpus as encoding
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.token_ids import SPECIAL_TOKENS
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training import stages
from lstm_cli.training.checkpoint import model_state
from lstm_cli.training.classifier_task import (
    ClassifierTask,
    submit_linear_model,
    with_linear_model,
)
from lstm_cli.training.device import DeviceInfo
from lstm_cli.training.file_vectors import start_from_file, word_counts
from lstm_cli.training.folds import describe_small_classes
from lstm_cli.training.init_weights import InitialWeights
from lstm_cli.training.labels_of_run import report_start
from lstm_cli.training.learned_before import learned_by_initial_run
from lstm_cli.training.objectives.classification import Examples
from lstm_cli.training.options import TrainOptions
from lstm_cli.training.prepare import (
    describe_truncation,
    encode,
    encode_unlabeled,
    init_word_vectors,
    timed,
    unlabeled_texts,
    vocabulary_texts,
)
from lstm_cli.training.stages import StagedData
from lstm_cli.training.start_regions import start_regions
from lstm_cli.training.taken_arrays import TakenArrays, apply_initial_weights
from lstm_cli.training.teacher import teacher_labels

# With fewer texts the worker process takes longer to start than it saves: nothing with 5,000
# reviews, half a second of four with 10,000.
_MIN_TEXTS_FOR_WORKER = 10_000
# With more tokens the linear model takes longer than to compile the steps. Then this process learns
# the word vectors in the meantime.
_MAX_TOKENS_FOR_VECTORS = 1_000_000

VectorFit = Callable[[], NDArray[np.float32]]


def prepare_classifier(
    config: Config,
    dataset: Dataset,
    init: InitialWeights,
    device_info: DeviceInfo,
    options: TrainOptions,
) -> ClassifierTask:
    """Fit the tokenizer, encode the data, and build the model.

    Args:
        config: The settings.
        dataset: As `load_training_data` returns it.
        init: What training starts from.
        device_info: Device and kernel.
        options: Data folder and reporter.

    Raises:
        LstmError: The data does not fit the settings.
    """
    earlier, run = learned_by_initial_run(init)
    checks = quick_check(dataset, from_config(config), earlier, run)
    release_memory()
    _report_data(config, dataset, checks, options)
    prepare = _prepare_stages if config.is_refitted else _prepare_one_stage
    task = prepare(config, dataset, init, device_info, options)
    with timed(task.seconds, "teacher"):
        labels = _teacher_labels(config, dataset, init, options)
    return replace(task, checks=checks, teacher_labels=labels)


def _teacher_labels(
    config: Config, dataset: Dataset, init: InitialWeights, options: TrainOptions
) -> NDArray[np.float32] | None:
    """Return what the run of `train.teacher` predicts for the unlabeled texts, if there is one.

    A checkpoint of a training in one stage has the pseudo-labels: it does not need the teacher.
    """
    is_restored = init.kind == "checkpoint" and not config.is_refitted
    if config.train.teacher is None or is_restored:
        return None
    texts = unlabeled_texts(config, dataset, options)
    return teacher_labels(config, dataset.labels, texts, options.reporter) if texts else None


def _prepare_one_stage(
    config: Config,
    dataset: Dataset,
    init: InitialWeights,
    device_info: DeviceInfo,
    options: TrainOptions,
) -> ClassifierTask:
    """Do what `prepare_classifier` does, for a training without folds and refit."""
    seconds: dict[str, float] = {}
    with _worker(options, should_use_worker(config, dataset, init)) as worker:
        with timed(seconds, "encode"):
            tokenizer, train, left_out = _encode_train(config, dataset, init, worker)
            unlabeled = _encode_unlabeled(config, dataset, tokenizer, init, options)
            wait_for_vectors = _submit_word_vectors(config, train, tokenizer, init, worker)
            wait_for_linear = None
            if config.linear is not None:
                num_classes = len(dataset.labels)
                wait_for_linear = submit_linear_model(
                    config, num_classes, train, tokenizer, unlabeled, worker
                )
            validation = encode(config, dataset, "validation", tokenizer)
            release_memory()
        examples = (train, validation)
        task = _build_task(
            config, dataset, tokenizer, examples, unlabeled, init, device_info, options, seconds
        )
        # In this process, while the worker learns word vectors and the linear model.
        start_regions(task, init, options.reporter)
        task = _start_word_vectors(task, init, options.reporter, wait_for_vectors)
        report_start(init, task.tokenizer, left_out, dataset, options.reporter)
        if wait_for_linear is None:
            return task
        with timed(seconds, "linear"):
            linear_model = wait_for_linear()
    if "head/kernel" not in task.init_record.get("arrays", ()):
        classifier.init_from_linear_model(task.model)
    task = with_linear_model(task, linear_model)
    if options.worker.is_alive and config.linear and config.linear.refit:
        task = replace(task, linear_refit=task.submit_linear_refit())
    return task


def _prepare_stages(
    config: Config,
    dataset: Dataset,
    init: InitialWeights,
    device_info: DeviceInfo,
    options: TrainOptions,
) -> ClassifierTask:
    """Do what `prepare_classifier` does, for a training in several stages.

    All labeled rows are encoded once, with one vocabulary, and the model is compiled once.
    """
    seconds: dict[str, float] = {}
    train, validation = dataset.splits["train"], dataset.splits["validation"]
    rows = splits.concatenate(train, validation)
    whole = replace(dataset, splits={"train": rows})
    num_replayed = dataset.num_replayed
    own = stages.own_rows(len(train), num_replayed, len(rows))
    small = describe_small_classes(rows.labels[own], dataset.labels, config.data.folds)
    if small:
        options.reporter.note(small)
    with (
        timed(seconds, "encode"),
        _worker(options, should_use_worker(config, whole, init)) as worker,
    ):
        tokenizer, examples, left_out = _encode_train(config, whole, init, worker)
        wait_for_vectors = _submit_word_vectors(config, examples, tokenizer, init, options.worker)
        unlabeled = _encode_unlabeled(config, dataset, tokenizer, init, options)
    task = _build_task(
        config, dataset, tokenizer, (examples, None), unlabeled, init, device_info, options, seconds
    )
    start_regions(task, init, options.reporter)
    task = _start_word_vectors(task, init, options.reporter, wait_for_vectors)
    report_start(init, task.tokenizer, left_out, dataset, options.reporter)
    staged = StagedData(
        examples,
        stages.plan_stages(config, train.labels, validation.labels, num_replayed),
        model_state(task.model),
        # Words of unlabeled texts have a meaning even if no training row has them.
        None if dataset.unlabeled is not None or config.text is None else config.text.min_count,
        init.num_known,
        tokenizer,
        classifier.get_weights(task.model) if init.is_kept else None,
    )
    return replace(task, staged=staged)


def _build_task(
    config: Config,
    dataset: Dataset,
    tokenizer: Tokenizer | None,
    examples: tuple[Examples, Examples | None],
    unlabeled: tuple[Corpus, ...],
    init: InitialWeights,
    device_info: DeviceInfo,
    options: TrainOptions,
    seconds: dict[str, float],
) -> ClassifierTask:
    """Build the model and compile its steps; `examples` are those of train and validation."""
    train, validation = examples
    _report_truncation(config, examples, options.reporter)
    _report_sample(config, train, options.reporter)
    with timed(seconds, "build"):
        model, taken = _build(config, dataset, tokenizer, train, init)
    init_record = {**init.record, **taken.to_record()} if init.record else {}
    task = ClassifierTask(
        config, dataset, tokenizer, train, validation, model, device_info, init_record, seconds,
        unlabeled_texts=unlabeled, worker=options.worker,
    )  # fmt: skip
    with timed(seconds, "build"):
        task.compile_steps()
    return task


def _start_word_vectors(
    task: ClassifierTask,
    init: InitialWeights,
    reporter: Reporter,
    wait_for_vectors: VectorFit | None,
) -> ClassifierTask:
    """Start from learned word vectors, and from those of a file, if the settings ask for them."""
    config = task.config
    if init.kind == "word_vectors":
        assert task.tokenizer is not None
        assert config.embedding is not None
        assert isinstance(task.train.inputs, Corpus)
        extra = task.unlabeled_texts if config.embedding.vectors == "unlabeled" else ()
        corpora = [task.train.inputs, *extra]
        with timed(task.seconds, "vectors"):
            learn = wait_for_vectors or _submit_vectors(config, corpora, task.tokenizer, Worker())
            init_word_vectors(task.model, learn(), sum(map(len, corpora)), reporter)
    if not init.has_file:
        return task
    assert task.tokenizer is not None
    assert isinstance(task.train.inputs, Corpus)
    counts = word_counts(task.train.inputs, task.tokenizer)
    with timed(task.seconds, "vectors"):
        record = start_from_file(task.model, config, task.tokenizer, counts, reporter)
    return replace(task, vectors_record=record)


def _submit_word_vectors(
    config: Config,
    train: Examples,
    tokenizer: Tokenizer | None,
    init: InitialWeights,
    worker: Worker,
) -> VectorFit | None:
    """Start to learn word vectors of few training texts in the worker; None for other vectors."""
    if init.kind != "word_vectors" or not worker.is_alive:
        return None
    assert config.embedding is not None
    assert tokenizer is not None
    assert isinstance(train.inputs, Corpus)
    if config.embedding.vectors != "train" or len(train.inputs.ids) > _MAX_TOKENS_FOR_VECTORS:
        return None
    return _submit_vectors(config, [train.inputs], tokenizer, worker)


def _submit_vectors(
    config: Config, corpora: Sequence[Corpus], tokenizer: Tokenizer, worker: Worker
) -> VectorFit:
    assert config.embedding is not None
    return worker.submit(
        learn_word_vectors, corpora, tokenizer.vocab_size, config.embedding.dim, config.seed
    )


@contextlib.contextmanager
def _worker(options: TrainOptions, enabled: bool) -> Iterator[Worker]:
    """Return the worker of the options; or start one for the duration of a block, if enabled."""
    if options.worker.is_alive:
        yield options.worker
        return
    with workers.start_worker(enabled) as worker:
        worker.submit(workers.import_modules, *linear.REQUIRED_MODULES)
        yield worker


def should_use_worker(config: Config, dataset: Dataset, init: InitialWeights) -> bool:
    """Return whether there is enough work for a worker process."""
    has_many_texts = (
        dataset.kind == "text" and len(dataset.splits["train"]) >= _MIN_TEXTS_FOR_WORKER
    )
    return has_many_texts and (init.tokenizer is None or config.linear is not None)


def _describe_sizes(dataset: Dataset, num_folds: int) -> str:
    """Return the sizes of the splits: `64 train + 16 validation + 20 test`.

    Folds divide the rows of training and validation anew: `80 rows in 5 folds + 20 test`.
    """
    named = {name: len(split) for name, split in dataset.splits.items()}
    replayed = dataset.num_replayed
    if num_folds:
        in_folds = named.pop("train") + named.pop("validation", 0) - replayed
        named = {f"rows in {num_folds} folds": in_folds, **named}
    sizes = [f"{size:,} {name}" for name, size in named.items()]
    if replayed:
        sizes[0] += f", {replayed:,} replayed" if num_folds else f" ({replayed:,} of them replayed)"
    if dataset.unlabeled is not None:
        sizes.append(f"{len(dataset.unlabeled):,} unlabeled")
    return " + ".join(sizes)


def _report_data(
    config: Config, dataset: Dataset, checks: QuickCheck, options: TrainOptions
) -> None:
    """Say what the data is and what is wrong with it.

    Raises:
        LstmError: Splits share examples, which `options.fail_on` refuses (exit code 4).
    """
    reporter = options.reporter
    if "leak" in options.fail_on:
        checks.require_no_leak()
    for note in (*dataset.notes, *checks.warnings):
        reporter.note(f"Note: {note}")
    noun = "labels" if dataset.is_multi_label else "classes"
    sizes = _describe_sizes(dataset, config.data.folds)
    reporter.note(f"Data: {dataset.source}, {sizes}, {len(dataset.labels):,} {noun}.")
    if dataset.is_multi_label:
        return
    uneven = imbalance(np.bincount(dataset.splits["train"].labels, minlength=len(dataset.labels)))
    if uneven:
        weights = config.train.class_weights
        reporter.note(f"{uneven.describe(dataset.labels)} {advice(weights)}")


def _report_truncation(
    config: Config, examples: Sequence[Examples | None], reporter: Reporter
) -> None:
    corpora = [part.inputs for part in examples if part and isinstance(part.inputs, Corpus)]
    if corpora and config.text and (cut := describe_truncation(corpora, config.text.max_tokens)):
        reporter.note(f"Note: {cut}")


def _report_sample(config: Config, train: Examples, reporter: Reporter) -> None:
    if config.linear is None or not isinstance(train.inputs, Corpus):
        return
    num_features = linear_sample.count_features([train.inputs], config.linear)
    num = linear_sample.num_rows(num_features, len(train))
    if num < len(train):
        reporter.note(f"The linear model is fitted to {num:,} of {len(train):,} training texts.")


def _encode_train(
    config: Config, dataset: Dataset, init: InitialWeights, worker: Worker
) -> tuple[Tokenizer | None, Examples, int]:
    """Encode the training split.

    The vocabulary is that of the checkpoint to resume from; or of the run to start from, if there
    is one, and of the texts.

    Returns:
        The tokenizer, the examples, and the number of frequent words that the vocabulary has no
        room for.
    """
    if init.tokenizer is not None or config.text is None:
        return init.tokenizer, encode(config, dataset, "train", init.tokenizer), 0
    split = dataset.splits["train"]
    # With few texts, and a worker that has other work, this process is faster alone.
    has_many_texts = len(split) >= _MIN_TEXTS_FOR_WORKER
    tokenizer, corpus, num_left_out = encoding.grow_and_encode(
        vocabulary_texts(dataset),
        config.text,
        config.char_buckets,
        worker if has_many_texts else Worker(),
        init.words or SPECIAL_TOKENS,
    )
    if len(corpus) > len(split):
        corpus = corpus.take(np.arange(len(split)))
    return tokenizer, Examples(corpus, split.labels, None, split.weights), num_left_out


def _encode_unlabeled(
    config: Config,
    dataset: Dataset,
    tokenizer: Tokenizer | None,
    init: InitialWeights,
    options: TrainOptions,
) -> tuple[Corpus, ...]:
    """Encode the unlabeled texts if something learns from them."""
    for_vectors = (
        (init.kind == "word_vectors" or init.learns_regions)
        and config.embedding is not None
        and config.embedding.vectors == "unlabeled"
    )
    in_linear = config.linear is not None and config.linear.self_training > 0
    if not config.train.self_training and not for_vectors and not in_linear:
        return ()
    assert tokenizer is not None
    return tuple(encode_unlabeled(config, dataset, tokenizer, options))


def _build(
    config: Config,
    dataset: Dataset,
    tokenizer: Tokenizer | None,
    train: Examples,
    init: InitialWeights,
) -> tuple[Any, TakenArrays]:
    """Build and compile the model; return it with the names of the arrays of another run."""
    shape = None if tokenizer is not None else train.inputs.shape[1:]  # type: ignore[union-attr]
    vocab_size = None if tokenizer is None else tokenizer.vocab_size
    model = classifier.build_classifier(config, len(dataset.labels), vocab_size, shape)
    taken = apply_initial_weights(model, init, dataset.labels, config.is_multi_label)
    classifier.compile_classifier(
        model, config.train, len(dataset.labels), taken.slow, config.is_multi_label
    )
    return model, taken

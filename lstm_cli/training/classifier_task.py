"""A classifier as a training task: data, model, objective, and the files of its run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm_cli.checks import QuickCheck
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset
from lstm_cli.data.balance import weight_power
from lstm_cli.data.dataset import class_counts
from lstm_cli.evaluation import baselines
from lstm_cli.evaluation.hard_classes import describe_missed
from lstm_cli.evaluation.scored_split import ScoredSplit, make_scored, score_encoded
from lstm_cli.io.progress import Epoch, Reporter, describe_only_epoch
from lstm_cli.io.worker import Worker
from lstm_cli.models import classifier, linear, linear_sample
from lstm_cli.models.calibration import num_outputs, soft_targets
from lstm_cli.models.linear import LinearModel
from lstm_cli.models.linear_features import LinearTables
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.report.model_card import model_card
from lstm_cli.runs import directory as runs
from lstm_cli.runs import held_out, learned
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training import (
    artifacts,
    folds,
    linear_cache,
    more_epochs,
    stages,
    validation_stats,
)
from lstm_cli.training.checkpoint import model_state, set_model_state
from lstm_cli.training.device import DeviceInfo
from lstm_cli.training.loop import TrainingResult, num_parameters
from lstm_cli.training.objectives.classification import (
    ClassificationObjective,
    EpochLogits,
    Examples,
    predict,
    split_logits,
)
from lstm_cli.training.objectives.self_training import SelfTrainingObjective
from lstm_cli.training.options import TrainOptions
from lstm_cli.training.prepare import (
    encode,
    load_data,
    timed,
)
from lstm_cli.training.stages import (
    ONLY_STAGE,
    FinishedStage,
    HeldOutLogits,
    Stage,
    StagedData,
)
from lstm_cli.training.task import Evaluation

# Names of the initial weights in a checkpoint: `initial/embedding/embeddings`.
_INITIAL = "initial/"

LinearFit = Callable[[], LinearModel]


@dataclass(frozen=True)
class ClassifierTask:
    """A classifier that is ready to train, with its data and the files of its run.

    With several stages, `start_stage` returns the task of each; data, weights and linear model are
    those of that stage.

    Attributes:
        config: The settings.
        dataset: With `train` and `validation`; and with `test`, unless it is known by name. The
            test split is encoded and predicted after training.
        tokenizer: Fitted on `train`, or with several stages on all labeled rows; None for images.
        train: The encoded training examples.
        validation: The encoded validation examples; None in a refit.
        model: The compiled model, with its initial weights.
        device_info: Device and kernel.
        init_record: `init_from` of `run.json`; empty without another run to start from.
        vectors_record: `vectors` of `run.json`; empty without a file of word vectors.
        seconds: Seconds by part of the work; `linear` is the time spent waiting for the worker.
        linear: The linear model, if the settings have one.
        unlabeled_texts: Unlabeled texts that the word vectors, the linear model or self-training
            learn from: one corpus, or none.
        unlabeled: Unlabeled texts for self-training, if the settings use them.
        teacher_labels: What the run of `train.teacher` predicts for them, in the shape of
            `soft_targets`; None without one.
        staged: The rows of all stages; None if there is only one stage.
        stage: The stage of this task.
        held_out: In a refit, the logits of the rows that were held out before.
        refit_epochs: In a refit, its number of epochs.
        worker: Does a part of the work beside training.
        linear_fits: Linear models that the worker fits ahead, by number of the stage. Each waits
            for its model.
        linear_refit: Waits for the weights that the worker fits ahead to train and validation; None
            if nothing was submitted.
        checks: What was found in the data; None if nobody looked.
    """

    selection_metric: ClassVar[str] = "validation loss"

    config: Config
    dataset: Dataset
    tokenizer: Tokenizer | None
    train: Examples
    validation: Examples | None
    model: Any
    device_info: DeviceInfo
    init_record: Mapping[str, Any]
    seconds: dict[str, float]
    vectors_record: Mapping[str, Any] = field(default_factory=dict)
    linear: LinearModel | None = None
    unlabeled_texts: tuple[Corpus, ...] = ()
    unlabeled: Examples | None = None
    teacher_labels: NDArray[np.float32] | None = None
    staged: StagedData | None = None
    stage: Stage = ONLY_STAGE
    held_out: HeldOutLogits | None = None
    refit_epochs: int | None = None
    worker: Worker = field(default_factory=Worker)
    linear_fits: dict[int, LinearFit] = field(default_factory=dict)
    linear_refit: Callable[[], LinearTables] | None = None
    checks: QuickCheck | None = None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages of the training."""
        return (ONLY_STAGE,) if self.staged is None else self.staged.stages

    @property
    def num_unlabeled(self) -> int:
        """Number of texts in `unlabeled_texts`."""
        return sum(map(len, self.unlabeled_texts))

    @property
    def num_parameters(self) -> int:
        """Number of trained parameters: those of the model and the table of the linear model."""
        table_size = 0 if self.linear is None else self.linear.tables.size
        return num_parameters(self.model) + table_size

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """Rows and columns of an image; None for texts."""
        if self.tokenizer is not None:
            return None
        images = np.asarray(self.train.inputs)
        return int(images.shape[1]), int(images.shape[2])

    def make_objective(self, reporter: Reporter) -> ClassificationObjective:
        """Return the objective: classification, or self-training if there are unlabeled texts."""
        num_classes = len(self.dataset.labels)
        keeps_logits = self.stage.kind == "fold"
        if self.unlabeled is None:
            return ClassificationObjective(
                self.config, num_classes, self.train, self.validation, keeps_logits
            )
        assert self.linear is not None
        assert self.unlabeled.linear is not None
        if self.teacher_labels is None:
            pseudo_labels = soft_targets(self.unlabeled.linear)
        else:
            pseudo_labels = self.teacher_labels
        return SelfTrainingObjective(
            self.config,
            num_classes,
            self.train,
            self.validation,
            self.unlabeled,
            pseudo_labels,
            reporter,
            None if self.held_out is None else self.held_out.fit_scales(),
            keeps_logits,
        )

    def start_stage(self, finished: Sequence[FinishedStage]) -> ClassifierTask:
        """Return the task of the stage after those that are finished.

        It has the rows of the stage, a linear model fitted to its training rows, and the model with
        its initial weights.
        """
        staged = self.staged
        if staged is None:
            return self
        stage = staged.stages[len(finished)]
        set_model_state(self.model, staged.initial_state)
        is_refit = stage.kind == "refit"
        epochs = stages.num_refit_epochs(finished) if is_refit else None
        task = replace(
            self,
            train=staged.train_examples(stage),
            validation=staged.validation_examples(stage),
            stage=stage,
            held_out=None if epochs is None else staged.held_out_logits(finished, epochs),
            refit_epochs=epochs,
        )
        if self.config.linear is None:
            return task
        self._submit_linear_model(stage.number, task.train)
        if self.worker.is_alive:
            for later in staged.stages[stage.number :]:
                self._submit_linear_model(later.number, staged.train_examples(later))
        self.compile_steps()
        with timed(self.seconds, "linear"):
            linear_model = self.linear_fits.pop(stage.number)()
        if "head/kernel" not in self.init_record.get("arrays", ()):
            classifier.init_from_linear_model(self.model)
        return with_linear_model(task, linear_model)

    def initial_tensors(self) -> dict[str, Any]:
        """Return what a checkpoint needs to start the next stage, beside the settings."""
        staged = self.staged
        if staged is None or staged.initial_weights is None or self.stage.kind == "refit":
            return {}
        return {f"{_INITIAL}{name}": array for name, array in staged.initial_weights.items()}

    def restore_stages(
        self, finished: Sequence[FinishedStage], tensors: Mapping[str, Any]
    ) -> ClassifierTask:
        """Return the task with the initial weights of a checkpoint, if it has any.

        Args:
            finished: The finished stages of the checkpoint.
            tensors: Its tensors.

        Raises:
            ValueError: They are of other data or another model.
        """
        outputs = num_outputs(len(self.dataset.labels), self.config.is_multi_label)
        stages.check_finished(self.stages, finished, outputs)
        names = [name for name in tensors if name.startswith(_INITIAL)]
        weights = {name.removeprefix(_INITIAL): tensors[name] for name in names}
        if not weights:
            return self
        shapes = {name: array.shape for name, array in classifier.get_weights(self.model).items()}
        if self.staged is None or shapes != {name: a.shape for name, a in weights.items()}:
            raise ValueError("initial weights of another model")
        classifier.set_weights(self.model, weights)
        state = model_state(self.model)
        return replace(
            self, staged=replace(self.staged, initial_state=state, initial_weights=weights)
        )

    def finish_stage(
        self, result: TrainingResult, objective: ClassificationObjective
    ) -> FinishedStage:
        """Return the result of a stage, with the logits of the rows that it held out.

        A fold has those of each epoch, because another epoch may be the best for all folds.
        """
        assert self.validation is not None
        logits = objective.epoch_logits
        if logits is None:
            classifier.set_weights(self.model, result.weights)
            probabilities = predict(self.model, self.validation)
            of_best = split_logits(self.model, self.validation, probabilities)
            empty = EpochLogits.empty(self.validation, len(self.dataset.labels))
            logits = empty.followed_by(of_best)
        return FinishedStage(result.history, result.best_epoch, result.stop_reason, logits)

    def describe(self) -> dict[str, Any]:
        """Return what `run.json` says of data and model before training."""
        sizes = {name: len(split) for name, split in self.dataset.splits.items()}
        if self.num_unlabeled:
            sizes["unlabeled"] = self.num_unlabeled
        if self.dataset.num_replayed:
            sizes["replayed"] = self.dataset.num_replayed
        labels = list(self.dataset.labels)
        return {
            "dataset": {**artifacts.describe(self.dataset), "labels": labels, "sizes": sizes},
            "parameters": self.num_parameters,
            "vocab_size": self.tokenizer.vocab_size if self.tokenizer else None,
            **({"vectors": dict(self.vectors_record)} if self.vectors_record else {}),
        }

    def write_inputs(self, run: RunDir) -> None:
        """Write settings, tokenizer and labels."""
        artifacts.write_inputs(run, self.config, self.tokenizer)
        run.write_json(runs.LABELS, list(self.dataset.labels))

    def write_history(self, run: RunDir, history: Sequence[Epoch]) -> None:
        """Write one line per epoch."""
        artifacts.write_history(run, history)

    def write_model(self, run: RunDir, result: TrainingResult) -> None:
        """Write weights, ONNX graph and history."""
        artifacts.write_model(run, self, result)
        self.write_history(run, result.history)

    def evaluate(
        self, run: RunDir, result: TrainingResult, objective: Any, options: TrainOptions
    ) -> Evaluation:
        """Calibrate, compare the ONNX graph with Keras, score, and write metrics and plots."""
        predictor = Predictor.from_files(run)
        if self.config.train.calibrate:
            result = artifacts.calibrated(self, predictor, result)
            self.write_model(run, result)
            classifier.set_weights(self.model, result.weights)
            predictor = Predictor.from_files(run)
        validation = self._score_validation(predictor)
        if self.config.is_multi_label:
            validation = artifacts.write_thresholds(run, validation, self.dataset.labels)
        validation = artifacts.with_linear_part(self, validation)
        if self.validation is not None and self.config.linear and self.config.linear.refit:
            refitted = self._with_refitted_linear_model()
            refitted.write_model(run, result)
            return refitted._evaluate(run, Predictor.from_files(run), result, validation, options)
        return self._evaluate(run, predictor, result, validation, options)

    def _evaluate(
        self,
        run: RunDir,
        predictor: Predictor,
        result: TrainingResult,
        validation: ScoredSplit,
        options: TrainOptions,
    ) -> Evaluation:
        """Check the model that ships, score it on test if asked, and write metrics and plots.

        Args:
            run: The run directory.
            predictor: Of the model that ships.
            result: The result of training, calibrated.
            validation: The results on validation.
            options: Data folder, and whether to score on test.
        """
        artifacts.check_parity(self, predictor, lambda examples: predict(self.model, examples))
        artifacts.write_golden(run, self, predictor)
        if not self.config.is_multi_label:
            held_out.write(run, validation.labels, validation.probabilities)
        validation_stats.write(run, self.dataset.labels, validation, self._held_out_texts())
        results = {"validation": validation}
        if options.score_test:
            if self.config.is_multi_label:
                predictor.thresholds = validation.thresholds
            with timed(self.seconds, "evaluate"):
                thresholds = baselines.stored_thresholds(validation.report)
                results["test"] = self._score_test(predictor, options.data_dir, thresholds)
        cross_validation = folds.cross_validation(self, validation)
        plots = artifacts.write_results(run, self, result, results, cross_validation)
        reports = {name: scored.report for name, scored in results.items()}
        validation_method = stages.describe_validation(self.config, self.stages)
        missed = describe_missed(
            reports["validation"],
            class_counts(self.train.labels, len(self.dataset.labels)),
            self.config.train.class_weights,
            is_improving=more_epochs.still_improves(
                result.history, result.best_epoch, self.config.train.epochs
            ),
        )
        leak = ""
        if self.checks is not None:
            if options.score_test:
                leaks = (self.checks.leak_warning("test"), self.checks.earlier_warning("test"))
                leak = " ".join(filter(None, leaks))
            learned.write(run, self.checks.learned.inputs, self.checks.learned.labeled)
        return Evaluation(
            record={"temperature": result.temperature},
            sizes={"test": reports["test"].num_examples} if options.score_test else {},
            card={
                "metrics": reports,
                "plots": plots,
                "validation_method": validation_method,
                "cross_validation": cross_validation.describe() if cross_validation else "",
                "missed_classes": missed,
                "unlabeled_gain": self.describe_gain(),
                "only_epoch": describe_only_epoch(result.history),
            },
            warnings=tuple(filter(None, (leak, missed))),
        )

    def _score_test(
        self,
        predictor: Predictor,
        data_dir: Path | None,
        linear_thresholds: NDArray[np.float64] | None,
    ) -> ScoredSplit:
        """Score the test split. It is encoded here for the first time: all choices are made.

        Args:
            predictor: Of the model that ships.
            data_dir: Where TFDS data sets are.
            linear_thresholds: Of the linear part alone, in a multi-label run.
        """
        test_set = self.dataset
        if "test" not in test_set.splits:
            test_set = load_data(self.config, ("test",), data_dir, self.dataset.labels)
        test = encode(self.config, test_set, "test", self.tokenizer)
        scored = score_encoded(predictor, test.inputs, test.labels)
        logits = self.linear_logits(test.inputs)
        report = baselines.with_linear_part(scored.report, test.labels, logits, linear_thresholds)
        return replace(scored, report=report)

    def linear_logits(self, inputs: Any) -> Any:
        """Return the logits of the linear model for new texts; None without one."""
        if self.linear is None:
            return None
        assert self.config.linear is not None
        return linear.linear_logits(inputs, self.linear.tables, self.config.linear)

    def _with_refitted_linear_model(self) -> ClassifierTask:
        """Return the task with a linear model fitted to train and validation together.

        Its logits are scaled as before, so the factor on them remains right.
        """
        assert self.validation is not None
        assert self.linear is not None
        wait_for_tables = self.linear_refit or self.submit_linear_refit()
        with timed(self.seconds, "refit"):
            tables = wait_for_tables()
        task = replace(self, linear=replace(self.linear, tables=tables))
        logits = task.linear_logits(self.validation.inputs)
        return replace(task, validation=replace(self.validation, linear=logits))

    def describe_gain(self) -> str:
        """Say what the unlabeled texts brought to the linear model; empty without them."""
        return self.linear.gain.describe() if self.linear and self.linear.gain else ""

    def compile_steps(self) -> None:
        """Compile the steps of the model, while the worker does its part."""
        has_class_weights = bool(weight_power(self.config.train.class_weights))
        self.model.compile_steps(has_class_weights or self.train.weights is not None)

    def submit_linear_refit(self) -> Callable[[], LinearTables]:
        """Start to refit the linear model on train and validation; return a function that waits."""
        assert self.linear is not None
        assert self.validation is not None
        assert self.tokenizer is not None
        assert self.config.linear is not None
        train, validation = self.train.inputs, self.validation.inputs
        assert isinstance(train, Corpus)
        assert isinstance(validation, Corpus)
        labels = np.concatenate([self.train.labels, self.validation.labels])
        weights = _joined_weights(self.train, self.validation)
        num_features = linear_sample.count_features([train, validation], self.config.linear)
        rows = linear_sample.choose_rows(num_features, labels, self.config.seed)
        if rows is None:
            rows = np.arange(len(labels))
        others = (
            labels[rows],
            len(self.dataset.labels),
            self.tokenizer.words,
            self.config.linear,
            self.config.train.class_weights,
            _texts_for_linear_model(self.config, self.unlabeled_texts),
            None if weights is None else weights[rows],
        )
        # Neither the logits nor a copy of the texts are in memory while the model trains.
        fitted = replace(self.linear, train_logits=self.linear.train_logits[:0])
        return self.worker.submit_made(
            linear_cache.refit_tables,
            lambda: (
                fitted,
                linear_sample.take_of_both(train, validation, rows),
                *others,
            ),
        )

    def _submit_linear_model(self, number: int, train: Examples) -> None:
        """Start to fit the linear model of a stage, unless that has started."""
        if number not in self.linear_fits:
            self.linear_fits[number] = submit_linear_model(
                self.config,
                len(self.dataset.labels),
                train,
                self.tokenizer,
                self.unlabeled_texts,
                self.worker,
            )

    def _score_validation(self, predictor: Predictor) -> ScoredSplit:
        """Score the validation split, or the rows that were held out before the refit."""
        if self.held_out is None:
            assert self.validation is not None
            return score_encoded(predictor, self.validation.inputs, self.validation.labels)
        probabilities = self.held_out.probabilities(self.config.train.calibrate)
        return make_scored(self.held_out.labels, probabilities, self.dataset.labels)

    def _held_out_texts(self) -> Iterator[Corpus]:
        """Yield the texts of the rows that were held out, in the order of their predictions."""
        examples = [self.validation]
        if self.held_out is not None and self.staged is not None:
            examples = [self.staged.validation_examples(stage) for stage in self.stages[:-1]]
        for each in examples:
            if each is not None and isinstance(each.inputs, Corpus):
                yield each.inputs

    def model_card(self, record: Mapping[str, Any], evaluation: Evaluation) -> str:
        """Return the model card."""
        seconds = record["seconds"]["total"]
        known = {**record, "seconds": seconds, "config": self.config}
        return model_card({**known, **evaluation.card})


def submit_linear_model(
    config: Config,
    num_classes: int,
    train: Examples,
    tokenizer: Tokenizer | None,
    unlabeled: Sequence[Corpus],
    worker: Worker,
) -> LinearFit:
    """Start to fit the linear model in the worker; return a function that waits for it."""
    settings, corpus = config.linear, train.inputs
    assert settings is not None
    assert isinstance(corpus, Corpus)
    assert tokenizer is not None
    num_features = linear_sample.count_features([corpus], settings)
    rows = linear_sample.choose_rows(num_features, train.labels, config.seed)
    words, texts = tokenizer.words, _texts_for_linear_model(config, unlabeled)

    def make() -> tuple[Any, ...]:
        sample = train if rows is None else train.take(rows)
        return (
            sample.inputs,
            sample.labels,
            num_classes,
            words,
            settings,
            config.seed,
            config.train.class_weights,
            texts,
            sample.weights,
        )

    wait = worker.submit_made(linear_cache.fit_linear_model, make)
    if rows is None:
        return wait
    return lambda: linear_sample.with_logits_of_all(wait(), corpus, rows, settings)


def _joined_weights(train: Examples, validation: Examples) -> NDArray[np.float64] | None:
    """Return the weights of the rows of both splits; None if all weigh the same."""
    if train.weights is None and validation.weights is None:
        return None
    return np.concatenate([train.row_weights, validation.row_weights])


def _texts_for_linear_model(config: Config, unlabeled: Sequence[Corpus]) -> Corpus | None:
    """Return the unlabeled texts if the linear model learns from them."""
    assert config.linear is not None
    return unlabeled[0] if config.linear.self_training and unlabeled else None


def with_linear_model(task: ClassifierTask, linear_model: LinearModel) -> ClassifierTask:
    """Return the task with the logits of the linear model beside all examples."""
    assert task.config.linear is not None
    tables, settings = linear_model.tables, task.config.linear
    validation = task.validation
    if validation is not None:
        assert isinstance(validation.inputs, Corpus)
        logits = linear.linear_logits(validation.inputs, tables, settings)
        validation = replace(validation, linear=logits)
    extra = None
    if task.config.train.self_training and task.unlabeled_texts:
        (corpus,) = task.unlabeled_texts
        labels = np.zeros(len(corpus), np.int32)
        extra = Examples(corpus, labels, linear.linear_logits(corpus, tables, settings))
    return replace(
        task,
        train=replace(task.train, linear=linear_model.train_logits),
        validation=validation,
        linear=linear_model,
        unlabeled=extra,
    )

"""Evaluation of a run on a split of a data set; Keras is not needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli import data
from lstm_cli.config.schema import Config
from lstm_cli.data import Dataset, DataSource
from lstm_cli.data.dataset import Kind, Split, label_names
from lstm_cli.data.images import has_other_border
from lstm_cli.data.readers.known_columns import with_known_columns
from lstm_cli.data.registry import is_known, resolve
from lstm_cli.data.source import from_config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation import baselines, label_plots, metrics, plots, seen
from lstm_cli.evaluation.coverage import (
    Coverage,
    check_wanted_precision,
    for_wanted_precision,
    measure_coverage,
)
from lstm_cli.evaluation.label_set_metrics import errors, is_correct
from lstm_cli.evaluation.seen import Seen
from lstm_cli.io.progress import Reporter, SilentReporter
from lstm_cli.prediction.decision import MOST_PROBABLE
from lstm_cli.prediction.label_sets import predicted_labels
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import RunInfo
from lstm_cli.text import corpus_cache
from lstm_cli.text.corpus import Corpus


@dataclass(frozen=True)
class ScoredSplit:
    """The labels and predictions of a split.

    Attributes:
        labels: True class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`.
        probabilities: `<float32>[num, classes]`.
        report: The metrics of both.
        answers: Predicted class ids, -1 for no answer, `<int64>[num]`; None for the most probable
            classes.
    """

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    report: metrics.Report
    answers: NDArray[np.int64] | None = None

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """The thresholds of the labels of a multi-label run."""
        return np.array([each.threshold for each in self.report.classes], np.float64)

    @property
    def is_correct(self) -> NDArray[np.bool_]:
        """Whether the class, or exactly the true labels, are predicted, `<bool>[num]`."""
        if self.labels.ndim == 2:
            return is_correct(self.labels, self.probabilities, self.thresholds)
        return np.asarray(self.probabilities.argmax(axis=1) == self.labels)

    @property
    def is_answered_right(self) -> NDArray[np.bool_]:
        """Whether the answer is right; as `is_correct` if every example gets an answer."""
        return self.is_correct if self.answers is None else np.asarray(self.answers == self.labels)


@dataclass(frozen=True)
class Misclassified:
    """An example that the model classifies wrong.

    Attributes:
        index: Its index in the split, from 0.
        label: The true class.
        predicted: The predicted class.
        probability: The probability of the predicted class.
        text: The example; None for images.
        wrong_label: In a multi-label run, the most certain wrong label: predicted, or missing. Then
            `probability` is how certain the model is of this error, and `label` and `predicted`
            are all labels, joined by commas.
        id: The id of the example in the data; None if the data has no ids.
    """

    index: int
    label: str
    predicted: str
    probability: float
    text: str | None
    wrong_label: str | None = None
    id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, without `wrong_label` and `id` if there is none."""
        values = asdict(self)
        for key in ("wrong_label", "id"):
            if values[key] is None:
                del values[key]
        return values

    @property
    def name(self) -> str:
        """The id of the example, or without one its index."""
        return self.id or str(self.index)


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
        run: Name of the run.
        dataset: Name of the data set.
        split: `train`, `validation` or `test`.
        report: The metrics.
        mistakes: The wrong predictions with the highest confidence.
        folder: Where report.json and the plots are.
        coverage: Accuracy against the share of answered examples; None if not asked for.
        seen: The examples that the run has learned from; None if they are not known.
        seen_reason: Why `seen` is None; empty when it is known.
    """

    run: str
    dataset: str
    split: str
    report: metrics.Report
    mistakes: tuple[Misclassified, ...]
    folder: Path
    coverage: Coverage | None = None
    seen: Seen | None = None
    seen_reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {
            "run": self.run,
            "dataset": self.dataset,
            "split": self.split,
            **self.report.to_dict(),
            "mistakes": [mistake.to_dict() for mistake in self.mistakes],
            "folder": str(self.folder),
            **({"coverage": self.coverage.to_dict()} if self.coverage else {}),
            "seen": self.seen.to_dict() if self.seen else None,
            "seen_reason": self.seen_reason,
        }


def evaluate(
    run: RunDir,
    source: DataSource | None = None,
    *,
    split: str = "test",
    data_dir: Path | None = None,
    num_mistakes: int = 0,
    with_coverage: bool = False,
    wanted_precision: float | None = None,
    num_leaks: int = 0,
    fail_on: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> Evaluation:
    """Evaluate a run on a split of its own data set, or on other data with the same labels.

    Data with the content of the run's training data is its own data, whatever its name. The
    examples that the run has learned from are counted.

    If the run has thresholds, they decide what is predicted, and which examples get an answer.

    The linear part of the run alone is scored beside it, but not on the run's own `train` split, to
    whose labels it was fitted.

    The report and its plots are written to `reports/<dataset>-<split>/` in the run, or for the
    archive `model.zip` to `model-reports/<dataset>-<split>/` beside it. Without
    Matplotlib there are no plots, and the reporter gets a note.

    Args:
        run: A finished run.
        source: Other data; None for the run's own.
        split: `train`, `validation` or `test`.
        data_dir: Where TFDS data sets are.
        num_mistakes: How many of the most confident errors to list.
        with_coverage: Whether to measure accuracy against the share of answered examples.
        wanted_precision: Also choose the smallest probability for this precision, on the rows held
            out in training; None for no choice.
        num_leaks: How many examples to list that the run has learned from.
        fail_on: Findings with which nothing is scored: `leak`.
        reporter: Receives notes and warnings.

    Raises:
        LstmError: The run fails its integrity check, or the data is missing, of the other kind,
            or has labels that the run does not know; or the run was trained on its validation
            split.
    """
    reporter = reporter or SilentReporter()
    if wanted_precision is not None:
        check_wanted_precision(wanted_precision)
    predictor = Predictor.load(run)
    if with_coverage or wanted_precision is not None:
        _check_coverage(predictor)
    is_own = source is None or _is_own(run, source, reporter)
    dataset = _load(predictor, source, is_own, split, data_dir)
    for note in dataset.notes:
        reporter.note(f"Note: {note}")
    overlap = seen.find_overlap(run.with_manifest(), dataset, split, is_own)
    if "leak" in fail_on:
        seen.require_unseen(overlap)
    encoded = _encode(predictor, dataset, split, reporter)
    scored = score_encoded(predictor, encoded, dataset.splits[split].labels)
    scored = _decided(predictor, scored, reporter)
    found = None
    if not isinstance(overlap, str):
        found = seen.summarize(overlap, scored.is_answered_right, dataset, split, num_leaks)
        if found.num and not (is_own and is_known(run.config().data.name)):
            reporter.warn(found.describe(split))
    report = scored.report
    if not (is_own and split == "train"):
        report = baselines.measure_linear_part(report, scored.labels, predictor, encoded)
    folder = run.reports / f"{dataset.name}-{split}"
    evaluation = Evaluation(
        run=run.name,
        dataset=dataset.name,
        split=split,
        report=report,
        mistakes=mistakes(scored, dataset.splits[split], predictor.labels, num_mistakes),
        folder=folder,
        coverage=_coverage(predictor, scored, with_coverage, wanted_precision),
        seen=found,
        seen_reason=overlap if isinstance(overlap, str) else "",
    )
    RunDir(folder).write_json("report.json", evaluation.to_dict())
    if find_spec("matplotlib") is None:
        reporter.note("No plots: Matplotlib is not installed (try: pip install matplotlib).")
    else:
        draw_results(folder, scored, predictor.labels)
    return evaluation


def load_own(predictor: Predictor, split: str, data_dir: Path | None) -> Dataset:
    """Load a split of the data that a run was trained on.

    Raises:
        LstmError: The data is not available (exit code 3), or the run has learned from the split.
    """
    return _load(predictor, None, True, split, data_dir)


def _load(
    predictor: Predictor,
    source: DataSource | None,
    is_own: bool,
    split: str,
    data_dir: Path | None,
) -> Dataset:
    """Load a split of the run's own data, which may be a copy, or of another source.

    Own images get the size of the run's.
    """
    run = predictor.run
    if source is None or is_own:
        _check_not_seen(run, split)
        return own_data(run, split, data_dir, source.name if source else None)
    source = replace(source, data_dir=data_dir)
    if resolve(source.name) == "images":
        _check_kind(predictor, "image", source.name)
        source = replace(source, image_size=predictor.shape)
    source, note = _as_trained(source, run.config())
    dataset = data.load_for_labels(source, predictor.labels, split)
    return replace(dataset, notes=(*filter(None, [note]), *dataset.notes))


def _is_own(run: RunDir, source: DataSource, reporter: Reporter) -> bool:
    """Tell whether a source is the data that the run was trained on, or a copy of it.

    Raises:
        LstmError: It is to be read in another way than for training (exit code 2).
    """
    config = run.config()
    if not seen.is_training_data(run.with_manifest(), source.name):
        return False
    if source != DataSource(source.name, source.data_dir):
        raise LstmError(
            f"{source.name} is the data that run {run.name} was trained on: it is read as for "
            "training.",
            "Leave out --limit, and the options for columns and reading.",
            ExitCode.USAGE,
        )
    if source.name != config.data.name:
        reporter.note(
            f"Note: {source.name} is a copy of the data that run {run.name} was trained on, which "
            "is split as in training."
        )
    return True


def _decided(predictor: Predictor, scored: ScoredSplit, reporter: Reporter) -> ScoredSplit:
    """Return a split scored by what the thresholds of the run decide, if it has any."""
    if predictor.decision is MOST_PROBABLE:
        return scored
    reporter.note("Predictions with the thresholds of the run ('lstm runs show' has them).")
    labels, probabilities = scored.labels, scored.probabilities
    answers = predictor.decision.answers(probabilities)
    report = metrics.compute(labels, probabilities, predictor.labels, answers=answers)
    return replace(scored, report=report, answers=answers)


def _coverage(
    predictor: Predictor, scored: ScoredSplit, with_coverage: bool, wanted: float | None
) -> Coverage | None:
    """Measure accuracy against the share of answered examples, if that was asked for."""
    if not with_coverage and wanted is None:
        return None
    labels, probabilities, decision = scored.labels, scored.probabilities, predictor.decision
    rows = measure_coverage(labels, probabilities, decision)
    if wanted is None:
        return Coverage(rows)
    run = predictor.run
    return Coverage(rows, for_wanted_precision(run, wanted, labels, probabilities, decision))


def _check_coverage(predictor: Predictor) -> None:
    """Refuse to measure coverage where each label has its own threshold.

    Raises:
        LstmError: It is a multi-label run (exit code 2).
    """
    if predictor.thresholds is not None:
        raise LstmError(
            f"--coverage needs one label a text; run {predictor.run.name} has any number of them.",
            "The table of labels has precision and recall of each.",
            ExitCode.USAGE,
        )


def _as_trained(source: DataSource, config: Config) -> tuple[DataSource, str]:
    """Return a source that is read as the run's data were, with a note if it lacks its columns."""
    source = _with_label_format(source, config)
    if resolve(source.name) != "table":
        return source, ""
    columns = config.data.text_columns, config.data.label_column, config.data.id_column
    return with_known_columns(Path(source.name), source, *columns)


def _with_label_format(source: DataSource, config: Config) -> DataSource:
    """Return a source whose labels are read as those of the run were."""
    return replace(
        source,
        multi_label=config.data.multi_label if config.is_multi_label else "none",
        label_columns=config.data.label_columns,
    )


def _check_not_seen(run: RunDir, split: str) -> None:
    """Refuse the validation split of a run whose model was trained on it at the end.

    Raises:
        LstmError: It was (exit code 2).
    """
    if split == "validation" and run.config().has_seen_validation:
        raise LstmError(
            f"The model of run {run.name} was refitted on train and validation: on the validation "
            "split it would look better than it is.",
            f"'lstm runs show {run.name}' has the validation results from before the refit.",
            ExitCode.USAGE,
        )


def own_data(
    run: RunDir, split: str, data_dir: Path | None = None, copy: str | None = None
) -> Dataset:
    """Read a split of the data a run was trained on; a note says if the data has changed since.

    Args:
        run: The run.
        split: The name of the split.
        data_dir: Where TFDS data sets are.
        copy: Path of a copy of the data, to read in its place.

    Raises:
        LstmError: The data is missing (exit code 3) or malformed, or the run fails its integrity
            check (exit code 5).
    """
    config = run.config()
    source = _with_label_format(from_config(config, data_dir, run.labels()), config)
    source = replace(source, name=copy or source.name)
    dataset = data.load(source, (split,))
    trained_on = run.with_manifest().decode(runs.RUN, RunInfo).dataset
    change = None if trained_on is None else trained_on.learned_change(dataset)
    if change is None and trained_on is not None and split == "test":
        change = trained_on.test_change(dataset)
    if change is None:
        return dataset
    note = f"{change.source} has changed since run {run.name} was trained on it."
    return replace(dataset, notes=(note, *dataset.notes))


def score(predictor: Predictor, dataset: Dataset, split: str, reporter: Reporter) -> ScoredSplit:
    """Predict a split and compare with the true labels; nothing is written.

    Args:
        predictor: Its labels are those of the data set, in the same order.
        dataset: Has this split.
        split: `train`, `validation` or `test`.
        reporter: Receives a note on what is evaluated.

    Raises:
        LstmError: The data is of the other kind than the model reads, or images of another size.
    """
    encoded = _encode(predictor, dataset, split, reporter)
    return score_encoded(predictor, encoded, dataset.splits[split].labels)


def _encode(
    predictor: Predictor, dataset: Dataset, split: str, reporter: Reporter
) -> Corpus | NDArray[np.uint8]:
    """Encode a split for the predictor; see `score`."""
    _check_kind(predictor, dataset.kind, dataset.name)
    examples = dataset.splits[split]
    reporter.note(f"Evaluating {len(examples):,} examples of {dataset.source} ({split}).")
    encoded = inputs(predictor, examples.inputs)
    if isinstance(encoded, np.ndarray):
        inverted = has_other_border(encoded, predictor.border)
        if note := predictor.describe_inverted(int(np.count_nonzero(inverted)), len(encoded)):
            reporter.note(note)
    return encoded


def _check_kind(predictor: Predictor, kind: Kind, name: str) -> None:
    """Check that data is of the kind that the model reads.

    Raises:
        LstmError: It is not (exit code 2).
    """
    if kind != predictor.kind:
        raise LstmError(
            f"{name} holds {kind}s; run {predictor.run.name} reads {predictor.kind}s.",
            f"Choose a run that reads {kind}s with --run.",
            ExitCode.USAGE,
        )


def score_encoded(
    predictor: Predictor, inputs: Corpus | NDArray[np.uint8], labels: NDArray[np.int32]
) -> ScoredSplit:
    """Predict encoded inputs and compare with the true labels."""
    probabilities = predictor.probabilities(inputs)
    return make_scored(labels, probabilities, predictor.labels, predictor.thresholds)


def make_scored(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    names: tuple[str, ...],
    thresholds: NDArray[np.float64] | None = None,
) -> ScoredSplit:
    """Compare probabilities with the true labels; see `metrics.compute`."""
    report = metrics.compute(labels, probabilities, names, thresholds)
    return ScoredSplit(labels, probabilities, report)


def inputs(
    predictor: Predictor, examples: Sequence[str] | NDArray[np.uint8]
) -> Corpus | NDArray[np.uint8]:
    """Encode a split for the predictor.

    Raises:
        LstmError: The images are not of the size that the model reads.
    """
    if isinstance(examples, np.ndarray):
        if examples.shape[1:] != predictor.shape:
            raise LstmError(
                f"Run {predictor.run.name} reads images of {predictor.shape}, "
                f"found {examples.shape[1:]}.",
                "Train on images of this size, or evaluate on the run's own data set.",
            )
        return examples
    assert predictor.tokenizer is not None
    return corpus_cache.encode_cached(examples, predictor.tokenizer)


def draw_results(folder: Any, scored: ScoredSplit, labels: tuple[str, ...]) -> list[str]:
    """Draw the plots of a split; return the file names."""
    if scored.labels.ndim == 2:
        label_plots.label_scores(scored.report, folder / "labels.png")
        plots.reliability(scored.report, folder / "reliability.png")
        plots.roc_pr(scored.labels, scored.probabilities, labels, folder / "roc_pr.png")
        return ["labels.png", "reliability.png", "roc_pr.png"]
    plots.confusion(scored.report, folder / "confusion.png")
    plots.reliability(scored.report, folder / "reliability.png")
    plots.roc_pr(scored.labels, scored.probabilities, labels, folder / "roc_pr.png")
    plots.scores(scored.labels, scored.probabilities, labels, folder / "scores.png")
    return ["confusion.png", "reliability.png", "roc_pr.png", "scores.png"]


def mistakes(
    scored: ScoredSplit, examples: Split, labels: tuple[str, ...], num: int
) -> tuple[Misclassified, ...]:
    """Return the wrong predictions with the highest confidence.

    Args:
        scored: The labels and probabilities of the split.
        examples: The split.
        labels: Class names.
        num: The largest number to return.
    """
    found = _most_certain_errors(scored, examples.inputs, labels, num)
    if examples.ids is None:
        return found
    return tuple(replace(error, id=examples.ids[error.index]) for error in found)


def _most_certain_errors(
    scored: ScoredSplit,
    examples: Sequence[str] | NDArray[np.uint8],
    labels: tuple[str, ...],
    num: int,
) -> tuple[Misclassified, ...]:
    """Return the wrong predictions with the highest confidence, without ids."""
    if not num:
        return ()
    if scored.labels.ndim == 2:
        return tuple(_wrong_label_sets(scored, examples, labels, num))
    answers = scored.answers
    predicted = scored.probabilities.argmax(axis=1) if answers is None else answers
    return tuple(
        Misclassified(
            index=int(i),
            label=labels[int(scored.labels[i])],
            predicted=labels[int(predicted[i])],
            probability=float(scored.probabilities[i, predicted[i]]),
            text=None if isinstance(examples, np.ndarray) else examples[int(i)],
        )
        for i in metrics.most_confident_errors(scored.labels, scored.probabilities, num, answers)
    )


def _wrong_label_sets(
    scored: ScoredSplit,
    examples: Sequence[str] | NDArray[np.uint8],
    labels: tuple[str, ...],
    num: int,
) -> Iterator[Misclassified]:
    """Yield the examples with the most certain wrong labels, the most certain first."""
    confidences = errors(scored.labels, scored.probabilities, scored.thresholds)
    chosen = predicted_labels(scored.probabilities, scored.thresholds)
    order = np.argsort(-confidences.max(axis=1), kind="stable")[:num]
    true_names, predicted_names = (
        label_names(part[order].astype(np.int32), labels) for part in (scored.labels, chosen)
    )
    for i, true, predicted in zip(order.tolist(), true_names, predicted_names, strict=True):
        worst = int(confidences[i].argmax())
        if confidences[i, worst]:
            text = None if isinstance(examples, np.ndarray) else examples[i]
            probability = float(confidences[i, worst])
            yield Misclassified(i, true, predicted, probability, text, labels[worst])

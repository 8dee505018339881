"""The types of `metrics.json`: results on a split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from lstm_cli.io.text_format import number
from lstm_cli.runs.decode import (
    MAX_INTEGER,
    Count,
    EpochNumber,
    Fraction,
    Loss,
    Mean,
    Perplexity,
    ShortText,
)


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class; a score that is undefined (no prediction, no example) is 0.

    Attributes:
        name: The class.
        precision: Fraction of the predictions of this class that are correct.
        recall: Fraction of the examples of this class that are predicted as this class.
        f1: Harmonic mean of the two.
        support: Number of examples whose true class this is.
        num_predicted: In a multi-label run, number of examples predicted to have this label; None
            in other runs.
        threshold: In a multi-label run, the threshold of the label.
        roc_auc: In a multi-label run, area under the ROC curve of the label; None if all examples
            or none have it.
    """

    name: str
    precision: Mean
    recall: Mean
    f1: Mean
    support: Count
    num_predicted: Count | None = None
    threshold: Fraction | None = None
    roc_auc: Mean | None = None


@dataclass(frozen=True)
class MicroScores:
    """Scores of the labels of all examples together, in a multi-label run.

    Attributes:
        precision: Fraction of all predicted labels that are correct.
        recall: Fraction of all true labels that are predicted.
        f1: Harmonic mean of the two.
        num_labels: Number of true labels of all examples.
        num_predicted: Number of predicted labels of all examples.
    """

    precision: Mean
    recall: Mean
    f1: Mean
    num_labels: Count
    num_predicted: Count


@dataclass(frozen=True)
class Bin:
    """The predictions whose confidence lies in (low, high].

    Attributes:
        low: Lower edge; the first bin includes it.
        high: Upper edge.
        count: Number of predictions.
        confidence: Mean probability of the predicted class; None without predictions.
        accuracy: Fraction of them that is correct; None without predictions.
    """

    low: Fraction
    high: Fraction
    count: Count
    confidence: Mean | None
    accuracy: Mean | None


@dataclass(frozen=True)
class BaselineScores:
    """Scores of a simpler classifier on the same examples; it answers all of them.

    Attributes:
        accuracy: Fraction predicted correctly; in a multi-label run, with exactly the true labels.
        f1: Macro F1.
        micro_f1: In a multi-label run, F1 of all labels together; None in other runs.
        thresholds: Thresholds of the labels of the linear part, in a multi-label run, chosen on
            validation as those of the run are; None in other runs.
    """

    accuracy: Fraction
    f1: Mean
    micro_f1: Mean | None = None
    thresholds: tuple[Fraction, ...] | None = None


@dataclass(frozen=True)
class Report:
    """All results on one split.

    Attributes:
        num_examples: Number of examples.
        accuracy: Fraction predicted correctly; in a multi-label run, with exactly the true labels.
        accuracy_interval: Its 95% Wilson interval.
        loss: Mean negative log-likelihood, in nats; in a multi-label run, of a label.
        precision: Mean over the classes that occur or were predicted (macro).
        recall: The same for recall.
        f1: The same for F1.
        roc_auc: Area under the ROC curve; with more than two classes, mean of one-vs-rest.
        roc_auc_reason: Why `roc_auc` is None; empty when it is a number.
        calibration_error: Expected calibration error, 15 bins.
        classes: One entry per class, in the order of class ids.
        bins: The 15 reliability bins, from 0 to 1; in a multi-label run, of all labels of all
            examples by their probability.
        confusion: The cells of the confusion matrix that are not 0, by row: id of the true class,
            id of the predicted class, number of examples. With many classes almost all are 0. Empty
            in a multi-label run.
        micro: Scores of all labels together, in a multi-label run; None in other runs.
        answered: Share of the examples that get an answer. Accuracy and confusion matrix are those
            of the answers; an example without one is missed in the recall of its class.
        majority: Scores of always predicting the most frequent class of the split, or the most
            frequent set of labels.
        linear: Scores of the linear part of the run alone; None for a run without one.
    """

    num_examples: Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
    accuracy: Fraction
    accuracy_interval: tuple[Fraction, Fraction]
    loss: Loss
    precision: Mean
    recall: Mean
    f1: Mean
    roc_auc: Mean | None
    roc_auc_reason: str
    calibration_error: Mean
    classes: tuple[ClassScores, ...]
    bins: Annotated[tuple[Bin, ...], Meta(max_length=1000)]
    confusion: tuple[tuple[Count, Count, Count], ...]
    micro: MicroScores | None = None
    answered: Fraction = 1.0
    majority: BaselineScores | None = None
    linear: BaselineScores | None = None

    @property
    def micro_precision(self) -> float | None:
        """Precision of all labels together; None unless there are several a text."""
        return None if self.micro is None else self.micro.precision

    @property
    def micro_recall(self) -> float | None:
        """Recall of all labels together; None unless there are several a text."""
        return None if self.micro is None else self.micro.recall

    @property
    def micro_f1(self) -> float | None:
        """F1 of all labels together; None unless there are several a text."""
        return None if self.micro is None else self.micro.f1

    def to_dict(self) -> dict[str, Any]:
        """Return the report in types JSON knows: dicts, lists, numbers, strings, None.

        What only a multi-label run has is left out for other runs, and so is the linear part of a
        run without one.
        """
        builtins: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        for name in ("majority", "linear"):
            scores = builtins.pop(name) or {}
            if known := {key: value for key, value in scores.items() if value is not None}:
                builtins[name] = known
        if self.micro is None:
            del builtins["micro"]
            for scores in builtins["classes"]:
                del scores["num_predicted"], scores["threshold"], scores["roc_auc"]
        return builtins


class FoldScores(msgspec.Struct, frozen=True):
    """One metric over the folds of a cross-validation.

    Attributes:
        mean: Mean over the folds.
        std: Standard deviation over the folds, that of a sample (divided by one less).
        folds: The value of each fold.
    """

    mean: Loss
    std: Loss
    folds: Annotated[tuple[Loss, ...], Meta(min_length=2, max_length=100)]

    def describe(self) -> str:
        """Describe it for people: `0.8123 ± 0.0211`."""
        return f"{number(self.mean)} ± {number(self.std)}"


class CrossValidation(msgspec.Struct, frozen=True):
    """Scores of the folds of a cross-validation.

    Attributes:
        num_folds: Number of folds.
        accuracy: Fraction predicted correctly.
        f1: Macro F1.
        loss: Mean negative log-likelihood, in nats.
    """

    num_folds: Annotated[int, Meta(ge=2, le=100)]
    accuracy: FoldScores
    f1: FoldScores
    loss: FoldScores

    def describe(self) -> str:
        """Return a sentence with mean and standard deviation, and the range of the accuracy."""
        low, high = min(self.accuracy.folds), max(self.accuracy.folds)
        return (
            f"{self.num_folds} folds, mean ± standard deviation: accuracy "
            f"{self.accuracy.describe()} ({number(low)} to {number(high)}), macro F1 "
            f"{self.f1.describe()}, loss {self.loss.describe()}."
        )


class Results(msgspec.Struct, frozen=True):
    """`metrics.json` of a classifier.

    Attributes:
        best_epoch: The epoch whose weights are used.
        validation: Results on the validation split, or on all rows held out before a refit.
        test: Results on the test split; None if it was not scored (`train --no-test`).
        validation_method: How the validation results came about, before a refit; empty without one.
        cross_validation: Scores of the folds; None without folds.
    """

    best_epoch: EpochNumber
    validation: Report
    test: Report | None = None
    validation_method: ShortText = ""
    cross_validation: CrossValidation | None = None


class DirectionScores(msgspec.Struct, frozen=True):
    """Results of a language model in one direction."""

    loss: Loss
    perplexity: Perplexity


class HeldOutScores(msgspec.Struct, frozen=True, omit_defaults=True):
    """Results of a language model on words that it was not trained on."""

    loss: Loss
    perplexity: Perplexity
    num_words: Count
    unigram_perplexity: Perplexity
    forward: DirectionScores | None = None
    backward: DirectionScores | None = None


class LanguageResults(msgspec.Struct, frozen=True):
    """`metrics.json` of a language model."""

    best_epoch: EpochNumber
    held_out: HeldOutScores


def check_report(report: Report, labels: Sequence[str] | None = None) -> None:
    """Check that the numbers of a report agree with each other.

    Args:
        report: Of one split.
        labels: Class names; None if unknown.

    Raises:
        ValueError: They contradict each other, or the classes differ; the message names the key.
    """
    names = [scores.name for scores in report.classes]
    if labels is not None and names != list(labels):
        raise ValueError("classes: expected those of the run")
    _check_baselines(report)
    if report.micro is not None:
        _check_multi_label(report, report.micro)
        return
    _check_confusion(report)
    num = sum(count for _, _, count in report.confusion)
    num_correct = sum(count for true, predicted, count in report.confusion if true == predicted)
    if num != report.num_examples or sum(b.count for b in report.bins) != num:
        raise ValueError(f"num_examples: {report.num_examples:,} do not match confusion and bins")
    low, high = report.accuracy_interval
    if abs(report.accuracy - num_correct / num) > 1e-6 or not low <= report.accuracy <= high:
        raise ValueError(f"accuracy: {report.accuracy} does not match confusion and interval")


def _check_baselines(report: Report) -> None:
    """Check that baselines have what belongs to the kind of the run."""
    is_multi_label = report.micro is not None
    for name, scores in (("majority", report.majority), ("linear", report.linear)):
        if scores is None:
            continue
        if (scores.micro_f1 is not None) != is_multi_label:
            raise ValueError(f"{name}.micro_f1: does not belong to the kind of the run")
        if scores.thresholds is not None and len(scores.thresholds) != len(report.classes):
            raise ValueError(f"{name}.thresholds: expected one number for each label")


def _check_multi_label(report: Report, micro: MicroScores) -> None:
    """Check the numbers of a multi-label run."""
    num = report.num_examples
    if sum(b.count for b in report.bins) != num * len(report.classes):
        raise ValueError(f"num_examples: {num:,} do not match bins")
    low, high = report.accuracy_interval
    if not low <= report.accuracy <= high:
        raise ValueError(f"accuracy: {report.accuracy} does not match interval")
    if report.confusion:
        raise ValueError("confusion: expected none for several labels")
    if any(each.threshold is None or each.num_predicted is None for each in report.classes):
        raise ValueError("classes: expected a threshold and the number of predictions in each")
    totals = [sum(each.support for each in report.classes)]
    totals.append(sum(each.num_predicted or 0 for each in report.classes))
    if totals != [micro.num_labels, micro.num_predicted]:
        raise ValueError("micro: does not match classes")


def _check_confusion(report: Report) -> None:
    """Check that the cells are in order, of known classes, and add up to the supports."""
    cells, num_classes = report.confusion, len(report.classes)
    places = [cell[:2] for cell in cells]
    if any(before >= after for before, after in pairwise(places)):
        raise ValueError("confusion: expected cells in ascending order of both classes")
    if any(max(place) >= num_classes for place in places) or any(not cell[2] for cell in cells):
        raise ValueError(
            f"confusion: expected class ids below {num_classes:,} and numbers above 0 in each cell"
        )
    supports = [0] * num_classes
    for true, _, count in cells:
        supports[true] += count
    if supports != [scores.support for scores in report.classes]:
        raise ValueError("confusion: a row does not add up to the support of its class")

"""Evaluation of a run on a split of a data set; Keras is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lstm_cli.data import DataSource
from lstm_cli.data.registry import is_known
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation import baselines, label_plots, metrics, plots, seen
from lstm_cli.evaluation.coverage import (
    Coverage,
    check_wanted_precision,
    for_wanted_precision,
    measure_coverage,
)
from lstm_cli.evaluation.load_split import is_own_data, load_split
from lstm_cli.evaluation.mistakes import Misclassified, find_mistakes
from lstm_cli.evaluation.scored_split import ScoredSplit, encode_split, score_encoded
from lstm_cli.evaluation.seen import Seen
from lstm_cli.io.progress import Reporter, SilentReporter
from lstm_cli.prediction.decision import MOST_PROBABLE
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs.directory import RunDir


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
    is_own = source is None or is_own_data(run, source, reporter)
    dataset = load_split(predictor, source, is_own, split, data_dir)
    for note in dataset.notes:
        reporter.note(f"Note: {note}")
    overlap = seen.find_overlap(run.with_manifest(), dataset, split, is_own)
    if "leak" in fail_on:
        seen.require_unseen(overlap)
    encoded = encode_split(predictor, dataset, split, reporter)
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
    evaluation = Evaluation(
        run=run.name,
        dataset=dataset.name,
        split=split,
        report=report,
        mistakes=find_mistakes(scored, dataset.splits[split], predictor.labels, num_mistakes),
        folder=run.reports / f"{dataset.name}-{split}",
        coverage=_coverage(predictor, scored, with_coverage, wanted_precision),
        seen=found,
        seen_reason=overlap if isinstance(overlap, str) else "",
    )
    _write(evaluation, scored, predictor.labels, reporter)
    return evaluation


def _write(
    evaluation: Evaluation, scored: ScoredSplit, labels: tuple[str, ...], reporter: Reporter
) -> None:
    """Write the report, and its plots if Matplotlib is installed."""
    RunDir(evaluation.folder).write_json("report.json", evaluation.to_dict())
    if find_spec("matplotlib") is None:
        reporter.note("No plots: Matplotlib is not installed (try: pip install matplotlib).")
    else:
        draw_results(evaluation.folder, scored, labels)


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

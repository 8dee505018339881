"""A run on a split -> report, without Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli import data
from lstm_cli.data import Dataset, DataSource
from lstm_cli.data.source import from_config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation import metrics, plots
from lstm_cli.io.progress import Reporter, SilentReporter
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import RunInfo
from lstm_cli.text import corpus
from lstm_cli.text.corpus import Corpus


@dataclass(frozen=True)
class Scored:
    """A split with what the network said of it.

    Attributes:
        labels: True class ids, `<int32>[num]`.
        probabilities: `<float32>[num, classes]`.
        report: What follows from both.
    """

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    report: metrics.Report


@dataclass(frozen=True)
class Misclassified:
    """An example the network got wrong.

    Attributes:
        index: Its place in the split, counted from 0.
        label: The true class.
        predicted: The class chosen.
        probability: Of the class chosen.
        text: The example; None for images.
    """

    index: int
    label: str
    predicted: str
    probability: float
    text: str | None


@dataclass(frozen=True)
class Evaluation:
    """A run scored on a split.

    Attributes:
        run: Its name.
        dataset: What it was scored on.
        split: Which part of it.
        report: The figures.
        mistakes: The most confidently wrong examples.
        folder: Where report and plots were written.
    """

    run: str
    dataset: str
    split: str
    report: metrics.Report
    mistakes: tuple[Misclassified, ...]
    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {
            "run": self.run,
            "dataset": self.dataset,
            "split": self.split,
            **self.report.to_dict(),
            "mistakes": [asdict(mistake) for mistake in self.mistakes],
            "folder": str(self.folder),
        }


def evaluate(
    run: RunDir,
    source: DataSource | None = None,
    *,
    split: str = "test",
    data_dir: Path | None = None,
    num_mistakes: int = 0,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Score a run on a split of its own data set, or on other data with the same labels.

    The report and its plots are written to `reports/<dataset>-<split>/` in the run.

    Args:
        run: A finished run.
        source: Other data; the run's own where None.
        split: `train`, `validation` or `test`.
        data_dir: Where TFDS data sets lie.
        num_mistakes: How many of the most confidently wrong examples to list.
        reporter: Told how it goes.

    Raises:
        LstmError: The run cannot be trusted, the data is not there, is of the other kind, or has
            labels that the run never saw.
    """
    reporter = reporter or SilentReporter()
    predictor = Predictor.load(run)
    if source is None:
        dataset = own_data(run, split, data_dir)
    else:
        given = replace(source, data_dir=data_dir)
        dataset = data.load_for_labels(given, predictor.labels, split)
    for note in dataset.notes:
        reporter.note(f"Note: {note}")
    scored = score(predictor, dataset, split, reporter)
    folder = run.file(runs.REPORTS) / f"{dataset.name}-{split}"
    evaluation = Evaluation(
        run=run.name,
        dataset=dataset.name,
        split=split,
        report=scored.report,
        mistakes=mistakes(scored, dataset.splits[split].inputs, predictor.labels, num_mistakes),
        folder=folder,
    )
    relative = folder.relative_to(run.path)
    run.write_json(str(relative / "report.json"), evaluation.to_dict())
    draw_results(folder, scored, predictor.labels)
    return evaluation


def own_data(run: RunDir, split: str, data_dir: Path | None = None) -> Dataset:
    """Read a split of the data a run was trained on; a note says so where it has changed since.

    Raises:
        LstmError: The data is not there (exit code 3), or malformed; or the run has changed (exit
            code 5).
    """
    dataset = data.load(from_config(run.config(), data_dir), (split,))
    trained_on = run.verified().decode(runs.RUN, RunInfo).dataset
    if trained_on is not None and trained_on.fingerprint == dataset.fingerprint:
        return dataset
    changed = f"{dataset.source} has changed since run {run.name} was trained on it."
    return replace(dataset, notes=(changed, *dataset.notes))


def score(predictor: Predictor, dataset: Dataset, split: str, reporter: Reporter) -> Scored:
    """Run a split through a network and compare with the truth; nothing is written.

    Args:
        predictor: With the labels of the data set, in their order.
        dataset: With this split.
        split: Which one.
        reporter: Told what is scored.

    Raises:
        LstmError: The data is of the other kind than the network reads, or images of another size.
    """
    if dataset.kind != predictor.kind:
        raise LstmError(
            f"{dataset.name} holds {dataset.kind}s; run {predictor.run.name} reads "
            f"{predictor.kind}s.",
            f"Name {'an image' if dataset.kind == 'image' else 'a text'} run with --run.",
            ExitCode.USAGE,
        )
    examples = dataset.splits[split]
    reporter.note(f"Scoring {len(examples):,} examples of {dataset.source} ({split}).")
    return score_encoded(predictor, inputs(predictor, examples.inputs), examples.labels)


def score_encoded(
    predictor: Predictor, inputs: Corpus | NDArray[np.uint8], labels: NDArray[np.int32]
) -> Scored:
    """Run encoded inputs through the exported graph and compare with the truth."""
    probabilities = predictor.probabilities(inputs)
    return Scored(labels, probabilities, metrics.compute(labels, probabilities, predictor.labels))


def inputs(
    predictor: Predictor, examples: Sequence[str] | NDArray[np.uint8]
) -> Corpus | NDArray[np.uint8]:
    """Encode a split as the predictor takes it; images of another size are refused.

    Raises:
        LstmError: The images do not have the rows and columns the network was built for.
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
    return corpus.encode_cached(examples, predictor.tokenizer)


def draw_results(folder: Any, scored: Scored, labels: tuple[str, ...]) -> list[str]:
    """Draw what a split's probabilities show; return the file names."""
    plots.confusion(scored.report, folder / "confusion.png")
    plots.reliability(scored.report, folder / "reliability.png")
    plots.roc_pr(scored.labels, scored.probabilities, labels, folder / "roc_pr.png")
    plots.scores(scored.labels, scored.probabilities, labels, folder / "scores.png")
    return ["confusion.png", "reliability.png", "roc_pr.png", "scores.png"]


def mistakes(
    scored: Scored, examples: Sequence[str] | NDArray[np.uint8], labels: tuple[str, ...], num: int
) -> tuple[Misclassified, ...]:
    """Pick the examples with the most confident wrong answers.

    Args:
        scored: The split's labels and probabilities.
        examples: Its texts or images.
        labels: Class names.
        num: How many at most.
    """
    if not num:
        return ()
    return tuple(
        Misclassified(
            index=int(i),
            label=labels[int(scored.labels[i])],
            predicted=labels[int(scored.probabilities[i].argmax())],
            probability=float(scored.probabilities[i].max()),
            text=None if isinstance(examples, np.ndarray) else examples[int(i)],
        )
        for i in metrics.most_wrong(scored.labels, scored.probabilities, num)
    )

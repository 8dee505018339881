"""A run on a split -> report, without Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli import artefacts, datasets, encoded, metrics
from lstm_cli import run as runs
from lstm_cli.artefacts import Scored
from lstm_cli.datasets import Dataset, Source
from lstm_cli.datasets.source import from_config
from lstm_cli.encoded import Corpus
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.predictor import Predictor
from lstm_cli.reporting import Reporter, Silent
from lstm_cli.run import RunDir


@dataclass(frozen=True)
class Mistake:
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
    mistakes: tuple[Mistake, ...]
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
    source: Source | None = None,
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
    reporter = reporter or Silent()
    predictor = Predictor.load(run)
    dataset = _read(run, predictor, source, split, data_dir, reporter)
    if dataset.kind != predictor.kind:
        raise LstmError(
            f"{dataset.name} holds {dataset.kind}s; run {run.name} reads {predictor.kind}s.",
            f"Name {'an image' if dataset.kind == 'image' else 'a text'} run with --run.",
            ExitCode.USAGE,
        )
    for note in dataset.notes:
        reporter.warn(note)
    examples = dataset.splits[split]
    reporter.note(f"Scoring {len(examples):,} examples of {dataset.source} ({split}).")
    scored = artefacts.score(predictor, inputs(predictor, examples.inputs), examples.labels)
    folder = run.file(runs.REPORTS) / f"{dataset.name}-{split}"
    evaluation = Evaluation(
        run=run.name,
        dataset=dataset.name,
        split=split,
        report=scored.report,
        mistakes=_mistakes(scored, examples.inputs, predictor.labels, num_mistakes),
        folder=folder,
    )
    relative = folder.relative_to(run.path)
    run.write_json(str(relative / "report.json"), evaluation.to_dict())
    artefacts.draw_results(folder, scored, predictor.labels)
    return evaluation


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
    return encoded.encode_cached(examples, predictor.tokenizer)


def _read(
    run: RunDir,
    predictor: Predictor,
    source: Source | None,
    split: str,
    data_dir: Path | None,
    reporter: Reporter,
) -> Dataset:
    """Read the split, with class ids as the run has them."""
    if source is not None:
        return datasets.load_for_labels(replace(source, data_dir=data_dir), predictor.labels, split)
    dataset = datasets.load(from_config(run.config(), data_dir), (split,))
    recorded = runs.read_run(run).get("dataset", {}).get("fingerprint")
    if dataset.fingerprint != recorded:
        reporter.warn(f"{dataset.source} has changed since run {run.name} was trained on it.")
    return dataset


def _mistakes(
    scored: Scored, examples: Sequence[str] | NDArray[np.uint8], labels: tuple[str, ...], num: int
) -> tuple[Mistake, ...]:
    """Pick the examples with the most confident wrong answers."""
    if not num:
        return ()
    return tuple(
        Mistake(
            index=int(i),
            label=labels[int(scored.labels[i])],
            predicted=labels[int(scored.probabilities[i].argmax())],
            probability=float(scored.probabilities[i].max()),
            text=None if isinstance(examples, np.ndarray) else examples[int(i)],
        )
        for i in metrics.most_wrong(scored.labels, scored.probabilities, num)
    )

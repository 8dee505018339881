"""Which examples of an evaluation the run has learned from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.checks import Learned, Overlap, keys_of
from lstm_cli.checks import overlap as find_learned
from lstm_cli.data import Dataset
from lstm_cli.data.dataset import label_names
from lstm_cli.data.readers.own_images import training_images
from lstm_cli.data.readers.path import training_file
from lstm_cli.data.registry import is_path, resolve
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths
from lstm_cli.io.text_format import pluralize
from lstm_cli.runs import directory as runs
from lstm_cli.runs import learned
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.schema import RunInfo


@dataclass(frozen=True)
class SeenExample:
    """An example that the run has learned from.

    Attributes:
        row: Where it is in its source: a line of a table, or its number, from 1.
        label: Its label here.
        is_relabeled: Whether it had another label in training.
        text: The text; None for images.
        id: Its id in the source; None if the data has no ids.
    """

    row: int
    label: str
    is_relabeled: bool
    text: str | None
    id: str | None = None

    @property
    def name(self) -> str:
        """The id of the example, or without one its row."""
        return self.id or str(self.row)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, without `id` if there is none."""
        values = asdict(self)
        if self.id is None:
            del values["id"]
        return values


@dataclass(frozen=True)
class Seen:
    """The examples of a split that the run has learned from.

    Attributes:
        num: How many there are.
        num_relabeled: How many of them had another label in training.
        num_examples: Examples in the split.
        accuracy_of_others: Accuracy on the other examples; None if there are none.
        examples: The first ones, as many as were asked for.
    """

    num: int
    num_relabeled: int
    num_examples: int
    accuracy_of_others: float | None
    examples: tuple[SeenExample, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "examples": [example.to_dict() for example in self.examples]}

    def describe(self, split: str) -> str:
        """Say how many there are; empty if there are none."""
        if not self.num:
            return ""
        accuracy = f" {self._others}." if self._others else ""
        return (
            f"The run has learned from {self.num:,} of these {self.num_examples:,} {split} "
            f"examples{self._relabeled}: the results look better than they are.{accuracy}"
        )

    def cell(self) -> str:
        """Say how many there are for a table: `12 of 40 (1 with another label)`."""
        counts = f"{self.num:,} of {self.num_examples:,}{self._relabeled}"
        return f"{counts}. {self._others}" if self.num and self._others else counts

    @property
    def _relabeled(self) -> str:
        """How many have another label, in parentheses; empty if none has."""
        return f" ({self.num_relabeled:,} with another label)" if self.num_relabeled else ""

    @property
    def _others(self) -> str:
        """The accuracy on the other examples; empty without others."""
        if self.accuracy_of_others is None:
            return ""
        rest = self.num_examples - self.num
        return f"Accuracy on the {pluralize(rest, 'other')}: {self.accuracy_of_others:.4f}"


def find_overlap(run: RunDir, dataset: Dataset, split: str, is_own: bool) -> Overlap | str:
    """Find the examples that the run has learned from, or say why they are not looked for.

    Args:
        run: With its manifest.
        dataset: With the split.
        split: Its name.
        is_own: Whether it is a split of the data that the run was trained on.

    Raises:
        LstmError: The run's record of what it has learned from is damaged (exit code 5).
    """
    if is_own and split != "test":
        return f"the {split} split is what the run has learned from"
    if runs.LEARNED not in (run.manifest or {}):
        return f"run {run.name} has no record of what it has learned from"
    inputs, labeled = learned.read(run)
    keys = keys_of(dataset.splits[split], dataset.labels)
    return find_learned(Learned(inputs, labeled), keys)


def require_unseen(overlap: Overlap | str) -> None:
    """Refuse examples that the run has learned from.

    Raises:
        LstmError: There are some (exit code 4), or they are not looked for (exit code 2).
    """
    if isinstance(overlap, str):
        raise LstmError(
            f"--fail-on leak has no effect here: {overlap}.", "Leave it out.", ExitCode.USAGE
        )
    if overlap.num_seen:
        raise LstmError(
            f"The run has learned from {overlap.num_seen:,} of these {len(overlap.is_seen):,} "
            "examples.",
            f"Without --fail-on leak, --leaks {overlap.num_seen} lists them. Drop these rows.",
            ExitCode.THRESHOLD,
        )


def summarize(
    overlap: Overlap, is_correct: NDArray[np.bool_], dataset: Dataset, split: str, num_listed: int
) -> Seen:
    """Count and list the examples that the run has learned from.

    Args:
        overlap: Which ones they are.
        is_correct: Whether each example is predicted correctly, `<bool>[num]`.
        dataset: With the split.
        split: Its name.
        num_listed: How many to list at most.
    """
    part = dataset.splits[split]
    places = np.flatnonzero(overlap.is_seen)
    names = label_names(part.labels[places[:num_listed]], dataset.labels)
    others = is_correct[~overlap.is_seen]
    examples = tuple(
        SeenExample(
            row=int(part.row_numbers[place]),
            label=name,
            is_relabeled=bool(overlap.is_relabeled[place]),
            text=None if isinstance(part.inputs, np.ndarray) else str(part.inputs[place]),
            id=None if part.ids is None else part.ids[place],
        )
        for place, name in zip(places[:num_listed].tolist(), names, strict=True)
    )
    return Seen(
        num=overlap.num_seen,
        num_relabeled=overlap.num_relabeled,
        num_examples=len(overlap.is_seen),
        accuracy_of_others=float(others.mean()) if len(others) else None,
        examples=examples,
    )


def is_training_data(run: RunDir, name: str) -> bool:
    """Return whether a data set is the one that a run was trained on, or a copy of it.

    Args:
        run: With its manifest.
        name: Of the data set, as in `DataSource`.
    """
    if name == run.config().data.name:
        return True
    recorded = run.decode(runs.RUN, RunInfo).dataset
    if not is_path(name) or recorded is None or not recorded.files:
        return False
    find_file = training_images if resolve(name) == "images" else training_file
    return find_file(paths.expand(name)).sha256 == recorded.files["train"].sha256

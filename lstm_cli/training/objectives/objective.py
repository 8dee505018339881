"""The interface between the training loop and what it trains for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError


@dataclass(frozen=True)
class StepResult:
    """The result of a training step.

    Attributes:
        num: Number of examples (or words) in the step; the weight of the step in means.
        loss: Mean loss.
        accuracy: Mean accuracy; None for a language model.
    """

    num: int
    loss: float
    accuracy: float | None


class Objective(Protocol):
    """Batches, training step and validation of a kind of training."""

    @property
    def num_steps(self) -> int:
        """Steps per epoch."""

    @property
    def step_size(self) -> int:
        """Maximum number of examples, or of words, in a step; the unit of the speed."""

    def batches(self, epoch: int, steps: Sequence[int]) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """Yield indices and inputs of the batches of some steps; only these are built."""

    def train_step(self, model: Any, indices: NDArray[np.int64], inputs: Any) -> StepResult:
        """Train on a batch."""

    def validate(self, model: Any) -> tuple[float, float | None] | None:
        """Return loss and, for a classifier, accuracy on held-out data; None without such data."""

    def after_validation(self, model: Any) -> None:
        """Update the targets of the next epoch from the weights that were just validated."""

    def before_extension(self, model: Any) -> None:
        """Do `after_validation` for an epoch that was the last when it was trained."""

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return the state, beside the model, that later steps depend on."""

    def set_state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Restore what `state` returned.

        Raises:
            LstmError: It is the state of another objective or of other data.
        """


class StatelessObjective:
    """The part of an `Objective` whose batches depend on seed and epoch alone."""

    def after_validation(self, model: Any) -> None:
        """Do nothing: the targets never change."""

    def before_extension(self, model: Any) -> None:
        """Do nothing: the targets never change."""

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return no state."""
        return {}

    def set_state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Check that there is no state.

        Raises:
            LstmError: There is some.
        """
        check_state(state, self.state())


def check_state(
    state: Mapping[str, NDArray[np.float32]], own: Mapping[str, NDArray[np.float32]]
) -> None:
    """Check the state of a checkpoint against the names, shapes and types of an objective.

    Raises:
        LstmError: A name, shape or type differs.
    """
    for name in sorted(state.keys() | own.keys()):
        if _shape_and_type(state.get(name)) != _shape_and_type(own.get(name)):
            raise LstmError(
                f"The checkpoint is of another objective: '{name[:80]}' does not fit.",
                "Resume with the data, version and settings the run was started with.",
            )


def _shape_and_type(array: NDArray[Any] | None) -> tuple[Any, ...]:
    return () if array is None else (array.shape, array.dtype)

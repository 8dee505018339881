"""What a training loop trains for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError


@dataclass(frozen=True)
class StepResult:
    """What a step tells.

    Attributes:
        num: Examples it learned from: the weight of the others in a mean.
        loss: Their mean loss.
        accuracy: Their mean accuracy; None where there is none.
    """

    num: int
    loss: float
    accuracy: float | None


class Objective(Protocol):
    """What a loop trains for: batches, a step, a judgement."""

    @property
    def num_steps(self) -> int:
        """Steps in an epoch."""

    @property
    def rate(self) -> int:
        """What a step learns from, in the unit a speed is told in: examples, or words."""

    def batches(self, epoch: int, first: int) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """Yield the indices and the inputs of each batch of an epoch from a step on."""

    def train_step(self, model: Any, indices: NDArray[np.int64], inputs: Any) -> StepResult:
        """Train on a batch."""

    def validate(self, model: Any) -> tuple[float, float | None]:
        """Return loss and, where there is one, accuracy on what is not trained on."""

    def after_validation(self, model: Any) -> None:
        """Do what is to be done with the weights just judged, before the next epoch."""

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return what later steps depend on beside the model, by name."""

    def set_state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Go back to what `state` returned.

        Raises:
            LstmError: It is of other work.
        """


class StatelessObjective:
    """Work whose every batch is a function of seed and epoch alone."""

    def after_validation(self, model: Any) -> None:
        """Do nothing: every epoch is of the same examples."""

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return nothing."""
        return {}

    def set_state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Refuse any.

        Raises:
            LstmError: There is some.
        """
        check_state(state, self.state())


def check_state(
    state: Mapping[str, NDArray[np.float32]], own: Mapping[str, NDArray[np.float32]]
) -> None:
    """Hold the state of some work, read from a checkpoint, to the work's own names and shapes.

    Raises:
        LstmError: A name, a shape or a type differs.
    """
    for name in sorted(state.keys() | own.keys()):
        found, expected = state.get(name), own.get(name)
        if _form(found) != _form(expected):
            raise LstmError(
                f"The checkpoint is of other work: '{name[:80]}' does not fit.",
                "Resume with the data, version and settings the run was started with.",
            )


def _form(array: NDArray[Any] | None) -> tuple[Any, ...]:
    return () if array is None else (array.shape, array.dtype)

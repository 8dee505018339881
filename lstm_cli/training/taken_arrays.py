"""The arrays of another run in a new model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.models import classifier
from lstm_cli.training.grown_arrays import (
    HEAD_ARRAYS,
    WORD_ARRAYS,
    with_new_labels,
    with_new_words,
    with_rows,
)
from lstm_cli.training.init_weights import InitialWeights


@dataclass(frozen=True)
class TakenArrays:
    """Names of the arrays of a model that come from another run.

    Attributes:
        names: All of them.
        grown: Those with other rows or outputs than in the other run.
    """

    names: tuple[str, ...] = ()
    grown: tuple[str, ...] = ()

    @property
    def slow(self) -> tuple[str, ...]:
        """Arrays that `train.init_lr_factor` and `train.frozen_steps` apply to.

        Not a head with new inputs or outputs, which must learn.
        """
        new_head = {name for name in self.grown if name in HEAD_ARRAYS}
        return tuple(name for name in self.names if name not in new_head)

    def to_record(self) -> dict[str, list[str]]:
        """Return what `init_from` of `run.json` says of them."""
        return {"arrays": list(self.names), "grown": list(self.grown)}


def apply_initial_weights(
    model: Any, init: InitialWeights, labels: Sequence[str] = (), multi_label: bool = False
) -> TakenArrays:
    """Assign the arrays of another run that the model also has; they grow with words and classes.

    Args:
        model: A built model.
        init: The starting point; only arrays of kind `run` are assigned.
        labels: Class names of the model; empty for a language model.
        multi_label: Whether a text has any number of labels.

    Returns:
        The names of the arrays that come from another run; empty without one.

    Raises:
        LstmError: An array has another shape in the model, or the two share no array.
    """
    own = classifier.get_weights(model)
    if init.kind != "run":
        return _recorded(own, init.record)
    taken = {name: init.arrays[name] for name in own if name in init.arrays}
    grown = {
        name: with_new_words(name, array, own[name])
        for name, array in taken.items()
        if name in WORD_ARRAYS and len(array) < len(own[name])
    }
    grown |= _head(taken, own, init, labels, multi_label)
    is_new_head = "head/kernel" in taken and "head/kernel" not in grown
    taken = {n: a for n, a in taken.items() if not (is_new_head and n in HEAD_ARRAYS)} | grown
    _check_shapes(taken, own, init)
    if not taken:
        raise LstmError(f"Run {init.record['run']} shares no array with this model.")
    classifier.set_weights(model, {**own, **taken})
    names = tuple(name for name in own if name in taken)
    changed = {n for n in names if taken[n].shape != init.arrays[n].shape}
    changed |= set(names).intersection(HEAD_ARRAYS) if _has_new_rows(init, own) else set()
    return TakenArrays(names, tuple(n for n in names if n in changed))


def _has_new_rows(init: InitialWeights, own: Mapping[str, Any]) -> bool:
    """Return whether the head of a classifier has inputs that the other run lacks."""
    if "head/kernel" not in own:
        return False
    num_known = sum(here.stop - here.start for _, here in init.head_rows)
    return bool(num_known < len(own["head/kernel"]))


def _recorded(own: Mapping[str, Any], record: Mapping[str, Any]) -> TakenArrays:
    """Return what the record of a resumed run says of arrays that the model has."""
    names, grown = record.get("arrays") or (), record.get("grown") or ()
    return TakenArrays(
        tuple(name for name in names if name in own), tuple(name for name in grown if name in own)
    )


def _head(
    taken: Mapping[str, Any],
    own: Mapping[str, Any],
    init: InitialWeights,
    labels: Sequence[str],
    multi_label: bool,
) -> dict[str, Any]:
    """Return the head with outputs for all classes; empty if its classes or inputs are others."""
    if not init.labels or not init.head_rows or "head/kernel" not in taken:
        return {}
    kernel = with_rows(taken["head/kernel"], len(own["head/kernel"]), init.head_rows)
    old = {**taken, "head/kernel": kernel}
    initial = {name: own[name] for name in HEAD_ARRAYS}
    if "linear/scale" in own:
        # As for a new model: at first the linear model alone knows the new classes.
        initial = {name: np.zeros_like(array) for name, array in initial.items()}
    return with_new_labels(old, initial, init.labels, labels, multi_label)


def _check_shapes(taken: Mapping[str, Any], own: Mapping[str, Any], init: InitialWeights) -> None:
    """Check that each array has the shape that the model needs.

    Raises:
        LstmError: One has another shape (exit code 2).
    """
    for name, array in taken.items():
        if array.shape != own[name].shape:
            raise LstmError(
                f"--init-from: {name} is {list(array.shape)} in run {init.record['run']}, and "
                f"{list(own[name].shape)} here.",
                "Train with the settings of that run.",
                ExitCode.USAGE,
            )

"""The history of a training in stages: what is accepted, and the curve it gives."""

from __future__ import annotations

import pytest

from lstm_cli.io.progress import selection_curve
from lstm_cli.runs.schema import EpochLine, check_history


def line(stage, epoch, val_loss, best=True, steps=3):
    return EpochLine(
        epoch=epoch,
        steps=steps,
        loss=float(stage),
        val_loss=val_loss,
        learning_rate=0.1,
        seconds=1.0,
        best=best,
        stage=stage,
        accuracy=0.5,
        val_accuracy=None if val_loss is None else 0.5,
    )


FOLDS = [
    line(1, 1, 0.9),
    line(1, 2, 0.7),
    line(1, 3, 0.8, best=False),
    line(2, 1, 1.0, steps=4),
    line(2, 2, 0.9, steps=4),
    line(3, 1, None, steps=5),
    line(3, 2, None, steps=5),
]


def test_stages_count_their_epochs_steps_and_best_anew():
    check_history(FOLDS)


REFUSED = {
    "a stage left out": ([FOLDS[0], FOLDS[5]], "line 2, stage: expected 2, found 3"),
    "an epoch of the stage left out": (FOLDS[:4] + FOLDS[6:], "line 5, epoch: expected 1, found 2"),
    "a stage that does not begin": (FOLDS[:3] + FOLDS[4:], "line 4, epoch: expected 1, found 2"),
    "other steps": ([FOLDS[0], line(1, 2, 0.7, steps=4)], "line 2, steps: expected 3"),
    "no validation in the first stage": ([line(1, 1, None)], "line 1, val_loss"),
    "no validation before the last stage": (
        [FOLDS[0], line(2, 1, None), line(3, 1, None)],
        "line 2, val_loss",
    ),
    "a refit that is not the best": (
        [FOLDS[0], line(2, 1, None, best=False)],
        "line 2, best",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_lines_that_contradict_each_other_are_refused(name):
    lines, reason = REFUSED[name]
    with pytest.raises(ValueError, match=reason):
        check_history(lines)


def test_the_curve_of_folds_is_their_mean_and_marks_the_epochs_of_the_refit():
    curve = selection_curve([each.to_epoch() for each in FOLDS])
    assert [each.epoch for each in curve] == [1, 2, 3]
    assert [each.val_loss for each in curve] == pytest.approx([0.95, 0.8, 0.8])
    assert [each.loss for each in curve] == [1.5, 1.5, 1.0]
    assert [each.best for each in curve] == [False, True, False]


def test_the_curve_of_one_stage_is_its_history():
    epochs = [each.to_epoch() for each in FOLDS[:3]]
    assert selection_curve(epochs) == epochs

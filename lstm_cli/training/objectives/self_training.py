"""Self-training: a classifier that also learns from pseudo-labels of unlabeled texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.io.progress import Reporter
from lstm_cli.models.calibration import soft_targets
from lstm_cli.text.corpus import Corpus
from lstm_cli.training.objectives.classification import (
    ClassificationObjective,
    Examples,
    predict,
    split_logits,
)


class SelfTrainingObjective(ClassificationObjective):
    """Classification of labeled texts and of unlabeled texts with pseudo-labels.

    Each epoch has all labeled and all unlabeled texts. The targets of the unlabeled texts are
    pseudo-labels: calibrated probabilities, so that uncertain ones count less. In the first epoch
    they come from the linear model. After each epoch the classifier predicts them anew, from the
    LSTM and the linear model with the factors that fit the validation split best; in a refit,
    with those that fit the rows held out before. In training the
    linear logits of unlabeled texts are 0, because they would give away the target.

    Args:
        config: The settings.
        num_classes: Number of classes, at least 2.
        train: The training split, with linear logits.
        validation: The validation split, with linear logits; None in a refit.
        unlabeled: Unlabeled texts with linear logits; their labels are ignored.
        pseudo_labels: Targets of the first epoch, `<float32>[num, 1 or classes]`.
        reporter: Receives how many pseudo-labels changed their class.
        refit_scales: Factors on the logits of LSTM and linear model; None to fit them after each
            epoch.
        keeps_logits: As for `ClassificationObjective`.

    Attributes:
        pseudo_labels: Current targets of the unlabeled texts, `<float32>[num, 1 or classes]`.

    Source: Lee 2013, "Pseudo-Label"; Xie et al. 2020, "Self-training with Noisy Student improves
        ImageNet classification", section 2: soft pseudo-labels, noise for the student only, and
        a teacher that is replaced by the student.
    """

    def __init__(
        self,
        config: Config,
        num_classes: int,
        train: Examples,
        validation: Examples | None,
        unlabeled: Examples,
        pseudo_labels: NDArray[np.float32],
        reporter: Reporter,
        refit_scales: tuple[float, float] | None = None,
        keeps_logits: bool = False,
    ) -> None:
        super().__init__(config, num_classes, train, validation, keeps_logits)
        self.unlabeled = unlabeled
        self.reporter = reporter
        self.examples = _concatenate(train, unlabeled)
        if self._row_weights is not None:
            # An unlabeled text weighs as much as a labeled one on average.
            ones = np.ones(len(unlabeled), np.float32)
            self._row_weights = np.concatenate([self._row_weights, ones])
        self.pseudo_labels = pseudo_labels
        self._num_labeled = len(train)
        self._refit_scales = refit_scales

    def targets(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the targets of a batch: labels, and pseudo-labels for the unlabeled texts."""
        targets = super().targets(indices)
        is_unlabeled = indices >= self._num_labeled
        targets[is_unlabeled] = self.pseudo_labels[indices[is_unlabeled] - self._num_labeled]
        return targets

    def after_validation(self, model: Any) -> None:
        """Predict the pseudo-labels anew."""
        scales = self._refit_scales or self._fit_scales(model)
        logits = split_logits(model, self.unlabeled, predict(model, self.unlabeled))
        pseudo_labels = soft_targets(logits.scaled(*scales))
        is_changed = _predicted_classes(pseudo_labels) != _predicted_classes(self.pseudo_labels)
        self.pseudo_labels = pseudo_labels
        self.reporter.note(
            f"New pseudo-labels for {len(pseudo_labels):,} unlabeled texts: "
            f"{np.mean(is_changed):.1%} changed their class."
        )

    def _fit_scales(self, model: Any) -> tuple[float, float]:
        assert self.validation is not None
        logits = split_logits(model, self.validation, self.validation_probabilities)
        return logits.fit_scales(self.validation.labels)

    def before_extension(self, model: Any) -> None:
        """Validate and predict the pseudo-labels anew, as after an epoch that is not the last."""
        self.validate(model)
        self.after_validation(model)

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return the pseudo-labels, and the logits that are kept."""
        return {"pseudo_labels": np.array(self.pseudo_labels), **super().state()}

    def set_state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Restore the pseudo-labels, and the logits that are kept.

        Raises:
            LstmError: They are of other texts.
        """
        super().set_state(state)
        self.pseudo_labels = np.array(state["pseudo_labels"])


def _concatenate(train: Examples, unlabeled: Examples) -> Examples:
    """Concatenate labeled and unlabeled texts, with linear logits of 0 for the latter."""
    assert isinstance(train.inputs, Corpus)
    assert isinstance(unlabeled.inputs, Corpus)
    assert train.linear is not None
    hidden = np.zeros((len(unlabeled), train.linear.shape[1]), np.float32)
    return Examples(
        train.inputs.concatenated_with(unlabeled.inputs),
        np.concatenate([train.labels, unlabeled.labels]),
        np.concatenate([train.linear, hidden]),
    )


def _predicted_classes(pseudo_labels: NDArray[np.float32]) -> NDArray[Any]:
    """Return the more likely class of each row."""
    is_binary = pseudo_labels.shape[1] == 1
    return pseudo_labels[:, 0] > 0.5 if is_binary else pseudo_labels.argmax(axis=1)

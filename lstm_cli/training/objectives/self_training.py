"""Self-training: texts without labels, learned from by what is thought of them so far."""

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
    scores,
)
from lstm_cli.training.objectives.objective import check_state


class SelfTrainingObjective(ClassificationObjective):
    """Learning to tell classes apart, also from texts whose class nobody has told.

    Each epoch goes over the labelled texts and the others alike. What the network is to say of
    the others are verdicts: probabilities, not classes, so that doubt is learned as doubt. Those
    of the first epoch are the evidence's; after each epoch the network, with the evidence, judges
    the texts anew, with the weights of both that are the best on the validation split. While it
    learns from such a text it does not see the evidence, which would give away what it is to find
    in the words.

    Args:
        config: The experiment.
        num_classes: At least 2.
        train: The training split, with evidence.
        validation: The validation split, with evidence.
        unlabeled: Texts with evidence; their labels mean nothing.
        pseudo_labels: What to learn of them in the first epoch, as `calibration.soft_targets`.
        reporter: Told how many texts changed sides.

    Source: Lee 2013, "Pseudo-Label"; Xie et al. 2020, "Self-training with Noisy Student improves
        ImageNet classification", section 2, for soft verdicts, noise on the learner and none on
        the judge, and a judge that learns too.
    """

    def __init__(
        self,
        config: Config,
        num_classes: int,
        train: Examples,
        validation: Examples,
        unlabeled: Examples,
        pseudo_labels: NDArray[np.float32],
        reporter: Reporter,
    ) -> None:
        super().__init__(config, num_classes, train, validation)
        self.unlabeled = unlabeled
        self.reporter = reporter
        self.examples = _together(train, unlabeled)
        self.targets = np.concatenate([self.targets, pseudo_labels])
        self._num_labelled = len(train)

    @property
    def pseudo_labels(self) -> NDArray[np.float32]:
        """What is learned of the unlabeled texts now, `<float32>[num, 1 or classes]`."""
        return self.targets[self._num_labelled :]

    def after_validation(self, model: Any) -> None:
        """Judge the unlabeled texts anew."""
        factors = scores(model, self.validation, self.said).fit_scales(self.validation.labels)
        found = scores(model, self.unlabeled, predict(model, self.unlabeled))
        pseudo_labels = soft_targets(found.scaled(*factors))
        changed = np.mean(
            _predicted_classes(pseudo_labels) != _predicted_classes(self.pseudo_labels)
        )
        self.targets[self._num_labelled :] = pseudo_labels
        self.reporter.note(
            f"{len(pseudo_labels):,} unlabeled texts judged anew: {changed:.1%} changed sides."
        )

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return the verdicts."""
        return {"pseudo_labels": np.array(self.pseudo_labels)}

    def set_state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Go back to the verdicts of a checkpoint.

        Raises:
            LstmError: They are of other texts.
        """
        check_state(state, self.state())
        self.targets[self._num_labelled :] = state["pseudo_labels"]


def _together(train: Examples, unlabeled: Examples) -> Examples:
    """Put labelled texts and others into one row; the others without their evidence."""
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
    return (
        pseudo_labels[:, 0] > 0.5 if pseudo_labels.shape[1] == 1 else pseudo_labels.argmax(axis=1)
    )

"""Count what became of the records of an input."""

from __future__ import annotations

from dataclasses import dataclass

from lstm_cli.errors import LstmError
from lstm_cli.io.text_format import percent, pluralize
from lstm_cli.prediction.answers import Answer


@dataclass
class RecordCounts:
    """Records of an input, those without an answer, and those that cannot be read.

    Attributes:
        num_inputs: Number of records.
        num_predicted: Number of predictions.
        num_unanswered: Predictions without a label: the probability is too low.
        num_bad: Records that cannot be read.
        num_inverted: Images that were inverted.
        first_error: Why the first of these cannot be read.
    """

    num_inputs: int = 0
    num_predicted: int = 0
    num_unanswered: int = 0
    num_bad: int = 0
    num_inverted: int = 0
    first_error: LstmError | None = None

    def add(self, found: Answer) -> None:
        """Count an answer."""
        self.add_input(found.record.error)
        self.num_inverted += found.is_inverted
        if found.prediction is not None:
            self.add_prediction(found.prediction.label)

    def add_input(self, error: LstmError | None) -> None:
        """Count a record, and the error if it cannot be read."""
        self.num_inputs += 1
        if error is not None:
            self.num_bad += 1
            self.first_error = self.first_error or error

    def add_prediction(self, label: str) -> None:
        """Count a prediction."""
        self.num_predicted += 1
        self.num_unanswered += not label

    def check(self) -> None:
        """Check that a record could be read, if there is any.

        Raises:
            LstmError: None could.
        """
        if self.num_bad == self.num_inputs and self.first_error is not None:
            raise LstmError(
                f"None of {pluralize(self.num_inputs, 'record')} can be read. "
                f"{self.first_error.message}",
                self.first_error.hint,
            )

    def notes(self) -> list[str]:
        """Return sentences on records that cannot be read, and on those without an answer."""
        notes = []
        if self.first_error is not None and self.num_bad < self.num_inputs:
            notes.append(
                f"Warning: {self.num_bad:,} of {pluralize(self.num_inputs, 'record')} could not "
                f"be read; the first: {self.first_error.message}"
            )
        if self.num_unanswered:
            share = percent(self.num_unanswered / self.num_predicted)
            notes.append(
                f"No answer for {self.num_unanswered:,} of {self.num_predicted:,} inputs "
                f"({share}): the probability is below the smallest for an answer."
            )
        return notes

"""What differs between the training of a classifier and of a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from lstm_cli.config.schema import Config, LanguageModelSettings
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Epoch, Reporter
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from lstm_cli.training.loop import TrainingResult
    from lstm_cli.training.objectives.objective import Objective


@dataclass(frozen=True)
class Evaluation:
    """Results of the evaluation after training.

    Attributes:
        record: Additions to `run.json`.
        sizes: Additions to `dataset.sizes` of `run.json`.
        card: Values for the model card that are not in `run.json`.
    """

    record: Mapping[str, Any]
    sizes: Mapping[str, int]
    card: Mapping[str, Any]


class Task(Protocol):
    """A classifier or language model that is ready to train, with its data."""

    @property
    def config(self) -> Config:
        """The settings."""

    @property
    def model(self) -> Any:
        """The compiled model."""

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer; None for images."""

    @property
    def init_record(self) -> Mapping[str, Any]:
        """`init_from` of `run.json`; empty without another run to start from."""

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by part of the work."""

    @property
    def selection_metric(self) -> str:
        """Name of the metric that the best epoch has the lowest value of."""

    def make_objective(self, reporter: Reporter) -> Objective:
        """Return the objective of the training loop."""

    def describe(self) -> dict[str, Any]:
        """Return what `run.json` says of data and model before training."""

    def write_inputs(self, run: RunDir) -> None:
        """Write the files that training starts with: settings, tokenizer, labels."""

    def write_history(self, run: RunDir, history: Sequence[Epoch]) -> None:
        """Write one line per epoch."""

    def write_model(self, run: RunDir, result: TrainingResult) -> None:
        """Write the best weights, what is derived from them, and the history."""

    def evaluate(
        self, run: RunDir, result: TrainingResult, objective: Any, data_dir: Path | None
    ) -> Evaluation:
        """Score the best weights, which the model has by now, and write the metrics."""

    def model_card(self, record: Mapping[str, Any], evaluation: Evaluation) -> str:
        """Return the model card of the finished run."""


def with_language_model(config: Config) -> Config:
    """Return settings that train a language model, with the section `language`.

    Args:
        config: Settings of a classifier for texts, or of a language model.

    Raises:
        LstmError: The settings are for images (exit code 2).
    """
    if config.kind != "text":
        raise LstmError(
            f"{config.data.name} has no text: a language model learns from words.",
            "Pretrain on a data set of texts, for example 'lstm pretrain demo'.",
            ExitCode.USAGE,
        )
    # Linear model and self-training need labels, which a language model does not read.
    train = replace(config.train, self_training=False)
    language = config.language or LanguageModelSettings()
    return replace(config, linear=None, train=train, language=language)


def check_is_classifier(config: Config) -> None:
    """Check that settings train a classifier.

    Raises:
        LstmError: They have the section `language` (exit code 2).
    """
    if config.language is not None:
        raise LstmError(
            "The section 'language:' is for a language model, not for a classifier.",
            f"Leave it out, or run 'lstm pretrain {config.data.name}'.",
            ExitCode.USAGE,
        )

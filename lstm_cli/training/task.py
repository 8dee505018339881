"""What the tasks share: settings of a language model, and the results of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from lstm_cli.config.schema import Config, LanguageModelSettings
from lstm_cli.data.balance import weight_power
from lstm_cli.errors import ExitCode, LstmError, command_line


@dataclass(frozen=True)
class Evaluation:
    """Results of the evaluation after training.

    Attributes:
        record: Additions to `run.json`.
        sizes: Additions to `dataset.sizes` of `run.json`.
        card: Values for the model card that are not in `run.json`.
        warnings: What the user should know about the results.
    """

    record: Mapping[str, Any]
    sizes: Mapping[str, int]
    card: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


def with_language_model(config: Config) -> Config:
    """Return settings that train a language model, with the section `language`.

    Args:
        config: Settings of a classifier for texts, or of a language model.

    Raises:
        LstmError: The settings are for images, or have rows to replay (exit code 2).
    """
    if config.kind != "text":
        raise LstmError(
            f"{config.data.name} has no text: a language model learns from words.",
            "Pretrain on a data set of texts, for example 'lstm pretrain demo'.",
            ExitCode.USAGE,
        )
    if config.data.replay_files:
        raise LstmError(
            "--replay-data (data.replay_files) is not available for a language model, which reads "
            "no labels.",
            "Give these files with --unlabeled.",
            ExitCode.USAGE,
        )
    # Linear model and self-training need labels, which a language model does not read; regions are
    # a part of the classifier.
    train = replace(config.train, self_training=False, refit=False)
    data = replace(config.data, folds=0)
    model = replace(config.model, regions=())
    language = config.language or LanguageModelSettings()
    # A language model trains for a fixed time, and has no linear model or folds.
    auto = tuple(key for key in config.auto if key.startswith("text.") or key == "embedding.dim")
    return replace(
        config, auto=auto, data=data, linear=None, model=model, train=train, language=language
    )


def check_unlabeled_is_used(config: Config) -> None:
    """Check that something learns from the texts of `data.unlabeled`.

    Raises:
        LstmError: Nothing does (exit code 2).
    """
    for_vectors = (
        config.embedding is not None
        and config.embedding.vectors == "unlabeled"
        and config.train.init_from is None
    )
    in_linear = config.linear is not None and config.linear.self_training > 0
    is_used = for_vectors or in_linear or config.train.self_training or config.language is not None
    if config.data.unlabeled and not is_used:
        reason = (
            "the word vectors come from train.init_from"
            if config.train.init_from
            else "embedding.vectors is not 'unlabeled'"
        )
        raise LstmError(
            f"--unlabeled (data.unlabeled) has no effect: {reason}, and train.self_training is "
            "false.",
            "Leave out --unlabeled, or set train.self_training=true.",
            ExitCode.USAGE,
        )


def check_weights_are_used(config: Config) -> None:
    """Check that weights of rows have an effect.

    Raises:
        LstmError: A language model does not use them (exit code 2).
    """
    if config.language is not None and config.data.weight_column is not None:
        raise LstmError(
            "data.weight_column has no effect: a language model learns from all texts alike.",
            "Leave it out, and give --weight-column to 'lstm train'.",
            ExitCode.USAGE,
        )


def check_multi_label(config: Config) -> None:
    """Check that the settings are available for several labels a text.

    Raises:
        LstmError: One is not (exit code 2).
    """
    self_trained = config.linear is not None and config.linear.self_training > 0
    unavailable = {
        "--class-weights (train.class_weights)": weight_power(config.train.class_weights) > 0,
        "train.self_training": config.train.self_training,
        "linear.self_training": self_trained,
    }
    for name, is_set in unavailable.items():
        if is_set:
            raise LstmError(
                f"{name} is not available for several labels a text.",
                "Leave it out. The threshold of each label is chosen on validation, so rare labels "
                "are found without weights.",
                ExitCode.USAGE,
            )


def check_is_classifier(config: Config) -> None:
    """Check that settings train a classifier.

    Raises:
        LstmError: They have the section `language` (exit code 2).
    """
    if config.language is not None:
        raise LstmError(
            "The section 'language:' is for a language model, not for a classifier.",
            f"Leave it out, or run: {command_line('lstm', 'pretrain', config.data.name)}",
            ExitCode.USAGE,
        )

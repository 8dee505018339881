"""The space of a search without a space file: around the default settings of the data."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from lstm_cli.config.schema import Config
from lstm_cli.tune.space import Choices, Range, Space, setting_values

# Most weights of a table of bigram vectors: 8 MB, and as much again for each moment of Adam.
_MAX_BIGRAMS = 1 << 16
# Settings whose arrays have the shapes of the run of `train.init_from`.
_OF_INITIAL_RUN = (
    "embedding.dim", "embedding.bigram_buckets", "embedding.region_widths", "model.units",
    "model.layers", "model.regions",
)  # fmt: skip


def default_space(config: Config, fixed: Collection[str] = ()) -> Space:
    """Return ranges and choices around the default settings, which they contain.

    They are bounded by the defaults, which suit the size of the data: a trial takes a few times as
    long and as much memory as the default settings, not more.

    Args:
        config: The default settings. Those in `config.auto` are left out.
        fixed: Dotted keys of settings that no trial may change.
    """
    values = setting_values(config)
    parameters = _of_model(values) | _of_training(values)
    parameters |= _of_images() if config.kind == "image" else _of_texts(values)
    left_out = {*fixed, *config.auto}
    if config.train.init_from is not None:
        left_out |= set(_OF_INITIAL_RUN)
    if config.embedding is not None and config.embedding.vectors_file is not None:
        left_out.add("embedding.dim")
    return Space(
        {
            key: _with_default(parameter, values[key])
            for key, parameter in parameters.items()
            if key not in left_out and key in values
        }
    )


def _of_model(values: dict[str, Any]) -> dict[str, Range | Choices]:
    units = values["model.units"]
    return {
        "model.units": Range(max(1, min(24, units // 2)), max(128, units * 3 // 2), log=True),
        "model.layers": Range(1, max(2, values["model.layers"])),
        "model.dropout": Range(0.1, 0.7, step=0.05),
    }


def _of_training(values: dict[str, Any]) -> dict[str, Range | Choices]:
    rate, epochs = values["train.learning_rate"], values["train.epochs"]
    return {
        "train.learning_rate": Range(_rounded(rate / 6), min(1.0, _rounded(rate * 3)), log=True),
        "train.epochs": Range(max(1, epochs // 2), max(2, epochs * 2)),
    }


def _of_images() -> dict[str, Range | Choices]:
    return {
        "image.rotate": Range(0.0, 20.0, step=2.5),
        "image.stretch": Range(0.0, 0.25, step=0.05),
    }


def _of_texts(values: dict[str, Any]) -> dict[str, Range | Choices]:
    """Return the settings of texts; those of sections that are not used are among them.

    What decides the linear model and the encoded texts are choices, not ranges: trials with equal
    settings share them.
    """
    length = values["text.max_tokens"]
    longer = min(2 * length, max(length, 400))
    penalty = values.get("linear.penalty", 1.0)
    dim = values["embedding.dim"]
    # About one bucket for each token of the data, as the linear model has.
    bigrams = min(values.get("linear.buckets", _MAX_BIGRAMS), _MAX_BIGRAMS)
    bigrams = values["embedding.bigram_buckets"] or bigrams
    return {
        "text.max_tokens": Choices(_unique(max(1, length // 2), length, longer)),
        "embedding.dim": Range(max(1, min(32, dim)), max(128, dim), log=True),
        "embedding.dropout": Range(0.1, 0.7, step=0.05),
        "embedding.word_dropout": Range(0.0, 0.4, step=0.05),
        "embedding.bigram_buckets": Choices((0, bigrams)),
        "embedding.region_widths": Choices(([], [5])),
        "model.regions": Choices(([], [2, 3])),
        "linear.dropout": Range(0.3, 0.95, step=0.05),
        "linear.char_ngrams": Choices(("all", "unknown", "none")),
        "linear.penalty": Choices(_unique(penalty / 4, penalty / 2, penalty, penalty * 2)),
    }


def _with_default(parameter: Range | Choices, default: Any) -> Range | Choices:
    """Widen a range, or add a choice, for a default that is outside."""
    if parameter.contains(default):
        return parameter
    if isinstance(parameter, Choices):
        return Choices((*parameter.values, default))
    return Range(min(parameter.low, default), max(parameter.high, default), parameter.log)


def _rounded(number: float) -> float:
    """Return a number with two significant digits, for a range that people read."""
    return float(f"{number:.2g}")


def _unique(*values: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))

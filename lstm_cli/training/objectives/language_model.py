"""Training objective of a language model: predict the next and the previous word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config, LanguageModelSettings
from lstm_cli.io.progress import perplexity
from lstm_cli.models import language_model
from lstm_cli.models.process_group import train_on_batch
from lstm_cli.text import lm_windows
from lstm_cli.text.lm_windows import TextSubset
from lstm_cli.training.objectives.objective import StatelessObjective, StepResult


class LanguageModelObjective(StatelessObjective):
    """Prediction of the next word and, in a bidirectional model, of the previous word.

    Args:
        config: The settings, with the section `language`.
        train: Texts to train on.
        held_out: Texts to measure the loss on.
        vocab_size: Size of the vocabulary.
    """

    def __init__(
        self, config: Config, train: TextSubset, held_out: TextSubset, vocab_size: int
    ) -> None:
        self.config = config
        self.train = train
        self.held_out = lm_windows.make_windows(held_out, self.settings.window)
        self.frequencies = lm_windows.unigram_probabilities(train, vocab_size)
        size = config.train.batch_size
        self.num_steps = lm_windows.num_batches(train, self.settings.window, size)
        self.step_size = size * self.settings.window
        # Built at the first validation and reused, so that it is compiled once.
        self._states_model: Any = None

    @property
    def settings(self) -> LanguageModelSettings:
        """The settings of the section `language`."""
        assert self.config.language is not None
        return self.config.language

    @property
    def unigram_perplexity(self) -> float:
        """Perplexity of the word frequencies on the held-out texts, for comparison."""
        words = self.held_out.ids[1 : len(self.held_out) * self.held_out.length + 1]
        return perplexity(float(-np.log(self.frequencies[words]).mean()))

    def batches(
        self, epoch: int, steps: Sequence[int]
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]]:
        """Yield indices of windows and model inputs of the batches of some steps."""
        seed, size = self.config.seed, self.config.train.batch_size
        windows = lm_windows.epoch_windows(self.train, self.settings.window, seed, epoch)
        for step in steps:
            indices = lm_windows.batch_indices(len(windows), self.num_steps, size, step)
            yield indices, self._inputs(windows.gather(indices), epoch, step)

    def _inputs(self, tokens: NDArray[np.int32], epoch: int, step: int) -> dict[str, NDArray[Any]]:
        num, seed = self.settings.negatives, self.config.seed
        drawn, log_expected_counts = lm_windows.sample_negatives(
            self.frequencies, num, seed, epoch, step
        )
        return {"tokens": tokens, "negatives": drawn, "log_expected_counts": log_expected_counts}

    def train_step(
        self, model: Any, indices: NDArray[np.int64], inputs: dict[str, NDArray[Any]]
    ) -> StepResult:
        """Train on a batch."""
        logs = train_on_batch(model, inputs)
        return StepResult(len(indices) * (inputs["tokens"].shape[1] - 1), float(logs["loss"]), None)

    def validate(self, model: Any) -> tuple[float, None]:
        """Return the loss on the held-out texts, with the full softmax."""
        return self.score(model).loss, None

    def score(self, model: Any) -> language_model.LanguageModelScore:
        """Score a model on the held-out texts; every call must pass the same model."""
        self._states_model = self._states_model or language_model.build_states_model(model)
        return language_model.score_language_model(model, self.held_out, self._states_model)

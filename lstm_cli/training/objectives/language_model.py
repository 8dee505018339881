"""Training objective of a language model: predict the next and the previous word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config, LanguageModelSettings
from lstm_cli.io.progress import perplexity
from lstm_cli.models import language_model
from lstm_cli.text import lm_windows
from lstm_cli.text.lm_windows import TextSubset
from lstm_cli.training.objectives.objective import StatelessObjective, StepResult


class LanguageModelObjective(StatelessObjective):
    """Learning to predict words.

    Args:
        config: The experiment.
        train: Texts to learn from.
        held_out: Texts to measure on.
        vocab_size: Of the tokenizer.
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
        self.rate = size * self.settings.window
        # Compiled once for all epochs.
        self._states_model: Any = None

    @property
    def settings(self) -> LanguageModelSettings:
        """Those of the language model."""
        assert self.config.language is not None
        return self.config.language

    @property
    def unigram_perplexity(self) -> float:
        """What predicting by frequency alone reaches on the words held out."""
        words = self.held_out.ids[1 : len(self.held_out) * self.held_out.length + 1]
        return perplexity(float(-np.log(self.frequencies[words]).mean()))

    def batches(
        self, epoch: int, first: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]]:
        """Yield the windows of each batch of an epoch, and what the model takes for it."""
        seed, size = self.config.seed, self.config.train.batch_size
        windows = lm_windows.epoch_windows(self.train, self.settings.window, seed, epoch)
        for step in range(first, self.num_steps):
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
        logs = model.train_on_batch(inputs, return_dict=True)
        return StepResult(len(indices) * (inputs["tokens"].shape[1] - 1), float(logs["loss"]), None)

    def validate(self, model: Any) -> tuple[float, None]:
        """Measure the loss on held-out texts, exactly."""
        return self.score(model).loss, None

    def score(self, model: Any) -> language_model.LanguageModelScore:
        """Measure a model on held-out texts; it is always the same model that is given."""
        self._states_model = self._states_model or language_model.build_states_model(model)
        return language_model.score_language_model(model, self.held_out, self._states_model)

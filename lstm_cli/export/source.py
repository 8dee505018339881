"""A run that is exported: everything that a format needs of it, read behind the checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.prediction.examples import choose_examples
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import onnx_graph, validate
from lstm_cli.runs.arrays import Array
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.validate import Golden


@dataclass(frozen=True, eq=False)
class Source:
    """A classifier with its weights and golden inputs.

    Attributes:
        predictor: The run, loaded for prediction.
        config: Its settings.
        weights: `<float32>`, by their names in `models.get_weights`.
        golden: Inputs with known probabilities.
        shows_examples: Whether a page may show some of them, which are of the run's data.
    """

    predictor: Predictor
    config: Config
    weights: dict[str, Array]
    golden: Golden
    shows_examples: bool = True

    @classmethod
    def load(cls, run: RunDir, shows_examples: bool = True) -> Source:
        """Open a run, including its weights.

        Raises:
            LstmError: It is a language model (exit code 2), or fails a check (exit code 5).
        """
        predictor = Predictor.load(run)
        verified = run.with_manifest()
        config, tokenizer = verified.config(), predictor.tokenizer
        vocab_size = tokenizer.vocab_size if tokenizer else None
        plan = onnx_graph.plan(config, len(predictor.labels), vocab_size, predictor.shape)
        golden = validate.read_golden(verified, config, len(predictor.labels))
        weights = validate.read_weights(verified, plan)
        return cls(predictor, config, weights, golden, shows_examples)

    @property
    def examples(self) -> list[Any]:
        """Some golden inputs as plain JSON types, if they may be shown."""
        if not self.shows_examples:
            return []
        return choose_examples(self.golden)

    def with_weights(self, weights: dict[str, NDArray[np.float32]]) -> Predictor:
        """Return the run with other weights."""
        model = onnx_graph.build(
            self.config, weights, len(self.predictor.labels), self.predictor.shape
        )
        return self.predictor.with_model(model.SerializeToString())

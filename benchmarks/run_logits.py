"""Logits of a finished text run, split into the parts of the LSTM and of the linear model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lstm_cli.config.schema import Config
from lstm_cli.explain import forward_pass
from lstm_cli.models.calibration import SplitLogits
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import onnx_graph, validate
from lstm_cli.runs.directory import RunDir


def run_logits(run: RunDir, texts: Sequence[str]) -> SplitLogits:
    """Compute the logits of a run that gives a text one label.

    The logits of the LSTM are those of the whole model less those of the linear model.

    Args:
        run: The run.
        texts: Texts as written.

    Raises:
        LstmError: The run fails its integrity check (exit code 5).
    """
    predictor, config = Predictor.load(run), run.config()
    probabilities = predictor.text_probabilities(texts)
    if config.linear is None:
        return SplitLogits.from_probabilities(probabilities, None, 0.0)
    linear = _linear_logits(predictor, config, texts)
    return SplitLogits.from_probabilities(probabilities, linear, 1.0)


def _linear_logits(
    predictor: Predictor, config: Config, texts: Sequence[str]
) -> forward_pass.Array:
    """Return the logits of the linear model, `<float32>[num, outputs]`."""
    assert predictor.tokenizer is not None
    plan = onnx_graph.plan(config, len(predictor.labels), predictor.tokenizer.vocab_size, None)
    weights = validate.read_weights(predictor.run.with_manifest(), plan)
    biases = forward_pass.linear_biases(config, weights)
    rows = [
        forward_pass.linear_logits(config, weights, encoding).sum(axis=0) + biases
        for encoding in predictor.tokenizer.encode(texts)
    ]
    return np.array(rows, np.float32)

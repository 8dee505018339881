"""Logits of a finished text run, split into the parts of the LSTM and of the linear model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lstm_cli.models.calibration import SplitLogits
from lstm_cli.models.linear import linear_logits
from lstm_cli.models.linear_features import LinearTables
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import onnx_graph, validate
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.corpus import encode


def run_logits(run: RunDir, texts: Sequence[str]) -> SplitLogits:
    """Compute the logits of a run that gives a text one label.

    Args:
        run: The run.
        texts: Texts as written.

    Raises:
        LstmError: The run fails its integrity check (exit code 5).
    """
    predictor, config = Predictor.load(run), run.config()
    assert predictor.tokenizer is not None
    corpus = encode(texts, predictor.tokenizer)
    probabilities = predictor.probabilities(corpus)
    if config.linear is None:
        return SplitLogits.from_probabilities(probabilities, None, 0.0)
    plan = onnx_graph.plan(config, len(predictor.labels), predictor.tokenizer.vocab_size, None)
    weights = validate.read_weights(run.with_manifest(), plan)
    linear = linear_logits(corpus, LinearTables.from_arrays(weights), config.linear)
    return SplitLogits.from_probabilities(probabilities, linear, weights[onnx_graph.LINEAR_SCALE])


def own_scales(logits: SplitLogits) -> tuple[float, float]:
    """Return the factors with which the run itself adds the logits of both parts."""
    return 1.0, float(np.ravel(logits.linear_scale)[0])

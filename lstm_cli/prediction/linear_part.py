"""The linear part of a run alone: its logits with the network switched off."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_cli.models.linear import linear_logits
from lstm_cli.models.linear_features import LinearTables
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import onnx_graph, validate
from lstm_cli.text.corpus import Corpus


def has_linear_part(predictor: Predictor) -> bool:
    """Tell whether a run has a linear part, and the file with its weights."""
    return predictor.config.linear is not None and predictor.run.file(runs.WEIGHTS).exists()


def read_linear_logits(predictor: Predictor, corpus: Corpus) -> NDArray[np.float32]:
    """Compute the logits of the linear part, before the run scales and adds them.

    Args:
        predictor: Of a run with a linear part.
        corpus: Texts that its tokenizer has encoded.

    Returns:
        `<float32>[num, outputs]`.

    Raises:
        LstmError: The weights are damaged (exit code 5).
    """
    config, tokenizer = predictor.config, predictor.tokenizer
    assert config.linear is not None
    assert tokenizer is not None
    plan = onnx_graph.plan(config, len(predictor.labels), tokenizer.vocab_size, None)
    weights = validate.read_weights(predictor.run.with_manifest(), plan)
    return linear_logits(corpus, LinearTables.from_arrays(weights), config.linear)

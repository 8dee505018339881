"""Cross-validation of the linear model alone, which takes seconds and needs no Keras."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_cli.config import load as configs
from lstm_cli.config.auto import choose_settings
from lstm_cli.config.schema import LinearSettings, TextSettings
from lstm_cli.models.calibration import log_probabilities
from lstm_cli.models.linear import fit_linear_model
from lstm_cli.text.corpus import fit_and_encode
from lstm_cli.text.profile import describe_texts


def chosen_settings(texts: Sequence[str], num_classes: int) -> tuple[TextSettings, LinearSettings]:
    """Return the settings that `lstm train` would choose for the linear model of these texts.

    Args:
        texts: Labeled texts.
        num_classes: Number of classes.
    """
    preset = configs.load_preset("text", {"data.name": "texts"})
    values = choose_settings(describe_texts(texts, num_classes))
    chosen = {key: value for key, value in values.items() if key in preset.auto}
    config = configs.from_dict(configs.to_dict(preset), {**chosen, "auto": []})
    assert config.text is not None
    assert config.linear is not None
    # For the LSTM only.
    return replace(config.text, min_similarity=0.0), config.linear


def out_of_fold_probabilities(
    texts: Sequence[str], labels: NDArray[np.int32], num_classes: int, seed: int = 0
) -> NDArray[np.float32]:
    """Predict each text by a linear model of the texts of the other folds.

    Args:
        texts: Labeled texts.
        labels: Class ids, `<int32>[num]`.
        num_classes: At least 2.
        seed: Seed of the folds.

    Returns:
        Calibrated probabilities, `<float32>[num, classes]`.
    """
    text_settings, settings = chosen_settings(texts, num_classes)
    tokenizer, corpus = fit_and_encode(texts, text_settings, settings.num_char_buckets)
    model = fit_linear_model(corpus, labels, num_classes, tokenizer.words, settings, seed)
    return np.exp(log_probabilities(model.train_logits)).astype(np.float32)

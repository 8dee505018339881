"""A description of texts, from which settings are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lstm_cli.config.auto import ALL_SAMPLED, DataProfile
from lstm_cli.text.tokenizer import is_unspaced, tokenize

# Lengths and scripts are estimated from this many texts, spread over the data.
_SAMPLE = 2000
_LONG_PERCENTILE = 95


def describe_texts(texts: Sequence[str], num_classes: int, num_unlabeled: int = 0) -> DataProfile:
    """Describe labeled texts.

    Args:
        texts: Those for training and validation.
        num_classes: Number of classes.
        num_unlabeled: Number of texts without labels.
    """
    num_rows = len(texts) if len(texts) <= ALL_SAMPLED else _SAMPLE
    rows = np.linspace(0, len(texts) - 1, num_rows).astype(int)
    tokens = [tokenize(texts[row]) for row in rows]
    lengths = [len(each) for each in tokens]
    num_tokens = sum(lengths)
    counts = Counter(token for each in tokens for token in each)
    num_unspaced = sum(is_unspaced(token) for each in tokens for token in each)
    return DataProfile(
        num_texts=len(texts),
        num_classes=num_classes,
        num_unlabeled=num_unlabeled,
        median_length=int(np.median(lengths)),
        long_length=int(np.percentile(lengths, _LONG_PERCENTILE)),
        num_tokens=round(num_tokens / len(rows) * len(texts)),
        unspaced=num_unspaced / max(1, num_tokens),
        once=sum(count == 1 for count in counts.values()) / max(1, num_tokens),
    )

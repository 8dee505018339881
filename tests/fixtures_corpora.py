"""Corpora made from token ids."""

from __future__ import annotations

import numpy as np

from lstm_cli.text.corpus import Corpus


def corpus_of_ids(texts):
    """A corpus of texts that are given as token ids; nothing is truncated or unknown."""
    lengths = [len(ids) for ids in texts]
    return Corpus(
        np.concatenate(texts).astype(np.uint16),
        np.cumsum([0, *lengths], dtype=np.int64),
        np.array(lengths, np.int32),
        np.zeros(len(texts), np.int32),
        np.zeros(0, np.int32),
        np.zeros(len(texts) + 1, np.int64),
    )

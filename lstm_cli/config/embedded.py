"""The embedded words, the input of the first LSTM layer: which parts a vector has, in which order.

Words come first, then bigrams, then region embeddings by width. Keras, the ONNX graph and the
forward pass in NumPy concatenate them in this order.
"""

from __future__ import annotations

from lstm_cli.config.schema import EmbeddingSettings

_REGION_PREFIX = "region_embedding_"


def region_embedding(width: int) -> str:
    """Return the name of the layer of the region embedding of one width."""
    return f"{_REGION_PREFIX}{width}"


def is_of_region_embedding(array: str) -> bool:
    """Return whether an array, by its name in `models.get_weights`, is of a region embedding."""
    return array.startswith(_REGION_PREFIX)


def input_dim(settings: EmbeddingSettings) -> int:
    """Return the dimensions of an embedded word: all parts together."""
    bigrams = settings.bigram_dim if settings.bigram_buckets else 0
    return settings.dim + bigrams + len(settings.region_widths) * settings.region_dim

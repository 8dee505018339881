"""A region embedding in Keras: the vector of a word and of the words around it."""

from __future__ import annotations

from typing import Any

from keras import layers, ops


class RegionEmbedding(layers.Layer):  # type: ignore[misc]
    """Look up the words of each region: ReLU of the sum of their vectors and of a bias.

    `models.region_embedding` learns the arrays and has the equation. Training does not change them.

    Args:
        vocab_size: Vocabulary size of the tokenizer.
        dim: Dimensions of a region vector.
        width: Words in a region.
        name: Name of the layer.
    """

    def __init__(self, vocab_size: int, dim: int, width: int, name: str) -> None:
        super().__init__(name=name, trainable=False)
        self.vocab_size = vocab_size
        self.dim = dim
        self.width = width

    def build(self, *_: Any) -> None:
        """Create the table `<float32>[vocab_size, dim]` and the bias `<float32>[dim]`: zeros."""
        shape = (self.vocab_size, self.dim)
        self.embeddings = self.add_weight(shape=shape, initializer="zeros", name="embeddings")
        self.bias = self.add_weight(shape=(self.dim,), initializer="zeros", name="bias")

    def call(self, tokens: Any) -> Any:
        """Return the vectors of the regions, `<float32>[batch, time, dim]`.

        Args:
            tokens: `<int32>[batch, time]`. The vectors of `[PAD]` and `[UNK]` are zeros.
        """
        before, after = self.width // 2, (self.width - 1) // 2
        padded = ops.pad(tokens, ((0, 0), (before, after)))
        vectors = ops.take(self.embeddings, padded, axis=0)
        # A sum of neighbours is the fastest by this operation.
        means = ops.average_pool(vectors, self.width, 1, "valid", "channels_last")
        return ops.relu(means * self.width + self.bias)

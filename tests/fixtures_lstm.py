"""The networks once more, in plain NumPy and one text at a time: what the fast ones must equal.

Source: Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, and the peepholes of
Gers & Schmidhuber 2000 where there are some; gates in Keras' order i, f, c, o.
"""

from __future__ import annotations

import numpy as np

BIGRAM_FACTOR = 32_749
TRIGRAM_MODULUS = 65_521


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-np.asarray(x, np.float64)))


def lstm(steps, kernel, recurrent, bias, peepholes=None):
    """Return the outputs of one direction, `[time, units]`."""
    units = len(recurrent)
    h, c, outputs = np.zeros(units), np.zeros(units), []
    p_i, p_f, p_o = np.zeros((3, units)) if peepholes is None else peepholes.astype(np.float64)
    for x in steps:
        z = x @ kernel.astype(np.float64) + h @ recurrent.astype(np.float64) + bias
        i, f, candidate, o = np.split(z, 4)
        c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(candidate)
        h = sigmoid(o + p_o * c) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs)


def embed(ids, weights, config):
    """Return a text's vectors, `[time, dim]`."""
    vectors = [weights["embedding/embeddings"][ids].astype(np.float64)]
    if buckets := config.embedding.bigram_buckets:
        before = np.concatenate([[0], ids[:-1]]).astype(np.int64)
        vectors.append(weights["bigrams/embeddings"][(before * BIGRAM_FACTOR + ids) % buckets])
    for width in config.embedding.region_widths:
        vectors.append(around(ids, weights, width))
    return np.concatenate(vectors, axis=1)


def around(ids, weights, width):
    """Return the region embedding of each word of a text, `[time, region_dim]`."""
    table = weights[f"region_embedding_{width}/embeddings"].astype(np.float64)
    before, after = width // 2, (width - 1) // 2
    sums = [
        sum(table[word] for word in ids[max(0, here - before) : here + after + 1])
        for here in range(len(ids))
    ]
    return np.maximum(0, np.array(sums) + weights[f"region_embedding_{width}/bias"])


def steps_of(image, window, stride):
    """Return what each step reads of an image, `[steps, window * columns]`."""
    starts, last = [0], len(image) - window
    while starts[-1] < last:
        starts.append(min(starts[-1] + stride, last))
    return np.array([image[start : start + window].reshape(-1) / 255 for start in starts])


def linear(ids, weights, settings, ngrams=()):
    """Return the logits of the linear model for one text, `[outputs]`.

    `ngrams` are the buckets of the character n-grams of its unknown words.
    """
    table = weights["linear/word_ngrams"].astype(np.float64)
    total = weights["linear/words"][ids].astype(np.float64).sum(axis=0)
    padded = [0, 0, *map(int, ids)]
    for first, second, word in zip(padded, padded[1:], padded[2:], strict=False):
        total = total + table[(second * BIGRAM_FACTOR + word) % len(table)]
        if settings.word_ngrams == 3:
            # For the first word of a text, `first` and `second` are 0, and so is their hash.
            two = (first * BIGRAM_FACTOR + second) % TRIGRAM_MODULUS
            total = total + table[(two * BIGRAM_FACTOR + word) % len(table)]
    for bucket in ngrams:
        total = total + weights["linear/char_ngrams"][bucket].astype(np.float64)
    return weights["linear/scale"] * (total / np.sqrt(len(ids)) + weights["linear/biases"])


def regions(steps, weights, width):
    """Return the features of the regions of one width of a text, `[units]`."""
    kernel = weights[f"regions_{width}/kernel"].astype(np.float64)
    steps = np.concatenate([np.zeros((width - 1, kernel.shape[1])), np.asarray(steps, np.float64)])
    sums = [
        sum(x @ part for x, part in zip(steps[start : start + width], kernel, strict=True))
        for start in range(len(steps) - width + 1)
    ]
    return np.maximum(0, np.array(sums) + weights[f"regions_{width}/bias"]).max(axis=0)


def probabilities(steps, weights, config, weighed=0.0):
    """Return what a network says of one sequence of vectors, `[classes]`.

    Evidence, where the network has it, is added to the logits.
    """
    settings = config.model
    x = np.asarray(steps, np.float64)
    for index in range(settings.layers):
        sides = []
        for direction in ("forward", "backward") if settings.bidirectional else ("forward",):
            reverse_within = x[::-1] if direction == "backward" else x
            names = ["kernel", "recurrent_kernel", "bias"]
            names += ["peepholes"] * (settings.cell == "peephole")
            arrays = [weights[f"lstm_{index}_{direction}/{name}"] for name in names]
            sides.append(lstm(reverse_within, *arrays))
        ends = np.concatenate([side[-1] for side in sides])
        if settings.bidirectional:
            sides[1] = sides[1][::-1]
        x = np.concatenate(sides, axis=1)
    pools = {
        "last": [ends],
        "max": [x.max(axis=0)],
        "mean": [x.mean(axis=0)],
        "max_mean": [x.max(axis=0), x.mean(axis=0)],
    }
    found = [regions(steps, weights, width) for width in settings.regions]
    pooled = np.concatenate([*pools[settings.pooling], *found])
    logits = pooled @ weights["head/kernel"].astype(np.float64) + weights["head/bias"]
    logits = logits + weighed
    if len(logits) == 1:
        return np.array([1 - sigmoid(logits[0]), sigmoid(logits[0])])
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()

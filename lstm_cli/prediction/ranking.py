"""Rank texts by how much a label would teach: uncertain first, and similar ones apart.

The uncertainty of a text is 1 minus the difference between its two highest probabilities
(Scheffer, Decomain and Wrobel 2001, "Active hidden Markov models for information extraction").
Near copies of a text teach nearly the same, so each place goes to the text with the highest
uncertainty times novelty. Novelty falls from 1 to 0 while the similarity to the most similar text
before it grows from a half to 1. Similarity is the Jaccard index of the words and word pairs of two
texts, estimated by MinHash (Broder 1997, "On the resemblance and containment of documents").

Memory is bounded: of any number of texts, only the most uncertain ones are kept to be ranked.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import tee

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction.check_number import check_number
from lstm_cli.prediction.inputs import Inputs
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.result import Prediction
from lstm_cli.text.equality import text_key
from lstm_cli.text.tokenizer import Encoding

DEFAULT_NUM = 1000
# So many times more texts are kept than are returned.
_POOL_FACTOR = 4
_NUM_HASHES = 64


@dataclass(frozen=True)
class RankedPrediction:
    """A text with its prediction, at its place in the ranking.

    Attributes:
        record: Number of the text in the input, from 1.
        uncertainty: 1 minus the difference between the two highest probabilities, 0 to 1.
        similarity: To the most similar text before it in the ranking, 0 to 1; an estimate.
        prediction: The prediction.
        text: The text.
    """

    record: int
    uncertainty: float
    similarity: float
    prediction: Prediction
    text: str


@dataclass(frozen=True)
class Ranking:
    """Texts in the order in which a label would teach most.

    Attributes:
        ranked: The first texts of the ranking.
        num_texts: Number of texts in the input.
        num_repeated: How many of them repeat an earlier text that is in the ranking.
        num_empty: How many of them have no token.
    """

    ranked: tuple[RankedPrediction, ...]
    num_texts: int
    num_repeated: int
    num_empty: int


def rank_uncertain(
    predictor: Predictor,
    texts: Inputs,
    num: int = DEFAULT_NUM,
    *,
    threshold: float | None = None,
    min_probability: float | None = None,
) -> Ranking:
    """Classify texts, and rank those whose label would teach most.

    Repeated texts and texts without a token are left out.

    Args:
        predictor: Of a text run.
        texts: Any number of them; they are read once.
        num: How many texts to return at most; four times as many are kept in memory.
        threshold: As for `Predictor.predict`; it changes labels, not the order.
        min_probability: As `threshold`.

    Raises:
        LstmError: As `Predictor.predict`, `num` is not a whole number of 1 or more, or a text has
            several labels (2).
    """
    check_number(
        "--first", num, 1, None, is_whole=True, hint=f"Leave it out for the first {DEFAULT_NUM:,}."
    )
    if predictor.thresholds is not None:
        raise LstmError(
            f"--rank needs one label a text; run {predictor.run.name} gives any number of labels.",
            "Name a run with --run.",
            ExitCode.USAGE,
        )
    pool = _Pool(_POOL_FACTOR * num)
    num_texts = num_empty = 0
    inputs, copies = tee(predictor.read_texts(texts))
    predictions = predictor.stream(inputs, threshold, min_probability)
    for prediction, text in zip(predictions, copies, strict=False):
        num_texts += 1
        if prediction.num_tokens:
            pool.add(num_texts, text, prediction)
        else:
            num_empty += 1
    candidates = pool.candidates()
    assert predictor.tokenizer is not None
    signatures = _signatures(predictor.tokenizer.encode([c.text for c in candidates]))
    ranked = _rank(candidates, signatures, num)
    return Ranking(tuple(ranked), num_texts, pool.num_repeated, num_empty)


class _Pool:
    """The most uncertain of the texts so far, without repeats.

    Attributes:
        num_repeated: Number of texts that repeat one in the pool.
    """

    def __init__(self, size: int) -> None:
        self.num_repeated = 0
        self._size = size
        # The least uncertain is first; of equal ones, the last in the input.
        self._heap: list[tuple[float, int, str, Prediction]] = []
        self._keys: set[int] = set()

    def add(self, record: int, text: str, prediction: Prediction) -> None:
        """Add a text if it is new and uncertain enough."""
        key = text_key(text)
        if key in self._keys:
            self.num_repeated += 1
            return
        entry = (_uncertainty(prediction), -record, text, prediction)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
            self._keys.add(key)
        elif entry[:2] > self._heap[0][:2]:
            removed = heapq.heapreplace(self._heap, entry)
            self._keys.remove(text_key(removed[2]))
            self._keys.add(key)

    def candidates(self) -> list[RankedPrediction]:
        """Return the texts, the most uncertain first."""
        return [
            RankedPrediction(-number, uncertainty, 0.0, prediction, text)
            for uncertainty, number, text, prediction in sorted(self._heap, reverse=True)
        ]


def _uncertainty(prediction: Prediction) -> float:
    first, second = heapq.nlargest(2, prediction.probabilities.values())
    return 1 - (first - second)


def _rank(
    candidates: Sequence[RankedPrediction], signatures: NDArray[np.uint32], num: int
) -> list[RankedPrediction]:
    """Take the candidate with the highest score, update the scores of the others, and so on."""
    uncertainties = np.array([candidate.uncertainty for candidate in candidates])
    similarities = np.zeros(len(candidates))
    is_left = np.ones(len(candidates), bool)
    ranked = []
    for _ in range(min(num, len(candidates))):
        # Texts that share some words are not alike: to keep those apart too made rankings worse.
        novelty = 1 - np.clip(2 * similarities - 1, 0, 1)
        scores = np.where(is_left, uncertainties * novelty, -1.0)
        index = int(scores.argmax())
        found = candidates[index]
        similarity = float(similarities[index])
        ranked.append(
            RankedPrediction(
                found.record, found.uncertainty, similarity, found.prediction, found.text
            )
        )
        is_left[index] = False
        shared = (signatures == signatures[index]).mean(axis=1)
        np.maximum(similarities, shared, out=similarities)
    return ranked


def _signatures(encodings: Sequence[Encoding]) -> NDArray[np.uint32]:
    """Return the MinHash signatures of texts, `<uint32>[num, _NUM_HASHES]`.

    Two texts have the same value at a place with the probability of their similarity.
    """
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 1 << 63, (_NUM_HASHES, 1), np.uint64) | np.uint64(1)
    signatures = np.zeros((len(encodings), _NUM_HASHES), np.uint32)
    for row, encoding in zip(signatures, encodings, strict=True):
        words = np.asarray(encoding.ids).astype(np.uint64) + np.uint64(1)
        pairs = (words[:-1] << np.uint64(32)) | words[1:]
        # Spread over all bits, then one order of the features for each factor.
        features = np.concatenate([words, pairs]) * np.uint64(0x9E37_79B9_7F4A_7C15)
        features ^= features >> np.uint64(29)
        row[:] = ((features * factors) >> np.uint64(32)).astype(np.uint32).min(axis=1)
    return signatures

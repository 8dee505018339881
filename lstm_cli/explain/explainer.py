"""What a network saw in an input: the words that mattered, its belief on the way, its gates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.explain import forward_pass
from lstm_cli.explain.result import (
    Gates,
    ImageExplanation,
    PrefixPredictions,
    TextExplanation,
    Token,
    TokenEffects,
    Unit,
)
from lstm_cli.prediction.predictor import GOLDEN_TOLERANCE, Predictor
from lstm_cli.runs import onnx_graph, validate
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.tokenizer import UNKNOWN_ID, Tokenizer, token_spans

Array = NDArray[Any]
Occlusion = Literal["leave out", "unknown"]

NUM_UNITS = 6
# Each token costs a pass over the text. Beyond this many steps in all, neighbours go together.
_MAX_STEPS = 1_000_000
# As close to certain as 1 less a float32 can be: log-odds of about 16.6.
_LEAST = 2.0**-24
_ROWS_AT_ONCE = 32


class Explainer:
    """A trained run, ready to explain itself.

    Attributes:
        predictor: Answers.
        config: The run's settings.
    """

    def __init__(self, predictor: Predictor, config: Config, weights: Mapping[str, Array]) -> None:
        """Put the parts together; `load` reads them from a run."""
        self.predictor = predictor
        self.config = config
        self._weights = weights

    @classmethod
    def load(cls, run: RunDir) -> Explainer:
        """Open a run, its weights too.

        Raises:
            LstmError: It cannot be trusted (exit code 5).
        """
        predictor = Predictor.load(run)
        verified = run.verified()
        config, tokenizer = verified.config(), predictor.tokenizer
        vocab_size = tokenizer.vocab_size if tokenizer else None
        plan = onnx_graph.plan(config, len(predictor.labels), vocab_size, predictor.shape)
        return cls(predictor, config, validate.read_weights(verified, plan))

    def text(self, text: str, occlusion: Occlusion = "unknown") -> TextExplanation:
        """Explain what the network says of a text.

        Args:
            text: As a person wrote it.
            occlusion: How a token is taken away: left out, or replaced by `[UNK]`.

        Raises:
            LstmError: There is no word in the text, or the run reads images (exit code 2).
        """
        tokenizer = self._tokenizer()
        (prediction,) = self.predictor.predict(text)
        tokens, ids, cut = _tokens(tokenizer, text)
        chosen = self.predictor.labels.index(prediction.label)
        words = occlude(self.predictor, ids, chosen, occlusion)
        belief = predict_prefixes(self.predictor, ids, chosen)
        inputs = forward_pass.embed(self.config, self._weights, ids)
        said = forward_pass.linear(self.config, self._weights, ids)
        gates = self._gates(inputs, belief.steps[-1], chosen, said)
        return TextExplanation(
            self.predictor.run.name, self.predictor.labels, text, prediction, tokens, cut, words,
            belief, gates,
        )  # fmt: skip

    def image(self, image: NDArray[np.uint8], name: str = "") -> ImageExplanation:
        """Explain what the network says of an image `<uint8>[rows, columns]`.

        Raises:
            LstmError: The image has another shape, or the run reads texts (exit code 2).
        """
        (prediction,) = self.predictor.predict(image[None])
        chosen = self.predictor.labels.index(prediction.label)
        inputs = image.astype(np.float32) / np.float32(255)
        steps = np.concatenate([self._rows(inputs, ends) for ends in _chunks(len(image))])
        belief = PrefixPredictions(None, steps, _decision_step(steps, chosen))
        said = np.zeros((len(image), len(self._weights["head/bias"])), np.float32)
        gates = self._gates(inputs, belief.steps[-1], chosen, said)
        return ImageExplanation(
            self.predictor.run.name, self.predictor.labels, name, image, prediction, belief, gates
        )

    def _tokenizer(self) -> Tokenizer:
        tokenizer = self.predictor.tokenizer
        if tokenizer is None:
            raise LstmError(
                f"Run {self.predictor.run.name} reads images, not texts.",
                "Give an image file, or name a text run with --run.",
                ExitCode.USAGE,
            )
        return tokenizer

    def _rows(self, inputs: Array, ends: Sequence[int]) -> NDArray[np.float64]:
        """Return what the network says of the first rows of an image, `[len(ends), classes]`."""
        lengths = np.array(ends)
        batch = np.repeat(inputs[None, : max(ends)], len(ends), axis=0)
        found = forward_pass.read(self.config.model, self._weights, batch, lengths)
        return _probabilities(found.logits)

    def _gates(
        self, inputs: Array, answered: NDArray[np.float64], chosen: int, said: Array
    ) -> Gates:
        """Read once more, in NumPy.

        Args:
            inputs: `<float32>[steps, dim]`.
            answered: Probabilities that the network gave, `<float64>[classes]`.
            chosen: The class predicted.
            said: Evidence of each step, `<float32>[steps, outputs]`.
        """
        settings, weights = self.config.model, self._weights
        found = forward_pass.read(settings, weights, inputs[None], np.array([len(inputs)]))
        again = _probabilities(found.logits + said.sum(axis=0))[0]
        if not np.abs(again - answered).max() <= GOLDEN_TOLERANCE:
            raise self.predictor.run.integrity_error(
                "weights.safetensors and model.onnx do not hold the same network"
            )
        against = int(np.argsort(-np.where(np.arange(len(answered)) == chosen, -1, answered))[0])
        towards = _towards(chosen, against, len(answered))
        added = forward_pass.contributions(settings, weights, found.pooled[0], towards)
        lstm, bias = float(added.sum()), float(weights["head/bias"] @ towards)
        steps = (said @ towards).astype(np.float64) if self.config.linear is not None else None
        linear = None if steps is None else float(steps.sum())
        kept = [trace.forget_gate[0].mean(axis=0) for trace in found.traces]
        return Gates(
            self.predictor.labels[against],
            lstm + bias + (linear or 0.0),
            lstm,
            linear,
            bias,
            steps,
            float(np.median(_memory(np.concatenate(kept)))),
            tuple(_units(found, added)),
        )


def occlude(
    predictor: Predictor, ids: NDArray[np.int32], chosen: int, occlusion: Occlusion = "unknown"
) -> TokenEffects:
    """Let the network read a text without each of its tokens.

    Args:
        predictor: Of a text run.
        ids: Of the tokens, `<int32>[tokens]`.
        chosen: The class whose log-odds are compared.
        occlusion: How a token is taken away.

    Source: Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", section
        4.2 (of parts of images); Li, Monroe & Jurafsky 2016, "Understanding Neural Networks through
        Representation Erasure", section 2.
    """
    window = _window(len(ids))
    starts = range(0, len(ids), window)
    texts = [_without(ids, start, start + window, occlusion) for start in starts]
    found = predictor.run_texts([ids, *texts])
    effects = log_odds(found[:1], chosen) - log_odds(found[1:], chosen)
    without = found[1:, chosen].astype(np.float64)
    effects, without = (np.repeat(part, window)[: len(ids)] for part in (effects, without))
    return TokenEffects(effects, without, window)


def predict_prefixes(
    predictor: Predictor, ids: NDArray[np.int32], chosen: int
) -> PrefixPredictions:
    """Let the network read a text up to each of its tokens.

    Each answer is that of the whole network to the text as it would be had it ended there: a
    backward direction has read no more of it than the forward one.

    Args:
        predictor: Of a text run.
        ids: Of the tokens, `<int32>[tokens]`.
        chosen: The class predicted in the end.
    """
    window = _window(len(ids))
    ends = [min(start + window, len(ids)) for start in range(0, len(ids), window)]
    empty = np.array([UNKNOWN_ID], np.int32)
    found = predictor.run_texts([empty, *(ids[:end] for end in ends)]).astype(np.float64)
    steps = np.repeat(found[1:], window, axis=0)[: len(ids)]
    return PrefixPredictions(
        found[0], steps, _decision_step(np.vstack([found[:1], steps]), chosen, 1)
    )


def log_odds(probabilities: Array, chosen: int) -> NDArray[np.float64]:
    """Return the log-odds of a class against all others, `[num, classes]` to `<float64>[num]`.

    Of two classes the network gives the first as what the second leaves of 1: where that is
    nothing, it counts as 2**-24.
    """
    shares = probabilities.astype(np.float64)
    others = np.delete(shares, chosen, axis=1).sum(axis=1)
    least = _LEAST if shares.shape[1] == 2 else float(np.finfo(np.float32).tiny)
    return np.asarray(np.log(np.maximum(shares[:, chosen], least) / np.maximum(others, least)))


def _tokens(
    tokenizer: Tokenizer, text: str
) -> tuple[tuple[Token, ...], NDArray[np.int32], tuple[int, int] | None]:
    """Return what is read of a text, its ids, and where the part left out begins and ends."""
    (encoding,) = tokenizer.encode([text])
    spans = token_spans(text)
    if not spans:
        raise LstmError(
            "There is no word in this text.",
            'For example: lstm explain "A triumph, for once."',
            ExitCode.USAGE,
        )
    kept = tokenizer.kept(len(spans))
    places = [spans[place] for place in kept]
    tokens = tuple(
        Token(text[start:end], start, end, bool(token != UNKNOWN_ID))
        for (start, end), token in zip(places, encoding.ids, strict=True)
    )
    left = np.setdiff1d(np.arange(len(spans)), kept)
    cut = (spans[left[0]][0], spans[left[-1]][1]) if len(left) else None
    return tokens, encoding.ids, cut


def _window(num: int) -> int:
    """Return how many tokens go together: n texts of n tokens, and of n / 2, are to be read."""
    return math.ceil(1.5 * num * num / _MAX_STEPS)


def _without(ids: NDArray[np.int32], start: int, end: int, occlusion: Occlusion) -> Array:
    """Take tokens away; a text that has no other becomes the empty one."""
    if occlusion == "leave out" and end - start < len(ids):
        return np.delete(ids, slice(start, end))
    rest = ids.copy()
    rest[start:end] = UNKNOWN_ID
    return np.asarray(rest[:1] if occlusion == "leave out" else rest)


def _decision_step(steps: NDArray[np.float64], chosen: int, first: int = 0) -> int | None:
    """Return the step at which a class took the lead for good, counted from `first`."""
    behind = np.flatnonzero(steps.argmax(axis=1) != chosen)
    last = int(behind[-1]) + 1 if len(behind) else 0
    return last - first if first <= last < len(steps) and last else None


def _chunks(num: int) -> Iterator[range]:
    """Deal the lengths 1 to `num` out in parts."""
    for start in range(1, num + 1, _ROWS_AT_ONCE):
        yield range(start, min(start + _ROWS_AT_ONCE, num + 1))


def _probabilities(logits: Array) -> NDArray[np.float64]:
    """Turn `[num, outputs]` into `<float64>[num, classes]`."""
    from lstm_cli.models.calibration import log_probabilities

    return np.asarray(np.exp(log_probabilities(logits)))


def _towards(chosen: int, against: int, num_classes: int) -> Array:
    """Return the weight of each logit in the score of one class against another."""
    if num_classes == 2:
        return np.array([1.0 if chosen else -1.0], np.float32)
    each = np.eye(num_classes, dtype=np.float32)
    return np.asarray(each[chosen] - each[against])


def _memory(forget: Array) -> NDArray[np.float64]:
    """Return for how many steps something is kept, by the mean forget gate."""
    return 1 / np.maximum(1 - forget.astype(np.float64), _LEAST)


def _units(found: forward_pass.ForwardPass, added: Array) -> Iterator[Unit]:
    """Yield the units that add most, or take most away."""
    for place in np.argsort(-np.abs(added), axis=None, kind="stable")[:NUM_UNITS]:
        side, index = divmod(int(place), added.shape[1])
        trace = found.traces[side]
        parts = (trace.input_gate, trace.forget_gate, trace.output_gate, trace.cell, trace.hidden)
        arrays = [part[0, :, index].astype(np.float64) for part in parts]
        memory = float(_memory(arrays[1].mean()))
        if side:
            arrays = [array[::-1] for array in arrays]
        direction = forward_pass.DIRECTIONS[side]
        yield Unit(direction, index, float(added[side, index]), memory, *arrays)

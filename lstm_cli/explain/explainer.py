"""Explain a prediction: token effects, predictions for prefixes, and the gates of units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.data.images import with_border
from lstm_cli.data.row_windows import read_windows, row_windows
from lstm_cli.errors import ExitCode, LstmError, suggest
from lstm_cli.explain import forward_pass
from lstm_cli.explain.occlusion import MIN_PROBABILITY, Occlusion, occlude
from lstm_cli.explain.prefixes import predict_prefixes, summarize
from lstm_cli.explain.region_embedding import input_contributions
from lstm_cli.explain.regions import NUM_REGIONS, region_contributions
from lstm_cli.explain.result import Gates, ImageExplanation, TextExplanation, Token, Unit
from lstm_cli.prediction.label_sets import Thresholds, most_likely_label
from lstm_cli.prediction.predictor import GOLDEN_TOLERANCE, Predictor
from lstm_cli.prediction.result import Prediction
from lstm_cli.runs import onnx_graph, validate
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.token_ids import READ_AS, UNKNOWN_ID
from lstm_cli.text.tokenizer import Encoding, Tokenizer, token_spans

Array = NDArray[Any]

NUM_UNITS = 6
# Prefixes of an image in one batch.
_BATCH_SIZE = 32


class Explainer:
    """A trained run that can explain its predictions.

    Attributes:
        predictor: The run's predictor.
        config: The run's settings.
    """

    def __init__(self, predictor: Predictor, config: Config, weights: Mapping[str, Array]) -> None:
        """Combine the parts of a run; `load` reads them from its directory."""
        self.predictor = predictor
        self.config = config
        self._weights = weights

    @classmethod
    def load(cls, run: RunDir) -> Explainer:
        """Open a run, including its weights.

        Raises:
            LstmError: The run fails its integrity check (exit code 5).
        """
        predictor = Predictor.load(run)
        verified = run.with_manifest()
        config, tokenizer = verified.config(), predictor.tokenizer
        vocab_size = tokenizer.vocab_size if tokenizer else None
        plan = onnx_graph.plan(config, len(predictor.labels), vocab_size, predictor.shape)
        return cls(predictor, config, validate.read_weights(verified, plan))

    def explain_text(
        self, text: str, occlusion: Occlusion = "mask", label: str | None = None
    ) -> TextExplanation:
        """Explain the prediction for a text, also if its probability is too low for an answer.

        Args:
            text: The text as written.
            occlusion: How a token is taken away to measure its effect.
            label: In a multi-label run, the label to explain. The default is the one that is the
                farthest above its threshold, or the least below it.

        Raises:
            LstmError: The text has no token, the run reads images or has no such label, or it has
                one label for each text (exit code 2).
        """
        tokenizer = self._tokenizer()
        self._check_label(label)
        (prediction,) = self.predictor.predict(text, min_probability=0)
        tokens, encoding, truncated_span = _tokenize(tokenizer, text)
        if self.thresholds is not None:
            prediction = self._explained(prediction, label)
        class_index = self.predictor.labels.index(prediction.label)
        prefixes = predict_prefixes(self.predictor, encoding, class_index)
        inputs = forward_pass.embed(self.config, self._weights, encoding.ids)
        linear = forward_pass.linear_logits(self.config, self._weights, encoding)
        return TextExplanation(
            run=self.predictor.run.name,
            labels=self.predictor.labels,
            text=text,
            prediction=prediction,
            tokens=tokens,
            truncated_span=truncated_span,
            token_effects=occlude(self.predictor, encoding, class_index, occlusion),
            prefixes=prefixes,
            gates=self._gates(inputs, prefixes.steps[-1], class_index, linear, encoding.ids),
        )

    def explain_image(self, image: NDArray[np.uint8], name: str = "") -> ImageExplanation:
        """Explain the prediction for an image `<uint8>[rows, columns]`.

        Raises:
            LstmError: The image has another shape, or the run reads texts (exit code 2).
        """
        (prediction,) = self.predictor.predict(image[None], min_probability=0)
        image = with_border(image[None], self.predictor.border)[0]
        class_index = self.predictor.labels.index(prediction.label)
        assert self.config.image is not None
        windows = row_windows(len(image), self.config.image)
        (inputs,) = read_windows(image[None], windows)
        steps = np.concatenate([self._predict_steps(inputs, n) for n in _batches(len(inputs))])
        linear = np.zeros((len(inputs), len(self._weights["head/bias"])), np.float32)
        return ImageExplanation(
            run=self.predictor.run.name,
            labels=self.predictor.labels,
            name=name,
            image=image,
            windows=tuple((int(rows[0]), int(rows[-1]) + 1) for rows in windows),
            prediction=prediction,
            prefixes=summarize(None, steps, class_index),
            gates=self._gates(inputs, steps[-1], class_index, linear),
        )

    @property
    def thresholds(self) -> Thresholds | None:
        """The thresholds of a multi-label run; None for other runs."""
        return self.predictor.thresholds

    def _check_label(self, label: str | None) -> None:
        if label is None:
            return
        if self.thresholds is None:
            raise LstmError(
                f"Run {self.predictor.run.name} predicts one class for each text, and that one is "
                "explained.",
                "Leave out --label.",
                ExitCode.USAGE,
            )
        if label not in self.predictor.labels:
            raise LstmError(
                f"Run {self.predictor.run.name} has no label '{label}'.",
                suggest(label, list(self.predictor.labels)),
                ExitCode.USAGE,
            )

    def _explained(self, prediction: Prediction, label: str | None) -> Prediction:
        """Return a prediction whose `label` and `probability` are those that are explained."""
        assert self.thresholds is not None
        labels, values = self.predictor.labels, prediction.probabilities
        if label is None:
            row = np.array([values[name] for name in labels], np.float32)
            label = labels[most_likely_label(row, self.thresholds)]
        return msgspec.structs.replace(prediction, label=label, probability=values[label])

    def _tokenizer(self) -> Tokenizer:
        tokenizer = self.predictor.tokenizer
        if tokenizer is None:
            raise LstmError(
                f"Run {self.predictor.run.name} reads images, not texts.",
                "Give an image file, or name a text run with --run.",
                ExitCode.USAGE,
            )
        return tokenizer

    def _predict_steps(self, inputs: Array, num_steps: Sequence[int]) -> NDArray[np.float64]:
        """Predict the first steps over an image, `<float64>[len(num_steps), classes]`."""
        lengths = np.array(num_steps)
        batch = np.repeat(inputs[None, : max(num_steps)], len(num_steps), axis=0)
        result = forward_pass.run_layers(self.config.model, self._weights, batch, lengths)
        return self._probabilities(result.logits)

    def _probabilities(self, logits: Array) -> NDArray[np.float64]:
        """Convert logits `[num, outputs]` to probabilities `<float64>[num, classes]`."""
        from lstm_cli.models.calibration import log_probabilities, sigmoid

        if self.thresholds is not None:
            return sigmoid(logits).astype(np.float64)
        return np.asarray(np.exp(log_probabilities(logits)))

    def _gates(
        self,
        inputs: Array,
        expected: NDArray[np.float64],
        class_index: int,
        linear: Array,
        ids: Array | None = None,
    ) -> Gates:
        """Run the network in NumPy and split its score into parts.

        Args:
            inputs: `<float32>[steps, dim]`.
            expected: Probabilities of the ONNX model, `<float64>[classes]`.
            class_index: The predicted class.
            linear: Linear logits of each step, `<float32>[steps, outputs]`.
            ids: The tokens of a text, `<int>[steps]`; None for an image.
        """
        settings, weights = self.config.model, self._weights
        result = forward_pass.run_layers(settings, weights, inputs[None], np.array([len(inputs)]))
        biases = forward_pass.linear_biases(self.config, weights)
        actual = self._probabilities(result.logits + linear.sum(axis=0) + biases)[0]
        if not np.abs(actual - expected).max() <= GOLDEN_TOLERANCE:
            raise self.predictor.run.integrity_error(
                "weights.safetensors and model.onnx do not hold the same network"
            )
        logit_weights, runner_up = self._compared(expected, class_index)
        added = forward_pass.unit_contributions(settings, weights, result.pooled[0], logit_weights)
        lstm, bias = float(added.sum()), float((weights["head/bias"] + biases) @ logit_weights)
        by_region = region_contributions(settings, weights, inputs, result.regions, logit_weights)
        region_steps = None
        if settings.regions:
            of_words = input_contributions(
                self.config.embedding, weights, ids, inputs, by_region.gradients
            )
            region_steps = of_words + by_region.biases
        has_linear = self.config.linear is not None
        linear_steps = (linear @ logit_weights).astype(np.float64) if has_linear else None
        regions_sum, linear_sum = _sum(region_steps), _sum(linear_steps)
        forget_means = [trace.forget_gate[0].mean(axis=0) for trace in result.traces]
        return Gates(
            runner_up=runner_up,
            score=lstm + (regions_sum or 0.0) + (linear_sum or 0.0) + bias,
            lstm=lstm,
            regions=regions_sum,
            linear=linear_sum,
            bias=bias,
            region_steps=region_steps,
            linear_steps=linear_steps,
            memory=float(np.median(_memory(np.concatenate(forget_means)))),
            units=tuple(_top_units(result, added)),
            top_regions=by_region.regions[:NUM_REGIONS],
        )

    def _compared(self, expected: NDArray[np.float64], class_index: int) -> tuple[Array, str]:
        """Return the weight of each logit in the score, and the runner-up, which may be empty.

        Args:
            expected: Probabilities, `<float64>[classes]`.
            class_index: The explained class.
        """
        if self.thresholds is not None:
            weights = np.zeros(len(expected), np.float32)
            weights[class_index] = 1
            return weights, ""
        others = np.where(np.arange(len(expected)) == class_index, -1, expected)
        runner_up = int(others.argmax())
        weights = _logit_weights(class_index, runner_up, len(expected))
        return weights, self.predictor.labels[runner_up]


def _tokenize(
    tokenizer: Tokenizer, text: str
) -> tuple[tuple[Token, ...], Encoding, tuple[int, int] | None]:
    """Return the tokens that the model reads, their encoding, and the truncated span."""
    (encoding,) = tokenizer.encode([text])
    spans = token_spans(text)
    if not spans:
        raise LstmError(
            "There is no word in this text.",
            'For example: lstm explain "A triumph, for once."',
            ExitCode.USAGE,
        )
    kept = tokenizer.kept_positions(len(spans))
    tokens = tuple(
        Token(
            text[start:end],
            start,
            end,
            known=bool(token_id != UNKNOWN_ID and token_id < READ_AS),
            read_as=tokenizer.id_to_token(token_id - READ_AS) if token_id >= READ_AS else None,
        )
        for (start, end), token_id in zip(
            (spans[i] for i in kept), encoding.ids.tolist(), strict=True
        )
    )
    removed = np.setdiff1d(np.arange(len(spans)), kept)
    truncated_span = _span_between(spans, removed) if len(removed) else None
    return tokens, encoding, truncated_span


def _span_between(
    spans: Sequence[tuple[int, int]], removed: NDArray[np.int64]
) -> tuple[int, int] | None:
    """Return the span of the removed tokens; None if the others hold all of their characters."""
    first, last = int(removed[0]), int(removed[-1])
    # A token before them is always read.
    start, end = max(spans[first][0], spans[first - 1][1]), spans[last][1]
    if last + 1 < len(spans):
        end = min(end, spans[last + 1][0])
    return (start, end) if start < end else None


def _batches(num_steps: int) -> Iterator[range]:
    """Split the lengths 1 to `num_steps` into batches."""
    for start in range(1, num_steps + 1, _BATCH_SIZE):
        yield range(start, min(start + _BATCH_SIZE, num_steps + 1))


def _logit_weights(class_index: int, runner_up: int, num_classes: int) -> Array:
    """Return the weight of each logit in the score of one class against another."""
    if num_classes == 2:
        return np.array([1.0 if class_index else -1.0], np.float32)
    weights = np.zeros(num_classes, np.float32)
    weights[[class_index, runner_up]] = 1, -1
    return weights


def _sum(steps: NDArray[np.float64] | None) -> float | None:
    return None if steps is None else float(steps.sum())


def _memory(forget: Array) -> NDArray[np.float64]:
    """Return the number of steps a unit remembers, from its mean forget gate."""
    return 1 / np.maximum(1 - forget.astype(np.float64), MIN_PROBABILITY)


def _top_units(result: forward_pass.ForwardPass, added: Array) -> Iterator[Unit]:
    """Yield the units with the largest absolute contributions."""
    for place in np.argsort(-np.abs(added), axis=None, kind="stable")[:NUM_UNITS]:
        direction, index = divmod(int(place), added.shape[1])
        trace = result.traces[direction]
        parts = (trace.input_gate, trace.forget_gate, trace.output_gate, trace.cell, trace.hidden)
        arrays = [part[0, :, index].astype(np.float64) for part in parts]
        memory = float(_memory(arrays[1].mean()))
        if direction:
            arrays = [array[::-1] for array in arrays]
        name = forward_pass.DIRECTIONS[direction]
        yield Unit(name, index, float(added[direction, index]), memory, *arrays)

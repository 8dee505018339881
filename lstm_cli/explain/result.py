"""The data of an explanation. `explainer` computes it; the `render_*` modules show it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.prediction.result import Prediction

# A float32 model is not exact beyond six digits.
_DIGITS = 6


@dataclass(frozen=True)
class Token:
    """A token that the model read.

    Attributes:
        text: The token as it is spelled in the input.
        start: Start offset, in characters.
        end: End offset.
        known: Whether the vocabulary contains it.
        read_as: For an unknown token, the known word that the LSTM reads in its place, if any.
    """

    text: str
    start: int
    end: int
    known: bool
    read_as: str | None = None


@dataclass(frozen=True)
class TokenEffects:
    """The effect of each token on the predicted class, measured by occlusion.

    Attributes:
        effects: Log-odds of the predicted class for the whole text, minus the log-odds without the
            token, `<float64>[tokens]`. Positive: the token supports the class. With two classes,
            probabilities are clipped at 2**-24, so a text the model is surer of has effects of 0.
        occluded_probabilities: Probability of the predicted class without the token,
            `<float64>[tokens]`.
        window: Number of neighbouring tokens that are occluded together and share their effect. It
            is above 1 only for texts of many hundred tokens.
    """

    effects: NDArray[np.float64]
    occluded_probabilities: NDArray[np.float64]
    window: int


@dataclass(frozen=True)
class Swing:
    """A change of the predicted class' probability from one prefix to the next.

    Attributes:
        step: Index of the token, or of the step over an image, that the longer prefix adds.
        before: Probability before it.
        after: Probability after it.
    """

    step: int
    before: float
    after: float


@dataclass(frozen=True)
class Swings:
    """The largest changes of the predicted class' probability while the input is read.

    Attributes:
        drop: The largest fall; None if the probability never falls.
        rise: The largest rise; None if the probability never rises.
    """

    drop: Swing | None
    rise: Swing | None


@dataclass(frozen=True)
class PrefixPredictions:
    """The model's predictions for each prefix of the input.

    Attributes:
        start: Probabilities of an empty text, `<float64>[classes]`; None for images.
        steps: Probabilities after each token or step, `<float64>[steps, classes]`.
        window: Number of neighbouring tokens that are added together and share a prediction. It is
            above 1 only for texts of many hundred tokens.
        decision_step: The step from which the predicted class stays the most probable one; None if
            it is the most probable one from the start, or is not at the end.
        swings: The largest changes of the predicted class' probability.
    """

    start: NDArray[np.float64] | None
    steps: NDArray[np.float64]
    window: int
    decision_step: int | None
    swings: Swings


@dataclass(frozen=True)
class Unit:
    """The activity of one unit of the last layer, in input order for both directions.

    Attributes:
        direction: `forward` or `backward`.
        index: Index of the unit within its direction.
        contribution: What the unit adds to the score.
        memory: Number of steps that the unit remembers: 1 / (1 - mean forget gate).
        input_gate: `<float64>[steps]`, like all below; 0 to 1.
        forget_gate: 0 to 1.
        output_gate: 0 to 1.
        cell: Cell state.
        hidden: Hidden state, -1 to 1.
    """

    direction: str
    index: int
    contribution: float
    memory: float
    input_gate: NDArray[np.float64]
    forget_gate: NDArray[np.float64]
    output_gate: NDArray[np.float64]
    cell: NDArray[np.float64]
    hidden: NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """Neighbouring steps in which some features of the regions of one width have their maximum.

    Attributes:
        width: Width of the regions, in steps.
        start: Its first step. At the start of an input, a region has fewer steps than its width.
        end: The step after its last one.
        features: Indices of these features within their width, without those that are 0.
        contribution: What these features add to the score.
    """

    width: int
    start: int
    end: int
    features: tuple[int, ...]
    contribution: float


@dataclass(frozen=True)
class Gates:
    """The score, its parts, and the units that contribute most to it.

    The score is the logit of the predicted class minus the logit of the runner-up: the logarithm of
    the ratio of their probabilities. In a multi-label run it is the logit of the explained label:
    its log-odds. It is the sum `lstm + regions + linear + bias`.

    Attributes:
        runner_up: The most probable of the other classes; empty in a multi-label run.
        score: At least 0, unless a threshold chose the class or label.
        lstm: Contribution of all units of the last layer.
        regions: Contribution of all region features; None for a run without them.
        linear: Contribution of the linear model; None for a run without one.
        bias: Contribution of the head's bias.
        region_steps: What each token or row adds through the regions that it is in,
            `<float64>[steps]`; the sum is `regions`. None for a run without region features.
        linear_steps: What the linear model adds for each token and its bigram with the token before
            it, `<float64>[steps]`; None for a run without one.
        memory: Median memory of all units of the last layer, in steps.
        units: The units with the largest absolute contributions, largest first.
        top_regions: The regions with the largest absolute contributions, largest first; empty for
            a run without region features.
    """

    runner_up: str
    score: float
    lstm: float
    regions: float | None
    linear: float | None
    bias: float
    region_steps: NDArray[np.float64] | None
    linear_steps: NDArray[np.float64] | None
    memory: float
    units: tuple[Unit, ...]
    top_regions: tuple[Region, ...]


@dataclass(frozen=True)
class TextExplanation:
    """An explanation of a text's classification.

    Attributes:
        run: Name of the run.
        labels: Classes of the run.
        text: The text.
        prediction: The model's prediction; in a multi-label run its `label` is the explained one.
        tokens: The tokens that the model read; the arrays below have one entry for each.
        truncated_span: Start and end offset of the part that the model did not read; None if it
            read everything.
        token_effects: The effect of each token.
        prefixes: The prediction after each token.
        gates: The score and the activity of units.
    """

    run: str
    labels: tuple[str, ...]
    text: str
    prediction: Prediction
    tokens: tuple[Token, ...]
    truncated_span: tuple[int, int] | None
    token_effects: TokenEffects
    prefixes: PrefixPredictions
    gates: Gates

    @property
    def class_index(self) -> int:
        """Index of the predicted class."""
        return self.labels.index(self.prediction.label)

    @property
    def num_truncated(self) -> int:
        """Number of tokens that the model did not read."""
        return (self.prediction.num_tokens or 0) - len(self.tokens)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; numbers are rounded to six digits."""
        span = self.truncated_span
        return {
            "kind": "text",
            **_shared_fields(self),
            "text": self.text,
            "tokens": [asdict(token) for token in self.tokens],
            "truncated_span": None if span is None else list(span),
            "token_effects": _to_json(self.token_effects),
        }

    def __repr__(self) -> str:
        """Return one line: the arrays have a number for each step."""
        return _describe(self, len(self.prefixes.steps))

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from lstm_cli.explain.render_notebook import render_explanation

        return render_explanation(self)


@dataclass(frozen=True)
class ImageExplanation:
    """An explanation of an image's classification.

    Attributes:
        run: Name of the run.
        labels: Classes of the run.
        name: Name of the image.
        image: Pixels as the model reads them, `<uint8>[rows, columns]`.
        windows: For each step, its first row and the row after its last one, counted from 0. A step
            reads `image.window` rows.
        prediction: The model's prediction.
        prefixes: The prediction after each step, without the rows below it.
        gates: The score and the activity of units, by step.
    """

    run: str
    labels: tuple[str, ...]
    name: str
    image: NDArray[np.uint8]
    windows: tuple[tuple[int, int], ...]
    prediction: Prediction
    prefixes: PrefixPredictions
    gates: Gates

    @property
    def class_index(self) -> int:
        """Index of the predicted class."""
        return self.labels.index(self.prediction.label)

    @property
    def row_edges(self) -> tuple[int, ...]:
        """The row after the last one that has been read: at the start, and after each step.

        Step i is the first that reads the rows from `row_edges[i]` up to `row_edges[i + 1]`.
        """
        return (0, *(end for _, end in self.windows))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; numbers are rounded to six digits."""
        return {
            "kind": "image",
            **_shared_fields(self),
            "name": self.name,
            "image": self.image.tolist(),
            "windows": [list(rows) for rows in self.windows],
        }

    def __repr__(self) -> str:
        """Return one line: the arrays have a number for each step."""
        return _describe(self, len(self.prefixes.steps))

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from lstm_cli.explain.render_notebook import render_explanation

        return render_explanation(self)


Explanation = TextExplanation | ImageExplanation


def _describe(explanation: Explanation, num_steps: int) -> str:
    found = explanation.prediction
    return (
        f"<{type(explanation).__name__} by {explanation.run}: {found.label!r} "
        f"{found.probability:.4f}, {num_steps} steps>"
    )


def _shared_fields(explanation: Explanation) -> dict[str, Any]:
    return {
        "run": explanation.run,
        "labels": list(explanation.labels),
        "prediction": explanation.prediction.to_dict(),
        "prefixes": _to_json(explanation.prefixes),
        "gates": _to_json(explanation.gates),
    }


def _to_json(value: Any) -> Any:
    """Convert dataclasses and arrays to plain JSON types."""
    if isinstance(value, np.ndarray):
        return np.round(value, _DIGITS).tolist()
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, tuple):
        return [_to_json(part) for part in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _to_json(getattr(value, name)) for name in value.__dataclass_fields__}
    return value

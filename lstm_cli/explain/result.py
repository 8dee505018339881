"""What an explanation holds, as data; `explain` computes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.prediction.predictor import Prediction

# Six digits are more than a float32 network means.
_DIGITS = 6


@dataclass(frozen=True)
class Token:
    """A token that the network read.

    Attributes:
        text: As it is spelled in the input.
        start: Where it begins, in characters.
        end: Where it ends.
        known: Whether it is in the vocabulary.
    """

    text: str
    start: int
    end: int
    known: bool


@dataclass(frozen=True)
class TokenEffects:
    """What each token does for the predicted class.

    Attributes:
        effects: Log-odds of the predicted class with the whole text, less those without the token,
            `<float64>[tokens]`: positive where it speaks for the class. Of two classes, both
            count as no surer than 2**-24: a text of which the network is surer has effects of 0.
        without: Probability of the predicted class without the token, `<float64>[tokens]`.
        window: How many neighbours were left out together, and share what they do; 1 but for texts
            of many hundred tokens.
    """

    effects: NDArray[np.float64]
    without: NDArray[np.float64]
    window: int


@dataclass(frozen=True)
class PrefixPredictions:
    """What the network would have answered had the input ended here.

    Attributes:
        start: Probabilities before anything was read: of an empty text, `<float64>[classes]`; None
            for images, of which nothing at all has no answer.
        steps: Probabilities after each token or row, `<float64>[steps, classes]`.
        turn: The step at which the predicted class took the lead for good; None where it led from
            the start.
    """

    start: NDArray[np.float64] | None
    steps: NDArray[np.float64]
    turn: int | None

    def before(self, step: int) -> NDArray[np.float64] | None:
        """Return the probabilities before a step."""
        return self.steps[step - 1] if step else self.start


@dataclass(frozen=True)
class Unit:
    """What a unit of the last layer did, in the order of the input (not of the reading).

    Attributes:
        direction: `forward` or `backward`.
        index: Within its direction.
        contribution: What it adds to the score.
        memory: Steps for which it keeps something, 1 / (1 - mean forget gate).
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
class Gates:
    """The score, by what it comes from, and the units behind most of it.

    The score is the logit of the predicted class less that of the next likely one: the logarithm of
    how many times more probable it is. It is the sum of the LSTM's part, the evidence and the bias.

    Attributes:
        against: The next likely class.
        score: At least 0, but for a threshold.
        lstm: The last layer's units, all together.
        linear: Words and pairs by themselves; None in a run without.
        bias: What the head adds whatever the input.
        linear_steps: What each token and its pair with the one before it add, `<float64>[steps]`;
            None in a run without.
        memory: Median memory of all units of the last layer, in steps.
        units: Those whose contributions are largest, either way, the largest first.
    """

    against: str
    score: float
    lstm: float
    linear: float | None
    bias: float
    linear_steps: NDArray[np.float64] | None
    memory: float
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class TextExplanation:
    """Why a text was classified as it was.

    Attributes:
        run: Which network.
        labels: Its classes.
        text: As it was given.
        prediction: Its answer.
        tokens: What it read; the arrays of the other parts have an entry for each.
        cut: Where in the text what it never saw begins and ends; None where it saw everything.
        words: What each token does.
        belief: Its answer after each token.
        gates: What its units did.
    """

    run: str
    labels: tuple[str, ...]
    text: str
    prediction: Prediction
    tokens: tuple[Token, ...]
    cut: tuple[int, int] | None
    words: TokenEffects
    belief: PrefixPredictions
    gates: Gates

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types, numbers rounded to six digits."""
        return {
            "kind": "text",
            **_common(self),
            "text": self.text,
            "tokens": [asdict(token) for token in self.tokens],
            "cut": list(self.cut) if self.cut is not None else None,
            "words": _plain(self.words),
        }


@dataclass(frozen=True)
class ImageExplanation:
    """Why an image was classified as it was.

    Attributes:
        run: Which network.
        labels: Its classes.
        name: Of the image.
        image: As the network saw it, `<uint8>[rows, columns]`.
        prediction: Its answer.
        belief: Its answer after each row, those below it unread.
        gates: What its units did, by row.
    """

    run: str
    labels: tuple[str, ...]
    name: str
    image: NDArray[np.uint8]
    prediction: Prediction
    belief: PrefixPredictions
    gates: Gates

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types, numbers rounded to six digits."""
        return {"kind": "image", **_common(self), "name": self.name, "image": self.image.tolist()}


Explanation = TextExplanation | ImageExplanation


def _common(explanation: Explanation) -> dict[str, Any]:
    return {
        "run": explanation.run,
        "labels": list(explanation.labels),
        "prediction": explanation.prediction.to_dict(),
        "belief": _plain(explanation.belief),
        "gates": _plain(explanation.gates),
    }


def _plain(value: Any) -> Any:
    """Turn dataclasses and arrays into plain JSON types."""
    if isinstance(value, np.ndarray):
        return np.round(value, _DIGITS).tolist()
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value

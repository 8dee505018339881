"""An explanation in a notebook: coloured words, and the probability while the input is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_cli.explain.result import Explanation, ImageExplanation, TextExplanation
from lstm_cli.explain.segments import MIN_SHARE, relative_effects, segments
from lstm_cli.explain.summary import describe_swings, step_noun, with_short_labels
from lstm_cli.render import notebook

_TEMPLATES = Path(__file__).parent / "templates"
_MAX_CLASSES = 5
# Between the colours of the page for dark and for light: legible on both.
_FOR, _AGAINST = "40,140,210", "225,110,30"
_MIN_OPACITY, _MAX_OPACITY = 0.15, 0.55
_LEGEND_OPACITY = 0.5


class _TokenView(NamedTuple):
    """A token: its style, and what is shown when the pointer is on it."""

    style: str
    summary: str


def render_explanation(explanation: Explanation) -> str:
    """Return an explanation as HTML; everything from the data is escaped."""
    explanation = with_short_labels(explanation)
    is_text = isinstance(explanation, TextExplanation)
    values = explanation.prefixes.steps[:, explanation.class_index]
    return notebook.render(
        "notebook_text.html" if is_text else "notebook_image.html",
        _TEMPLATES,
        title=explanation.prediction.label,
        label=explanation.prediction.label,
        probability=explanation.prediction.probability,
        run=explanation.run,
        step_noun=step_noun(explanation),
        swings=describe_swings(explanation),
        num_steps=len(values),
        first=float(values[0]),
        last=float(values[-1]),
        **(_text_values(explanation, values) if is_text else _image_values(explanation, values)),  # type: ignore[arg-type]
    )


def _text_values(explanation: TextExplanation, values: NDArray[np.float64]) -> dict[str, Any]:
    spans = [(token.start, token.end) for token in explanation.tokens]
    return {
        "segments": list(segments(explanation.text, spans, explanation.truncated_span)),
        "tokens": _token_views(explanation),
        "points": " ".join(f"{x},{100 - 100 * value:.1f}" for x, value in _steps(values)),
        "colour_for": f"rgba({_FOR},{_LEGEND_OPACITY})",
        "colour_against": f"rgba({_AGAINST},{_LEGEND_OPACITY})",
    }


def _image_values(explanation: ImageExplanation, values: NDArray[np.float64]) -> dict[str, Any]:
    classes = sorted(explanation.prediction.probabilities.items(), key=lambda entry: -entry[1])
    return {
        "image": explanation.image,
        "rows": classes[:_MAX_CLASSES],
        "points": " ".join(f"{100 * value:.1f},{y}" for y, value in _steps(values)),
    }


def _steps(values: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return places and values of a line, in the middle of each step; one step is a short line."""
    steps = [(index + 0.5, value) for index, value in enumerate(values.tolist())]
    return steps if len(steps) > 1 else [(0.0, steps[0][1]), (1.0, steps[0][1])]


def _token_views(explanation: TextExplanation) -> list[_TokenView]:
    effects = explanation.token_effects.effects
    views = []
    shares = relative_effects(effects)
    for token, effect, share in zip(explanation.tokens, effects, shares, strict=True):
        style = ""
        if abs(share) >= MIN_SHARE:
            colour = _FOR if share > 0 else _AGAINST
            opacity = _MIN_OPACITY + (_MAX_OPACITY - _MIN_OPACITY) * abs(share)
            style = f"background:rgba({colour},{opacity:.2f})"
        summary = f"{token.text}: {effect:+.2f}"
        if not token.known:
            style += ";text-decoration:underline dotted"
            read_as = f", read as {token.read_as}" if token.read_as else ""
            summary += f" (not in the vocabulary{read_as})"
        views.append(_TokenView(style, summary))
    return views

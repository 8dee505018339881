"""An explanation as one HTML page that loads no other file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.explain.result import (
    Explanation,
    ImageExplanation,
    Region,
    TextExplanation,
    Token,
    Unit,
)
from lstm_cli.explain.segments import MIN_SHARE, relative_effects, segments
from lstm_cli.explain.summary import (
    describe_decision,
    describe_labels,
    describe_region,
    describe_rows,
    describe_score,
    describe_small_lstm,
    describe_swings,
    describe_windows,
    step_noun,
    with_short_labels,
)
from lstm_cli.render import html

_TEMPLATES = Path(__file__).parent / "templates"
_MAX_OPACITY = 0.75
_NUM_NAMED = 3
_MAX_NAMES = 30  # tokens with their names below a drawing


@dataclass(frozen=True)
class _TokenView:
    """A token as the page shows it: its CSS classes, and all numbers about it on one line."""

    style: str
    opacity: float
    summary: str


@dataclass(frozen=True)
class _UnitView:
    """A unit and its cell state as the points of a line, scaled to the largest absolute value."""

    unit: Unit
    limit: float
    points: str


def render_page(explanation: Explanation) -> str:
    """Render the page; everything from the data is escaped."""
    explanation = with_short_labels(explanation)
    is_text = isinstance(explanation, TextExplanation)
    return html.render(
        _TEMPLATES / ("text.html" if is_text else "image.html"),
        (_TEMPLATES / "explanation.js").read_text(encoding="utf-8"),
        explanation=explanation,
        label=explanation.prediction.label,
        step_noun=step_noun(explanation),
        score=describe_score(explanation),
        labels=describe_labels(explanation),
        swings=describe_swings(explanation),
        decision=describe_decision(explanation),
        small_lstm=describe_small_lstm(explanation),
        regions=[_region_row(explanation, region) for region in explanation.gates.top_regions],
        units=[_unit_view(unit) for unit in explanation.gates.units],
        **(_text_values(explanation) if is_text else _image_values(explanation)),  # type: ignore[arg-type]
    )


def _text_values(explanation: TextExplanation) -> dict[str, Any]:
    spans = [(token.start, token.end) for token in explanation.tokens]
    values = explanation.prefixes.steps[:, explanation.class_index]
    points = _points(100 - 100 * values)
    effects = explanation.token_effects
    columns = (effects.effects, effects.occluded_probabilities, values)
    rows = zip(explanation.tokens, *columns, strict=True)
    return {
        "segments": list(segments(explanation.text, spans, explanation.truncated_span)),
        "tokens": list(_token_views(explanation)),
        "has_unknown": not all(token.known for token in explanation.tokens),
        "strongest": float(np.abs(effects.effects).max()),
        "probabilities": values,
        "names": [token.text for token in explanation.tokens] if len(values) <= _MAX_NAMES else [],
        "points": points,
        # Down to 0% below the ends of the line.
        "area": f"{points.split(',')[0]},100 {points} {points.split()[-1].split(',')[0]},100",
        "table": [
            (token.text, f"{effect:+.3f}", f"{occluded:.3f}", f"{value:.3f}")
            for token, effect, occluded, value in rows
        ],
    }


def _image_values(explanation: ImageExplanation) -> dict[str, Any]:
    names = [describe_rows(*rows) for rows in pairwise(explanation.row_edges)]
    steps = zip(names, explanation.prefixes.steps, strict=True)
    return {
        "names": [],
        "windows": describe_windows(explanation),
        "summaries": [
            _describe_probabilities(f"After {name}", explanation.labels, values)
            for name, values in zip(names, explanation.prefixes.steps, strict=True)
        ],
        "table": [(name, *(f"{p:.2f}" for p in values)) for name, values in steps],
    }


def _describe_probabilities(place: str, labels: Sequence[str], values: NDArray[np.float64]) -> str:
    """Name the most probable classes at a place."""
    best = np.argsort(-values, kind="stable")[:_NUM_NAMED]
    return f"{place}: {', '.join(f'{labels[index]} {values[index]:.1%}' for index in best)}"


def _token_views(explanation: TextExplanation) -> Iterator[_TokenView]:
    label, effects = explanation.prediction.label, explanation.token_effects
    values = explanation.prefixes.steps[:, explanation.class_index]
    region_steps = explanation.gates.region_steps
    linear_steps = explanation.gates.linear_steps
    shares = relative_effects(effects.effects)
    for index, (token, share) in enumerate(zip(explanation.tokens, shares, strict=True)):
        classes = ["for" if share > 0 else "against"] if abs(share) >= MIN_SHARE else []
        classes += [] if token.known else ["unknown"]
        parts = [
            f"{_name(token)}: {effects.effects[index]:+.2f}",
            f"{label} {effects.occluded_probabilities[index]:.1%} without it",
            f"{values[index]:.1%} after it",
        ]
        if region_steps is not None:
            parts.append(f"{region_steps[index]:+.2f} from regions")
        if linear_steps is not None:
            parts.append(f"{linear_steps[index]:+.2f} from the linear model")
        yield _TokenView(" ".join(classes), _MAX_OPACITY * abs(share), ", ".join(parts))


def _name(token: Token) -> str:
    return token.text if token.read_as is None else f"{token.text} (read as {token.read_as})"


def _region_row(explanation: Explanation, region: Region) -> tuple[str, ...]:
    """Return the cells of a region: its words or rows, contribution, width, and features."""
    numbers = (f"{region.contribution:+.3f}", str(region.width), str(len(region.features)))
    return describe_region(explanation, region), *numbers


def _unit_view(unit: Unit) -> _UnitView:
    limit = float(np.abs(unit.cell).max()) or 1.0
    return _UnitView(unit, limit, _points(76 - 22 * unit.cell / limit))


def _points(heights: NDArray[np.float64]) -> str:
    """Return the points of a line with one value in the middle of each column."""
    if len(heights) == 1:  # a line needs two points
        return f"0,{heights[0]:.1f} 1,{heights[0]:.1f}"
    return " ".join(f"{i + 0.5:g},{height:.1f}" for i, height in enumerate(heights))

"""An explanation as lines of styled text, for a terminal, a log or a pipe.

Nothing is printed here. A line is a list of pieces, each with the name of a style.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_cli.explain.result import Explanation, ImageExplanation, TextExplanation, Unit
from lstm_cli.explain.segments import MIN_SHARE, relative_effects, segments
from lstm_cli.explain.summary import (
    describe_decision,
    describe_features,
    describe_labels,
    describe_region,
    describe_score,
    describe_small_lstm,
    describe_swings,
    describe_windows,
    step_noun,
    with_short_labels,
)
from lstm_cli.render.plot_style import display_width

NUM_SHADES = 4
_BAR_CHARS = "▁▂▃▄▅▆▇█"
_FILL_CHARS = " ░▒▓█"
_NUM_TOP = 5
_NUM_UNITS = 3
_NUM_REGIONS = 4
_NAME_WIDTH = 10
_MIN_WIDTH = 8

Array = NDArray[Any]


class Piece(NamedTuple):
    """A part of a line.

    Attributes:
        text: Text from the data; the caller replaces control characters.
        style: `for1` to `for4` or `against1` to `against4` (the higher, the stronger), `area`
            (a drawing), `bold`, `dim`, or empty.
    """

    text: str
    style: str = ""


Line = list[Piece]


def render_lines(explanation: Explanation, width: int, colour: bool) -> Iterator[Line]:
    """Render an explanation.

    Args:
        explanation: The explanation of a text or an image.
        width: Number of columns; texts and sentences may be longer, and wrap.
        colour: Whether the output shows styles; without, numbers take the place of colours.
    """
    explanation = with_short_labels(explanation)
    prediction = explanation.prediction
    yield [Piece(f"{prediction.label}  {prediction.probability:.1%}", "bold")]
    if labels := describe_labels(explanation):
        yield [Piece(labels)]
    yield [Piece(describe_score(explanation), "dim")]
    yield [Piece("")]
    if isinstance(explanation, TextExplanation):
        yield list(_marked_text(explanation, colour))
        yield [Piece("")]
        yield _legend(prediction.label, colour)
        yield from _top_tokens(explanation, width)
        yield [Piece("")]
        yield from _probability_line(explanation, width)
    else:
        yield from _rows(explanation, width)
        if windows := describe_windows(explanation):
            yield [Piece(windows, "dim")]
    yield [Piece(describe_swings(explanation))]
    yield [Piece(describe_decision(explanation))]
    yield [Piece("")]
    yield from _regions(explanation)
    yield from _gates(explanation, width)


def effect_style(share: float) -> str:
    """Return the style of a token from its share of the strongest effect, -1 to 1."""
    if abs(share) < MIN_SHARE:
        return ""
    level = min(NUM_SHADES, 1 + int(NUM_SHADES * abs(share)))
    return f"{'for' if share > 0 else 'against'}{level}"


def _marked_text(explanation: TextExplanation, colour: bool) -> Iterator[Piece]:
    """Yield the text as written, with marks on its tokens."""
    effects = explanation.token_effects.effects
    shares = relative_effects(effects)
    digits = 1 if float(np.abs(effects).max()) >= 1 else 2
    spans = [(token.start, token.end) for token in explanation.tokens]
    for segment in segments(explanation.text, spans, explanation.truncated_span):
        if segment.kind == "token":
            style = effect_style(shares[segment.token_index])
            yield Piece(segment.text, style)
            if style and not colour:
                yield Piece(f"[{effects[segment.token_index]:+.{digits}f}]")
        elif segment.kind == "truncated":
            yield Piece(f"[... {explanation.num_truncated:,} tokens not read ...]", "dim")
        else:
            yield Piece(segment.text)


def _legend(label: str, colour: bool) -> Line:
    heading = "Log-odds lost without the token: "
    if not colour:
        return [Piece(f"{heading}[+] for {label}, [-] against {label}.", "dim")]
    line = [Piece("Effect on the log-odds: ", "dim")]
    for side, end in (("for", ", "), ("against", "")):
        line += [Piece(f"{side} {label} ", "dim"), Piece("weak", f"{side}1"), Piece(" ")]
        line += [Piece("strong", f"{side}{NUM_SHADES}"), Piece(end, "dim")]
    return line


def _top_tokens(explanation: TextExplanation, width: int) -> Iterator[Line]:
    """List the tokens with the largest effects for and against the class, on a line each."""
    effects = explanation.token_effects.effects
    if not effects.any():
        yield [Piece("No single token changes the prediction.")]
    for heading, sign in (("for", 1), ("against", -1)):
        order = np.argsort(-sign * effects, kind="stable")[:_NUM_TOP]
        top = [i for i in order if sign * effects[i] > 0]
        if not top:
            continue
        line, columns = [Piece(f"{heading:<{_NAME_WIDTH}}", "dim")], _NAME_WIDTH
        for index in top:
            text, effect = explanation.tokens[index].text, f" {effects[index]:+.2f}"
            columns += display_width(text) + len(effect)
            if columns > width and len(line) > 1:
                break
            line += [Piece(text, "bold"), Piece(f"{effect}   ")]
            columns += 3
        yield line


def _probability_line(explanation: TextExplanation, width: int) -> Iterator[Line]:
    class_index, prefixes = explanation.class_index, explanation.prefixes
    values = prefixes.steps[:, class_index]
    yield [Piece(f"Probability of {explanation.prediction.label} after each token", "bold")]
    first = "" if prefixes.start is None else f"{prefixes.start[class_index]:.0%} "
    last = f" {values[-1]:.0%}"
    columns = max(_MIN_WIDTH, width - len(first) - len(last))
    yield [Piece(first, "dim"), Piece(sparkline(values, columns), "area"), Piece(last, "dim")]


def _rows(explanation: ImageExplanation, width: int) -> Iterator[Line]:
    """Draw the image, and beside its rows the probabilities after they are read."""
    labels, prefixes = explanation.labels, explanation.prefixes
    num_columns = max(_MIN_WIDTH, min(explanation.image.shape[1], width // 5))
    image = _scale_columns(explanation.image, num_columns)
    # Each class takes the width of the longest label; show as many classes as fit.
    longest = max(len(label) for label in labels)
    cell, name_width = max(2, longest) + 1, longest + 9
    num_classes = max(1, (width - 2 * num_columns - name_width) // cell)
    classes = sorted(np.argsort(-prefixes.steps[-1], kind="stable")[:num_classes])
    heading = "".join(f"{labels[i]:>{cell}}" for i in classes)
    yield [Piece(f"{'':{2 * num_columns}}  {'top':<{name_width - 2}}{heading}", "dim")]
    last_rows = {end - 1: step for step, end in enumerate(explanation.row_edges[1:])}
    for row, pixels in enumerate(image):
        picture = "".join(2 * _fill(p) for p in pixels)
        if row not in last_rows:
            yield [Piece(picture)]
            continue
        step = last_rows[row]
        probabilities = prefixes.steps[step]
        top = int(probabilities.argmax())
        name = f"{labels[top]:<{longest}} {probabilities[top]:>4.0%}"
        style = "bold" if top == explanation.class_index else "dim"
        values = "".join(f"{_fill(probabilities[i]) * 2:>{cell}}" for i in classes)
        mark = "<" if step == prefixes.decision_step else " "
        yield [Piece(picture), Piece(f"  {name}{mark} ", style), Piece(values)]


def _fill(value: float) -> str:
    """Return the character for a value of 0 to 1."""
    return _FILL_CHARS[round(4 * float(value))]


def _scale_columns(image: Array, num_columns: int) -> NDArray[np.float64]:
    """Scale an image's columns to `num_columns` and its brightness to 0 to 1; keep the rows."""
    edges = np.linspace(0, image.shape[1], num_columns + 1).round().astype(int)
    parts = [image[:, a : max(b, a + 1)].mean(axis=1) for a, b in pairwise(edges)]
    return np.asarray(np.stack(parts, axis=1) / 255.0)


def _regions(explanation: Explanation) -> Iterator[Line]:
    """List the regions with the largest contributions; nothing for a run without regions."""
    regions = explanation.gates.top_regions[:_NUM_REGIONS]
    if not regions:
        return
    yield [Piece("Regions that contribute most", "bold")]
    for region in regions:
        name, numbers = (f(explanation, region) for f in (describe_region, describe_features))
        yield [Piece("  "), Piece(name, "bold"), Piece(f"  {numbers}", "dim")]
    yield [Piece("")]


def _gates(explanation: Explanation, width: int) -> Iterator[Line]:
    gates, noun = explanation.gates, step_noun(explanation)
    yield [
        Piece("Gates of the units that contribute most", "bold"),
        Piece(f"  (the median unit remembers {gates.memory:.1f} {noun}s)", "dim"),
    ]
    if note := describe_small_lstm(explanation):
        yield [Piece(note)]
    for unit in gates.units[:_NUM_UNITS]:
        yield [
            Piece(f"{unit.direction} {unit.index}", "bold"),
            Piece(f"  {unit.contribution:+.2f}, remembers {unit.memory:.1f} {noun}s", "dim"),
        ]
        yield from _unit_lines(unit, width)


def _unit_lines(unit: Unit, width: int) -> Iterator[Line]:
    """Draw a unit's gates as bars, and its cell state as bars around 0."""
    columns = max(_MIN_WIDTH, width - _NAME_WIDTH - 8)
    gates = {"input": unit.input_gate, "forget": unit.forget_gate, "output": unit.output_gate}
    for name, values in gates.items():
        yield [
            Piece(f"  {name:<{_NAME_WIDTH - 2}}", "dim"),
            Piece(sparkline(values, columns), "area"),
        ]
    limit = float(np.abs(unit.cell).max()) or 1.0
    yield [
        Piece(f"  {'cell':<{_NAME_WIDTH - 2}}", "dim"),
        Piece(sparkline((unit.cell / limit + 1) / 2, columns), "area"),
        Piece(f" ±{limit:.1f}", "dim"),
    ]


def sparkline(values: Array, max_columns: int) -> str:
    """Draw values of 0 to 1 as a line of bars."""
    return "".join(_BAR_CHARS[_level(v)] for v in downsample(values, max_columns))


def _level(value: float) -> int:
    """Return a level from 0 to 7 for a value of 0 to 1."""
    return min(7, int(8 * float(value)))


def downsample(values: Array, max_columns: int) -> NDArray[np.float64]:
    """Average neighbouring values until they fit into `max_columns`."""
    if len(values) <= max_columns:
        return np.asarray(values, np.float64)
    edges = np.linspace(0, len(values), max_columns + 1).astype(int)
    return np.array([values[a:b].mean() for a, b in pairwise(edges)])

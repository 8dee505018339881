"""An explanation as a PNG or SVG: a text with its gates, or an image and its predictions by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.explain.result import Explanation, ImageExplanation, TextExplanation, Unit
from lstm_cli.explain.segments import MIN_SHARE, relative_effects, segments
from lstm_cli.explain.summary import (
    describe_swings,
    large_swings,
    step_noun,
    with_short_labels,
)
from lstm_cli.io.fields import SEPARATOR
from lstm_cli.render.plot_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    display_width,
    fit_name,
    picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 9.0  # inches
_LINE_HEIGHT = 0.26  # inches
_MAX_COLUMNS = 114  # characters in a line of text
_NUM_UNITS = 3
_MAX_NAMES = 60  # tokens whose names fit below the gates
_MAX_TOKENS = 800  # a longer text is cut here
_DRAWN_SEPARATOR = "\u2016"
_DASHES = (0, (4, 3))
_MAX_TITLE, _MAX_RUN, _MAX_SUBTITLE = 40, 50, 160  # characters
_SCALE_STEPS = 32  # shades of a colour scale
_MIN_ALPHA, _ALPHA_RANGE = 0.15, 0.6  # of the colour of a token

Array = NDArray[Any]


def draw(explanation: Explanation, path: Path) -> None:
    """Draw an explanation as PNG or SVG, as the suffix of the path says.

    Raises:
        LstmError: The file cannot be written.
    """
    explanation = with_short_labels(explanation)
    if isinstance(explanation, TextExplanation):
        _draw_text(with_drawn_separators(explanation), path)
    else:
        _draw_image(explanation, path)


def with_drawn_separators(explanation: TextExplanation) -> TextExplanation:
    """Return an explanation with another sign between columns, as long as theirs.

    Matplotlib's font has no letter for the separator, and would draw a box.
    """
    tokens = [
        replace(token, text=token.text.replace(SEPARATOR, _DRAWN_SEPARATOR))
        for token in explanation.tokens
    ]
    text = explanation.text.replace(SEPARATOR, _DRAWN_SEPARATOR)
    return replace(explanation, text=text, tokens=tuple(tokens))


def _title(explanation: Explanation) -> tuple[str, str]:
    """Return title and subtitle."""
    prediction = explanation.prediction
    title = f"{fit_name(prediction.label, _MAX_TITLE)}  {prediction.probability:.1%}"
    title += f"   (run {fit_name(explanation.run, _MAX_RUN)})"
    return title, fit_name(describe_swings(explanation), _MAX_SUBTITLE)


def _draw_text(explanation: TextExplanation, path: Path) -> None:
    lines = list(_wrap(explanation))
    units = explanation.gates.units[:_NUM_UNITS]
    text_height = _LINE_HEIGHT * len(lines) + 0.35
    heights = [text_height, 1.3, *(height for _ in units for height in (0.55, 0.5))]
    size = (_WIDTH, sum(heights) + 2.2)
    with picture(path, size, *_title(explanation)) as figure:
        panels = figure.subplots(len(heights), 1, height_ratios=heights)
        _draw_probabilities(panels[1], explanation)
        for index, unit in enumerate(units):
            _draw_gates(panels[2 + 2 * index], unit)
            if not index:
                _draw_scale(panels[2], heights[2], _blues(), ("closed, 0", "1, open"))
            _draw_cell(panels[3 + 2 * index], unit)
        num = len(explanation.tokens)
        for axes in panels[1:]:
            axes.set_xlim(-0.5, num - 0.5)
            axes.set_xticks([])
        if num <= _MAX_NAMES:
            names = [fit_name(token.text, 14) for token in explanation.tokens]
            panels[-1].set_xticks(range(num), names, rotation=90, fontsize=7.5)
        _draw_tokens(panels[0], lines, explanation)


def _wrap(explanation: TextExplanation) -> Iterator[list[tuple[str, float]]]:
    """Break the text into lines of parts, each with its share of the strongest effect."""
    line: list[tuple[str, float]] = []
    used = 0
    for text, share in _parts(explanation):
        for index, part in enumerate(text.split("\n")):
            if index or (used + display_width(part) > _MAX_COLUMNS and part.strip()):
                yield line
                line, used = [], 0
            if part:
                line.append((part, share))
                used += display_width(part)
    if line:
        yield line


def _parts(explanation: TextExplanation) -> Iterator[tuple[str, float]]:
    shares = relative_effects(explanation.token_effects.effects)
    spans = [(token.start, token.end) for token in explanation.tokens]
    for segment in segments(explanation.text, spans, explanation.truncated_span):
        if segment.token_index >= _MAX_TOKENS:
            yield "[...]", 0.0
            return
        if segment.kind == "token":
            yield segment.text, shares[segment.token_index]
        else:
            yield ("[...]" if segment.kind == "truncated" else segment.text), 0.0


def _draw_tokens(
    axes: Axes, lines: list[list[tuple[str, float]]], explanation: TextExplanation
) -> None:
    """Write the text part by part, each to the right of the last, on its colour."""
    from matplotlib.font_manager import FontProperties

    figure: Any = axes.figure
    renderer = figure.canvas.get_renderer()
    font = FontProperties(family=["DejaVu Sans"], size=9.5)
    axes.set(xlim=(0, 1), ylim=(len(lines), 0))
    axes.axis("off")
    label = fit_name(explanation.prediction.label)
    axes.set_title(f"Tokens: blue for {label}, orange against it", color=GREY, y=1)
    strongest = float(np.abs(explanation.token_effects.effects).max())
    shades = [_effect_colour(share) for share in np.linspace(-1, 1, _SCALE_STEPS)]
    ends = (f"{-strongest:+.2f}", f"{strongest:+.2f} log-odds")
    _draw_scale(axes, _LINE_HEIGHT * len(lines) + 0.35, shades, ends)
    # The width of the panel is known once the layout is done.
    figure.draw_without_rendering()
    scale = axes.get_window_extent().width
    for number, line in enumerate(lines):
        x = 0.0
        for text, share in line:
            printable = "".join(c if c.isprintable() else " " for c in text)
            width = renderer.get_text_width_height_descent(printable, font, False)[0] / scale
            box = None
            if abs(share) >= MIN_SHARE:
                box = {"facecolor": _effect_colour(share), "edgecolor": "none", "pad": 1.2}
            if printable.strip():
                axes.text(
                    x, number + 0.5, printable, va="center", fontsize=9.5, color=INK, bbox=box
                )
            x += width


def _effect_colour(share: float) -> tuple[float, float, float, float]:
    """Return the colour of a token with this share of the strongest effect."""
    from matplotlib.colors import to_rgba

    alpha = _MIN_ALPHA + _ALPHA_RANGE * abs(share) if abs(share) >= MIN_SHARE else 0.0
    return to_rgba(BLUE if share > 0 else ORANGE, alpha)


def _blues() -> list[Any]:
    """Return the shades of gates and probabilities from 0 to 1."""
    import matplotlib

    return list(matplotlib.colormaps["Blues"](np.linspace(0, 1, _SCALE_STEPS)))


def _draw_scale(axes: Axes, height: float, shades: list[Any], ends: tuple[str, str]) -> None:
    """Draw a colour scale beside the title of a panel, whose `y` is fixed so that it stays there.

    Args:
        axes: The panel.
        height: Its height in inches, about.
        shades: The colours from left to right.
        ends: What the first and the last one mean.
    """
    from matplotlib.colors import ListedColormap

    scale = axes.inset_axes((0.78, 1 + 0.07 / height, 0.1, 0.11 / height))
    edges = np.arange(len(shades) + 1)
    values = np.arange(len(shades))[None]
    scale.pcolormesh(edges, np.arange(2), values, cmap=ListedColormap(shades))
    scale.set(xticks=[], yticks=[])
    scale.spines[:].set(visible=True, color=PALE)
    for place, align, name in ((-0.06, "right", ends[0]), (1.06, "left", ends[1])):
        where: dict[str, Any] = {"transform": scale.transAxes, "ha": align, "va": "center"}
        scale.text(place, 0.45, name, fontsize=8, color=GREY, **where)


def _draw_probabilities(axes: Axes, explanation: TextExplanation) -> None:
    values = explanation.prefixes.steps[:, explanation.class_index]
    axes.axhline(0.5, color=PALE, linewidth=0.8)
    axes.plot(np.arange(len(values)), values, color=BLUE, linewidth=1.6, marker="o", markersize=2)
    for swing in large_swings(explanation):
        axes.axvline(swing.step, color=ORANGE, linewidth=1, linestyle=_DASHES)
    axes.set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
    axes.yaxis.set_major_formatter("{x:.0%}")
    label = fit_name(explanation.prediction.label)
    axes.set_title(f"Probability of {label} after each token")


def _draw_gates(axes: Axes, unit: Unit) -> None:
    rows = np.array([unit.input_gate, unit.forget_gate, unit.output_gate])
    edges = np.arange(rows.shape[1] + 1) - 0.5
    # Rectangles instead of an image are sharp at every size and have the same bytes everywhere.
    axes.pcolormesh(edges, np.arange(4) - 0.5, rows, cmap="Blues", vmin=0, vmax=1)
    axes.set_yticks(range(3), ["input", "forget", "output"], fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    name = f"{unit.direction} {unit.index}: {unit.contribution:+.2f}"
    axes.set_title(f"{name}, remembers {unit.memory:.1f} tokens", pad=3, y=1)


def _draw_cell(axes: Axes, unit: Unit) -> None:
    axes.axhline(0, color=PALE, linewidth=0.8)
    axes.plot(np.arange(len(unit.cell)), unit.cell, color=INK, linewidth=1.1)
    axes.set_ylabel("cell", fontsize=8)
    axes.tick_params(axis="x", length=0)


def _draw_image(explanation: ImageExplanation, path: Path) -> None:
    """Draw the image, and beside its rows the probability of each class."""
    prefixes, labels = explanation.prefixes, explanation.labels
    size = (4.0 + max(3.6, 0.34 * len(labels)), 4.8)
    with picture(path, size, *_title(explanation)) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(3.6, size[0] - 4.0), sharey=True)
        num_rows, num_columns = explanation.image.shape
        left.pcolormesh(explanation.image, cmap="gray", vmin=0, vmax=255)
        left.set(xlim=(0, num_columns), ylim=(num_rows, 0), xticks=[], ylabel="Rows read")
        left.set_title("Image")
        edges = np.arange(len(labels) + 1) - 0.5
        row_edges = explanation.row_edges
        right.pcolormesh(edges, row_edges, prefixes.steps, cmap="Blues", vmin=0, vmax=1)
        right.set(ylim=(num_rows, 0))
        _draw_scale(right, size[1] - 1.2, _blues(), ("0%", "100%"))
        right.set_title(f"Probability after each {step_noun(explanation)}", y=1)
        names = [fit_name(label, 12) for label in labels]
        right.set_xticks(range(len(labels)), names, rotation=90 * (max(map(len, names)) > 3))
        for swing in large_swings(explanation):
            right.axhline(row_edges[swing.step], color=ORANGE, linewidth=1, linestyle=_DASHES)

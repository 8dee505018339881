"""An explanation as a picture: words, belief and gates, or an image with its belief by row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.explain.render_terminal import LEAST_SHARE, describe_decision
from lstm_cli.explain.result import Explanation, ImageExplanation, TextExplanation, Unit
from lstm_cli.render.plot_style import BLUE, GREY, INK, ORANGE, PALE, columns, picture, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 9.0  # inches
_LINE = 0.26  # inches a line of text takes
_COLUMNS = 114  # characters a line of text has room for, at most
_NUM_UNITS = 3
_MAX_NAMED = 60  # tokens whose names fit below the gates
_MAX_WORDS = 800  # tokens beyond which a picture is no place for a text

Array = NDArray[Any]


def draw(explanation: Explanation, path: Path) -> None:
    """Draw an explanation and write it as PNG or SVG, as the name of the file says.

    Raises:
        LstmError: The file cannot be written.
    """
    if isinstance(explanation, TextExplanation):
        _draw_text(explanation, path)
    else:
        _draw_image(explanation, path)


def _heading(explanation: Explanation) -> tuple[str, str]:
    said = explanation.prediction
    return f"{shown(said.label, 40)}  {said.probability:.1%}", shown(
        describe_decision(explanation), 120
    )


def _draw_text(explanation: TextExplanation, path: Path) -> None:
    rows = list(_flow(explanation))
    words = _LINE * len(rows) + 0.35
    units = explanation.gates.units[:_NUM_UNITS]
    heights = [words, 1.3, *(x for _ in units for x in (0.55, 0.5))]
    size = (_WIDTH, sum(heights) + 2.2)
    with picture(path, size, *_heading(explanation)) as figure:
        panels = figure.subplots(len(heights), 1, height_ratios=heights)
        _draw_belief(panels[1], explanation)
        for index, unit in enumerate(units):
            _draw_gates(panels[2 + 2 * index], unit)
            _draw_state(panels[3 + 2 * index], unit)
        num = len(explanation.tokens)
        for axes in panels[1:]:
            axes.set_xlim(-0.5, num - 0.5)
            axes.set_xticks([])
        if num <= _MAX_NAMED:
            names = [shown(token.text, 14) for token in explanation.tokens]
            panels[-1].set_xticks(range(num), names, rotation=90, fontsize=7.5)
        _draw_words(panels[0], rows, explanation)


def _flow(explanation: TextExplanation) -> Iterator[list[tuple[str, float]]]:
    """Break the text into lines of pieces, each with its share of the strongest effect."""
    line: list[tuple[str, float]] = []
    used = 0
    for text, share in _pieces(explanation):
        for part in _lines(text):
            if part == "\n" or (used + columns(part) > _COLUMNS and part.strip()):
                yield line
                line, used = [], 0
            if part != "\n":
                line.append((part, share))
                used += columns(part)
    if line:
        yield line


def _lines(text: str) -> Iterator[str]:
    """Yield what stands between line breaks, and the breaks."""
    for index, part in enumerate(text.split("\n")):
        if index:
            yield "\n"
        if part:
            yield part


def _pieces(explanation: TextExplanation) -> Iterator[tuple[str, float]]:
    text, end = explanation.text, 0
    effects = explanation.words.effects
    strongest = float(np.abs(effects).max()) or 1.0
    for token, effect in list(zip(explanation.tokens, effects, strict=True))[:_MAX_WORDS]:
        cut = explanation.cut
        if cut is not None and end <= cut[0] < token.start:
            yield " [...] ", 0.0
        else:
            yield text[end : token.start], 0.0
        yield token.text, float(effect) / strongest
        end = token.end
    rest = len(explanation.tokens) > _MAX_WORDS
    yield (" [...]" if rest else text[end:]), 0.0


def _draw_words(
    axes: Axes, rows: list[list[tuple[str, float]]], explanation: TextExplanation
) -> None:
    """Write the text word by word, each behind the last, on its colour."""
    from matplotlib.colors import to_rgba
    from matplotlib.font_manager import FontProperties

    figure: Any = axes.figure
    renderer = figure.canvas.get_renderer()
    font = FontProperties(family=["DejaVu Sans"], size=9.5)
    axes.set(xlim=(0, 1), ylim=(len(rows), 0))
    axes.axis("off")
    label = shown(explanation.prediction.label)
    axes.set_title(f"Words: blue for {label}, orange against it", color=GREY)
    # Where the other panels leave room is known once all is laid out.
    figure.draw_without_rendering()
    scale = axes.get_window_extent().width
    for number, row in enumerate(rows):
        x = 0.0
        for text, share in row:
            clear = "".join(c if c.isprintable() else " " for c in text)
            extent = renderer.get_text_width_height_descent(clear, font, False)[0] / scale
            back = None
            if abs(share) >= LEAST_SHARE:
                colour = to_rgba(BLUE if share > 0 else ORANGE, 0.15 + 0.6 * abs(share))
                back = {"facecolor": colour, "edgecolor": "none", "pad": 1.2}
            if clear.strip():
                axes.text(x, number + 0.5, clear, va="center", fontsize=9.5, color=INK, bbox=back)
            x += extent


def _draw_belief(axes: Axes, explanation: TextExplanation) -> None:
    chosen = explanation.labels.index(explanation.prediction.label)
    steps = explanation.belief.steps[:, chosen]
    axes.axhline(0.5, color=PALE, linewidth=0.8)
    axes.plot(np.arange(len(steps)), steps, color=BLUE, linewidth=1.6, marker="o", markersize=2)
    turn = explanation.belief.turn
    if turn is not None:
        axes.axvline(turn, color=ORANGE, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
    axes.yaxis.set_major_formatter("{x:.0%}")
    label = shown(explanation.prediction.label)
    axes.set_title(f"Belief in {label} after each token")


def _draw_gates(axes: Axes, unit: Unit) -> None:
    rows = np.array([unit.input_gate, unit.forget_gate, unit.output_gate])
    edges = np.arange(rows.shape[1] + 1) - 0.5
    # Rectangles and not an image: sharp at every size, and the same bytes everywhere.
    axes.pcolormesh(edges, np.arange(4) - 0.5, rows, cmap="Blues", vmin=0, vmax=1)
    axes.set_yticks(range(3), ["input", "forget", "output"], fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    told = f"{unit.direction} {unit.index}: {unit.contribution:+.2f}"
    axes.set_title(f"{told}, keeps for {unit.memory:.1f} tokens", pad=3)


def _draw_state(axes: Axes, unit: Unit) -> None:
    axes.axhline(0, color=PALE, linewidth=0.8)
    axes.plot(np.arange(len(unit.cell)), unit.cell, color=INK, linewidth=1.1)
    axes.set_ylabel("cell", fontsize=8)
    axes.tick_params(axis="x", length=0)


def _draw_image(explanation: ImageExplanation, path: Path) -> None:
    """Draw the picture, and beside its rows the belief in each class."""
    steps, labels = explanation.belief.steps, explanation.labels
    size = (4.0 + max(3.6, 0.34 * len(labels)), 4.8)
    with picture(path, size, *_heading(explanation)) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(3.6, size[0] - 4.0), sharey=True)
        rows, wide = explanation.image.shape
        left.pcolormesh(explanation.image, cmap="gray", vmin=0, vmax=255)
        left.set(xlim=(0, wide), ylim=(rows, 0), xticks=[], ylabel="Rows read")
        left.set_title("What was read")
        edges = np.arange(len(labels) + 1) - 0.5
        right.pcolormesh(edges, np.arange(rows + 1), steps, cmap="Blues", vmin=0, vmax=1)
        right.set(ylim=(rows, 0))
        right.set_title("Belief after each row")
        names = [shown(label, 12) for label in labels]
        right.set_xticks(range(len(labels)), names, rotation=90 * (max(map(len, names)) > 3))
        if explanation.belief.turn is not None:
            right.axhline(explanation.belief.turn, color=ORANGE, linewidth=1, linestyle=(0, (4, 3)))

"""Plots of training and its data: learning curves and text lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.io.text_format import number
from lstm_cli.render.plot_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    fit_name,
    format_percent_axis,
    percent,
    picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def learning_curves(
    history: Sequence[Mapping[str, Any]], path: Path, validation_method: str = ""
) -> None:
    """Draw training and validation loss and accuracy by epoch, and mark the best epoch.

    Args:
        history: One mapping per epoch with `epoch`, `loss`, `accuracy`, `val_loss`,
            `val_accuracy`, and optionally `seconds` and `best`. The last line where `best` is true
            is the best epoch. Values that are missing, None or NaN are not drawn.
        path: The PNG file to write.
        validation_method: How the validation came about before a refit; empty without one.

    Raises:
        ValueError: There is no epoch.
    """
    if not history:
        raise ValueError("expected at least one epoch to draw, found none")
    best = max((i for i, line in enumerate(history) if line.get("best")), default=None)
    title, subtitle = _curves_title(history, best)
    if validation_method:
        subtitle = f"Measured {validation_method}; dotted line: the epochs of that training"
    with picture(path, (7.6, 3.6), title, subtitle) as figure:
        # Space for the labels at the ends of the lines.
        panels = figure.subplots(1, 2, gridspec_kw={"wspace": 0.1})
        for axes, measure in zip(panels, ("loss", "accuracy"), strict=True):
            _curves_panel(axes, history, measure)
            if best is not None:
                axes.axvline(history[best]["epoch"], color=INK, linewidth=0.8, linestyle=":")


def lengths(
    lengths_by_split: Mapping[str, NDArray[np.integer[Any]]], max_tokens: int, path: Path
) -> None:
    """Draw a histogram of text lengths per split, with truncated texts in orange.

    Args:
        lengths_by_split: Number of tokens of each text before truncation, `<int>[num]`, by split.
        max_tokens: The largest number of tokens that the model reads.
        path: The PNG file to write.

    Raises:
        ValueError: No split has a text.
    """
    filled = {name: np.asarray(values) for name, values in lengths_by_split.items() if len(values)}
    if not filled:
        raise ValueError("expected a split with texts to draw, found none")
    values = np.concatenate(list(filled.values()))
    edges = _length_edges(values, max_tokens)
    size = (6.4, 1.3 + 1.25 * len(filled))
    with picture(path, size, *_lengths_title(values, max_tokens)) as figure:
        rows = figure.subplots(len(filled), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, values) in zip(rows, filled.items(), strict=True):
            shares = np.histogram(values, edges)[0] / len(values)
            colours = np.where(edges[:-1] >= max_tokens, ORANGE, BLUE)
            axes.bar(edges[:-1], shares, np.diff(edges), align="edge", color=colours)
            axes.set_title(
                f"{fit_name(name)}: {len(values):,} texts, median {np.median(values):,.0f} tokens, "
                f"{percent(float(np.mean(values > max_tokens)))} truncated"
            )
            format_percent_axis(axes)
            axes.locator_params(axis="y", nbins=3)
        rows[-1].set(xlabel="Tokens in a text", xlim=(max(edges[0], 0), edges[-1]))
        rows[-1].xaxis.set_major_formatter("{x:,.0f}")


def _curves_title(history: Sequence[Mapping[str, Any]], best: int | None) -> tuple[str, str]:
    line = history[-1 if best is None else best]
    split, accuracy = "Validation", line.get("val_accuracy")
    if accuracy is None:
        split, accuracy = "Training", line.get("accuracy")
    value = "unknown" if accuracy is None else number(accuracy, ".3f")
    subtitle = f"{len(history)} epoch{'s' * (len(history) > 1)}"
    seconds = [line["seconds"] for line in history if line.get("seconds") is not None]
    if seconds:
        subtitle += f" of {np.mean(seconds):,.{0 if np.mean(seconds) >= 10 else 1}f} s"
    if best is not None:
        subtitle += "; dotted line: the best epoch, whose weights are saved"
    return f"{split} accuracy {value} at epoch {line['epoch']}", subtitle


def _curves_panel(axes: Axes, history: Sequence[Mapping[str, Any]], measure: str) -> None:
    epochs = [line["epoch"] for line in history]
    ends: list[tuple[float, str, str]] = []
    for key, split, colour in (
        (measure, "training", GREY),
        (f"val_{measure}", "validation", BLUE),
    ):
        values = np.asarray([line.get(key) for line in history], dtype=float)
        finite = values[np.isfinite(values)]
        if len(finite):
            markers = 3.5 if len(epochs) <= 20 else 0
            axes.plot(epochs, values, "o-", color=colour, linewidth=1.8, markersize=markers)
            ends.append((float(finite[-1]), f"{split} {finite[-1]:.3f}", colour))
    axes.set(title=measure.capitalize(), xlabel="Epoch")
    axes.set_xticks(epochs[:: -(-len(epochs) // 8)])
    axes.margins(x=0.04, y=0.08)
    _label_ends(axes, epochs[-1], ends)
    if not ends:
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_yticks([])


def _label_ends(axes: Axes, x: float, ends: Sequence[tuple[float, str, str]]) -> None:
    """Label the lines (two at most) at their right ends, and move overlapping labels apart."""
    low, high = axes.get_ylim()
    heights = [value for value, *_ in ends]
    overlap = 0.09 * (high - low) - (max(heights, default=0.0) - min(heights, default=0.0))
    for i, (value, text, colour) in enumerate(sorted(ends)):
        shift = (i - 0.5) * overlap if len(ends) == 2 and overlap > 0 else 0.0
        axes.annotate(
            text,
            (x, value + shift),
            (8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            annotation_clip=False,
        )


def _length_edges(values: NDArray[np.integer[Any]], max_tokens: int) -> NDArray[np.float64]:
    """Return bin edges halfway between lengths; one edge is just above `max_tokens`.

    The longest 0.5% of texts are left out, because the long tail would compress the rest, unless
    that leaves out the limit too.
    """
    end = max(int(np.ceil(np.quantile(values, 0.995))), 10)
    if values.max() > max_tokens:
        end = max(end, int(1.1 * max_tokens) + 1)
    width = max(1, round(end / 60))
    start = max_tokens + 0.5 - width * (max_tokens // width + 1)  # below 0, for empty texts
    return np.arange(start, end + width, width)


def _lengths_title(values: NDArray[np.integer[Any]], max_tokens: int) -> tuple[str, str]:
    truncated = float(np.mean(values > max_tokens))
    subtitle = f"Share of texts by length; the longest has {values.max():,} tokens"
    if not truncated:
        return f"No text is longer than the limit of {max_tokens:,} tokens", subtitle
    return (
        f"{percent(truncated)} of texts are longer than the limit of {max_tokens:,} tokens",
        f"{subtitle}; orange: truncated to head and tail",
    )

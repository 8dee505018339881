"""Plots of a study: history, importance of settings, parallel coordinates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.io.text_format import number, pluralize
from lstm_cli.render.plot_style import BLUE, GREY, INK, ORANGE, PALE, fit_name, percent, picture
from lstm_cli.tune.summary import (
    SearchedSetting,
    StudySummary,
    TrialSummary,
    format_value,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_BARS = 16
_MAX_AXES = 6
# Lines in colour: this share of the finished trials, the best ones.
_GOOD_SHARE = 0.25


def draw_history(summary: StudySummary, path: Path) -> None:
    """Draw the metric of each trial by its number, and the best so far.

    Args:
        summary: A study with a finished trial.
        path: The PNG file to write.
    """
    assert summary.best is not None
    label = summary.label
    which = "the default settings" if summary.best.default else f"trial {summary.best.number}"
    title = f"Best {label}: {number(summary.best.value)}, {which}"
    if summary.default is not None and not summary.best.default:
        title += f"; default settings: {number(summary.default.value)}"
    subtitle = "On validation; line: the best so far; dotted: default settings"
    if num_pruned := summary.count("pruned"):
        subtitle += f"; pale: stopped early ({num_pruned:,})"
    with picture(path, (7.6, 3.8), title, subtitle) as figure:
        axes = figure.subplots()
        _draw_dots(axes, summary)
        numbers, best = _best_so_far(summary)
        last = max(trial.number for trial in summary.trials)
        axes.step([*numbers, last], [*best, best[-1]], where="post", color=BLUE, linewidth=1.6)
        if summary.default is not None:
            axes.axhline(summary.default.value or 0.0, color=INK, linewidth=0.8, linestyle=":")
        axes.set(xlabel="Trial", ylabel=f"{label[:1].upper()}{label[1:]}")
        axes.set_xlim(-0.02 * last - 0.5, 1.02 * last + 0.5)
        axes.locator_params(axis="x", integer=True)
        axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)


def draw_importance(summary: StudySummary, path: Path) -> None:
    """Draw the importance of each setting as a bar.

    Args:
        summary: A study whose settings have an importance.
        path: The PNG file to write.
    """
    settings = summary.settings[:_MAX_BARS]
    shares = [setting.importance or 0.0 for setting in settings]
    first = f"Most important: {settings[0].key}, {percent(shares[0])}"
    subtitle = (
        f"Where the trials with the best {summary.label} differ from all "
        f"{pluralize(summary.count('finished'), 'finished trial')} (PED-ANOVA)"
    )
    with picture(path, (6.8, 1.0 + 0.27 * len(settings)), first, subtitle) as figure:
        axes = figure.subplots()
        rows = np.arange(len(settings))[::-1]
        axes.barh(rows, shares, height=0.68, color=BLUE)
        for row, share in zip(rows, shares, strict=True):
            axes.text(share, row, f" {percent(share)}", va="center", color=GREY, fontsize=9)
        axes.set_yticks(rows, [setting.key for setting in settings])
        axes.set(xlim=(0, max(shares) * 1.12), ylim=(-0.6, len(settings) - 0.4))
        axes.xaxis.set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.spines[["bottom", "left"]].set_visible(False)


def draw_parallel_coordinates(summary: StudySummary, path: Path) -> None:
    """Draw each finished trial as a line through its settings, the most important ones.

    Args:
        summary: A study with a finished trial.
        path: The PNG file to write.
    """
    trials = [trial for trial in summary.trials if trial.state == "finished"]
    settings = summary.settings[:_MAX_AXES]
    num_good = max(1, math.ceil(_GOOD_SHARE * len(trials)))
    label = summary.label
    left_out = len(summary.settings) - len(settings)
    subtitle = "Orange: the best trial; blue: the best quarter; dashed: default settings"
    if left_out:
        kind = "first" if settings[0].importance is None else "most important"
        subtitle += f"; the {len(settings)} {kind} settings"
    title = f"Settings of {pluralize(len(trials), 'finished trial')} and their {label}"
    with picture(path, (1.6 + 1.15 * (len(settings) + 1), 4.2), title, subtitle) as figure:
        axes = figure.subplots()
        columns = [_draw_axis(axes, i, s, summary, trials) for i, s in enumerate(settings)]
        columns.append(_draw_metric_axis(axes, len(settings), label, trials))
        points = np.stack(columns, axis=1)
        for rank in reversed(range(len(trials))):
            style = _line_style(trials[rank], rank, num_good)
            axes.plot(points[rank], **style)
        axes.set(xlim=(-0.3, len(settings) + 0.3), ylim=(-0.04, 1.04))
        axes.set_axis_off()


def _draw_dots(axes: Axes, summary: StudySummary) -> None:
    """Draw the trials, and those that are far worse than the others as triangles at the edge."""
    scored = [trial for trial in summary.trials if trial.value is not None]
    values = np.array([trial.value for trial in scored], dtype=float)
    finished = np.array([trial.state == "finished" for trial in scored])
    low, high = _limits(summary, values, values[finished])
    margin = 0.06 * (high - low)
    limits = (low - margin, high + margin)
    axes.set_ylim(limits)
    inside = (values >= low) & (values <= high)
    numbers = np.array([trial.number for trial in scored])
    marker, edge = ("v", limits[0]) if summary.maximize else ("^", limits[1])
    for members, colour, order in ((finished, BLUE, 3), (~finished, PALE, 2)):
        style: dict[str, Any] = {"color": colour, "linestyle": "none", "zorder": order}
        shown = members & inside
        axes.plot(numbers[shown], values[shown], "o", markersize=4.5, **style)
        if np.any(hidden := members & ~inside):
            style |= {"markersize": 5, "clip_on": False}
            axes.plot(numbers[hidden], np.full(hidden.sum(), edge), marker, **style)
    best = summary.best
    assert best is not None
    axes.plot([best.number], [best.value or 0.0], "o", color=ORANGE, markersize=7, zorder=4)


def _limits(
    summary: StudySummary, values: NDArray[np.float64], finished: NDArray[np.float64]
) -> tuple[float, float]:
    """Return limits with the best trial, the default settings, and the others that are near.

    A trial that learned nothing must not press all others into one line.
    """
    sign = 1.0 if summary.maximize else -1.0
    best, median = float(np.max(sign * finished)), float(np.median(sign * finished))
    worst = max(float(np.min(sign * values)), best - 4 * max(best - median, 1e-3))
    if summary.default is not None and summary.default.value is not None:
        worst = min(worst, sign * summary.default.value)
    low, high = sorted((sign * worst, sign * best))
    return low, high if high > low else low + 1e-3


def _best_so_far(summary: StudySummary) -> tuple[list[int], list[float]]:
    """Return the numbers of the trials that were the best so far, and their values."""
    numbers: list[int] = []
    best: list[float] = []
    for trial in sorted(summary.trials, key=lambda trial: trial.number):
        if trial.state != "finished" or trial.value is None:
            continue
        is_more = not best or trial.value > best[-1]
        if not best or (trial.value != best[-1] and is_more == summary.maximize):
            numbers.append(trial.number)
            best.append(trial.value)
    return numbers, best


def _line_style(trial: TrialSummary, rank: int, num_good: int) -> dict[str, Any]:
    if rank == 0:
        return {"color": ORANGE, "linewidth": 2.2, "zorder": 6}
    if trial.default:
        return {"color": INK, "linewidth": 1.4, "linestyle": (0, (4, 2)), "zorder": 5}
    if rank < num_good:
        return {"color": BLUE, "linewidth": 1.1, "alpha": 0.75, "zorder": 4}
    return {"color": PALE, "linewidth": 0.8, "alpha": 0.8, "zorder": 3}


def _draw_axis(
    axes: Axes,
    column: int,
    setting: SearchedSetting,
    summary: StudySummary,
    trials: list[TrialSummary],
) -> NDArray[np.float64]:
    """Draw the axis of a setting, and return the place of each trial on it, from 0 to 1."""
    values = [summary.value_of(trial, setting) for trial in trials]
    if setting.choices:
        names = _ordered([*setting.choices, *map(format_value, values)])
        last = len(names) - 1
        heights = {name: index / last if last else 0.5 for index, name in enumerate(names)}
        places = np.array([heights[format_value(value)] for value in values])
        ticks = [(fit_name(name, 12), height) for name, height in heights.items()]
    else:
        numbers = np.array(values, dtype=float)
        places, ticks = _on_scale(numbers, setting.log)
    _draw_column(axes, column, setting.name, ticks)
    return places


def _draw_metric_axis(
    axes: Axes, column: int, label: str, trials: list[TrialSummary]
) -> NDArray[np.float64]:
    places, _ = _on_scale(np.array([trial.value for trial in trials], dtype=float), False)
    values = sorted(trial.value or 0.0 for trial in trials)
    ticks = [(number(values[0], ".3f"), 0.0), (number(values[-1], ".3f"), 1.0)]
    _draw_column(axes, column, label, ticks if values[0] < values[-1] else [(ticks[0][0], 0.5)])
    return places


def _on_scale(
    numbers: NDArray[np.float64], log: bool
) -> tuple[NDArray[np.float64], list[tuple[str, float]]]:
    """Return the place of each number between the smallest and the largest, and ticks."""
    scaled = np.log(numbers) if log else numbers
    low, high = float(scaled.min()), float(scaled.max())
    if low == high:
        return np.full(len(numbers), 0.5), [(format_value(float(numbers[0])), 0.5)]
    middle = math.exp((low + high) / 2) if log else (low + high) / 2
    if np.all(numbers == np.round(numbers)):
        middle = round(middle)
    shown = sorted({float(numbers.min()), middle, float(numbers.max())})
    places = (np.log(shown) if log else np.array(shown)) - low
    ticks = list(zip(map(_tick, shown), (places / (high - low)).tolist(), strict=True))
    return (scaled - low) / (high - low), ticks


def _tick(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _ordered(names: list[str]) -> list[str]:
    """Return different names, sorted if all are numbers."""
    unique = list(dict.fromkeys(names))
    try:
        return sorted(unique, key=float)
    except ValueError:
        return unique


def _draw_column(axes: Axes, column: int, name: str, ticks: list[tuple[str, float]]) -> None:
    axes.plot([column, column], [0, 1], color=GREY, linewidth=0.9, zorder=1)
    for text, place in ticks:
        axes.text(
            column + 0.04, place, text, va="center", fontsize=8.5, color=INK, zorder=8,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
    title = name.replace("_", "_\n", 1) if len(name) > 12 else name
    axes.text(column, 1.06, title.replace(".", ".\n", 1), ha="center", va="bottom", color=GREY)

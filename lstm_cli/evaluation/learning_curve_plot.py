"""The picture of a learning curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lstm_cli.evaluation.learning_curve import LearningCurve
from lstm_cli.io.text_format import percent
from lstm_cli.render.plot_style import BLUE, GREY, PALE, format_percent_axis, picture


def draw_curve(curve: LearningCurve, path: Path) -> None:
    """Draw the accuracy by the number of rows, and what more rows would probably bring.

    Args:
        curve: The measured curve.
        path: The file to write; its name ends in .png or .svg.
    """
    sizes = np.array([point.num_rows for point in curve.points])
    accuracies = np.array([point.accuracy for point in curve.points])
    stds = [point.accuracy_std for point in curve.points]
    last = curve.forecasts[-1]
    grid = np.geomspace(sizes[0], last.num_rows, 60).round().astype(int).tolist()
    forecasts = [curve.laws.forecast(num) for num in grid]
    title = f"Accuracy {percent(float(accuracies[-1]))} with {sizes[-1]:,} rows to train on"
    subtitle = (
        f"linear model alone, {curve.num_folds} folds; bars: standard deviation of the folds; "
        "band: 90% interval of power laws"
    )
    with picture(path, (6.4, 3.8), title, subtitle) as figure:
        axes = figure.subplots()
        low, high = ([1 - getattr(each, key) for each in forecasts] for key in ("high", "low"))
        axes.fill_between(grid, low, high, color=PALE, alpha=0.6, linewidth=0)
        axes.plot(grid, [1 - each.error for each in forecasts], color=GREY, linewidth=1)
        axes.errorbar(sizes, accuracies, yerr=stds, fmt="o", color=BLUE, markersize=4, capsize=3)
        axes.axvline(curve.num_rows, color=GREY, linewidth=0.8, linestyle=":")
        axes.set(xscale="log", xlabel="Rows to train on (dotted line: all rows)", ylabel="Accuracy")
        ticks = [*sizes.tolist(), *(each.num_rows for each in curve.forecasts)]
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], rotation=30)
        axes.minorticks_off()
        format_percent_axis(axes)

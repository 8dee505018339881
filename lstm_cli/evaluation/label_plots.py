"""The plot of a multi-label run: the scores of each label."""

from __future__ import annotations

from pathlib import Path

from lstm_cli.evaluation.metrics import Report
from lstm_cli.io.text_format import number
from lstm_cli.render.plot_style import BLUE, GREEN, ORANGE, PALE, fit_name, picture

_MAX_LABELS = 60  # labels whose names are still legible


def label_scores(report: Report, path: Path) -> None:
    """Draw F1, precision and recall of each label, the most frequent label on top.

    Of more than 60 labels, only the most frequent ones are shown.

    Args:
        report: The metrics of a split of a multi-label run.
        path: The PNG file to write.
    """
    assert report.micro is not None
    shown = sorted(report.classes, key=lambda each: -each.support)[:_MAX_LABELS]
    title = f"Micro F1 {number(report.micro.f1, '.3f')}, macro F1 {number(report.f1, '.3f')}"
    part = f"; the {len(shown)} most frequent labels" if len(shown) < len(report.classes) else ""
    subtitle = f"{report.num_examples:,} examples, exactly right: {report.accuracy:.1%}{part}"
    with picture(path, (7.0, 1.6 + 0.24 * len(shown)), title, subtitle) as figure:
        axes = figure.subplots()
        places = range(len(shown))
        axes.barh(places, [each.f1 for each in shown], color=PALE, label="F1")
        for name, colour in (("precision", BLUE), ("recall", ORANGE)):
            values = [getattr(each, name) for each in shown]
            axes.plot(values, places, "o", color=colour, markersize=4, label=name.capitalize())
        thresholds = [each.threshold or 0.0 for each in shown]
        axes.plot(thresholds, places, "|", color=GREEN, markersize=8, label="Threshold")
        names = [f"{fit_name(each.name)} ({each.support:,})" for each in shown]
        axes.set_yticks(places, names, fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.set(xlim=(0, 1.005), ylim=(len(shown) - 0.4, -0.6), xlabel="Score")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)

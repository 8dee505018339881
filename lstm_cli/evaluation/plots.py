"""Plots of predictions: confusion matrix, reliability, ROC and precision-recall, scores.

Each function draws one plot and writes it as PNG. The title states the result. Class names are
data: they are not parsed as formulas, control characters are removed, long names are shortened.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lstm_cli.evaluation.metrics import (
    Report,
    confusion_matrix,
    most_common_errors,
    wilson_interval,
)
from lstm_cli.io.text_format import number
from lstm_cli.render.plot_style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    display_width,
    fit_name,
    format_percent_axis,
    percent,
    picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lstm_cli.evaluation.roc import Curve

_MAX_CURVES = 10  # classes with a curve each
_MAX_CELLS = 30  # classes for which each cell has a number
_MAX_NAMES = 60  # class names per axis that are still legible
_MIN_BIN_COUNT = 10  # examples in a bin; with fewer, its accuracy is uncertain
_DASHED = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 1}


def confusion(report: Report, path: Path) -> None:
    """Draw the confusion matrix: rows are true classes, darker cells have more of the row.

    Of more than 60 classes, only those of the most common errors are shown, up to 30.

    Args:
        report: The metrics of a split.
        path: The PNG file to write.
    """
    from matplotlib.colors import PowerNorm

    ids = _confused_classes(report)
    counts = confusion_matrix(report, ids)
    supports = np.array([[report.classes[i].support] for i in ids])
    names = [fit_name(report.classes[i].name) for i in ids]
    side = min(12.0, max(2.7, 0.4 * len(names) + 0.8))
    names_width = 0.8 + 0.08 * max(map(display_width, names)) + (len(names) > _MAX_CELLS)
    # Rotated names need more space below the matrix than one line.
    names_height = 1.5 if _fit_unrotated(names) else 1.6 + 0.055 * max(map(display_width, names))
    title = _confusion_title(report, len(ids))
    size = (max(4.6, side + names_width), side + names_height)
    with picture(path, size, *title) as figure:
        axes = figure.subplots()
        shares = counts / np.maximum(supports, 1)
        # The square root makes rare errors visible.
        image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
        _name_cells(axes, names)
        if len(names) <= _MAX_CELLS:
            _write_cells(axes, counts, shares)
        else:
            bar = figure.colorbar(image, ax=axes, shrink=0.5, label="Share of the true class")
            bar.outline.set_visible(False)


def reliability(report: Report, path: Path) -> None:
    """Draw the reliability diagram: accuracy by confidence, and the number of predictions.

    Args:
        report: The metrics of a split.
        path: The PNG file to write.
    """
    with picture(path, (5.2, 5.4), *_reliability_title(report)) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        filled = [(b, b.confidence or 0.0, b.accuracy or 0.0) for b in report.bins if b.count]
        large = [(x, y) for b, x, y in filled if b.count >= _MIN_BIN_COUNT]
        top.plot([0, 1], [0, 1], **_DASHED)
        for b, confidence, accuracy in filled:
            colour = BLUE if b.count >= _MIN_BIN_COUNT else PALE
            interval = wilson_interval(round(accuracy * b.count), b.count)
            top.plot([confidence, confidence], interval, color=colour, linewidth=1.2)
            top.plot(confidence, accuracy, "o", color=colour, markersize=4.5)
        top.plot([x for x, _ in large], [y for _, y in large], color=BLUE, linewidth=1.6)
        pale = f"; pale: under {_MIN_BIN_COUNT} examples" if len(large) < len(filled) else ""
        top.set_title(f"95% intervals; dashed: perfect{pale}")
        # The confidence is at least 1/classes, so bins below that are empty.
        least = 0.0 if report.micro else 1 / len(report.classes)
        start = next(b.low for b in report.bins if b.high >= least)
        lowest = min([start, *(y for _, _, y in filled)])
        top.set(xlim=(start, 1.005), ylim=(lowest - 0.03, 1.03), ylabel="Accuracy")
        edges, counts = [b.low for b, *_ in filled], [b.count for b, *_ in filled]
        bottom.bar(edges, counts, width=0.94 / len(report.bins), align="edge", color=PALE)
        whose = "a label" if report.micro else "the predicted class"
        unit = "Labels" if report.micro else "Examples"
        bottom.set(xlabel=f"Confidence: probability of {whose}", ylabel=unit)
        if report.micro:
            # Nearly all labels of an example have low probabilities.
            bottom.set_yscale("log")
            bottom.yaxis.set_major_formatter("{x:,.0f}")
            top.set(ylabel="Fraction of true labels")
            return
        bottom.yaxis.set_major_formatter("{x:,.0f}")
        bottom.locator_params(axis="y", nbins=3)


def roc_pr(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    class_names: Sequence[str],
    path: Path,
) -> None:
    """Draw ROC and precision-recall curves side by side.

    Two classes have one curve, of the second class. Up to ten classes or labels have one curve
    each; more have their mean. A class of no or every example has no curve. If all curves are close
    to a corner, only that corner is shown, and the panel's title says so.

    Args:
        labels: True class ids, `<int32>[num]`; or label sets, `<int32>[num, labels]`.
        probabilities: `<float32>[num, classes]`.
        class_names: Name of each column.
        path: The PNG file to write.
    """
    from lstm_cli.evaluation.roc import class_curves, mean_curve

    every_curve = class_curves(labels, probabilities, class_names)
    if len(class_names) > _MAX_CURVES:
        mean, hardest = mean_curve(every_curve)
        curves = [mean] if mean else []
    else:
        curves = sorted(every_curve, key=lambda c: c.area)
        hardest = curves[0] if curves else None
    title = _roc_title(curves, hardest, class_names, labels)
    with picture(path, (9.0 if len(curves) > 1 else 7.2, 4.3), *title) as figure:
        roc, pr = figure.subplots(1, 2)
        roc.plot([0, 1], [0, 1], **_DASHED)
        for rank, curve in enumerate(curves):  # the hardest in colour and on top
            colour = (BLUE, ORANGE, GREEN)[rank] if rank < 3 else PALE
            line = {"color": colour, "linewidth": 1.8 if rank < 3 else 1.0, "zorder": 20 - rank}
            label = f"{_area(curve.area)}  {fit_name(curve.name)}"
            roc.plot(curve.false_positive_rates, curve.true_positive_rates, **line)
            pr.plot(curve.recalls, curve.precisions, **line, label=label)
        roc.set(xlabel="False positive rate", ylabel="True positive rate")
        pr.set(xlabel="Recall", ylabel="Precision")
        _show_corner(roc, "ROC", "left", [c.area for c in curves])
        _show_corner(pr, "Precision and recall", "right", [c.average_precision for c in curves])
        if len(curves) > 1:
            legend = figure.legend(loc="outside right center", title="ROC area, class")
            legend.set_alignment("left")


def scores(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    class_names: Sequence[str],
    path: Path,
) -> None:
    """Draw a histogram of scores per true class, with correct and wrong predictions apart.

    With two classes the score is the probability of the second class; with more, that of the true
    class. More than ten classes share one histogram.

    Args:
        labels: True class ids, `<int32>[num]`, at least one.
        probabilities: `<float32>[num, classes]`.
        class_names: Name of each column.
        path: The PNG file to write.
    """
    binary = len(class_names) == 2
    values = probabilities[:, 1] if binary else probabilities[np.arange(len(labels)), labels]
    correct = probabilities.argmax(axis=1) == labels
    title = _scores_title(labels, correct, class_names)
    if len(class_names) > _MAX_CURVES:
        groups = [("all classes", np.full(len(labels), True))]
    else:
        present = np.unique(labels).tolist()
        groups = [(fit_name(class_names[i]), labels == i) for i in present]
    num_columns = 2 if len(groups) > 4 else 1
    num_rows = -(-len(groups) // num_columns)
    with picture(path, (7.0, 1.3 + 1.35 * num_rows), *title) as figure:
        grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
        for axes, (name, members) in zip(grid.flat, groups, strict=False):
            _scores_panel(axes, name, values[members], correct[members])
        for axes in grid.flat[len(groups) :]:
            axes.set_visible(False)
        scored_class = fit_name(class_names[1]) if binary else "the true class"
        for axes in grid.flat[max(len(groups) - num_columns, 0) : len(groups)]:
            axes.set_xlabel(f"Predicted probability of {scored_class}")
            axes.tick_params(labelbottom=True)  # also above a hidden panel


def _confused_classes(report: Report) -> list[int]:
    """Return the ids of the classes that the confusion matrix shows, in ascending order."""
    num_classes = len(report.classes)
    if num_classes <= _MAX_NAMES:
        return list(range(num_classes))
    ids: set[int] = set()
    for true, predicted, _ in most_common_errors(report):
        if len(ids | {true, predicted}) > _MAX_CELLS:
            break
        ids |= {true, predicted}
    by_support = sorted(range(num_classes), key=lambda i: -report.classes[i].support)
    return sorted(ids or by_support[:_MAX_CELLS])


def _confusion_title(report: Report, num_shown: int) -> tuple[str, str]:
    accuracy = f"accuracy {number(report.accuracy, '.3f')} on {report.num_examples:,} examples"
    errors = most_common_errors(report, 1)
    if not errors:
        return "Every example is classified correctly", accuracy.capitalize()
    ((true, predicted, count),) = errors
    share = percent(count / report.classes[true].support)
    names = [fit_name(report.classes[i].name, 14) for i in (true, predicted)]
    num_classes = len(report.classes)
    part = f"; {num_shown} of {num_classes:,} classes" if num_shown < num_classes else ""
    return (
        f"{share} of “{names[0]}” is classified as “{names[1]}”",
        f"The most common error; {accuracy}{part}",
    )


def _name_cells(axes: Axes, names: Sequence[str]) -> None:
    num = len(names)
    ticks = range(0, num, -(-num // _MAX_NAMES))
    texts, size = [names[i] for i in ticks], 9 if num <= _MAX_CELLS else 7
    if _fit_unrotated(names):
        axes.set_xticks(ticks, texts, fontsize=size)
    else:
        axes.set_xticks(
            ticks, texts, fontsize=size, rotation=45, ha="right", rotation_mode="anchor"
        )
    axes.set_yticks(ticks, texts, fontsize=size)
    axes.set(xlabel="Predicted class", ylabel="True class", anchor="NW")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _fit_unrotated(names: Sequence[str]) -> bool:
    """Return whether names fit below their columns without rotation."""
    return len(names) == 2 or max(map(display_width, names)) <= 4


def _write_cells(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    """Write counts into the cells, with their share of the row if there is space."""
    num = len(counts)
    size = 10.5 if num <= 4 else 8.5 if num <= 12 else 6.5
    for (row, column), count in np.ndenumerate(counts):
        if not count and num > 4:
            continue  # many zeros would hide the other numbers
        text = f"{count:,}"
        if num <= 4:
            text += f"\n{percent(float(shares[row, column]))}"
        colour = "white" if shares[row, column] > 0.3 else INK
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)


def _reliability_title(report: Report) -> tuple[str, str]:
    total = sum(b.count * (b.confidence or 0.0) for b in report.bins)
    if report.micro:
        return (
            f"Calibration error {number(report.calibration_error, '.3f')}",
            f"Labels of {report.num_examples:,} examples: {total / report.num_examples:.2f} "
            f"expected on average, {report.micro.num_labels / report.num_examples:.2f} true",
        )
    confidence = total / report.num_examples
    gap = confidence - report.accuracy
    assessment = "well calibrated on average"
    if abs(gap) >= 0.01:
        assessment = "overconfident" if gap > 0 else "underconfident"
    return (
        f"Calibration error {number(report.calibration_error, '.3f')}: {assessment}",
        f"Mean confidence {number(confidence, '.3f')}, accuracy {number(report.accuracy, '.3f')} "
        f"on {report.num_examples:,} examples",
    )


def _roc_title(
    curves: Sequence[Curve],
    hardest: Curve | None,
    class_names: Sequence[str],
    labels: NDArray[np.int32],
) -> tuple[str, str]:
    examples = f"{len(labels):,} examples"
    if not curves or hardest is None:
        return "No curve: all examples are of one class", examples
    area = _score(float(np.mean([c.area for c in curves])))
    average_precision = _score(float(np.mean([c.average_precision for c in curves])))
    title = f"ROC area {area}, average precision {average_precision}"
    noun = "label" if labels.ndim == 2 else "class"
    if len(class_names) == 2 and noun == "class":
        return title, f"Class {fit_name(class_names[1])} against the rest, {examples}"
    mean = "; mean of all" if len(class_names) > _MAX_CURVES else ""
    name = f"{fit_name(hardest.name)} ({_score(hardest.area)})"
    return f"Mean {title}", f"Each {noun} against the rest, {examples}{mean}; hardest: {name}"


def _score(value: float) -> str:
    """Format an area with enough digits to compare good models."""
    return f"{value:.3f}" if value < 0.995 else _area(value)


def _area(value: float) -> str:
    """Format an area; 1.0000 means exactly 1."""
    return ">0.9999" if 0.99995 <= value < 1 else f"{value:.4f}"


def _show_corner(axes: Axes, name: str, side: str, values: Sequence[float]) -> None:
    """Show the whole unit square, or only the upper corner if all curves are close to it."""
    lowest = min(values, default=0.0)
    part = 1.0 if lowest < 0.98 else 0.2 if lowest < 0.998 else 0.05
    edge = 0.015 * part
    across = (-edge, part + edge) if side == "left" else (1 - part - edge, 1 + edge)
    axes.set(xlim=across, ylim=(1 - part - edge, 1 + edge), aspect="equal")
    axes.set_title(name if part == 1.0 else f"{name}, upper {side} corner")


def _scores_title(
    labels: NDArray[np.int32], correct: NDArray[np.bool_], class_names: Sequence[str]
) -> tuple[str, str]:
    counts = np.bincount(labels)
    present = np.flatnonzero(counts).tolist()
    recalls = np.bincount(labels, weights=correct) / np.maximum(counts, 1)
    _, hardest = min((float(recalls[i]), fit_name(class_names[i])) for i in present)
    return (
        f"{percent(float(1 - correct.mean()))} of {len(correct):,} examples are misclassified",
        f"Share of a class by score, square-root scale; orange: wrong; hardest: {hardest}",
    )


def _scores_panel(
    axes: Axes, name: str, values: NDArray[np.float32], correct: NDArray[np.bool_]
) -> None:
    values = values.clip(0, 1)  # rounding in float32 may give slightly more than 1
    axes.hist(
        [values[correct], values[~correct]],
        bins=[i / 40 for i in range(41)],
        weights=[np.full(n, 1 / len(correct)) for n in (correct.sum(), (~correct).sum())],
        stacked=True,
        color=[BLUE, ORANGE],
    )
    axes.set_title(f"{name}: {percent(float(correct.mean()))} of {len(correct):,} correct")
    # Errors are rare; on a linear scale their bars would be invisible.
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.set(xlim=(0, 1), ylim=(0, 1), yticks=[0, 0.05, 0.25, 1])
    format_percent_axis(axes)

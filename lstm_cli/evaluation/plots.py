"""Pictures of a run that can go into a report as they are.

Each function draws one picture and writes it as PNG. The title says what is to be seen. Class names
are data: never read as formulas, control characters dropped, long ones shortened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.evaluation.metrics import Report, wilson_interval
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
    percent,
    picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lstm_cli.evaluation.roc import Curve

_MAX_CURVES = 10  # classes drawn one by one
_MAX_CELLS = 30  # classes a side with a number in each cell
_MAX_NAMES = 60  # class names a side that can still be read
_FEW = 10  # examples in a bin below which its accuracy says little
_DASHED = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 1}


def learning_curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw loss and accuracy by epoch, for training and validation, with the epoch kept.

    Args:
        history: One mapping an epoch with `epoch`, `loss`, `accuracy`, `val_loss`,
            `val_accuracy`, and perhaps `seconds` and `best`; the last line with `best` true is
            the epoch whose weights were kept. What is missing, None or NaN is not drawn.
        path: Where the PNG goes.

    Raises:
        ValueError: There is no epoch.
    """
    if not history:
        raise ValueError("expected at least one epoch to draw, found none")
    kept = max((i for i, line in enumerate(history) if line.get("best")), default=None)
    with picture(path, (7.6, 3.6), *_curves_title(history, kept)) as figure:
        # The names at the ends of the lines keep off the next panel's numbers.
        panels = figure.subplots(1, 2, gridspec_kw={"wspace": 0.1})
        for axes, measure in zip(panels, ("loss", "accuracy"), strict=True):
            _curves_panel(axes, history, measure)
            if kept is not None:
                axes.axvline(history[kept]["epoch"], color=INK, linewidth=0.8, linestyle=":")


def confusion(report: Report, path: Path) -> None:
    """Draw the confusion matrix: rows are true classes, shade grows with the share of the row.

    Args:
        report: A split's report.
        path: Where the PNG goes.
    """
    from matplotlib.colors import PowerNorm

    counts = np.asarray(report.confusion)
    names = [fit_name(c.name) for c in report.classes]
    side = min(12.0, max(2.7, 0.4 * len(names) + 0.8))
    beside = 0.8 + 0.08 * max(map(display_width, names)) + (len(names) > _MAX_CELLS)
    # Slanted names take room below; all others one line.
    below = 1.5 if _stand_upright(names) else 1.6 + 0.055 * max(map(display_width, names))
    with picture(
        path, (max(4.6, side + beside), side + below), *_confusion_title(report)
    ) as figure:
        axes = figure.subplots()
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        # The root of the share: mistakes are rare, and are what one looks for.
        image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
        _name_cells(axes, names)
        if len(names) <= _MAX_CELLS:
            _write_cells(axes, counts, shares)
        else:
            bar = figure.colorbar(image, ax=axes, shrink=0.5, label="Share of the true class")
            bar.outline.set_visible(False)


def reliability(report: Report, path: Path) -> None:
    """Draw how often predictions are right against how sure they are, and how many there are.

    Args:
        report: A split's report.
        path: Where the PNG goes.
    """
    with picture(path, (5.2, 5.4), *_reliability_title(report)) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        filled = [(b, b.confidence or 0.0, b.accuracy or 0.0) for b in report.bins if b.count]
        many = [(x, y) for b, x, y in filled if b.count >= _FEW]
        top.plot([0, 1], [0, 1], **_DASHED)
        for b, confidence, accuracy in filled:
            colour = BLUE if b.count >= _FEW else PALE
            interval = wilson_interval(round(accuracy * b.count), b.count)
            top.plot([confidence, confidence], interval, color=colour, linewidth=1.2)
            top.plot(confidence, accuracy, "o", color=colour, markersize=4.5)
        top.plot([x for x, _ in many], [y for _, y in many], color=BLUE, linewidth=1.6)
        pale = f"; pale: under {_FEW} examples" if len(many) < len(filled) else ""
        top.set_title(f"95% intervals; dashed: perfect{pale}")
        # No prediction is less sure than 1/classes: nothing to show left of that bin.
        start = next(b.low for b in report.bins if b.high >= 1 / len(report.classes))
        lowest = min([start, *(y for _, _, y in filled)])
        top.set(xlim=(start, 1.005), ylim=(lowest - 0.03, 1.03), ylabel="Accuracy")
        edges, counts = [b.low for b, *_ in filled], [b.count for b, *_ in filled]
        bottom.bar(edges, counts, width=0.94 / len(report.bins), align="edge", color=PALE)
        bottom.set(xlabel="Confidence: probability of the predicted class", ylabel="Examples")
        bottom.yaxis.set_major_formatter("{x:,.0f}")
        bottom.locator_params(axis="y", nbins=3)


def roc_pr(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    class_names: Sequence[str],
    path: Path,
) -> None:
    """Draw ROC and precision-recall curves side by side.

    One curve for the second class of two, one a class up to ten, their mean beyond. A class with
    no example, or with nothing but its examples, has no curve. Where all curves crowd into a
    corner, that corner is shown, and the panel says so.

    Args:
        labels: True class ids, `<int32>[num]`.
        probabilities: `<float32>[num, classes]`.
        class_names: Name of each column.
        path: Where the PNG goes.
    """
    from lstm_cli.evaluation.roc import class_curves, mean_curve

    curves = sorted(class_curves(labels, probabilities, class_names), key=lambda c: c.area)
    title = _roc_title(curves, class_names, len(labels))
    if len(curves) > _MAX_CURVES:
        curves = [mean_curve(curves)]
    with picture(path, (9.0 if len(curves) > 1 else 7.2, 4.3), *title) as figure:
        roc, pr = figure.subplots(1, 2)
        roc.plot([0, 1], [0, 1], **_DASHED)
        for rank, curve in enumerate(curves):  # the hardest in colour, and above the rest
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


def lengths(
    lengths_by_split: Mapping[str, NDArray[np.integer[Any]]], max_tokens: int, path: Path
) -> None:
    """Draw how long texts are, and which of them are cut.

    Args:
        lengths_by_split: Tokens of each text before cutting, `<int>[num]`, by split.
        max_tokens: How many a text may keep.
        path: Where the PNG goes.

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
                f"{percent(float(np.mean(values > max_tokens)))} cut"
            )
            _percent_axis(axes)
            axes.locator_params(axis="y", nbins=3)
        rows[-1].set(xlabel="Tokens in a text", xlim=(max(edges[0], 0), edges[-1]))
        rows[-1].xaxis.set_major_formatter("{x:,.0f}")


def scores(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    class_names: Sequence[str],
    path: Path,
) -> None:
    """Draw how probabilities are spread within each true class, right and wrong apart.

    With two classes the score is the probability of the second; with more, that of the true
    class, all classes together when there are more than ten.

    Args:
        labels: True class ids, `<int32>[num]`, at least one.
        probabilities: `<float32>[num, classes]`.
        class_names: Name of each column.
        path: Where the PNG goes.
    """
    binary = len(class_names) == 2
    values = probabilities[:, 1] if binary else probabilities[np.arange(len(labels)), labels]
    right = probabilities.argmax(axis=1) == labels
    groups = [(fit_name(name), labels == i) for i, name in enumerate(class_names)]
    groups = [(name, members) for name, members in groups if members.any()]
    title = _scores_title(right, groups)
    if len(class_names) > _MAX_CURVES:
        groups = [("all classes", np.full(len(labels), True))]
    num_columns = 2 if len(groups) > 4 else 1
    num_rows = -(-len(groups) // num_columns)
    with picture(path, (7.0, 1.3 + 1.35 * num_rows), *title) as figure:
        grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
        for axes, (name, members) in zip(grid.flat, groups, strict=False):
            _scores_panel(axes, name, values[members], right[members])
        for axes in grid.flat[len(groups) :]:
            axes.set_visible(False)
        which = fit_name(class_names[1]) if binary else "the true class"
        for axes in grid.flat[max(len(groups) - num_columns, 0) : len(groups)]:
            axes.set_xlabel(f"Predicted probability of {which}")
            axes.tick_params(labelbottom=True)  # also above a panel that is not there


def _curves_title(history: Sequence[Mapping[str, Any]], kept: int | None) -> tuple[str, str]:
    line = history[-1 if kept is None else kept]
    who, accuracy = "Validation", line.get("val_accuracy")
    if accuracy is None:
        who, accuracy = "Training", line.get("accuracy")
    value = "unknown" if accuracy is None else number(accuracy, ".3f")
    subtitle = f"{len(history)} epoch{'s' * (len(history) > 1)}"
    seconds = [line["seconds"] for line in history if line.get("seconds") is not None]
    if seconds:
        subtitle += f" of {np.mean(seconds):,.{0 if np.mean(seconds) >= 10 else 1}f} s"
    if kept is not None:
        subtitle += "; dotted: the epoch whose weights were kept"
    return f"{who} accuracy {value} at epoch {line['epoch']}", subtitle


def _curves_panel(axes: Axes, history: Sequence[Mapping[str, Any]], measure: str) -> None:
    epochs = [line["epoch"] for line in history]
    ends: list[tuple[float, str, str]] = []
    for key, who, colour in (
        (measure, "training", GREY),
        (f"val_{measure}", "validation", BLUE),
    ):
        values = np.asarray([line.get(key) for line in history], dtype=float)
        finite = values[np.isfinite(values)]
        if len(finite):
            markers = 3.5 if len(epochs) <= 20 else 0
            axes.plot(epochs, values, "o-", color=colour, linewidth=1.8, markersize=markers)
            ends.append((float(finite[-1]), f"{who} {finite[-1]:.3f}", colour))
    axes.set(title=measure.capitalize(), xlabel="Epoch")
    axes.set_xticks(epochs[:: -(-len(epochs) // 8)])
    axes.margins(x=0.04, y=0.08)
    _label_ends(axes, epochs[-1], ends)
    if not ends:
        axes.text(0.5, 0.5, "no number to draw", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_yticks([])


def _label_ends(axes: Axes, x: float, ends: Sequence[tuple[float, str, str]]) -> None:
    """Name each of the (at most two) lines at its right end, moved apart where they overlap."""
    low, high = axes.get_ylim()
    heights = [value for value, *_ in ends]
    missing = 0.09 * (high - low) - (max(heights, default=0.0) - min(heights, default=0.0))
    for i, (value, text, colour) in enumerate(sorted(ends)):
        shift = (i - 0.5) * missing if len(ends) == 2 and missing > 0 else 0.0
        axes.annotate(
            text,
            (x, value + shift),
            (8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            annotation_clip=False,
        )


def _confusion_title(report: Report) -> tuple[str, str]:
    wrong = np.array(report.confusion)
    supports = wrong.sum(axis=1)
    np.fill_diagonal(wrong, 0)
    accuracy = f"accuracy {number(report.accuracy, '.3f')} on {report.num_examples:,} examples"
    if not wrong.any():
        return "Every example is classified right", accuracy.capitalize()
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    share = percent(float(wrong[true, predicted] / supports[true]))
    names = [fit_name(report.classes[i].name, 14) for i in (true, predicted)]
    return (
        f"{share} of “{names[0]}” is taken for “{names[1]}”",
        f"The commonest mistake; {accuracy}",
    )


def _name_cells(axes: Axes, names: Sequence[str]) -> None:
    num = len(names)
    at = range(0, num, -(-num // _MAX_NAMES))
    texts, size = [names[i] for i in at], 9 if num <= _MAX_CELLS else 7
    if _stand_upright(names):
        axes.set_xticks(at, texts, fontsize=size)
    else:
        axes.set_xticks(at, texts, fontsize=size, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(at, texts, fontsize=size)
    axes.set(xlabel="Predicted class", ylabel="True class", anchor="NW")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _stand_upright(names: Sequence[str]) -> bool:
    """Tell whether names fit below their columns side by side."""
    return len(names) == 2 or max(map(display_width, names)) <= 4


def _write_cells(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    """Write counts into the cells, with their share of the row where there is room."""
    num = len(counts)
    size = 10.5 if num <= 4 else 8.5 if num <= 12 else 6.5
    for (row, column), count in np.ndenumerate(counts):
        if not count and num > 4:
            continue  # zeros say nothing, and many of them hide what is there
        text = f"{count:,}"
        if num <= 4:
            text += f"\n{percent(float(shares[row, column]))}"
        colour = "white" if shares[row, column] > 0.3 else INK
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)


def _reliability_title(report: Report) -> tuple[str, str]:
    sure = sum(b.count * (b.confidence or 0.0) for b in report.bins) / report.num_examples
    gap = sure - report.accuracy
    verdict = "about as sure as right"
    if abs(gap) >= 0.01:
        verdict = "too sure of itself" if gap > 0 else "not sure enough of itself"
    return (
        f"Calibration error {number(report.calibration_error, '.3f')}: {verdict}",
        f"Mean confidence {number(sure, '.3f')}, accuracy {number(report.accuracy, '.3f')} "
        f"on {report.num_examples:,} examples",
    )


def _roc_title(
    curves: Sequence[Curve], class_names: Sequence[str], num_examples: int
) -> tuple[str, str]:
    examples = f"{num_examples:,} examples"
    if not curves:
        return "No curve: all examples are of one class", examples
    area = _score(float(np.mean([c.area for c in curves])))
    average_precision = _score(float(np.mean([c.average_precision for c in curves])))
    title = f"ROC area {area}, average precision {average_precision}"
    if len(class_names) == 2:
        return title, f"Finding {fit_name(class_names[1])} among {examples}"
    mean = "; mean of all" if len(curves) > _MAX_CURVES else ""
    hardest = f"{fit_name(curves[0].name)} ({_score(curves[0].area)})"
    return f"Mean {title}", f"Each class against the rest, {examples}{mean}; hardest: {hardest}"


def _score(value: float) -> str:
    """Write an area with the digits that tell good models apart."""
    return f"{value:.3f}" if value < 0.995 else _area(value)


def _area(value: float) -> str:
    """Write an area so that it is 1 only where it is."""
    return ">0.9999" if 0.99995 <= value < 1 else f"{value:.4f}"


def _show_corner(axes: Axes, name: str, side: str, values: Sequence[float]) -> None:
    """Show all of the unit square, or the upper corner that good curves crowd into."""
    lowest = min(values, default=0.0)
    part = 1.0 if lowest < 0.98 else 0.2 if lowest < 0.998 else 0.05
    edge = 0.015 * part
    across = (-edge, part + edge) if side == "left" else (1 - part - edge, 1 + edge)
    axes.set(xlim=across, ylim=(1 - part - edge, 1 + edge), aspect="equal")
    axes.set_title(name if part == 1.0 else f"{name}, upper {side} corner")


def _length_edges(values: NDArray[np.integer[Any]], max_tokens: int) -> NDArray[np.float64]:
    """Return bin edges half way between lengths, one of them just above `max_tokens`.

    The longest half percent, a thin tail that would squeeze the rest, is left out, unless the
    limit would go with it.
    """
    end = max(int(np.ceil(np.quantile(values, 0.995))), 10)
    if values.max() > max_tokens:
        end = max(end, int(1.1 * max_tokens) + 1)
    width = max(1, round(end / 60))
    start = max_tokens + 0.5 - width * (max_tokens // width + 1)  # below 0: empty texts count
    return np.arange(start, end + width, width)


def _lengths_title(values: NDArray[np.integer[Any]], max_tokens: int) -> tuple[str, str]:
    cut = float(np.mean(values > max_tokens))
    subtitle = f"Share of texts by length; the longest has {values.max():,} tokens"
    if not cut:
        return f"No text is longer than the {max_tokens:,} tokens kept", subtitle
    return (
        f"{percent(cut)} of texts are longer than the {max_tokens:,} tokens kept",
        f"{subtitle}; orange: cut to head and tail",
    )


def _scores_title(
    right: NDArray[np.bool_], groups: Sequence[tuple[str, NDArray[np.bool_]]]
) -> tuple[str, str]:
    _, hardest = min((float(right[members].mean()), name) for name, members in groups)
    return (
        f"{percent(float(1 - right.mean()))} of {len(right):,} examples are classified wrong",
        f"Share of a class by score, root scale; orange: wrong; hardest: {hardest}",
    )


def _scores_panel(
    axes: Axes, name: str, values: NDArray[np.float32], right: NDArray[np.bool_]
) -> None:
    values = values.clip(0, 1)  # sums of float32 may end just above 1
    axes.hist(
        [values[right], values[~right]],
        bins=[i / 40 for i in range(41)],
        weights=[np.full(count, 1 / len(right)) for count in (right.sum(), (~right).sum())],
        stacked=True,
        color=[BLUE, ORANGE],
    )
    axes.set_title(f"{name}: {percent(float(right.mean()))} of {len(right):,} right")
    # Mistakes are few; on a plain scale their bars could not be seen.
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.set(xlim=(0, 1), ylim=(0, 1), yticks=[0, 0.05, 0.25, 1])
    _percent_axis(axes)


def _percent_axis(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")

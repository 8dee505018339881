"""A comparison of runs: the tables, a plot of their learning curves, and a page of both."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.compare import Comparison, Entry, PairedTest
from lstm_cli.io.progress import Epoch
from lstm_cli.io.text_format import number
from lstm_cli.render import html
from lstm_cli.render.plot_style import BLUE, GREEN, GREY, INK, ORANGE, fit_name, percent, picture
from lstm_cli.report.metric_rows import COST_ROWS, METRIC_ROWS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TEMPLATE = Path(__file__).parent / "templates" / "comparison.html"
_PICTURES = (".png", ".svg")
_PAGES = (".html", ".htm")
# Further colours of Okabe & Ito 2008 that contrast with white.
_COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", INK)
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)))
_MAX_NAME = 40
ROWS = (*(row for row in METRIC_ROWS if row.key in Entry.__dataclass_fields__), *COST_ROWS)
TEST_NOTE = (
    "Shared: examples in the test splits of both. Only A: those that only A classifies correctly. "
    "Points: accuracy of A minus accuracy of B, in percentage points (95% interval by Newcombe). "
    "p: exact McNemar test; Holm: corrected for the number of pairs. Intervals and p cover the "
    "choice of examples, not the seed."
)


def check_path(out: Path) -> None:
    """Check, before the work is done, that a comparison may be written to a path.

    Raises:
        LstmError: The name has another ending than a page or picture (exit code 2), or the path
            holds a page that lstm did not write.
    """
    if out.suffix.lower() in _PAGES:
        html.check_page_path(out)
    elif out.suffix.lower() not in _PICTURES:
        raise LstmError(
            f"--out expects a name that ends in .png, .svg or .html, found '{out}'.",
            "For example: --out compare.html",
            ExitCode.USAGE,
        )


def write(comparison: Comparison, out: Path) -> None:
    """Write the learning curves as a picture or everything as a page, depending on the name.

    Raises:
        LstmError: See `check_path`, or the file cannot be written.
    """
    check_path(out)
    if out.suffix.lower() in _PICTURES:
        draw_curves(comparison, out)
        return
    with tempfile.TemporaryDirectory() as folder:
        curves = Path(folder) / "curves.png"
        draw_curves(comparison, curves)
        picture = html.Picture.from_png(
            curves.read_bytes(), "Validation loss and accuracy by epoch"
        )
    tests = [test_columns(paired) for paired in comparison.paired]
    page = html.render(
        _TEMPLATE,
        names=comparison.names,
        conclusion=comparison.conclusion.text,
        entries=comparison.entries,
        dataset=shared_dataset(comparison),
        rows=[(row, row.best(comparison.entries)) for row in ROWS],
        test_header=list(tests[0]) if tests else [],
        tests=[list(columns.values()) for columns in tests],
        test_note=TEST_NOTE,
        other_rows=other_rows_note(comparison),
        untested=comparison.untested,
        settings=[
            (key, *map(format_setting, values)) for key, values in comparison.settings.items()
        ],
        curves=picture,
    )
    html.write_page(out, page)


def draw_curves(comparison: Comparison, path: Path) -> None:
    """Plot validation loss and accuracy by epoch; a ring marks each run's best epoch.

    Args:
        comparison: The runs.
        path: The PNG or SVG to write.
    """
    best = [_best_epoch(history) for history in comparison.histories]
    top = max(range(len(best)), key=lambda i: best[i].val_accuracy or 0.0)
    accuracy = percent(best[top].val_accuracy)
    title = (
        f"Best on validation: {fit_name(comparison.names[top], _MAX_NAME)}, accuracy {accuracy}"
        if shared_dataset(comparison) is not None
        else f"Learning curves of {len(best)} runs on different data"
    )
    subtitle = "Validation loss and accuracy by epoch; ringed: the epoch whose weights are used"
    height = 3.9 + 0.17 * len(best)
    with picture(path, (8.0, height), title, subtitle) as figure:
        panels = figure.subplots(1, 2, gridspec_kw={"wspace": 0.06})
        for axes, metric in zip(panels, ("loss", "accuracy"), strict=True):
            _draw_panel(axes, comparison, metric)
        lines = panels[0].get_lines()[::2]
        labels = [
            f"{fit_name(name, _MAX_NAME)}  loss {number(epoch.val_loss, '.3f')}, "
            f"accuracy {number(epoch.val_accuracy, '.3f')}"
            for name, epoch in zip(comparison.names, best, strict=True)
        ]
        figure.legend(lines, labels, loc="outside lower left")


def shared_dataset(comparison: Comparison) -> str | None:
    """Return the data set that all runs were trained on; None if they differ in it."""
    names = {entry.dataset for entry in comparison.entries}
    return names.pop() if len(names) == 1 else None


def test_columns(paired: PairedTest) -> dict[str, str]:
    """Format a paired test, by column."""
    low, high = (100 * bound for bound in paired.interval)
    return {
        "A": paired.first,
        "B": paired.second,
        "shared": f"{paired.num_shared:,}",
        "only A": f"{paired.only_first:,}",
        "only B": f"{paired.only_second:,}",
        "points (95%)": f"{100 * paired.difference:+.1f} ({low:+.1f} to {high:+.1f})",
        "p": _format_p(paired.p_value),
        "p (Holm)": _format_p(paired.adjusted_p_value),
    }


def other_rows_note(comparison: Comparison) -> str:
    """Say that runs were tested on different rows; empty if all pairs have the same ones."""
    sizes = {entry.name: entry.num_examples for entry in comparison.entries}
    others = [
        pair
        for pair in comparison.paired
        if pair.num_shared < max(sizes[pair.first], sizes[pair.second])
    ]
    if not others:
        return ""
    least = min(pair.num_shared for pair in others)
    return (
        f"Not all runs were tested on the same rows: a pair shares {least:,} rows or more. Another "
        "seed splits other rows off for testing. To compare on all rows, train with --test FILE."
    )


def format_setting(value: Any) -> str:
    """Format the value of a setting."""
    return "not set" if value is None else str(value)


def _draw_panel(axes: Axes, comparison: Comparison, metric: str) -> None:
    for index, history in enumerate(comparison.histories):
        colour = _COLOURS[index % len(_COLOURS)]
        dash: Any = _DASHES[index // len(_COLOURS) % len(_DASHES)]
        epochs = [epoch.epoch for epoch in history]
        values = np.array([getattr(epoch, f"val_{metric}") for epoch in history], dtype=float)
        axes.plot(epochs, values, linestyle=dash, color=colour, linewidth=1.8)
        best = _best_epoch(history)
        value = getattr(best, f"val_{metric}")
        ring = axes.plot([best.epoch], [np.nan if value is None else value], "o", color=colour)[0]
        ring.set(markerfacecolor="white", markeredgewidth=1.6, markersize=7, zorder=9)
    axes.set(title=metric.capitalize(), xlabel="Epoch")
    longest = max(len(history) for history in comparison.histories)
    axes.set_xticks(range(1, longest + 1)[:: -(-longest // 8)])
    axes.margins(x=0.06, y=0.08)
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)


def _best_epoch(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch whose weights are used: the last that was the best so far."""
    return next((epoch for epoch in reversed(history) if epoch.best), history[-1])


def _format_p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else number(value)

"""A comparison of runs, as a picture of their learning curves or as a page."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.compare import Comparison, Entry, PairedTest
from lstm_cli.io.progress import Epoch
from lstm_cli.io.text_format import duration, interval, number
from lstm_cli.render import html
from lstm_cli.render.plot_style import BLUE, GREEN, GREY, INK, ORANGE, fit_name, percent, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PICTURES = (".png", ".svg")
_PAGES = (".html", ".htm")
# The rest of Okabe & Ito's colours that stand out on white.
_COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", INK)
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)))
HOW = (
    "Examples in the test splits of both. Points: accuracy of A less that of B, in hundredths "
    "(Newcombe's interval at 95%). p: McNemar's test, exact; Holm: corrected for the number of "
    "pairs. Both cover which examples were drawn, not which seed."
)


def check_place(out: Path) -> None:
    """See, before the work is done, that a comparison may be written somewhere.

    Raises:
        LstmError: The name is of no page or picture (exit code 2), or of another's page.
    """
    if out.suffix.lower() in _PAGES:
        html.check_page_path(out)
    elif out.suffix.lower() not in _PICTURES:
        raise LstmError(
            f"--out expects a name that ends in .png, .svg or .html, found '{out}'.",
            "For example: --out compare.html",
            ExitCode.USAGE,
        )


def write(compared: Comparison, out: Path) -> None:
    """Write the learning curves as a picture, or everything as a page, as the name says.

    Raises:
        LstmError: See `check_place`, or the place cannot be written.
    """
    check_place(out)
    if out.suffix.lower() in _PICTURES:
        draw(compared, out)
        return
    with tempfile.TemporaryDirectory() as folder:
        curves = Path(folder) / "curves.png"
        draw(compared, curves)
        drawn = curves.read_bytes()
    title = "Runs side by side"
    body = [html.element("h1", title), _results(compared), _tests(compared)]
    body += [_settings(compared), _heading("Learning curves")]
    body.append(html.figure(drawn, "Validation loss and accuracy by epoch"))
    html.write_page(out, html.page(title, *body))


def draw(compared: Comparison, path: Path) -> None:
    """Draw validation loss and accuracy of all runs by epoch, with the epochs kept.

    Args:
        compared: The runs.
        path: Where the PNG or SVG goes.
    """
    kept = [_kept(history) for history in compared.histories]
    best = max(range(len(kept)), key=lambda i: kept[i].val_accuracy or 0.0)
    right = percent(kept[best].val_accuracy)
    title = (
        f"Best on validation: {fit_name(compared.names[best], 40)}, {right} right"
        if shared_data(compared) is not None
        else f"Learning curves of {len(kept)} runs on different data",
        "Validation loss and accuracy by epoch; ringed: the epoch whose weights were kept",
    )
    height = 3.9 + 0.17 * len(kept)
    with picture(path, (8.0, height), *title) as figure:
        panels = figure.subplots(1, 2, gridspec_kw={"wspace": 0.06})
        for axes, measure in zip(panels, ("loss", "accuracy"), strict=True):
            _panel(axes, compared, measure)
        lines = panels[0].get_lines()[::2]
        labels = [
            f"{fit_name(name, 40)}  loss {number(one.val_loss, '.3f')}, "
            f"accuracy {number(one.val_accuracy, '.3f')}"
            for name, one in zip(compared.names, kept, strict=True)
        ]
        figure.legend(lines, labels, loc="outside lower left")


def shared_data(compared: Comparison) -> str | None:
    """Return what all runs were trained on; None where they differ in it."""
    names = {entry.dataset for entry in compared.entries}
    return names.pop() if len(names) == 1 else None


def figures(compared: Comparison) -> list[tuple[str, ...]]:
    """Write the runs' figures for people: rows of a measure, and its value in each run."""
    told = [_measures(entry) for entry in compared.entries]
    return [(name, *(one[name] for one in told)) for name in told[0]]


def _measures(entry: Entry) -> dict[str, str]:
    return {
        "test examples": f"{entry.num_examples:,}",
        "accuracy": number(entry.accuracy),
        "95% interval": interval(entry.accuracy_interval),
        "loss (nats)": number(entry.loss),
        "F1, mean of classes": number(entry.f1),
        "calibration error": number(entry.calibration_error),
        "parameters": f"{entry.parameters:,}",
        "model.onnx": _size(entry.model_bytes),
        "run on disk": _size(entry.num_bytes),
        "training": duration(entry.seconds),
    }


def test_columns(paired: PairedTest) -> dict[str, str]:
    """Write what a paired test found for people."""
    low, high = (100 * bound for bound in paired.interval)
    return {
        "A": paired.first,
        "B": paired.second,
        "shared": f"{paired.num_shared:,}",
        "only A right": f"{paired.only_first:,}",
        "only B right": f"{paired.only_second:,}",
        "points (95%)": f"{100 * paired.difference:+.1f} ({low:+.1f} to {high:+.1f})",
        "p": _p(paired.p_value),
        "p (Holm)": _p(paired.adjusted_p_value),
    }


def setting(value: Any) -> str:
    """Write a setting for people."""
    return "not set" if value is None else str(value)


def _results(compared: Comparison) -> html.Html:
    data = shared_data(compared)
    said = html.element("p", f"All were trained on {data}.")
    if data is None:
        said = html.pairs({entry.name: entry.dataset for entry in compared.entries})
    return html.join(
        [_heading("Results"), said, html.table(("", *compared.names), figures(compared))]
    )


def _tests(compared: Comparison) -> html.Html:
    parts = [_heading("The same examples")]
    if compared.paired:
        rows = [test_columns(paired) for paired in compared.paired]
        table = html.table(tuple(rows[0]), [tuple(row.values()) for row in rows])
        parts += [table, html.element("p", HOW, class_="quiet")]
    for pair in compared.untested:
        parts.append(html.element("p", f"{pair.first} and {pair.second}: no test; {pair.reason}."))
    return html.join(parts)


def _settings(compared: Comparison) -> html.Html:
    rows = [(key, *map(setting, values)) for key, values in compared.settings.items()]
    found = html.element("p", "All settings are the same.")
    if rows:
        found = html.table(("setting", *compared.names), rows, words=True)
    return html.join([_heading("Settings that differ"), found])


def _heading(heading: str) -> html.Html:
    return html.element("h2", heading)


def _panel(axes: Axes, compared: Comparison, measure: str) -> None:
    for rank, history in enumerate(compared.histories):
        colour = _COLOURS[rank % len(_COLOURS)]
        dash: Any = _DASHES[rank // len(_COLOURS) % len(_DASHES)]
        epochs = [epoch.epoch for epoch in history]
        values = np.array([getattr(epoch, f"val_{measure}") for epoch in history], dtype=float)
        kept = _kept(history)
        end = getattr(kept, f"val_{measure}")
        axes.plot(epochs, values, linestyle=dash, color=colour, linewidth=1.8)
        ring = axes.plot([kept.epoch], [np.nan if end is None else end], "o", color=colour)[0]
        ring.set(markerfacecolor="white", markeredgewidth=1.6, markersize=7, zorder=9)
    axes.set(title=measure.capitalize(), xlabel="Epoch")
    longest = max(len(history) for history in compared.histories)
    axes.set_xticks(range(1, longest + 1)[:: -(-longest // 8)])
    axes.margins(x=0.06, y=0.08)
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)


def _kept(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch whose weights were kept: the last that was the best so far."""
    return next((epoch for epoch in reversed(history) if epoch.best), history[-1])


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:,.1f} kB"


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else number(value)

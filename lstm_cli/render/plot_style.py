"""The style of all plots, and how they are written: the same data gives the same bytes."""

from __future__ import annotations

import io
import math
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from lstm_cli.io.atomic_write import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# Okabe & Ito 2008, "Color universal design": distinct with every kind of colour vision.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
INK, GREY, PALE = "#222222", "#6E6E6E", "#C8C8C8"

_DPI = 150
_HEADER = 0.62  # inches above the panels, for title and subtitle
_MARGIN = 0.1  # inches at the other three sides
# Fonts for Chinese, Japanese and Korean, used if installed: DejaVu, matplotlib's own, has none.
_FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Malgun Gothic",
)
# Metadata that would differ between machines or runs, left out.
_OMITTED_METADATA = {"png": {"Software": None}, "svg": {"Creator": None, "Date": None}}
_STYLE = {
    "svg.hashsalt": "lstm",
    "text.parse_math": False,
    "font.size": 9.5,
    "text.color": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
_MAX_END = 2000  # characters of a name, at each end, that are looked at


@contextmanager
def picture(
    path: Path, size: tuple[float, float], title: str, subtitle: str = ""
) -> Iterator[Figure]:
    """Yield an empty figure to draw on, and write it atomically at the end of the block.

    Neither a display nor pyplot is used. Matplotlib's settings are restored afterwards, and the
    user's matplotlibrc has no effect. The same drawing gives the same bytes.

    Args:
        path: The file to write; its name ends in .png or .svg.
        size: Width and height in inches.
        title: Title above the panels.
        subtitle: Line below the title, such as the data that was measured.

    Yields:
        The figure, with space for the title.
    """
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    style = _STYLE | {"font.family": ["DejaVu Sans", *_installed(_FALLBACK_FONTS)]}
    with warnings.catch_warnings(), matplotlib.style.context(["default", style]):
        # Class names may be in any script. A letter that no font has is drawn as a box.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        width, height = size
        left, bottom = _MARGIN / width, _MARGIN / height
        panels = (left, bottom, 1 - 2 * left, 1 - _HEADER / height - bottom)
        figure = Figure(figsize=size, dpi=_DPI, layout=ConstrainedLayoutEngine(rect=panels))
        FigureCanvasAgg(figure)
        top = 1 - bottom
        title_text = figure.text(left, top, title, va="top", fontsize=11.5, fontweight="bold")
        subtitle_text = figure.text(left, top - 0.24 / height, subtitle, va="top", color=GREY)
        for text in (title_text, subtitle_text):
            _shrink_to_fit(text, panels[2] * figure.bbox.width)
        yield figure
        content = io.BytesIO()
        _round_positions(figure)
        kind = path.suffix[1:].lower()
        figure.savefig(content, format=kind, metadata=_OMITTED_METADATA[kind])
    write_atomic(path, content.getvalue())


def fit_name(name: str, width: int = 18) -> str:
    """Shorten a class or split name for a picture.

    Args:
        name: Any text.
        width: Maximum number of columns; a Chinese character takes two.

    Returns:
        The name on one line, without control, formatting and unassigned characters. The middle of a
        longer name is left out, because long names often differ at their start or end.
    """
    if len(name) > 2 * _MAX_END:
        name = name[:_MAX_END] + name[-_MAX_END:]
    line = " ".join(name.split())
    line = "".join(c for c in line if not unicodedata.category(c).startswith("C"))
    if display_width(line) > width:
        tail = _head(line[::-1], width // 3)[::-1]
        line = f"{_head(line, width - 1 - width // 3).rstrip()}…{tail.lstrip()}"
    if any(unicodedata.bidirectional(c) in ("R", "AL") for c in line):
        # The marks keep a right-to-left name from reordering the sentence around it.
        return f"\u200e{line}\u200e"
    return line or "(no name)"


def display_width(text: str) -> int:
    """Return the number of columns a text takes: two for each wide character."""
    return sum(_char_width(c) for c in text)


def percent(fraction: float | None) -> str:
    """Format a fraction: `0%`, `<0.1%`, `4.1%`, `50%`; `100%` only for 1, `-` for None or NaN."""
    if fraction is None or math.isnan(fraction):
        return "-"
    if 0 < fraction < 0.001:
        return "<0.1%"
    if 0.9995 <= fraction < 1:
        return ">99.9%"
    # One more digit at both ends, so that `8.8%` and `91.2%` add up to 100%.
    digits = 1 if 0 < fraction < 0.1 or 0.9 < fraction < 1 else 0
    return f"{100 * fraction:.{digits}f}%"


def _char_width(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _head(text: str, width: int) -> str:
    """Return the longest start of a text that fits."""
    ends = accumulate(map(_char_width, text))
    return "".join(c for c, end in zip(text, ends, strict=True) if end <= width)


def _round_positions(figure: Figure) -> None:
    """Lay the panels out and round their positions.

    The layout engine's result differs in the last digit from call to call, and the ids of an SVG's
    elements are derived from it.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(x, 6) for x in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))


def format_percent_axis(axes: Axes) -> None:
    """Label the y axis in percent."""
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")


def _shrink_to_fit(text: Text, width: float) -> None:
    """Reduce the font size of a text that is wider than this many pixels."""
    extent = text.get_window_extent().width
    if extent > width:
        text.set_fontsize(float(text.get_fontsize()) * width / extent)


def _installed(names: tuple[str, ...]) -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return [name for name in names if name in installed]

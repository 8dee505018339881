"""How every picture looks and is written; what is in it is `plots.py`'s job."""

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
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# Okabe & Ito 2008, "Color universal design": told apart with every kind of colour vision.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
INK, GREY, PALE = "#222222", "#6E6E6E", "#C8C8C8"

_DPI = 150
_HEADER = 0.62  # inches kept free above the panels for title and subtitle
_MARGIN = 0.1  # inches kept free at the other three sides
# DejaVu, which matplotlib ships, has no Chinese, Japanese or Korean; these do, where installed.
_FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Malgun Gothic",
)
# What would be written beside the drawing, and be another at another time or place.
_UNSAID = {"png": {"Software": None}, "svg": {"Creator": None, "Date": None}}
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
    """Give an empty figure to draw on and write it, whole or not at all, on leaving.

    Neither a display nor pyplot is used; matplotlib's settings are the same before and after,
    and the user's own matplotlibrc does not matter. The same drawing gives the same bytes.

    Args:
        path: Where the picture goes; its name ends in .png or .svg.
        size: Width and height in inches.
        title: What is to be seen.
        subtitle: What it was measured on.

    Yields:
        The figure; space for the title is kept free.
    """
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    style = _STYLE | {"font.family": ["DejaVu Sans", *_installed(_FALLBACK_FONTS)]}
    with warnings.catch_warnings(), matplotlib.style.context(["default", style]):
        # Class names may be in any script; a box for a letter no font has is all one can draw.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        width, height = size
        left, bottom = _MARGIN / width, _MARGIN / height
        panels = (left, bottom, 1 - 2 * left, 1 - _HEADER / height - bottom)
        figure = Figure(figsize=size, dpi=_DPI, layout=ConstrainedLayoutEngine(rect=panels))
        FigureCanvasAgg(figure)
        top = 1 - bottom
        bold = figure.text(left, top, title, va="top", fontsize=11.5, fontweight="bold")
        plain = figure.text(left, top - 0.24 / height, subtitle, va="top", color=GREY)
        for text in (bold, plain):
            _fit(text, panels[2] * figure.bbox.width)
        yield figure
        content = io.BytesIO()
        _settle(figure)
        kind = path.suffix[1:].lower()
        figure.savefig(content, format=kind, metadata=_UNSAID[kind])
    write_atomic(path, content.getvalue())


def shown(name: str, width: int = 18) -> str:
    """Make a class or split name fit for a picture.

    Args:
        name: Any text.
        width: How many columns it may take; a Chinese character takes two.

    Returns:
        The name on one line, without control, formatting and unassigned characters, its middle
        left out where it is too long: head and tail are what tells long names apart.
    """
    if len(name) > 2 * _MAX_END:
        name = name[:_MAX_END] + name[-_MAX_END:]
    spaced = " ".join(name.split())
    kept = "".join(c for c in spaced if not unicodedata.category(c).startswith("C"))
    if columns(kept) > width:
        tail = _head(kept[::-1], width // 3)[::-1]
        kept = f"{_head(kept, width - 1 - width // 3).rstrip()}…{tail.lstrip()}"
    if any(unicodedata.bidirectional(c) in ("R", "AL") for c in kept):
        # The marks keep a right-to-left name from turning the sentence around it.
        return f"\u200e{kept}\u200e"
    return kept or "(no name)"


def columns(text: str) -> int:
    """Count the columns a text takes, two for each wide character."""
    return sum(_columns(c) for c in text)


def percent(share: float | None) -> str:
    """Write a share of 1 for people: `0%`, `<0.1%`, `4.1%`, `50%`; never 100% when it is less."""
    if share is None or math.isnan(share):
        return "-"
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    # A digit more at both ends, so that `8.8%` and `91.2%` make a whole.
    digits = 1 if 0 < share < 0.1 or 0.9 < share < 1 else 0
    return f"{100 * share:.{digits}f}%"


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _head(text: str, width: int) -> str:
    """Return as much of a text's beginning as fits."""
    ends = accumulate(map(_columns, text))
    return "".join(c for c, end in zip(text, ends, strict=True) if end <= width)


def _settle(figure: Figure) -> None:
    """Lay the panels out at round places.

    What the layout finds differs in the last digit from one time to the next, and the names of an
    SVG's parts are made from it.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(place, 6) for place in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))


def _fit(text: Text, width: float) -> None:
    """Shrink a text that would be wider than this many pixels."""
    extent = text.get_window_extent().width
    if extent > width:
        text.set_fontsize(float(text.get_fontsize()) * width / extent)


def _installed(names: tuple[str, ...]) -> list[str]:
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return [name for name in names if name in there]

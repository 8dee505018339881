"""What tests of plots share."""

from __future__ import annotations


def texts(page):
    """All texts of a figure, titles and axis labels included."""
    return [text.get_text() for text in page.findobj(match=lambda a: hasattr(a, "get_text"))]

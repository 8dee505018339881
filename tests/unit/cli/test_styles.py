"""The colours of an explanation are legible on dark and on light backgrounds."""

from __future__ import annotations

import pytest
from rich.color import ColorType
from rich.style import Style

from lstm_cli.cli.styles import style
from lstm_cli.explain.render_terminal import NUM_SHADES

BACKGROUNDS = ((255, 255, 255), (30, 30, 30), (0, 0, 0))
EFFECTS = [f"{side}{level}" for side in ("for", "against") for level in range(1, NUM_SHADES + 1)]


def luminance(triplet):
    """Relative luminance. Source: WCAG 2.1."""
    parts = [c / 255 for c in triplet]
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", [*EFFECTS, "area"])
def test_text_stands_out_from_any_background(name):
    found = Style.parse(style(name, "256"))
    text = found.color.get_truecolor()
    if found.bgcolor is not None:
        assert contrast(text, found.bgcolor.get_truecolor()) >= 4.5
    else:
        assert min(contrast(text, background) for background in BACKGROUNDS) >= 3.7


@pytest.mark.parametrize("side", ["for", "against"])
def test_only_strong_effects_have_a_box(side):
    for system in ("standard", "truecolor"):
        parsed = [Style.parse(style(f"{side}{n}", system)) for n in range(1, NUM_SHADES + 1)]
        assert [each.bgcolor is not None for each in parsed] == [False, False, True, True]
        assert len(set(parsed)) == NUM_SHADES


def test_16_colours_are_enough_where_there_are_no_more():
    for name in EFFECTS:
        parsed = Style.parse(style(name, "standard"))
        for colour in filter(None, (parsed.color, parsed.bgcolor)):
            assert colour.type is ColorType.STANDARD


def test_other_styles_are_those_of_rich():
    assert style("bold", "256") == style("bold", None) == "bold"

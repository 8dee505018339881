"""Styles of text on a terminal, legible on dark and on light backgrounds.

A program cannot know the background of a terminal. Colours here are therefore of middle lightness:
blue and orange of about the same luminance (0.22), with a contrast (WCAG 2.1) of 3.8 to white,
4.3 to #1e1e1e and 5.4 to black. People with any kind of colour vision can tell them apart. A box
sets both of its colours, so it does not depend on the background either.
"""

from __future__ import annotations

# Words for and against a class, from weak (1) to strong (4). Numbers from 16 on are of the
# palette of 256 colours, which terminals with 16 million colours also show: 32 is #0087d7,
# 25 #005faf, 166 #d75f00, 130 #af5f00.
_EFFECTS = {
    "for1": "color(32)",
    "for2": "bold color(32)",
    "for3": "color(231) on color(25)",
    "for4": "bold color(16) on color(32)",
    "against1": "color(166)",
    "against2": "bold color(166)",
    "against3": "color(231) on color(130)",
    "against4": "bold color(16) on color(166)",
}
# With 16 colours: the dark blue of such terminals is hardly legible on black, the bright one is.
_EFFECTS_IN_16_COLOURS = {
    "for1": "bright_blue",
    "for2": "bold bright_blue",
    "for3": "white on blue",
    "for4": "bold bright_white on blue",
    "against1": "bright_red",
    "against2": "bold bright_red",
    "against3": "white on red",
    "against4": "bold bright_white on red",
}
# Large areas, which must not outshine the words. 244 is #808080. Some themes set the bright black
# of 16 colours to the colour of the background, so a dim default colour is used there.
_AREA, _AREA_IN_16_COLOURS = "color(244)", "dim"


def style(name: str, color_system: str | None) -> str:
    """Return the style of rich for a name.

    Args:
        name: `for1` to `for4`, `against1` to `against4`, `area`, or any style of rich.
        color_system: Of the console: `standard`, `windows`, `256`, `truecolor`, or None.
    """
    if color_system in ("256", "truecolor"):
        return {**_EFFECTS, "area": _AREA}.get(name, name)
    return {**_EFFECTS_IN_16_COLOURS, "area": _AREA_IN_16_COLOURS}.get(name, name)

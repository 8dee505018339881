from __future__ import annotations

import subprocess
import sys
import unicodedata

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lstm_cli.errors import LstmError
from lstm_cli.render import plot_style


def draw(path, title="Title", label="label"):
    with plot_style.picture(path, (3, 2), title, "subtitle") as page:
        axes = page.subplots()
        axes.plot([0, 1], [0, 1])
        axes.set_xlabel(label)
    return page


def test_a_picture_is_a_png_of_150_dots_per_inch(tmp_path):
    draw(tmp_path / "plots" / "a.png")
    with Image.open(tmp_path / "plots" / "a.png") as image:
        assert image.format == "PNG"
        assert image.size == (450, 300)
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        assert len(image.convert("L").getcolors()) > 10


def test_the_same_drawing_gives_the_same_bytes(tmp_path):
    for kind in ("png", "svg"):
        draw(tmp_path / f"a.{kind}")
        filler = [object() for _ in range(10_000)]  # changes memory addresses
        draw(tmp_path / f"b.{kind}")
        assert len(filler)
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_panel_positions_are_rounded_since_svg_ids_depend_on_them(tmp_path):
    for axes in draw(tmp_path / "a.svg").axes:
        for place in axes.get_position().bounds:
            assert abs(place - round(place, 6)) < 1e-12


def test_a_failed_drawing_keeps_the_old_picture(tmp_path):
    draw(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    with (
        pytest.raises(ZeroDivisionError),
        plot_style.picture(tmp_path / "a.png", (3, 2), "new") as page,
    ):
        page.text(1 / 0, 0, "")
    assert (tmp_path / "a.png").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "plots").write_text("a file, not a folder")
    with pytest.raises(LstmError, match=r"plots.a\.png"):
        draw(tmp_path / "plots" / "a.png")


def test_settings_of_matplotlib_are_neither_used_nor_changed(tmp_path):
    draw(tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 40, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        draw(tmp_path / "b.png")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_pyplot_is_never_imported(tmp_path):
    code = f"""
import sys
from pathlib import Path
from lstm_cli.render.plot_style import picture
with picture(Path({str(tmp_path / "a.png")!r}), (3, 2), "title") as page:
    page.subplots()
sys.exit("matplotlib.pyplot" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize("text", [r"$\frac{x$", "积极的评价", "😀👩‍🚀", "سلبي", "_private", "{x}"])
def test_any_script_is_drawn_without_a_warning_or_a_formula(tmp_path, text):
    draw(tmp_path / "a.png", title=text, label=plot_style.fit_name(text))
    assert (tmp_path / "a.png").is_file()


def test_a_long_title_is_made_to_fit(tmp_path):
    page = draw(tmp_path / "a.png", title="Accuracy " * 7)
    assert page.texts[0].get_window_extent().x1 <= page.bbox.x1
    short = draw(tmp_path / "a.png", title="Accuracy")
    assert page.texts[0].get_fontsize() < short.texts[0].get_fontsize()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pos", "pos"),
        ("  two\n\twords ", "two words"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\u202eevil", "evil"),
        ("a\x00b", "ab"),
        ("", "(no name)"),
        ("\x07\ud800", "(no name)"),
        ("reviews of the year 2019", "reviews of…r 2019"),
        ("reviews of the year 2020", "reviews of…r 2020"),
        ("积极的评价非常非常好的电影", "积极的评价…的电影"),
        ("سلبي", "\u200eسلبي\u200e"),
    ],
)
def test_names_are_cleaned_and_shortened_in_the_middle(name, expected):
    assert plot_style.fit_name(name) == expected


@given(st.text(), st.integers(4, 40))
def test_no_name_is_empty_too_wide_or_holds_control_characters(name, width):
    text = plot_style.fit_name(name, width)
    assert text
    marks = 2 * (text[0] == "\u200e")
    assert plot_style.display_width(text) - marks <= max(width, len("(no name)"))
    assert all(c == "\u200e" or unicodedata.category(c)[0] != "C" for c in text)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0, "0%"),
        (1e-6, "<0.1%"),
        (0.041, "4.1%"),
        (0.5, "50%"),
        (0.959, "95.9%"),
        (0.998, "99.8%"),
        (0.99999, ">99.9%"),
        (1, "100%"),
    ],
)
def test_percentages_have_useful_digits(share, expected):
    assert plot_style.percent(share) == expected


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_only_0_is_0_percent_and_only_1_is_100_percent(share):
    assert plot_style.percent(share) not in ("0%", "0.0%", "100%", "100.0%")

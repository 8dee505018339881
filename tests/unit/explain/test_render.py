"""Terminal, page, picture and JSON show an explanation, and the text as written."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from fixtures_explain import (
    ANY_TEXT,
    ODD,
    TEXT,
    PageText,
    image_explainer,
    random_image,
    shown,
    text_explainer,
    text_of,
)
from fixtures_properties import relaxed
from fixtures_runs import (
    make_image_run,
    make_text_run,
)
from hypothesis import example, given
from PIL import Image
from rich.console import Console

from lstm_cli.cli import output
from lstm_cli.errors import LstmError
from lstm_cli.explain import (
    prefixes,
    render_html,
    render_image,
    render_terminal,
    summary,
)
from lstm_cli.explain.explainer import Explainer
from lstm_cli.explain.render_terminal import render_lines


@pytest.fixture(scope="module")
def explainer(tmp_path_factory):
    return text_explainer(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def of_images(tmp_path_factory):
    return image_explainer(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def digit():
    return random_image()


# On a terminal


def marked(result):
    """The line of the marked text."""
    return list(render_lines(result, 80, True))[3]


@pytest.mark.parametrize("text", [TEXT, *ODD])
def test_the_text_is_shown_as_written(text, explainer):
    result = explainer.explain_text(text)
    assert "".join(piece.text for piece in marked(result)) == text


@relaxed
@given(ANY_TEXT)
@example("İ" * 3)
@example("e\u0301\u0301 \u0301")
def test_any_text_keeps_its_spelling(explainer, text):
    try:
        result = explainer.explain_text(text)
    except LstmError:
        return
    if result.truncated_span is None:
        assert "".join(piece.text for piece in marked(result)) == text
    render_html.render_page(result).encode("utf-8")
    json.dumps(result.to_dict())


def test_tokens_for_and_against_have_different_styles(explainer):
    result = explainer.explain_text(TEXT)
    styles = {piece.text: piece.style for piece in marked(result)}
    strongest = np.abs(result.token_effects.effects).max()
    for token, effect in zip(result.tokens, result.token_effects.effects, strict=True):
        if abs(effect) == strongest:
            assert styles[token.text] == f"{'for' if effect > 0 else 'against'}4"
    assert render_terminal.effect_style(0.01) == ""
    assert render_terminal.effect_style(0.0) == ""
    assert render_terminal.effect_style(-0.3) == "against2"


def test_without_colour_signed_numbers_stand_in_the_text(explainer):
    result = explainer.explain_text(TEXT)
    place = int(np.abs(result.token_effects.effects).argmax())
    effect = result.token_effects.effects[place]
    expected = f"{result.tokens[place].text}[{effect:+.{1 if abs(effect) >= 1 else 2}f}]"
    assert expected in shown(result)
    assert "[+" not in "".join(piece.text for piece in marked(result))


def printed(result, width, **settings):
    out = io.StringIO()
    made = Console(file=out, width=width, markup=False, highlight=False, emoji=False, **settings)
    output._stdout.cache_clear()
    original, output._stdout = output._stdout, lambda: made
    try:
        output.print_styled(render_lines(result, output.width(), output.has_colour()))
    finally:
        output._stdout = original
    return out.getvalue()


def test_a_narrow_terminal_wraps(explainer, of_images, digit):
    for result in (explainer.explain_text(TEXT), of_images.explain_image(digit)):
        assert max(map(len, printed(result, 34).splitlines())) <= 34


def test_colours_are_seen_on_a_terminal_that_has_them(explainer):
    result = explainer.explain_text(TEXT)
    settings = {"force_terminal": True, "color_system": "truecolor"}
    assert "\x1b[" in printed(result, 80, **settings)
    quiet = printed(result, 80, no_color=True, **settings)
    assert "[+" in quiet or "[-" in quiet


def test_control_characters_of_a_text_never_reach_the_terminal(explainer):
    result = explainer.explain_text("\x1b[31mfine\x07 film\u202e dull\x9b2J\nnot fine")
    out = printed(result, 80)
    assert not {*"\x1b\x07\x9b\u202e"} & {*out}
    assert "\nnot" in out


def with_probabilities(result, *values, window=1):
    """The result with other probabilities of its class: of the empty text and each token."""
    start, *steps = [[p, 1 - p] if result.class_index == 0 else [1 - p, p] for p in values]
    changed = prefixes.summarize(np.array(start), np.array(steps), result.class_index, window)
    return replace(result, prefixes=changed)


@pytest.mark.parametrize(
    ("probabilities", "parts"),
    [
        # In the order of the text.
        ((0.5, 0.9, 0.2, 0.3, 0.8), ("falls", "'a' (token 2)", "90% to 20%",
                                     "rises", "'film' (token 4)", "30% to 80%")),
        ((0.5, 0.4, 0.7, 0.7, 0.6), ("rises", "'a' (token 2)", "40% to 70%",
                                     "falls", "'not' (token 1)", "50% to 40%")),
        ((0.5, 0.9, 0.9, 0.9, 0.89), ("rises", "'not' (token 1)", "50% to 90%")),
        ((0.9, 0.91, 0.9, 0.9, 0.92), ("hardly changes", "90%", "92.0%")),
        ((0.9, 0.9, 0.9, 0.9, 0.9), ("hardly changes", "90%")),
    ],
)  # fmt: skip
def test_all_outputs_name_the_largest_swings(probabilities, parts, explainer):
    result = with_probabilities(explainer.explain_text("not a fine film"), *probabilities)
    sentence = summary.describe_swings(result)
    for part in parts:
        assert part in sentence
    assert ("falls" in sentence) == ("falls" in parts)
    assert ("rises" in sentence) == ("rises" in parts)
    assert sentence in shown(result)
    assert sentence in unescape(render_html.render_page(result))


def test_swings_of_a_long_text_name_the_tokens_of_a_window(explainer):
    result = explainer.explain_text("not a fine film")
    result = with_probabilities(result, 0.5, 0.4, 0.4, 0.9, 0.9, window=2)
    assert "'fine' to 'film' (tokens 3 to 4), from 40% to 90%" in summary.describe_swings(result)


def test_swings_of_an_image_name_rows(of_images, digit):
    result = of_images.explain_image(digit)
    steps = np.full((8, len(result.labels)), 0.1)
    steps[4:, result.class_index] = 0.9
    result = replace(result, prefixes=prefixes.summarize(None, steps, result.class_index))
    assert "rises most at row 5, from 10% to 90%" in summary.describe_swings(result)
    assert "from row 5 on" in summary.describe_decision(result)


def test_steps_of_several_rows_are_shown_beside_the_rows_that_they_add(digit, tmp_path):
    result = image_explainer(tmp_path, image__window=3, image__stride=2).explain_image(digit)
    steps = np.full((4, len(result.labels)), 0.1)
    steps[2:, result.class_index] = 0.9
    result = replace(result, prefixes=prefixes.summarize(None, steps, result.class_index))
    assert "rises most at rows 6 to 7, from 10% to 90%" in summary.describe_swings(result)
    assert summary.step_noun(result) == "step"
    explained = summary.describe_windows(result)
    assert "4 steps reads 3 rows" in explained
    lines = shown(result).splitlines()
    assert explained in lines
    percentages = ["%" in line for line in lines[4:12]]
    assert percentages == [False, False, True, False, True, False, True, True]
    page = render_html.render_page(result)
    assert explained in page
    cells = re.findall(r'y="(\d)" width="1" height="(\d)" opacity="0.900"', page)
    assert cells == [("5", "2"), ("7", "1")]
    assert f"After rows 6 to 7: {result.prediction.label} 90.0%" in page
    render_image.draw(result, tmp_path / "steps.svg")


@pytest.mark.parametrize(
    ("probabilities", "part"),
    [
        ((0.4, 0.4, 0.4, 0.4, 0.9), "from 'film' (token 4) on"),
        ((0.9, 0.9, 0.9, 0.9, 0.9), "from the start"),
        ((0.9, 0.9, 0.9, 0.9, 0.4), "threshold"),
    ],
)
def test_the_decision_names_the_step(probabilities, part, explainer):
    result = with_probabilities(explainer.explain_text("not a fine film"), *probabilities)
    assert part in summary.describe_decision(result)
    assert summary.describe_decision(result) in shown(result)


def test_gates_are_bars_with_and_without_colours(explainer):
    result = explainer.explain_text(TEXT)
    gate = result.gates.units[0].forget_gate
    for colour in (True, False):
        line = next(x for x in render_lines(result, 80, colour) if x[0].text.strip() == "forget")
        assert line[1].text == render_terminal.sparkline(gate, 80)


def test_tokens_with_large_effects_fit_on_a_line_each(explainer):
    result = explainer.explain_text("not a fine film , not bad , a dull fine film")
    for width in (30, 80):
        rendered = render_lines(result, width, True)
        lines = ["".join(piece.text for piece in line).rstrip() for line in rendered]
        listed = [line for line in lines if line.startswith(("for   ", "against   "))]
        assert listed
        assert all(len(line) <= width for line in listed)


def test_a_sparkline_fits_into_its_columns():
    assert render_terminal.sparkline(np.array([0.0, 0.5, 1.0]), 10) == "▁▅█"
    assert render_terminal.sparkline(np.repeat([0.0, 1.0], 50), 4) == "▁▁██"
    assert len(render_terminal.sparkline(np.linspace(0, 1, 33), 10)) == 10


# Page, picture and JSON


@pytest.mark.parametrize(
    "text", [TEXT, "<script>alert(1)</script> fine", "a <b>&amp; \"fine' film"]
)
def test_a_page_shows_the_text_and_runs_no_script_of_it(text, explainer):
    html = render_html.render_page(explainer.explain_text(text))
    assert text_of(html) == text
    parser = PageText()
    parser.feed(html)
    assert parser.tags.count("script") == 1
    assert "b" not in parser.tags[: parser.tags.index("h2")]
    assert "<script>alert" not in html


def test_long_labels_are_shortened_and_told_apart(tmp_path):
    labels = ("x" * 50_000, "x" * 50_001)
    run = make_text_run(tmp_path / "runs" / "demo" / "long", labels=labels)
    result = Explainer.load(run).explain_text("fine")
    assert len(render_html.render_page(result)) < 30_000
    lines = "".join(piece.text for line in render_lines(result, 80, False) for piece in line)
    assert len(lines) < 3000
    assert "x… (2)" not in lines
    assert "xxx (2)" in lines


def test_labels_and_names_are_escaped_on_a_page(tmp_path, digit):
    folder = tmp_path / "runs" / "demo" / "<i>x"
    run = make_text_run(folder, labels=("<i>bad", "<i>good"))
    assert "<i>" not in render_html.render_page(Explainer.load(run).explain_text("fine"))
    images = Explainer.load(make_image_run(tmp_path / "runs" / "digits" / "one"))
    assert "<i>" not in render_html.render_page(images.explain_image(digit, "<i>.png"))


def test_a_page_loads_nothing(explainer, of_images, digit):
    for result in (explainer.explain_text(TEXT), of_images.explain_image(digit)):
        html = render_html.render_page(result)
        assert "default-src 'none'" in html
        for way in ("http:", "https:", "src=", "href=", "url(", "@import", "fetch("):
            assert way not in html


def test_a_page_names_rows_axes_and_scales(explainer, of_images, digit):
    result = explainer.explain_text(TEXT)
    page = unescape(re.sub(r"<[^>]+>", " ", render_html.render_page(result)))
    strongest = np.abs(result.token_effects.effects).max()
    for name in (f"{-strongest:+.2f}", f"{strongest:+.2f}", "100%", "50%", "0%",
                 "closed, 0", "1, open"):  # fmt: skip
        assert name in page
    num = len(result.gates.units)
    assert [page.count(f" {name} ") for name in ("input", "forget", "output", "cell 0")] == [
        num
    ] * 4
    page = render_html.render_page(of_images.explain_image(digit))
    assert ">row 1<" in page
    assert f">row {len(digit)}<" in page


def test_few_tokens_are_named_below_the_drawings(explainer, monkeypatch):
    result = explainer.explain_text("a <b> film")
    page = render_html.render_page(result)
    below = re.findall(r"<div class=\"token-names\"[^>]*>(.*?)</div>", page)
    drawn = [re.findall(r"<span>(.*?)</span>", names) for names in below]
    assert drawn == [["a", "&lt;", "b", "&gt;", "film"]] * 2
    monkeypatch.setattr(render_html, "_MAX_NAMES", 4)
    page = render_html.render_page(result)
    assert ">token 1<" in page
    assert ">token 5<" in page
    assert '<div class="token-names' not in page


def test_a_small_share_of_the_lstm_is_named(explainer):
    result = explainer.explain_text(TEXT)
    for lstm, is_small in ((0.34, True), (-0.34, True), (3.0, False)):
        gates = replace(result.gates, lstm=lstm, regions=None, linear=7.57)
        changed = replace(result, gates=gates)
        note = "The LSTM has only 4% of this score: its gates explain little here."
        outputs = render_html.render_page(changed), shown(changed)
        assert [note in output for output in outputs] == [is_small] * 2
    alone = replace(result, gates=replace(result.gates, regions=None, linear=None, lstm=0.0))
    assert summary.describe_small_lstm(alone) == ""


def test_a_page_has_numbers_for_each_token_and_row(explainer, of_images, digit):
    """The script shows them beside the place; nothing lies over the page without it."""
    result = explainer.explain_text(TEXT)
    page = render_html.render_page(result)
    titles = re.findall(r'data-step="\d+" title="([^"]+)"', page)
    assert len(titles) == len(result.tokens)
    effects = result.token_effects.effects
    assert all(f"{effect:+.2f}" in title for title, effect in zip(titles, effects, strict=True))
    assert '<div id="tip" aria-hidden="true" hidden>' in page
    assert not re.search(r"position: (sticky|fixed)", page)
    result = of_images.explain_image(digit)
    titles = re.findall(r'data-step="\d+"[^>]*><title>([^<]+)<', render_html.render_page(result))
    assert len(titles) == len(digit)
    best = result.prefixes.steps[-1].argmax()
    assert titles[-1].startswith(f"After row {len(digit)}: {result.labels[best]} ")


def test_a_page_has_no_control_characters(explainer):
    html = render_html.render_page(explainer.explain_text("fine\udc80\x1b film\u202e"))
    assert text_of(html) == "fine   film "


@pytest.mark.parametrize("name", ["words.png", "words.svg"])
def test_a_picture_is_drawn_of_texts_and_images(name, tmp_path, explainer, of_images, digit):
    texts = ["好电影 $fine$ film\n\n\x1b " + "fine " * 20] + ["fine"] * name.endswith("png")
    for result in (*map(explainer.explain_text, texts), of_images.explain_image(digit)):
        render_image.draw(result, tmp_path / name)
        content = (tmp_path / name).read_bytes()
        if name.endswith("svg"):
            # Letters are drawn as curves, each text with itself as a comment.
            ends = (
                ("0%", "100%") if result.to_dict()["kind"] == "image" else ("closed, 0", "1, open")
            )
            texts_in_it = [text.strip() for text in re.findall(r"<!--(.*?)-->", content.decode())]
            assert f"(run {result.run})" in " ".join(texts_in_it)
            assert set(ends) <= set(texts_in_it)
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
        if name.endswith("png"):
            with Image.open(tmp_path / name) as image:
                assert min(image.size) > 300


def test_a_picture_shows_where_columns_end(explainer):
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    drawn = render_image.with_drawn_separators(explainer.explain_text("a fine \u241f film"))
    assert drawn.text == "a fine \u2016 film"
    assert [token.text for token in drawn.tokens] == ["a", "fine", "\u2016", "film"]
    letters = FT2Font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap()
    assert set(map(ord, drawn.text)) <= set(letters)


def test_json_holds_everything(explainer, of_images, digit):
    result = json.loads(json.dumps(explainer.explain_text(TEXT).to_dict()))
    assert list(result) == [
        "kind", "run", "labels", "prediction", "prefixes", "gates", "text", "tokens",
        "truncated_span", "token_effects",
    ]  # fmt: skip
    num = len(result["tokens"])
    assert list(result["tokens"][0]) == ["text", "start", "end", "known", "read_as"]
    assert list(result["token_effects"]) == ["effects", "occluded_probabilities", "window"]
    assert list(result["prefixes"]) == ["start", "steps", "window", "decision_step", "swings"]
    swings = result["prefixes"]["swings"]
    assert list(swings) == ["drop", "rise"]
    assert {tuple(swing) for swing in swings.values() if swing} == {("step", "before", "after")}
    assert len(result["prefixes"]["steps"]) == len(result["gates"]["linear_steps"]) == num
    assert list(result["gates"]["units"][0]) == [
        "direction", "index", "contribution", "memory", "input_gate", "forget_gate", "output_gate",
        "cell", "hidden",
    ]  # fmt: skip
    assert all(len(unit["cell"]) == num for unit in result["gates"]["units"])
    image = json.loads(json.dumps(of_images.explain_image(digit, "d.png").to_dict()))
    assert (image["kind"], image["name"]) == ("image", "d.png")
    assert image["image"] == digit.tolist()
    assert image["windows"] == [[row, row + 1] for row in range(8)]

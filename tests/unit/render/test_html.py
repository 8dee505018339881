from __future__ import annotations

import io
import math

import jinja2
import pytest
from fixtures_reports import ParsedPage
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_format import clean
from lstm_cli.render import html
from lstm_cli.render.environment import Markup


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Write the body of a page as a template, and return its path."""
    folder = tmp_path_factory.mktemp("templates")

    def write(body):
        path = folder / "page.html"
        head = '{% extends "base.html" %}{% import "macros.html" as ui %}{% block title %}A title'
        path.write_text(f"{head}{{% endblock %}}{{% block body %}}{body}{{% endblock %}}")
        return path

    return write


def png(width):
    content = io.BytesIO()
    Image.new("L", (width, 4)).save(content, "png")
    return content.getvalue()


def test_a_page_has_a_policy_a_title_and_the_mark_of_lstm(template):
    page = html.render(template("x"))
    assert "default-src 'none'" in page
    assert "script" not in page
    assert "<title>A title</title>" in page
    assert "<h1>A title</h1>" in page
    assert html._GENERATOR_MARK in page[:1024]


def test_only_the_given_script_may_run(template):
    page = html.render(template("x"), "let x = '<';")
    assert "<script>let x = '<';</script>" in page
    # The digest of the script, by `openssl dgst -sha256 -binary | base64`.
    assert "script-src 'sha256-toqzOwJGlPmp0ck65cV2naiew+aHcbWxzrjT9u/cvGg='" in page


@given(value=st.text(st.characters(exclude_categories=())))
def test_values_are_escaped_and_cleaned(template, value):
    page = html.render(template('<pre title="{{ value }}">{{ value }}</pre>'), value=value)
    parsed = ParsedPage(page)
    assert parsed.tags[-1] == "pre"
    page.encode()
    expected = "\n".join(map(clean, value.split("\n")))
    assert "".join(parsed.words).endswith(expected + "\n\n") or expected in "".join(parsed.words)


def test_markup_is_not_escaped(template):
    assert "<b>x</b>" in html.render(template("{{ value }}"), value=Markup("<b>x</b>"))
    assert "<b>x</b>" not in html.render(template("{{ value }}"), value="<b>x</b>")


def test_a_variable_that_is_not_given_is_an_error(template):
    with pytest.raises(jinja2.UndefinedError, match="absent"):
        html.render(template("{{ absent }}"))


def test_a_missing_number_is_a_dash(template):
    body = "{{ none|number }} {{ nan|percent }} {{ none|interval }} {{ none|duration }}"
    page = html.render(template(body), none=None, nan=math.nan)
    assert "- - - -" in page


def test_macros_lay_out_what_pages_share(template):
    body = """
    {{ ui.table(("", "a<b"), [("row", 1)]) }}{{ ui.table(("x",), [("y",)], text=true) }}
    {{ ui.key_values({"key": "value"}) }}{{ ui.tiles({"caption": "42"}) }}
    {{ ui.code("lstm train <x>") }}{{ ui.figure(small) }}{{ ui.figure(wide) }}
    """
    small, wide = (html.Picture.from_png(png(width), "A caption") for width in (100, 1000))
    page = html.render(template(body), small=small, wide=wide)
    parsed = ParsedPage(page)
    for expected in ("a<b", "row 1", "key value", "42 caption", "lstm train <x>", "A caption"):
        assert expected in parsed.text
    assert [picture.size for picture in parsed.pictures] == [(100, 4), (1000, 4)]
    assert (small.width, wide.width) == (66, 660)
    assert page.count('class="drawn wide"') == 1
    assert page.count('class="scroll words" tabindex="0"') == 1


def test_a_page_is_written_over_a_page_of_lstm_alone(tmp_path, template):
    path = tmp_path / "page.html"
    page = html.render(template("x"))
    assert html.write_page(path, page) == path.stat().st_size
    html.write_page(path, page)
    path.write_text("another page")
    with pytest.raises(LstmError) as caught:
        html.check_page_path(path)
    assert caught.value.exit_code == ExitCode.ERROR
    with pytest.raises(LstmError) as caught:
        html.check_page_path(tmp_path / "page.txt")
    assert caught.value.exit_code == ExitCode.USAGE

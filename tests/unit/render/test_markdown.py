from __future__ import annotations

import jinja2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lstm_cli.io.text_format import clean
from lstm_cli.render import markdown
from lstm_cli.render.markdown import escape

GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def tokens(source, kind):
    """Return every Markdown token of a kind, nested ones included."""
    flat = [inner for token in GFM.parse(source) for inner in [token, *(token.children or [])]]
    return [token for token in flat if token.type == kind]


@pytest.fixture
def render(tmp_path):
    """Render Markdown from the body of a template."""

    def render(body, **values):
        path = tmp_path / "card.md"
        path.write_text(body)
        return markdown.render(path, **values)

    return render


@given(st.one_of(st.text(), st.text("_*ab `[]()<>\\|~!#-+=.1:/&;\n\t$")))
@example("_a_ __b__ a_b _ a__b *c* ~~d~~ `e`")
@example("- a")
@example("1. a")
@example("12) a")
@example("1.")
@example("-")
@example("-.5")
@example("1.5")
@example("=== ")
@example("# a #")
@example("a\\")
@example("\\!")
@example("[a]: b")
@example("&lt;b&gt; <i>")
def test_escaped_data_shows_as_it_is_in_a_line_a_cell_and_a_heading(text):
    expected = " ".join(clean(text).split())
    escaped = escape(text)
    for card in (escaped, f"| a | b |\n| --- | --- |\n| {escaped} | c |", f"# {escaped}"):
        shown = "".join(t.content for t in tokens(card, "text") if t.content)
        if card.startswith("|"):
            assert shown == f"ab{expected}c"
            assert len(tokens(card, "td_open")) == 2
        else:
            assert shown == expected


def test_bare_addresses_do_not_become_links():
    # GitHub looks for "://" and "www." as written.
    assert escape("see http://a.b, WWW.a.b, wwww.b") == r"see http:\//a.b, WWW\.a.b, wwww.b"


def test_a_number_is_not_escaped():
    assert [escape(text) for text in ("0.9123", "-0.5", "+1.2")] == ["0.9123", "-0.5", "+1.2"]


def test_printed_values_are_escaped_once(render):
    macro = "{% macro bold(x) %}**{{ x }}**{% endmacro %}"
    assert render(f"{macro}{{{{ bold(name) }}}} {{{{ name }}}}", name="a*b") == r"**a\*b** a\*b"


def test_an_absent_variable_is_an_error(render):
    with pytest.raises(jinja2.UndefinedError, match="absent"):
        render("{{ absent }}")


def test_a_table_of_hostile_cells_keeps_its_shape(render):
    body = '{% import "macros.md" as md %}{{ md.table(("", "a"), [("x|y", "`"), ("\\n", 2)]) }}'
    table = render(body)
    assert table.startswith("|  | a |\n| --- | ---: |\n| x\\|y | \\` |\n|")
    assert len(tokens(table, "td_open")) == 4


def test_code_cannot_end_its_block(render):
    code = "a\n```\n# b\x1b"
    (fence,) = tokens(render("{{ code|code_block('sh') }}", code=code), "fence")
    assert (fence.info, fence.content) == ("sh", "a\n```\n# b\n")


def test_names_of_a_list_are_escaped(render):
    assert render("{{ names|comma_separated }}", names=["a", "*b*"]) == r"a, \*b\*"

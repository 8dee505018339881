"""Self-contained HTML pages from Jinja2 templates: they load nothing, in dark and light."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.atomic_write import check_replaceable, write_atomic
from lstm_cli.io.text_format import clean_lines

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"
_GENERATOR_MARK = '<meta name="generator" content="lstm">'
_HEAD_BYTES = 1024
_WIDE = 600
_SCALE = 0.66  # CSS pixels per pixel of a plot


class Html(str):
    """A string that is markup already; templates and `join` escape every other string."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the markup, for Jinja2."""
        return str(self)


@dataclass(frozen=True)
class Picture:
    """A plot inside a page.

    Attributes:
        uri: The PNG as a `data:` URI.
        caption: Caption and alternative text.
        width: Width in CSS pixels. All plots have one scale, so that letters have one size.
    """

    uri: str
    caption: str
    width: int

    @property
    def is_wide(self) -> bool:
        """Whether the plot scrolls in a narrow window; scaled down, its letters are illegible."""
        return self.width > _WIDE

    @classmethod
    def from_png(cls, content: bytes, caption: str) -> Picture:
        """Put the bytes of a PNG into a page."""
        width = int.from_bytes(content[16:20])  # from the PNG header
        return cls(image_uri(content), caption, round(width * _SCALE))


def render(template: Path, script: str = "", **values: Any) -> str:
    """Render a page.

    Args:
        template: A template that extends `base.html`. Other files in its folder, and those of
            `lstm_cli/render/templates`, can be included by name.
        script: A script that the page's policy allows to run.
        **values: The template's variables. Strings are escaped and cleaned of control characters.
    """
    # The browser is told to load nothing and to run nothing else, whatever the data contains.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
    fixed = {
        "generator_mark": Html(_GENERATOR_MARK),
        "policy": Html(policy),
        "script": Html(script),
    }
    page = _environment(template.parent).get_template(template.name)
    return page.render(**values, **fixed)


def image_uri(content: bytes) -> str:
    """Return a PNG as a `data:` URI."""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def markdown(source: str) -> Html:
    """Convert Markdown to HTML, with headings two levels lower.

    HTML in the source becomes text. Links and images are dropped: their targets are files beside
    the source, which a page cannot load.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(clean_lines(source))
    for index, token in enumerate(tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + 2, 6)}"
        if token.type == "inline":
            dropped = ("image", "link_open", "link_close")
            token.children = [c for c in token.children or [] if c.type not in dropped]
            if not token.children:
                tokens[index - 1].hidden = tokens[index + 1].hidden = True
    return Html(parser.renderer.render(tokens, parser.options, {}))


def write_page(path: Path, content: str) -> int:
    """Write a page and return its size in bytes.

    Raises:
        LstmError: See `check_page_path`, or the file cannot be written.
    """
    check_page_path(path)
    encoded = content.encode()
    write_atomic(path, encoded)
    return len(encoded)


def check_page_path(path: Path) -> None:
    """Check, before the work is done, that a page may be written to a path.

    Raises:
        LstmError: The name does not end in .html (exit code 2), or the path holds a file that lstm
            did not write.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise LstmError(
            f"--out expects a name that ends in .html, found '{path}'.",
            "For example: --out report.html",
            ExitCode.USAGE,
        )
    check_replaceable(path)
    try:
        with path.open("rb") as file:
            is_ours = _GENERATOR_MARK.encode() in file.read(_HEAD_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LstmError(f"Cannot write {path}: {error.strerror or error}.") from None
    if not is_ours:
        raise LstmError(
            f"{path} exists already and was not written by lstm.",
            "Name another file with --out.",
        )


def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_clean_value,
    )
    environment.filters["number"] = format
    return environment


def _clean_value(value: Any) -> Any:
    """Clean each string that a template prints; markup is clean already."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return clean_lines(value)
    return value


# Builders of markup for the pages of `report`, which are not templates yet.


def text(data: str) -> Html:
    """Make data show as it is: no markup, no controls; its line ends stay."""
    return Html(html.escape(clean_lines(data)))


def element(tag: str, *children: str, **attributes: str) -> Html:
    """Put children into an element.

    Args:
        tag: Its name.
        *children: Markup, and data that is escaped.
        **attributes: Their values, which are escaped; `class_` is `class`.
    """
    told = "".join(f' {name.rstrip("_")}="{text(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{told}>{join(children)}</{tag}>")


def join(parts: Iterable[str]) -> Html:
    """Put markup and data one after the other, the data escaped."""
    return Html("".join(part if isinstance(part, Html) else text(part) for part in parts))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], words: bool = False) -> Html:
    """Lay out a table that scrolls in itself where it is wider than the window.

    Args:
        header: Headings; an empty one leaves its cell empty.
        rows: Cells; the first of each names the row.
        words: Whether cells hold words, set flush left, and not figures.
    """
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", c) for c in row[1:]))
        for row in rows
    ]
    laid = element("table", element("thead", head), element("tbody", *body))
    # What scrolls has to be reached by keyboard too.
    return element("div", laid, class_="scroll words" if words else "scroll", tabindex="0")


def pairs(told: Mapping[str, str]) -> Html:
    """Lay out names and values."""
    rows = [
        element("tr", element("th", name, scope="row"), element("td", value))
        for name, value in told.items()
    ]
    return element("div", element("table", element("tbody", *rows)), class_="scroll words")


def code(lines: str) -> Html:
    """Show commands or settings as they are typed."""
    return element("pre", element("code", lines))


def figure(content: bytes, caption: str) -> Html:
    """Show a picture of ours, a PNG whose paper turns dark with the page."""
    drawn = Picture.from_png(content, caption)
    kind = "drawn wide" if drawn.is_wide else "drawn"
    picture = image(content, caption, class_=kind, width=str(drawn.width))
    return element(
        "figure",
        element("div", picture, class_="scroll", tabindex="0"),
        element("figcaption", caption),
    )


def image(content: bytes, alt: str, **attributes: str) -> Html:
    """Show a PNG, its bytes within the page."""
    told = element("img", alt=alt, src=image_uri(content), **attributes)
    return Html(told.removesuffix("</img>"))


def page(title: str, *body: str) -> str:
    """Return a whole page."""
    return render(_TEMPLATES / "markup.html", title=title, markup=join(body))

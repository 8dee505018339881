"""A self-contained page of HTML: it loads nothing and runs nothing, in dark and light."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.atomic_write import check_replaceable, write_atomic
from lstm_cli.io.text_format import clean

_GENERATOR = "lstm"
_MARK = f'<meta name="generator" content="{_GENERATOR}">'
_HEAD_BYTES = 1024
_WIDE = 600
_SCALE = 0.66  # CSS pixels a pixel of our pictures
# The browser itself is told to load nothing and to run nothing, whatever the data says.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --grey: #5d636b; --paper: #fff; --line: #dcdfe3;
  --soft: #f4f5f7; --blue: #0072b2; --for: 0 114 178; --against: 213 94 0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e7e9; --grey: #a2a8b0; --paper: #171717;
  --line: #393b3f; --soft: #222426; --blue: #5ab4e5; --for: 60 160 225; --against: 235 125 45; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 60rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .4rem; }
p, ul { margin: .5rem 0; } .lead { font-size: 1.1rem; } .quiet { color: var(--grey); }
nav a { margin-right: 1rem; white-space: nowrap; } a { color: var(--blue); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.3rem, 1fr)); gap: .6rem;
  margin: 1.2rem 0; }
.tiles div { background: var(--soft); border-radius: .5rem; padding: .6rem .8rem; }
.tiles b { display: block; font-size: 1.35rem; line-height: 1.3; }
.tiles span { display: block; color: var(--grey); font-size: .86rem; }
.scroll { overflow-x: auto; margin: .6rem 0; } td { white-space: nowrap; }
.words td, article td { white-space: normal; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .94rem; }
th, td { text-align: right; padding: .28rem 1.4rem .28rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: break-word; }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
th { color: var(--grey); font-weight: 500; } tbody th { font-weight: 400; min-width: 7rem; }
pre { background: var(--soft); border-radius: .5rem; padding: .7rem .9rem; margin: .6rem 0;
  white-space: pre-wrap; font-size: .88rem; }
code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace; font-size: .92em; }
pre code { font-size: 1em; }
figure { margin: 1.2rem 0; max-width: 100%; } figcaption { color: var(--grey); font-size: .9rem; }
figure img { max-width: 100%; height: auto; display: block; border-radius: .3rem; }
figure img.wide { min-width: 36rem; }
.figures { display: flex; flex-wrap: wrap; gap: 0 2rem; align-items: start; }
@media (prefers-color-scheme: dark) { figure img.drawn { filter: invert(.91) hue-rotate(180deg); } }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--blue); }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .9rem;
  margin: .8rem 0; }
article p { margin: .15rem 0; } .text { white-space: pre-wrap; overflow-wrap: anywhere; }
.text span { border-radius: .2rem; }
.for, .against { color: var(--ink); }
.for { background: rgb(var(--for) / var(--w)); }
.against { background: rgb(var(--against) / var(--w)); }
.pixels { image-rendering: pixelated; background: #000; width: 7rem; height: auto; display: block; }
.images { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); }
.images article { margin: 0; }
@media print { body { max-width: none; } article, figure { break-inside: avoid; } }
"""


class Html(str):
    """Text that is markup already; every other text is data, and is escaped where it is put."""

    __slots__ = ()


def text(data: str) -> Html:
    """Make data show as it is: no markup, no controls; its line ends stay."""
    return Html(html.escape("\n".join(map(clean, data.split("\n")))))


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
    # At one scale, so that letters have one size in all of them.
    width = round(int.from_bytes(content[16:20]) * _SCALE)
    # In a narrow window a wide one scrolls in itself, or its letters could not be read.
    kind = "drawn wide" if width > _WIDE else "drawn"
    picture = image(content, caption, class_=kind, width=str(width))
    return element(
        "figure",
        element("div", picture, class_="scroll", tabindex="0"),
        element("figcaption", caption),
    )


def image(content: bytes, alt: str, **attributes: str) -> Html:
    """Show a PNG, its bytes within the page."""
    source = f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
    told = element("img", alt=alt, src=source, **attributes)
    return Html(told.removesuffix("</img>"))


def markdown(source: str) -> Html:
    """Show Markdown: headings two levels down; markup in it is text, links and pictures go.

    Args:
        source: Any Markdown, such as a model card. What is linked lies beside it, not in the page.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse("\n".join(map(clean, source.split("\n"))))
    for place, token in enumerate(tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + 2, 6)}"
        if token.type == "inline":
            apart = ("image", "link_open", "link_close")
            token.children = [c for c in token.children or [] if c.type not in apart]
            if not token.children:
                tokens[place - 1].hidden = tokens[place + 1].hidden = True
    return Html(parser.renderer.render(tokens, parser.options, {}))


def page(title: str, *body: str) -> str:
    """Return a whole page."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{_MARK}\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{join(body)}\n</body>\n</html>\n"
    )


def write(path: Path, content: str) -> int:
    """Write a page; return its bytes.

    Raises:
        LstmError: See `check_place`, or the place cannot be written.
    """
    check_place(path)
    encoded = content.encode()
    write_atomic(path, encoded)
    return len(encoded)


def check_place(path: Path) -> None:
    """See, before the work is done, that a page may be written somewhere.

    Raises:
        LstmError: The name is not of a page (exit code 2), or something else lies there.
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
            ours = _MARK.encode() in file.read(_HEAD_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LstmError(f"Cannot write {path}: {error.strerror or error}.") from None
    if not ours:
        raise LstmError(
            f"{path} is there already, and no page that lstm wrote.",
            "Name another file with --out.",
        )

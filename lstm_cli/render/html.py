"""Self-contained HTML pages from Jinja2 templates: they load nothing, in dark and light."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.atomic_write import check_writable, write_atomic
from lstm_cli.io.text_format import clean_lines
from lstm_cli.render.environment import Markup, environment

_GENERATOR_MARK = '<meta name="generator" content="lstm">'
_HEAD_BYTES = 1024
_WIDE = 600
_SCALE = 0.66  # CSS pixels per pixel of a plot


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
    # The browser loads nothing and runs no other script, whatever the data contains.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
    fixed = {
        "generator_mark": Markup(_GENERATOR_MARK),
        "policy": Markup(policy),
        "script": Markup(script),
    }
    page = environment(template.parent, clean_lines).get_template(template.name)
    return page.render(**values, **fixed)


def image_uri(content: bytes) -> str:
    """Return a PNG as a `data:` URI."""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def markdown(source: str) -> Markup:
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
    return Markup(parser.renderer.render(tokens, parser.options, {}))


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
        LstmError: The name does not end in .html (exit code 2), its folder cannot be written, or
            the path holds a file that lstm did not write.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise LstmError(
            f"--out expects a name that ends in .html, found '{path}'.",
            "For example: --out report.html",
            ExitCode.USAGE,
        )
    check_writable(path)
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

"""The page that shows predictions while a person types: of a server, or of a run in one file.

Both have the same HTML, style and script (`page_parts/`). They differ in where the answers come
from: a script that runs before that of the page defines `request`, `showError` and the delays.

Built without Jinja2, which is not installed where a run is only served.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import NamedTuple

_PARTS = Path(__file__).with_name("page_parts")
_SCRIPTS = ("page.js", "editor.js", "answer.js", "charts.js", "units.js", "pad.js")


class PageParts(NamedTuple):
    """What differs between the pages.

    Attributes:
        script: JavaScript that answers the requests of the page, and starts it.
        waiting: What is shown until the page is ready.
        before: HTML above the input.
        after: HTML at the end.
        links: HTML at the right of the header.
        data: HTML elements that the script reads.
        policy: A Content-Security-Policy; empty if a header has it.
        title: Title of the page.
    """

    script: str
    waiting: str
    before: str = ""
    after: str = ""
    data: str = ""
    policy: str = ""
    title: str = "lstm"
    links: str = ""


def build_page(parts: PageParts) -> str:
    """Return the page, which loads no other file."""
    policy = ""
    if parts.policy:
        content = html.escape(parts.policy)
        policy = f'<meta http-equiv="Content-Security-Policy" content="{content}">\n'
    values = {
        "style": _read("page.css"),
        "script": page_script(parts.script),
        "wait": html.escape(parts.waiting),
        "before": parts.before,
        "after": parts.after,
        "links": parts.links,
        "data": parts.data,
        "policy": policy,
        "title": html.escape(parts.title),
    }
    # Each placeholder once, so that what is put in is never searched for placeholders.
    pieces = _read("page.html").split("{{")
    page = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        page += [values[name], rest]
    return "".join(page)


def page_script(script: str) -> str:
    """Return the whole script of a page: what both share, and its own."""
    shared = "\n".join(_read(name) for name in _SCRIPTS)
    return f'"use strict";\n{shared}\n{script}'


def _read(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")

"""The page at `/`: the shared page of `render`, with answers from the server."""

from __future__ import annotations

from pathlib import Path

from lstm_cli.render.page import PageParts, build_page

_SCRIPT = Path(__file__).with_name("server.js")
_KEY_FORM = """  <form id="key-form" hidden>
    <section>
      <label for="key">API key</label>
      <input id="key" type="password" autocomplete="off" required>
      <button type="submit">Use key</button>
    </section>
  </form>
"""
_LINKS = """  <nav aria-label="Server">
    <label id="run-choice" hidden>Run <select id="run-name"></select></label>
    <a href="/docs">API documentation</a>
  </nav>
"""


def render() -> str:
    """Return the page."""
    script = _SCRIPT.read_text(encoding="utf-8")
    return build_page(PageParts(script, "Connecting to the server…", _KEY_FORM, links=_LINKS))

"""HTML for the outputs of notebooks: a fragment without scripts, for dark and light themes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lstm_cli.io.text_format import clean_lines
from lstm_cli.render.environment import environment

TEMPLATES = Path(__file__).parent / "templates"


def render(name: str, folder: Path = TEMPLATES, **values: Any) -> str:
    """Render a fragment.

    Args:
        name: A template; it can import the parts of `notebook.html`.
        folder: Where the template is.
        **values: The template's variables. Strings are escaped and cleaned of control characters.
    """
    return environment(folder, clean_lines).get_template(name).render(**values)

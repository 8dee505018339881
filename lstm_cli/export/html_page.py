"""A run as one HTML file that classifies and explains in the browser, without any network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from lstm_cli.export import page_data
from lstm_cli.export.quantize import Stored, store
from lstm_cli.export.result import Quantize
from lstm_cli.export.source import Source
from lstm_cli.render.page import PageParts, build_page, page_script

# A larger page is stored as int8 if nothing else is asked for: people send pages to each other.
MAX_BYTES = 8_000_000
_PAGE = Path(__file__).with_name("page")
# In this order: each uses those before it.
ENGINE = ("tokenizer.js", "classifier.js", "explain.js", "answers.js")
_AFTER = (
    '  <footer class="soft">This file is the whole classifier. It works without a network, and '
    "what is typed stays on this device. Written by lstm.</footer>\n"
)


def engine_script() -> str:
    """Return the JavaScript that answers requests, without what is of the page."""
    return "\n".join((_PAGE / name).read_text(encoding="utf-8") for name in ENGINE)


def choose_quantize(source: Source) -> tuple[Quantize, tuple[str, ...]]:
    """Return how the weights of a page are stored by default, and what a person should know of it.

    They are stored as they are, unless the page would be larger than `MAX_BYTES`.
    """
    if sum(array.nbytes for array in source.weights.values()) < MAX_BYTES // 2:
        return "none", ()
    size = len(build_html(source, store(source.weights, "none")))
    if size <= MAX_BYTES:
        return "none", ()
    large = f"With the weights of the run the page has {size / 1e6:.1f} MB"
    if find_spec("onnx") is None:
        return "none", (f"{large}. --quantize int8 makes it smaller, and needs onnx.",)
    return "int8", (f"{large}, so they are stored as int8; --quantize none keeps them.",)


def build_html(source: Source, arrays: Mapping[str, Stored]) -> str:
    """Return the page of a run.

    Args:
        source: The run.
        arrays: Its weights as they are stored.
    """
    local = (_PAGE / "local.js").read_text(encoding="utf-8")
    script = f"{engine_script()}\n{local}"
    digest = hashlib.sha256(f"\n{page_script(script)}".encode()).digest()
    policy = (
        f"default-src 'none'; script-src 'sha256-{base64.b64encode(digest).decode()}'; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    data = f'<script type="text/plain" id="run">{page_data.encode(source, arrays)}</script>\n'
    title = f"{source.predictor.run.name}: {', '.join(source.predictor.labels[:4])}"
    title = title.encode("utf-8", "replace").decode()
    return build_page(PageParts(script, "Opening the classifier…", "", _AFTER, data, policy, title))

"""Pages that may run their own script and style, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any


def fixed(html: str) -> Callable[[Any], Any]:
    """Build the route of a page that never changes."""
    from starlette.responses import HTMLResponse

    policy = content_policy(html)

    async def page(_request: Any) -> Any:
        return HTMLResponse(html, headers={"content-security-policy": policy})

    return page


def content_policy(html: str) -> str:
    """Return the Content-Security-Policy of a page: its own inline parts by hash, its own server.

    Source: Content Security Policy Level 3, 6.7.3.3 (hashes of inline parts).
    """

    def hashes(tag: str) -> str:
        parts = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digests = [hashlib.sha256(part.encode()).digest() for part in parts]
        told = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
        return " ".join(told) or "'none'"

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )

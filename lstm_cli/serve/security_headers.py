"""Content-Security-Policy of the server's pages: only their own inline scripts and styles run."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response


def static_page(html: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a page that never changes."""
    policy = content_security_policy(html)

    async def endpoint(_request: Request) -> Response:
        return HTMLResponse(html, headers={"content-security-policy": policy})

    return endpoint


def content_security_policy(html: str) -> str:
    """Return the policy of a page: its own inline scripts and styles by hash, its own server.

    Source: Content Security Policy Level 3, 6.7.3.3 (hashes of inline elements).
    """

    def hashes(tag: str) -> str:
        contents = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digests = (hashlib.sha256(content.encode()).digest() for content in contents)
        sources = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
        return " ".join(sources) or "'none'"

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )

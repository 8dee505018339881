"""The page at `/docs`: the OpenAPI document as HTML without scripts.

Built without Jinja2, which is not installed where a run is only served.
"""

from __future__ import annotations

import html
import json
from typing import Any

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:0}"
    "main{max-width:46rem;margin:auto;padding:1rem}pre{overflow-x:auto;padding:.8rem;"
    "border:1px solid #8888;border-radius:.4rem}td,th{text-align:left;padding:.1rem 1rem .1rem 0}"
)


def render(document: dict[str, Any]) -> str:
    """Return an OpenAPI document as one HTML page."""
    title = _escape(document["info"]["title"])
    operations = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [
        f'<h3 id="{_escape(name)}">{_escape(name)}</h3>'
        f"<pre>{_escape(json.dumps(schema, indent=2))}</pre>"
        for name, schema in document["components"]["schemas"].items()
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head><body><main>'
        f"<h1>{title}</h1><p>{_escape(document['info']['description'])}</p>"
        '<p><a href="/openapi.json">This document as JSON</a>. '
        '<a href="/">A page to try the run</a>.</p>'
        f"{''.join(operations)}<h2>Schemas</h2>{''.join(schemas)}</main></body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    body = ""
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        name = _escape(schema["$ref"].rpartition("/")[2])
        body = f'<p>Body: <a href="#{name}">{name}</a></p>'
    rows = [
        f"<tr><td>{_escape(status)}</td><td>{_escape(response['description'])}</td></tr>"
        for status, response in operation["responses"].items()
    ]
    return (
        f"<h2><code>{method.upper()} {_escape(path)}</code></h2>"
        f"<p>{_escape(operation['summary'])}</p>{body}"
        f"<table><tr><th>Status</th><th>Meaning</th></tr>{''.join(rows)}</table>"
    )


def _escape(value: object) -> str:
    return html.escape(str(value))

"""The description of the server's interface: OpenAPI 3.1, and a page that shows it."""

from __future__ import annotations

import html
import json
from typing import Any, get_origin

import msgspec
import numpy as np

from lstm_cli import __version__, wire
from lstm_cli.explanation import ImageExplanation, TextExplanation

_STATUSES = {
    400: "The body is no JSON.",
    401: "The API key is missing or another one.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The body is not of type application/json.",
    422: "JSON of another form, too many inputs, or too many tokens in a text.",
    429: "Too many inputs wait; Retry-After says when to come back.",
    504: "There was no answer in time.",
}
_FIXED = {
    "/v1/model": ("What is known of the run, and the limits of requests.", "application/json"),
    "/healthz": ("Whether the process answers.", "application/json"),
    "/readyz": ("Whether requests are wanted: 503 once the server is about to end.",
                "application/json"),
    "/metrics": ("Counts for Prometheus.", "text/plain"),
}  # fmt: skip
# For a text run, and for an image run: what is asked, and what is answered.
_POSTED: dict[str, tuple[str, dict[str, tuple[Any, Any]]]] = {
    "/v1/predict": (
        "Classify inputs.",
        {
            "text": (wire.TextRequest, wire.PredictAnswer),
            "image": (wire.ImageRequest, wire.PredictAnswer),
        },
    ),
    "/v1/explain": (
        "Say which words decided, how the belief moved, and what the gates did.",
        {
            "text": (wire.ExplainText, TextExplanation),
            "image": (wire.ExplainImage, ImageExplanation),
        },
    ),
}


def describe(kind: str, run: str, has_key: bool) -> dict[str, Any]:
    """Return the OpenAPI document of a server.

    Args:
        kind: Of the run, `text` or `image`.
        run: Its name.
        has_key: Whether clients must bring a key.
    """
    types: list[Any] = [wire.ErrorAnswer]
    for _, kinds in _POSTED.values():
        types += kinds[kind]
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=_array, ref_template="#/components/schemas/{name}"
    )
    error, rest = schemas[0], schemas[1:]
    paths: dict[str, Any] = {}
    for place, (path, (told, _)) in enumerate(_POSTED.items()):
        asked, answer = rest[2 * place : 2 * place + 2]
        responses = {"200": _content("The answer.", answer)}
        responses |= {str(code): _content(why, error) for code, why in _STATUSES.items()}
        body = {"required": True, "content": {"application/json": {"schema": asked}}}
        paths[path] = {"post": {"summary": told, "requestBody": body, "responses": responses}}
    for path, (told, media) in _FIXED.items():
        content: dict[str, Any] = {media: {"schema": {}}}
        responses = {"200": {"description": "The answer.", "content": content}}
        paths[path] = {"get": {"summary": told, "responses": responses}}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": f"lstm serve: {run}", "version": __version__},
        "paths": paths,
        "components": {"schemas": components},
    }
    if has_key:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
    return document


def page(document: dict[str, Any]) -> str:
    """Return the document as one HTML page without script."""
    parts = [f"<h1>{_text(document['info']['title'])}</h1>"]
    parts.append('<p>As JSON: <a href="/openapi.json">/openapi.json</a>. To try it: ')
    parts.append('<a href="/">the page</a>.</p>')
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {_text(path)}</code></h2>")
            parts.append(f"<p>{_text(operation['summary'])}</p>")
            if "requestBody" in operation:
                parts.append(_schema("Body", operation["requestBody"]["content"]))
            rows = [
                f"<tr><td>{_text(code)}</td><td>{_text(response['description'])}</td></tr>"
                for code, response in operation["responses"].items()
            ]
            parts.append(f"<table><tr><th>Status</th><th></th></tr>{''.join(rows)}</table>")
    parts.append("<h2>Schemas</h2>")
    for name, schema in document["components"]["schemas"].items():
        told = _text(json.dumps(schema, indent=2))
        parts.append(f'<h3 id="{_text(name)}">{_text(name)}</h3><pre>{told}</pre>')
    title = _text(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>"
    )


_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:0}"
    "main{max-width:46rem;margin:auto;padding:1rem}pre{overflow-x:auto;padding:.8rem;"
    "border:1px solid #8888;border-radius:.4rem}td,th{text-align:left;padding:.1rem 1rem .1rem 0}"
)


def _array(kind: Any) -> dict[str, Any]:
    """Describe what JSON Schema has no name for: arrays of numbers, in one dimension or two."""
    if kind is np.ndarray or get_origin(kind) is np.ndarray:
        return {"type": "array"}
    raise NotImplementedError(kind)


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _schema(title: str, content: dict[str, Any]) -> str:
    reference = content["application/json"]["schema"].get("$ref", "")
    name = _text(reference.rpartition("/")[2])
    return f'<p>{title}: <a href="#{name}">{name}</a></p>'


def _text(value: object) -> str:
    return html.escape(str(value))

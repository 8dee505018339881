"""The description of the server's interface: OpenAPI 3.1, and a page that shows it."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import Any, get_origin

import msgspec
import numpy as np

from lstm_cli import __version__
from lstm_cli.explain.result import ImageExplanation, TextExplanation
from lstm_cli.serve import schemas as wire
from lstm_cli.serve.middleware import Limits

# Of requests to any path; the listener and the gate refuse them.
_STATUSES = {
    400: "This is not HTTP/1.1 with exactly one valid header 'Host'.",
    403: "A page of another origin asks.",
    408: "The request came too slowly.",
    421: "The header 'Host' has a name that this server does not answer to.",
    431: "The head of the request is too large.",
    500: "A defect of the server.",
    503: "Too many connections are open.",
}
_POST_STATUSES = {
    400: "The body is no JSON, or this is not HTTP/1.1 with exactly one valid header 'Host'.",
    413: "The body is too large.",
    415: "The body is not of type application/json, is compressed, or not in UTF-8.",
    422: "JSON of another form, too many inputs, or too many tokens in a text.",
    429: "Too many inputs wait; Retry-After says when to come back.",
    501: "The transfer coding is another than 'chunked'.",
    504: "There was no answer in time.",
}
_UNAUTHORIZED = "The API key is missing or another one."
_ABOUT = (
    "Every answer that is no success has the body `ErrorAnswer`. Besides those listed for each "
    "path: 404 where there is no such path, and 405 with the header `Allow` where it has another "
    "method. HEAD is answered wherever GET is. A body has at most {max_body:,} bytes, a text "
    "at most {max_tokens:,} tokens."
)
_OBJECT = {"type": "object"}
_STRING = {"type": "string"}
_STATUS = {"type": "object", "properties": {"status": _STRING}, "required": ["status"]}
# What is said of it, its media type, and the schema of that.
_FIXED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "/v1/model": (
        "What is known of the run, and the limits of requests.",
        "application/json",
        {"$ref": "#/components/schemas/Model"},
    ),
    "/healthz": ("Whether the process answers.", "application/json", _STATUS),
    "/readyz": (
        "Whether requests are wanted: 503 once the server is about to end.",
        "application/json",
        _STATUS,
    ),
    "/metrics": ("Counts for Prometheus.", "text/plain", _STRING),
    "/openapi.json": ("This document.", "application/json", _OBJECT),
    "/docs": ("This document, as a page.", "text/html", _STRING),
    "/": ("A page to try the run on.", "text/html", _STRING),
}
# Answered without the API key, where there is one.
OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/healthz", "/readyz"})
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
        "Return the effect of each token, the prediction for each prefix, and the gates of units.",
        {
            "text": (wire.ExplainText, TextExplanation),
            "image": (wire.ExplainImage, ImageExplanation),
        },
    ),
}
# Of a text with a token: a character that counts, and not line breaks of HTML alone.
_TOKENS = {
    "type": "string",
    "minLength": 1,
    "pattern": r"[^\s\p{C}]",
    "not": {"pattern": r"^(?:<[bB][rR]\s*/?>|[\s\p{C}])*$"},
    "description": "With a word or a mark: not white space, control characters and <br> alone.",
}


@dataclass(frozen=True)
class Subject:
    """What the document describes.

    Attributes:
        run: Name of the run.
        kind: Of the run, `text` or `image`.
        num_classes: Of the run.
        shape: Rows and columns of an image; None for texts.
        limits: Of requests.
        has_key: Whether clients must bring a key.
    """

    run: str
    kind: str
    num_classes: int
    shape: tuple[int, int] | None
    limits: Limits
    has_key: bool


def describe(subject: Subject) -> dict[str, Any]:
    """Return the OpenAPI document of a server."""
    types: list[Any] = [wire.ErrorAnswer, Limits]
    for _, kinds in _POSTED.values():
        types += kinds[subject.kind]
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=_array, ref_template="#/components/schemas/{name}"
    )
    error, limits, rest = schemas[0], schemas[1], schemas[2:]
    _narrow(components, subject)
    components["Model"] = _model(limits)
    paths: dict[str, Any] = {}
    for place, (path, (told, _)) in enumerate(_POSTED.items()):
        asked, answer = rest[2 * place : 2 * place + 2]
        responses = {"200": _content("The answer.", answer)}
        responses |= _refusals(path, subject, _POST_STATUSES, error)
        body = {"required": True, "content": {"application/json": {"schema": asked}}}
        paths[path] = {"post": {"summary": told, "requestBody": body, "responses": responses}}
    for path, (told, media, schema) in _FIXED.items():
        responses = {"200": _content("The answer.", schema, media)}
        responses |= _refusals(path, subject, {}, error)
        paths[path] = {"get": {"summary": told, "responses": responses}}
    limit = subject.limits
    about = _ABOUT.format(max_body=limit.max_body, max_tokens=limit.max_tokens)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": f"lstm serve: {subject.run}",
            "version": __version__,
            "description": about,
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    if subject.has_key:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
        for path in OPEN_PATHS & paths.keys():
            for operation in paths[path].values():
                operation["security"] = []
    return document


def _refusals(
    path: str, subject: Subject, further: dict[int, str], error: dict[str, Any]
) -> dict[str, Any]:
    """Return the answers other than 200 that a path can give."""
    statuses = _STATUSES | further
    if subject.has_key and path not in OPEN_PATHS:
        statuses[401] = _UNAUTHORIZED
    if path == "/readyz":
        statuses[503] = "The server is about to end, or too many connections are open."
    found = {str(code): _content(why, error) for code, why in sorted(statuses.items())}
    header = {"required": True, "schema": {"type": "string"}}
    for code, name in (("401", "WWW-Authenticate"), ("429", "Retry-After")):
        if code in found:
            found[code]["headers"] = {name: header}
    return found


def _narrow(components: dict[str, Any], subject: Subject) -> None:
    """Say in the schemas what only this run and these limits make true of a request."""
    most = subject.limits.max_texts
    if subject.kind == "text":
        components["TextRequest"] = _either(
            components["TextRequest"], {"text": _STRING, "texts": _several(_STRING, most)}, subject
        )
        components["ExplainText"]["properties"]["text"] = _TOKENS
        components["TextExplanation"]["properties"]["kind"] = {"const": "text"}
        return
    image = _image(subject.shape or (0, 0))
    components["ImageRequest"] = _either(
        components["ImageRequest"], {"image": image, "images": _several(image, most)}, subject
    )
    components["ExplainImage"]["properties"]["image"] = image
    components["ImageExplanation"]["properties"]["kind"] = {"const": "image"}


def _either(
    schema: dict[str, Any], inputs: dict[str, dict[str, Any]], subject: Subject
) -> dict[str, Any]:
    """Describe a request that has one of two fields; the other one may be null."""
    null = {"type": "null"}
    shared = {name: part for name, part in schema["properties"].items() if name not in inputs}
    if subject.num_classes != 2:
        shared["threshold"] = {**null, "description": "Needs two classes."}
    choices = [
        {
            "type": "object",
            "properties": {**dict.fromkeys(inputs, null), name: part, **shared},
            "required": [name],
            "additionalProperties": False,
        }
        for name, part in inputs.items()
    ]
    return {"title": schema["title"], "description": schema["description"], "oneOf": choices}


def _several(schema: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": schema, "minItems": 1, "maxItems": most}


def _image(shape: tuple[int, int]) -> dict[str, Any]:
    pixel = {"type": "integer", "minimum": 0, "maximum": 255}
    rows, columns = shape
    row = {"type": "array", "items": pixel, "minItems": columns, "maxItems": columns}
    return {
        "type": "array",
        "items": row,
        "minItems": rows,
        "maxItems": rows,
        "description": "Rows of pixels, 0 is black, 255 bright: bright strokes on black.",
    }


def _model(limits: dict[str, Any]) -> dict[str, Any]:
    """Describe the answer of `/v1/model`."""
    known = {
        "run": _STRING,
        "kind": {"enum": ["text", "image"]},
        "labels": {"type": "array", "items": _STRING},
        "data": _STRING,
        "version": _STRING,
        "limits": limits,
    }
    further = {
        "max_tokens": {"type": "integer", "description": "Of a text, which the run reads."},
        "shape": {"type": "array", "description": "Rows and columns of an image."},
        "examples": {"type": "array", "description": "Inputs of the run's data."},
    }
    properties = {**known, **further}
    return {"type": "object", "properties": properties, "required": list(known)}


def page(document: dict[str, Any]) -> str:
    """Return the document as one HTML page without script."""
    parts = [f"<h1>{_text(document['info']['title'])}</h1>"]
    parts.append(f"<p>{_text(document['info']['description'])}</p>")
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
        return {"type": "array", "items": {"type": ["number", "array"]}}
    raise NotImplementedError(kind)


def _content(
    description: str, schema: dict[str, Any], media: str = "application/json"
) -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": schema}}}


def _schema(title: str, content: dict[str, Any]) -> str:
    reference = content["application/json"]["schema"].get("$ref", "")
    name = _text(reference.rpartition("/")[2])
    return f'<p>{title}: <a href="#{name}">{name}</a></p>'


def _text(value: object) -> str:
    return html.escape(str(value))

"""The OpenAPI 3.1 document of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_origin

import msgspec
import numpy as np

from lstm_cli import __version__
from lstm_cli.explain.result import ImageExplanation, TextExplanation
from lstm_cli.serve import schemas
from lstm_cli.serve.errors import ErrorResponse
from lstm_cli.serve.settings import Limits

# Error statuses of every path: the protocol and the middleware send them.
_STATUSES = {
    400: "The request is not valid HTTP/1.1 with exactly one valid header 'Host'.",
    403: "The request comes from a web page of another origin.",
    408: "The request arrived too slowly.",
    421: "The host name in the header 'Host' is not allowed.",
    431: "The request head is too large.",
    500: "The server failed: a bug.",
    503: "Too many connections are open.",
    505: "The HTTP version is not supported.",
}
_POST_STATUSES = {
    400: "The body is not valid JSON, or the request is not valid HTTP/1.1 with exactly one valid "
    "header 'Host'.",
    413: "The body is too large.",
    415: "The body is not of type application/json, is compressed, or is not in UTF-8.",
    422: "The JSON does not match the schema, or there are too many inputs or tokens.",
    429: "The queue is full; the header Retry-After gives the seconds to wait.",
    501: "The transfer coding is not 'chunked'.",
    504: "The response was not ready within the timeout.",
}
_UNAUTHORIZED = "The API key is missing or not valid."
_DESCRIPTION = (
    "Every response with an error status has the body `ErrorResponse`. Each path lists its "
    "statuses. In addition, an unknown path gets 404, and an unknown method 405 with the header "
    "`Allow`. Each GET path answers HEAD too. A body has at most {max_body:,} bytes, a text "
    "at most {max_tokens:,} tokens."
)
_OBJECT = {"type": "object"}
_STRING = {"type": "string"}
_STATUS = {"type": "object", "properties": {"status": _STRING}, "required": ["status"]}
# GET paths: summary, media type and schema of the response.
_GET: dict[str, tuple[str, str, dict[str, Any]]] = {
    "/v1/model": (
        "Return the run's labels and settings, and the limits of requests.",
        "application/json",
        {"$ref": "#/components/schemas/ModelResponse"},
    ),
    "/healthz": ("Return whether the process is alive.", "application/json", _STATUS),
    "/readyz": (
        "Return whether the server accepts requests: 503 when it shuts down.",
        "application/json",
        _STATUS,
    ),
    "/metrics": ("Return metrics for Prometheus.", "text/plain", _STRING),
    "/openapi.json": ("Return this document.", "application/json", _OBJECT),
    "/docs": ("Return this document as a page.", "text/html", _STRING),
    "/": ("Return a page to try the run.", "text/html", _STRING),
}
# POST paths: summary, then the types of request and response for text runs and image runs.
_POST: dict[str, tuple[str, dict[str, tuple[Any, Any]]]] = {
    "/v1/predict": (
        "Classify inputs.",
        {
            "text": (schemas.TextRequest, schemas.PredictResponse),
            "image": (schemas.ImageRequest, schemas.PredictResponse),
        },
    ),
    "/v1/explain": (
        "Return the effect of each token, the prediction for each prefix, and the gates of units.",
        {
            "text": (schemas.ExplainTextRequest, TextExplanation),
            "image": (schemas.ExplainImageRequest, ImageExplanation),
        },
    ),
}
PATHS = (*_POST, *_GET)
# Paths that need no API key.
PUBLIC_PATHS = frozenset({"/", "/docs", "/openapi.json", "/healthz", "/readyz"})
# A text with at least one token: a visible character, and not only HTML line breaks.
_TEXT_WITH_TOKENS = {
    "type": "string",
    "minLength": 1,
    "pattern": r"[^\s\p{C}]",
    "not": {"pattern": r"^(?:<[bB][rR]\s*/?>|[\s\p{C}])*$"},
    "description": "Not only white space, control characters and <br>.",
}


@dataclass(frozen=True)
class ApiInfo:
    """The properties of a server that its document depends on.

    Attributes:
        run: Name of the run.
        kind: Kind of the run, `text` or `image`.
        num_classes: Number of classes of the run.
        shape: Rows and columns of an image; None for texts.
        limits: Limits of requests.
        has_key: Whether clients must send an API key.
        labels: Labels of a run with several labels a text; None for other runs.
        text_columns: The columns of the table that the run was trained on, if any.
    """

    run: str
    kind: str
    num_classes: int
    shape: tuple[int, int] | None
    limits: Limits
    has_key: bool
    labels: tuple[str, ...] | None = None
    text_columns: tuple[str, ...] = ()


def build_document(info: ApiInfo) -> dict[str, Any]:
    """Return the OpenAPI document of a server."""
    types: list[Any] = [ErrorResponse, schemas.ModelResponse]
    for _, kinds in _POST.values():
        types += kinds[info.kind]
    references, components = msgspec.json.schema_components(
        types, schema_hook=_array_schema, ref_template="#/components/schemas/{name}"
    )
    error, bodies = references[0], references[2:]
    _add_run_constraints(components, info)
    paths: dict[str, Any] = {}
    for index, (path, (summary, _)) in enumerate(_POST.items()):
        request, response = bodies[2 * index : 2 * index + 2]
        responses = {"200": _content("Success.", response)}
        responses |= _error_responses(path, info, _POST_STATUSES, error)
        body = {"required": True, "content": {"application/json": {"schema": request}}}
        paths[path] = {"post": {"summary": summary, "requestBody": body, "responses": responses}}
    for path, (summary, media_type, schema) in _GET.items():
        responses = {"200": _content("Success.", schema, media_type)}
        responses |= _error_responses(path, info, {}, error)
        paths[path] = {"get": {"summary": summary, "responses": responses}}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": f"lstm serve: {info.run}",
            "version": __version__,
            "description": _DESCRIPTION.format(
                max_body=info.limits.max_body, max_tokens=info.limits.max_tokens
            ),
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    if info.has_key:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
        for path in PUBLIC_PATHS:
            for operation in paths[path].values():
                operation["security"] = []
    return document


def _error_responses(
    path: str, info: ApiInfo, path_statuses: dict[int, str], error: dict[str, Any]
) -> dict[str, Any]:
    """Return the error responses of a path."""
    statuses = _STATUSES | path_statuses
    if info.has_key and path not in PUBLIC_PATHS:
        statuses[401] = _UNAUTHORIZED
    if path == "/readyz":
        statuses[503] = "The server is shutting down, or too many connections are open."
    responses = {
        str(status): _content(description, error)
        for status, description in sorted(statuses.items())
    }
    header = {"required": True, "schema": {"type": "string"}}
    for status, name in (("401", "WWW-Authenticate"), ("429", "Retry-After")):
        if status in responses:
            responses[status]["headers"] = {name: header}
    return responses


def _add_run_constraints(components: dict[str, Any], info: ApiInfo) -> None:
    """Add to the schemas of requests the constraints of this run and of the limits."""
    max_inputs = info.limits.max_texts
    if info.kind == "text":
        text = _text_schema(_STRING, info.text_columns)
        components["TextRequest"] = _one_of(
            components["TextRequest"],
            {"text": text, "texts": _list_schema(text, max_inputs)},
            info,
        )
        components["ExplainTextRequest"]["properties"]["text"] = _text_schema(
            _TEXT_WITH_TOKENS, info.text_columns
        )
        label = components["ExplainTextRequest"]["properties"]["label"]
        if info.labels is None:
            label["anyOf"] = [{"type": "null"}]
        else:
            label["anyOf"] = [{"enum": list(info.labels)}, {"type": "null"}]
        components["TextExplanation"]["properties"]["kind"] = {"const": "text"}
        return
    image = _image_schema(info.shape or (0, 0))
    components["ImageRequest"] = _one_of(
        components["ImageRequest"],
        {"image": image, "images": _list_schema(image, max_inputs)},
        info,
    )
    components["ExplainImageRequest"]["properties"]["image"] = image
    components["ImageExplanation"]["properties"]["kind"] = {"const": "image"}


def _one_of(
    schema: dict[str, Any], inputs: dict[str, dict[str, Any]], info: ApiInfo
) -> dict[str, Any]:
    """Return the schema of a request with one of two fields; the other one may be null."""
    null = {"type": "null"}
    options = {name: part for name, part in schema["properties"].items() if name not in inputs}
    if info.num_classes != 2 and info.labels is None:
        options["threshold"] = {**null, "description": "Needs two classes."}
    if info.labels is not None:
        options["min_probability"] = {**null, "description": "Needs one label for each input."}
    choices = [
        {
            "type": "object",
            "properties": {**dict.fromkeys(inputs, null), name: part, **options},
            "required": [name],
            "additionalProperties": False,
        }
        for name, part in inputs.items()
    ]
    return {"title": schema["title"], "description": schema["description"], "oneOf": choices}


def _text_schema(text: dict[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    """Return the schema of a text: a string, or values by column if the run has columns."""
    if not columns:
        return text
    value = {"type": ["string", "null"]}
    by_column: dict[str, Any] = {
        "type": "object",
        "properties": dict.fromkeys(columns, value),
        "additionalProperties": False,
        "minProperties": 1,
        "description": "Values of the columns; a missing one is empty.",
    }
    if text is not _STRING:
        # As a string must, one of the values fulfils the conditions on a text.
        by_column["anyOf"] = [{"properties": {n: text}, "required": [n]} for n in columns]
    return {"anyOf": [text, by_column]}


def _list_schema(items: dict[str, Any], max_items: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": max_items}


def _image_schema(shape: tuple[int, int]) -> dict[str, Any]:
    pixel = {"type": "integer", "minimum": 0, "maximum": 255}
    rows, columns = shape
    row = {"type": "array", "items": pixel, "minItems": columns, "maxItems": columns}
    return {
        "type": "array",
        "items": row,
        "minItems": rows,
        "maxItems": rows,
        "description": "Rows of pixels as in training, 0 is black, 255 is white. With image.border "
        "dark or bright, an image with the opposite border is inverted first.",
    }


def _array_schema(kind: Any) -> dict[str, Any]:
    """Return the schema of a NumPy array of one or two dimensions."""
    if kind is np.ndarray or get_origin(kind) is np.ndarray:
        return {"type": "array", "items": {"type": ["number", "array"]}}
    raise NotImplementedError(kind)


def _content(
    description: str, schema: dict[str, Any], media_type: str = "application/json"
) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}

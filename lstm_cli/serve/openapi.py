"""The OpenAPI 3.1 document of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lstm_cli import __version__
from lstm_cli.serve.examples import ApiExamples, Example
from lstm_cli.serve.openapi_schemas import BodySchemas, RunInfo, body_schemas, common_schemas
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
    "at most {max_tokens:,} tokens. Every response has the header `X-Request-ID`: that of the "
    "request if it has one of at most 128 letters, digits and `._~:+/=@-`, else a random one."
)
_OBJECT = {"type": "object"}
_STRING = {"type": "string"}
_STATUS = {"type": "object", "properties": {"status": _STRING}, "required": ["status"]}
_MODEL = {"$ref": "#/components/schemas/ModelResponse"}
# GET paths: summary, media type and schema of the response.
_GET: dict[str, tuple[str, str, dict[str, Any]]] = {
    "/v1/model": (
        "Return the first model: labels and settings of its run, and the limits of requests.",
        "application/json",
        _MODEL,
    ),
    "/v1/models": (
        "Return all models.",
        "application/json",
        {"$ref": "#/components/schemas/ModelsResponse"},
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
    "/": ("Return a page to try the first model.", "text/html", _STRING),
}
_PREDICT = "Classify inputs{which}."
_EXPLAIN = (
    "Return the effect of each token, the prediction for each prefix, and the gates of "
    "units{which}."
)
PREDICT_PATH, EXPLAIN_PATH = "/v1/predict", "/v1/explain"
PATHS = (PREDICT_PATH, EXPLAIN_PATH, *_GET)
# Paths of one model, which is named.
MODEL_PATH = "/v1/models/{model}"
# Paths that need no API key.
PUBLIC_PATHS = frozenset({"/", "/docs", "/openapi.json", "/healthz", "/readyz"})


@dataclass(frozen=True)
class ModelInfo:
    """The properties of a model that the document depends on.

    Attributes:
        name: Of the model.
        run: Name of its run.
        schema: What the schemas of its bodies depend on.
        examples: Of requests and their answers.
    """

    name: str
    run: str
    schema: RunInfo
    examples: ApiExamples


def model_paths(name: str) -> tuple[str, str, str]:
    """Return the paths of a model that describe it, predict and explain, as URLs have them."""
    base = MODEL_PATH.format(model=quote(name, safe=""))
    return base, f"{base}/predict", f"{base}/explain"


def build_document(models: Sequence[ModelInfo], limits: Limits, has_key: bool) -> dict[str, Any]:
    """Return the OpenAPI document of a server.

    Args:
        models: The models; the first one comes first.
        limits: Limits of requests.
        has_key: Whether clients must send an API key.
    """
    error, components = common_schemas()
    paths: dict[str, Any] = {}
    for index, (model, bodies) in enumerate(
        zip(models, _add_bodies(models, components), strict=True)
    ):
        describe, predict, explain = model_paths(model.name)
        which = f" with the model {model.name}"
        if index == 0:
            first = " with the first model" if len(models) > 1 else ""
            paths[PREDICT_PATH] = _predict(model, bodies, first)
            paths[EXPLAIN_PATH] = _explain(model, bodies, first)
        paths[predict] = _predict(model, bodies, which)
        paths[explain] = _explain(model, bodies, which)
        paths[describe] = _get(f"Return the model {model.name}.", "application/json", _MODEL)
    for path, (summary, media_type, schema) in _GET.items():
        paths[path] = _get(summary, media_type, schema)
    for path, methods in paths.items():
        for method, operation in methods.items():
            operation["responses"] |= _error_responses(path, has_key, method == "post", error)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": f"lstm serve: {', '.join(model.run for model in models)}",
            "version": __version__,
            "description": _DESCRIPTION.format(
                max_body=limits.max_body, max_tokens=limits.max_tokens
            ),
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    if has_key:
        _add_security(document)
    return document


def _add_bodies(models: Sequence[ModelInfo], components: dict[str, Any]) -> list[BodySchemas]:
    """Add the schemas of the bodies of all models; runs that agree in them share them."""
    known: dict[RunInfo, BodySchemas] = {}
    for model in models:
        if model.schema not in known:
            suffix = f"_{len(known) + 1}" if known else ""
            known[model.schema], named = body_schemas(model.schema, suffix)
            components |= named
    return [known[model.schema] for model in models]


def _predict(model: ModelInfo, bodies: BodySchemas, which: str) -> dict[str, Any]:
    return _post(_PREDICT.format(which=which), bodies.predict, model.examples.predict)


def _explain(model: ModelInfo, bodies: BodySchemas, which: str) -> dict[str, Any]:
    return _post(_EXPLAIN.format(which=which), bodies.explain, model.examples.explain)


def _post(
    summary: str, schemas: tuple[dict[str, Any], dict[str, Any]], examples: Mapping[str, Example]
) -> dict[str, Any]:
    request, response = (
        {
            "schema": schema,
            "examples": {
                title: {"value": getattr(example, side)} for title, example in examples.items()
            },
        }
        for schema, side in zip(schemas, ("request", "response"), strict=True)
    )
    body = {"required": True, "content": {"application/json": request}}
    answer = {"description": "Success.", "content": {"application/json": response}}
    return {"post": {"summary": summary, "requestBody": body, "responses": {"200": answer}}}


def _get(summary: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    responses = {"200": _content("Success.", schema, media_type)}
    return {"get": {"summary": summary, "responses": responses}}


def _add_security(document: dict[str, Any]) -> None:
    """Say which paths need the API key."""
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"key": []}]
    for path in PUBLIC_PATHS:
        for operation in document["paths"][path].values():
            operation["security"] = []


def _error_responses(
    path: str, has_key: bool, is_post: bool, error: dict[str, Any]
) -> dict[str, Any]:
    """Return the error responses of a path."""
    statuses = _STATUSES | (_POST_STATUSES if is_post else {})
    if has_key and path not in PUBLIC_PATHS:
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


def _content(
    description: str, schema: dict[str, Any], media_type: str = "application/json"
) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}

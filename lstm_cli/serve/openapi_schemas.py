"""The schemas of requests and responses in the OpenAPI document, exact for the runs served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_origin

import msgspec
import numpy as np

from lstm_cli.explain.result import ImageExplanation, TextExplanation
from lstm_cli.serve import schemas
from lstm_cli.serve.errors import ErrorResponse

_ERROR = {
    "error": {
        "message": "Expected 'text' or 'texts', found neither.",
        "hint": "See /docs.",
        "request_id": "4e8b996eed1b9591f7a9061204a2cc67",
    }
}
_REFERENCE = "#/components/schemas/{name}"
_STRING = {"type": "string"}
# The types of the bodies of `/v1/predict` and `/v1/explain`.
_BODIES: dict[str, tuple[Any, ...]] = {
    "text": (
        schemas.TextRequest,
        schemas.PredictResponse,
        schemas.ExplainTextRequest,
        TextExplanation,
    ),
    "image": (
        schemas.ImageRequest,
        schemas.PredictResponse,
        schemas.ExplainImageRequest,
        ImageExplanation,
    ),
}
# A text with at least one token: a visible character, and not only HTML line breaks.
_TEXT_WITH_TOKENS = {
    "type": "string",
    "minLength": 1,
    "pattern": r"[^\s\p{C}]",
    "not": {"pattern": r"^(?:<[bB][rR]\s*/?>|[\s\p{C}])*$"},
    "description": "Not only white space, control characters and <br>.",
}


@dataclass(frozen=True)
class RunInfo:
    """The properties of a run that the schemas depend on.

    Attributes:
        kind: `text` or `image`.
        num_classes: Number of classes.
        shape: Rows and columns of an image; None for texts.
        max_inputs: Texts or images in a request.
        labels: Labels of a run with several labels a text; None for other runs.
        text_columns: The columns of the table that the run was trained on, if any.
    """

    kind: str
    num_classes: int
    shape: tuple[int, int] | None
    max_inputs: int
    labels: tuple[str, ...] | None = None
    text_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class BodySchemas:
    """References to the schemas of one run's bodies: request and response of the two paths."""

    predict: tuple[dict[str, Any], dict[str, Any]]
    explain: tuple[dict[str, Any], dict[str, Any]]


def common_schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the components of all servers: `ErrorResponse`, `ModelResponse`, `ModelsResponse`.

    Returns:
        The reference to `ErrorResponse`, and the components by name.
    """
    (error, *_), components = msgspec.json.schema_components(
        (ErrorResponse, schemas.ModelsResponse), schema_hook=_array_schema, ref_template=_REFERENCE
    )
    components["ErrorResponse"]["examples"] = [_ERROR]
    return error, components


def body_schemas(info: RunInfo, suffix: str) -> tuple[BodySchemas, dict[str, Any]]:
    """Return references to the schemas of one run's bodies, and these by name.

    Args:
        info: Of the run.
        suffix: Added to all names.
    """
    references, components = msgspec.json.schema_components(
        _BODIES[info.kind], schema_hook=_array_schema, ref_template=_REFERENCE + suffix
    )
    _add_run_constraints(components, info)
    predict, predicted, explain, explained = references
    named = {name + suffix: schema for name, schema in components.items()}
    return BodySchemas((predict, predicted), (explain, explained)), named


def _add_run_constraints(components: dict[str, Any], info: RunInfo) -> None:
    """Add to the schemas of requests the constraints of a run and of the limits."""
    max_inputs = info.max_inputs
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
    schema: dict[str, Any], inputs: dict[str, dict[str, Any]], info: RunInfo
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

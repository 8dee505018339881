"""What clients send and get: the types of requests and answers, and the error that refuses one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from lstm_cli.prediction.result import Prediction

Pixel = Annotated[int, Meta(ge=0, le=255, description="0 is black, 255 bright.")]
Rows = Annotated[
    list[Annotated[list[Pixel], Meta(min_length=1)]],
    Meta(min_length=1, description="Rows of pixels, bright strokes on black."),
]
_TopK = Annotated[int, Meta(ge=1, description="Only the K most probable classes, best first.")]
_Threshold = Annotated[
    float,
    Meta(ge=0, le=1, description="For two classes: choose the second from this probability on."),
]
_Request = TypeVar("_Request")


class TextRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One text or several to classify: give `text` or `texts`."""

    text: str | None = None
    texts: Annotated[list[str], Meta(min_length=1)] | None = None
    top_k: _TopK | None = None
    threshold: _Threshold | None = None


class ImageRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One image or several to classify, of the run's size: give `image` or `images`."""

    image: Rows | None = None
    images: Annotated[list[Rows], Meta(min_length=1)] | None = None
    top_k: _TopK | None = None
    threshold: _Threshold | None = None


class ExplainText(msgspec.Struct, forbid_unknown_fields=True):
    """A text to explain."""

    text: str


class ExplainImage(msgspec.Struct, forbid_unknown_fields=True):
    """An image of the run's size to explain."""

    image: Rows


class PredictAnswer(msgspec.Struct):
    """One prediction for each input, in order."""

    run: str
    predictions: list[Prediction]


class ErrorDetail(msgspec.Struct):
    """What was wrong, and what to do."""

    message: str
    hint: str


class ErrorAnswer(msgspec.Struct):
    """The body of every answer that is no success."""

    error: ErrorDetail


class ApiError(Exception):
    """A request that gets no answer but a status and a reason.

    Args:
        status: Of HTTP.
        message: What was expected and what was found.
        hint: What the client may do.
        headers: Added to the answer.
    """

    def __init__(
        self, status: int, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """Return the JSON of `ErrorAnswer`."""
        return msgspec.json.encode(ErrorAnswer(ErrorDetail(self.message, self.hint)))


def decode(body: bytes, decoder: msgspec.json.Decoder[_Request]) -> _Request:
    """Read a request's body.

    Raises:
        ApiError: It is no JSON (400), or JSON of another form (422).
    """
    try:
        return _decode(body, decoder)
    except msgspec.ValidationError as error:
        raise ApiError(422, f"The request has another form: {error}.", "See /docs.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(
            400, f"The body is no JSON: {error}.", 'Send an object such as {"text": "..."}.'
        ) from None


def _decode(body: bytes, decoder: msgspec.json.Decoder[_Request]) -> _Request:
    """Read a body; 1.0 is an integer to JSON Schema, and some clients write integers so."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        return msgspec.convert(_with_integers(msgspec.json.decode(body)), decoder.type)


def _with_integers(value: Any) -> Any:
    """Turn each float without a fraction into an integer."""
    if isinstance(value, list):
        return [_with_integers(part) for part in value]
    if isinstance(value, dict):
        return {name: _with_integers(part) for name, part in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def one_or_many(one: Any, many: list[Any] | None, names: tuple[str, str], most: int) -> list[Any]:
    """Return a request's inputs as a list.

    Args:
        one: Of the first name, or None.
        many: Of the second name, or None.
        names: What the fields are called.
        most: Inputs allowed.

    Raises:
        ApiError: There is neither or both of them, or too many (422).
    """
    if (one is None) == (many is None):
        found = "neither" if one is None else "both"
        raise ApiError(422, f"Expected '{names[0]}' or '{names[1]}', found {found}.", "See /docs.")
    inputs = [one] if many is None else many
    if len(inputs) > most:
        raise ApiError(
            422,
            f"Expected at most {most:,} {names[1]} in a request, found {len(inputs):,}.",
            "Send them in several requests.",
        )
    return inputs

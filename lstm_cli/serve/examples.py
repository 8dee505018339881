"""Examples of requests for the documentation of the API, with the answers of the run itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from lstm_cli.explain.explainer import Explainer
from lstm_cli.io.fields import SEPARATOR
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.serve.schemas import PredictResponse
from lstm_cli.serve.settings import ServerSettings
from lstm_cli.text.tokenizer import token_spans

# Explanations of short texts are readable, those of single words say little.
_MIN_TOKENS, _MAX_TOKENS = 3, 6
_TEXTS = ("This is an example.", "And this is another one.")


@dataclass(frozen=True)
class Example:
    """A request and its answer, as values of JSON.

    Attributes:
        request: The body of the request.
        response: The body of the response.
    """

    request: Mapping[str, Any]
    response: Any


@dataclass(frozen=True)
class ApiExamples:
    """Examples of the two paths of a model, by a short title.

    Attributes:
        predict: Of `/v1/predict`.
        explain: Of `/v1/explain`.
    """

    predict: Mapping[str, Example]
    explain: Mapping[str, Example]


def make_examples(
    explainer: Explainer, settings: ServerSettings, data: Sequence[Any] | None
) -> ApiExamples:
    """Return examples of a run.

    Everyone who reaches the server can read its documentation, so inputs of the run's data are in
    it only if the server needs no API key.

    Args:
        explainer: Of the run.
        settings: Of the server.
        data: Inputs of the run's data; None if the server does not show them.
    """
    predictor = explainer.predictor
    shown = (data or []) if settings.api_key is None else []
    if predictor.kind == "image":
        return _image_examples(explainer, shown)
    texts = _texts(predictor, shown, min(_MAX_TOKENS, settings.limits.max_tokens))
    predict = {"one text": _predict_texts(predictor, {"text": texts[0]}, texts[:1])}
    if settings.limits.max_texts >= len(texts):
        predict["several texts"] = _predict_texts(
            predictor, {"texts": texts, "top_k": 1}, texts, top_k=1
        )
    explanation = explainer.explain_text(predictor.to_text(texts[0]))
    explain = {"one text": Example({"text": texts[0]}, _plain(explanation.to_dict()))}
    return ApiExamples(predict, explain)


def _texts(predictor: Predictor, data: Sequence[str], max_tokens: int) -> list[Any]:
    """Return two short texts, as values of columns if the run has columns."""
    # Of several columns, one that has words.
    parts = [part.strip() for text in data for part in text.split(SEPARATOR)]
    found = [part for part in parts if len(token_spans(part)) >= _MIN_TOKENS]
    texts = [_shorten(text, max_tokens) for text in [*found, *_TEXTS][:2]]
    columns = predictor.text_columns
    if not columns:
        return texts
    return [dict.fromkeys(columns) | {columns[0]: text} for text in texts]


def _shorten(text: str, max_tokens: int) -> str:
    """Return the beginning of a text, with at most so many tokens."""
    end = token_spans(text)[:max_tokens][-1][1]
    return text[:end]


def _predict_texts(
    predictor: Predictor, request: Mapping[str, Any], texts: list[Any], top_k: int | None = None
) -> Example:
    tokenizer = predictor.tokenizer
    assert tokenizer is not None
    encodings = tokenizer.encode([predictor.to_text(text) for text in texts])
    rows = predictor.run_texts(encodings)
    predictions = [
        predictor.make_prediction(row, encoding, top_k=top_k)
        for row, encoding in zip(rows, encodings, strict=True)
    ]
    return Example(request, _plain(PredictResponse(predictor.run.name, predictions)))


def _image_examples(explainer: Explainer, data: Sequence[Any]) -> ApiExamples:
    predictor = explainer.predictor
    blank = np.zeros(predictor.shape or (1, 1), np.uint8)
    image = np.asarray(data[0], np.uint8) if data else blank
    request = {"image": image.tolist()}
    response = PredictResponse(predictor.run.name, predictor.predict(image[None]))
    explanation = explainer.explain_image(image)
    return ApiExamples(
        {"one image": Example(request, _plain(response))},
        {"one image": Example(request, _plain(explanation.to_dict()))},
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(value))

"""The endpoints that compute: `/v1/predict` and `/v1/explain`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from lstm_cli.explain.explainer import Explainer
from lstm_cli.explain.result import Explanation
from lstm_cli.prediction.result import Prediction
from lstm_cli.serve.batcher import Batcher, BatchLimits, QueueFullError
from lstm_cli.serve.errors import ApiError, too_many_requests
from lstm_cli.serve.request_body import decode
from lstm_cli.serve.request_record import RequestRecord, record_of
from lstm_cli.serve.schemas import (
    ExplainImageRequest,
    ExplainTextRequest,
    ImageRequest,
    PredictResponse,
    TextRequest,
)
from lstm_cli.serve.settings import Limits
from lstm_cli.serve.shared_compute import SharedCompute
from lstm_cli.text.tokenizer import Encoding

# Texts with more characters in total are tokenized in a thread, so that the event loop goes on.
_MAX_INLINE_CHARS = 16_384
_TEXT_BATCH_SIZE, _IMAGE_BATCH_SIZE = 16, 128
_Result = TypeVar("_Result")


class Inference:
    """Predictions and explanations of one run.

    Args:
        explainer: The run's explainer; it has the predictor too.
        limits: Limits of requests.
        shared: Threads and queues, which all runs of a server share.
        observe_batch: Receives the number of inputs of each batch.
    """

    def __init__(
        self,
        explainer: Explainer,
        limits: Limits,
        shared: SharedCompute,
        observe_batch: Callable[[int], None],
    ) -> None:
        self._explainer = explainer
        self._predictor = predictor = explainer.predictor
        self._limits = limits
        self._shared = shared
        is_text = predictor.kind == "text"
        self._decoder: Any = msgspec.json.Decoder(TextRequest if is_text else ImageRequest)
        self._explain_decoder: Any = msgspec.json.Decoder(
            ExplainTextRequest if is_text else ExplainImageRequest
        )
        self._batcher = Batcher(
            predictor.run_texts if is_text else self._compute_images,
            BatchLimits(_TEXT_BATCH_SIZE if is_text else _IMAGE_BATCH_SIZE),
            shared.workers,
            observe_batch,
        )

    @property
    def num_waiting(self) -> int:
        """Inputs in the queue."""
        return self._batcher.num_waiting

    async def predict(self, request: Request) -> Response:
        """Answer `/v1/predict`."""
        body = decode(await self._shared.bodies.read(request), self._decoder)
        self._check_threshold(body)
        predictions = await self._with_timeout(self._predict(body, record_of(request.scope)))
        return json_response(PredictResponse(self._predictor.run.name, predictions))

    async def explain(self, request: Request) -> Response:
        """Answer `/v1/explain`."""
        body = decode(await self._shared.bodies.read(request), self._explain_decoder)
        if isinstance(body, ExplainTextRequest):
            text = self._text(body.text)
            # The separator between columns is a token, too: so their values are looked at.
            values = [] if isinstance(body.text, str) else list(body.text.values())
            whole, *parts = await self._with_timeout(
                self._encode([text, *(value or "" for value in values)])
            )
            if not any(encoding.num_tokens for encoding in parts or [whole]):
                raise ApiError(422, "The text has no tokens.", "Send a text with words.")
            self._check_label(body.label)
            compute: Callable[[], Explanation] = partial(
                self._explainer.explain_text, text, label=body.label
            )
        else:
            compute = partial(self._explainer.explain_image, self._pixels(body.image, 0))
        record_of(request.scope).num_inputs = 1
        content = await self._with_timeout(
            self._shared.explain(lambda: msgspec.json.encode(compute().to_dict()))
        )
        return Response(content, media_type="application/json")

    async def _with_timeout(self, work: Awaitable[_Result]) -> _Result:
        """Wait for a result.

        Raises:
            ApiError: It takes longer than the timeout (504), or the queue is full (429).
        """
        try:
            async with asyncio.timeout(self._limits.timeout):
                return await work
        except TimeoutError:
            raise ApiError(
                504,
                f"The request took longer than {self._limits.timeout:g} s.",
                "Send fewer or shorter inputs in a request, or try again later.",
            ) from None
        except QueueFullError:
            raise too_many_requests(
                f"The queue is full ({self._limits.max_queue:,} inputs)."
            ) from None

    def _check_threshold(self, body: TextRequest | ImageRequest) -> None:
        num_classes = len(self._predictor.labels)
        is_available = num_classes == 2 or self._predictor.thresholds is not None
        if body.threshold is not None and not is_available:
            raise ApiError(
                422,
                f"A threshold needs two classes; this run has {num_classes}.",
                "Leave out 'threshold'. Use 'top_k' to get the most probable classes.",
            )
        if body.min_probability is not None and self._predictor.thresholds is not None:
            raise ApiError(
                422,
                "This run gives a text any number of labels: 'min_probability' has no effect.",
                "Leave it out. 'threshold' chooses each label from a probability on.",
            )

    def _check_label(self, label: str | None) -> None:
        if label is None:
            return
        if self._predictor.thresholds is None:
            raise ApiError(422, "This run has one class for each text.", "Leave out 'label'.")
        if label not in self._predictor.labels:
            raise ApiError(422, "This run has no such label.", "See 'labels' of /v1/model.")

    async def _predict(
        self, body: TextRequest | ImageRequest, record: RequestRecord
    ) -> list[Prediction]:
        max_inputs = self._limits.max_texts
        if isinstance(body, TextRequest):
            texts = _inputs(body.text, body.texts, ("text", "texts"), max_inputs)
            record.num_inputs = len(texts)
            encodings = await self._encode([*map(self._text, texts)])
            rows = await self._batcher.submit(encodings, [len(e.ids) for e in encodings])
            pairs = zip(rows, encodings, strict=True)
            return [self._answer(row, body, encoding) for row, encoding in pairs]
        images = _inputs(body.image, body.images, ("image", "images"), max_inputs)
        record.num_inputs = len(images)
        pixels = [self._pixels(image, index) for index, image in enumerate(images)]
        rows = await self._batcher.submit(pixels, [len(p) for p in pixels])
        return [self._answer(row, body, None) for row in rows]

    def _text(self, text: str | dict[str, str | None]) -> str:
        """Return a text as the run reads it; of the values of columns, check the names first.

        Raises:
            ApiError: The run has no columns, or a name is not one of them (422).
        """
        columns = self._predictor.text_columns
        if not isinstance(text, dict):
            return text
        unknown = next((name for name in text if name not in columns), None)
        if unknown is not None or not text:
            found = f"{unknown[:40]!r}" if unknown is not None else "nothing"
            raise ApiError(
                422,
                f"Expected values of the columns {', '.join(columns)}; found {found}."
                if columns
                else "The texts of this run have no columns: expected a string.",
                "See 'text_columns' of /v1/model.",
            )
        return self._predictor.to_text(text)

    async def _encode(self, texts: list[str]) -> list[Encoding]:
        """Tokenize texts, and check their lengths."""
        tokenizer = self._predictor.tokenizer
        assert tokenizer is not None
        if sum(map(len, texts)) <= _MAX_INLINE_CHARS:
            encodings = tokenizer.encode(texts)
        else:
            encodings = await asyncio.to_thread(tokenizer.encode, texts)
        for index, encoding in enumerate(encodings):
            if encoding.num_tokens > self._limits.max_tokens:
                raise ApiError(
                    422,
                    f"Text {index + 1} has {encoding.num_tokens:,} tokens, expected at most "
                    f"{self._limits.max_tokens:,}.",
                    f"The run reads only {tokenizer.max_tokens:,} of them: send the first and the "
                    "last ones.",
                )
        return encodings

    def _pixels(self, image: list[list[int]], index: int) -> NDArray[np.uint8]:
        """Return an image as `<uint8>[rows, columns]`, and check its size."""
        num_rows, num_columns = self._predictor.shape or (0, 0)
        if len(image) != num_rows or any(len(row) != num_columns for row in image):
            widths = sorted({len(row) for row in image})
            width = f"{widths[0]}" if len(widths) == 1 else f"{widths[0]} to {widths[-1]}"
            raise ApiError(
                422,
                f"Image {index + 1} has {len(image)} rows of {width} pixels, expected {num_rows} "
                f"rows of {num_columns}.",
                "Scale it to that size, with its proportions, in the middle.",
            )
        return np.array(image, np.uint8)

    def _compute_images(self, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return self._predictor.probabilities(np.stack(images))

    def _answer(
        self,
        row: NDArray[np.float32],
        body: TextRequest | ImageRequest,
        encoding: Encoding | None,
    ) -> Prediction:
        threshold, minimum = body.threshold, body.min_probability
        return self._predictor.make_prediction(row, encoding, threshold, minimum, body.top_k)


def json_response(value: Any) -> Response:
    """Return a response with the JSON of a value."""
    return Response(msgspec.json.encode(value), media_type="application/json")


def _inputs(
    single: Any, several: list[Any] | None, names: tuple[str, str], max_inputs: int
) -> list[Any]:
    """Return the inputs of a request as a list.

    Args:
        single: Value of the first field, or None.
        several: Value of the second field, or None.
        names: Names of the two fields.
        max_inputs: Limit of the number of inputs.

    Raises:
        ApiError: Neither or both fields are given, or there are too many inputs (422).
    """
    if (single is None) == (several is None):
        found = "neither" if single is None else "both"
        raise ApiError(422, f"Expected '{names[0]}' or '{names[1]}', found {found}.", "See /docs.")
    inputs = [single] if several is None else several
    if len(inputs) > max_inputs:
        raise ApiError(
            422,
            f"Expected at most {max_inputs:,} {names[1]} in a request, found {len(inputs):,}.",
            "Send them in several requests.",
        )
    return inputs

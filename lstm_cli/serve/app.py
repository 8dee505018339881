"""A run behind HTTP: predictions, explanations, what is known of the run, and a page to try it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from lstm_cli import __version__
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.explain.explainer import Explainer
from lstm_cli.explain.result import Explanation
from lstm_cli.runs import validate
from lstm_cli.serve import openapi, security_headers
from lstm_cli.serve.batcher import Batcher, QueueFullError, Sizes
from lstm_cli.serve.hosts import Hosts
from lstm_cli.serve.middleware import Limits, Middleware, Receive, busy
from lstm_cli.serve.schemas import (
    ApiError,
    ExplainImage,
    ExplainText,
    ImageRequest,
    PredictAnswer,
    PredictionAnswer,
    TextRequest,
    decode,
    one_or_many,
)
from lstm_cli.text.tokenizer import Encoding

_PAGE = Path(__file__).with_name("index.html")
# Longer texts are tokenised in a thread: others are answered meanwhile.
_SHORT_CHARACTERS = 16_384
_TEXT_BATCH, _IMAGE_BATCH = 16, 128
_NUM_EXAMPLES = 8
_MOST_EXPLAINING = 8
_EXTRA = ("starlette", "uvicorn", "httptools", "prometheus_client")
ExplainTask = Callable[[], Explanation]
_Answered = TypeVar("_Answered")


@dataclass(frozen=True)
class Settings:
    """How a run is served.

    Attributes:
        limits: What a request may cost.
        key: What clients must bring; None lets everyone in.
        examples: Whether the page shows inputs of the run's data.
        hosts: The names that are answered.
    """

    limits: Limits
    key: str | None = None
    examples: bool = True
    hosts: Hosts = field(default_factory=Hosts)


def require_extra() -> None:
    """Hold that what serving needs is installed.

    Raises:
        LstmError: Something is missing; the hint installs it.
    """
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise LstmError(
            f"Serving needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} "
            "not installed.",
            "pip install 'lstm-cli[serve]'",
        )


def serve(
    explainer: Explainer,
    sock: socket.socket,
    settings: Settings,
    on_ready: Callable[[Callable[[], None]], None],
) -> None:
    """Answer requests until the process is asked to end, then finish what is in flight.

    Args:
        explainer: The run, and its predictor.
        sock: Bound by `listener.bind`.
        settings: Limits, key, examples.
        on_ready: Called once connections are accepted, with what ends the server.
    """
    from lstm_cli.serve import server

    async def run() -> None:
        service = Service(explainer, settings)
        try:
            await server.serve(service.app, sock, settings.limits, on_ready, service.drain)
        finally:
            service.close()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


def _loop_factory() -> Any:
    """Return uvloop's loops where it is installed; None are asyncio's own."""
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


class Service:
    """The routes of one run.

    Attributes:
        app: The ASGI application.
    """

    def __init__(self, explainer: Explainer, settings: Settings) -> None:
        """Build the application; threads start with the first request."""
        from lstm_cli.serve.metrics import ServerMetrics

        self._explainer = explainer
        self._predictor = predictor = explainer.predictor
        self._settings = settings
        self._limits = settings.limits
        self._ready = True
        is_text = predictor.kind == "text"
        self._decoder: Any = msgspec.json.Decoder(TextRequest if is_text else ImageRequest)
        self._explain_decoder: Any = msgspec.json.Decoder(ExplainText if is_text else ExplainImage)
        # One at a time: an explanation is hundreds of predictions, and takes all cores.
        self._explaining = ThreadPoolExecutor(1, "lstm-explain")
        self._num_explaining = 0
        self._counts = ServerMetrics(lambda: self._batcher.num_waiting)
        self._batcher = Batcher(
            predictor.run_texts if is_text else self._compute_images,
            Sizes(_TEXT_BATCH if is_text else _IMAGE_BATCH, waiting=self._limits.max_queue),
            self._counts.batch,
        )
        self._model = msgspec.json.encode(self._describe())
        self._api = openapi.describe(
            openapi.Subject(
                predictor.run.name,
                predictor.kind,
                len(predictor.labels),
                predictor.shape,
                settings.limits,
                settings.key is not None,
            )
        )
        self.app = self._build()

    def drain(self) -> None:
        """Say from now on that no more requests are wanted."""
        self._ready = False

    def close(self) -> None:
        """End the threads."""
        self._batcher.close()
        self._explaining.shutdown(wait=True, cancel_futures=True)

    def _build(self) -> Middleware:
        from starlette.routing import Route, Router

        routes = [
            Route("/v1/predict", self._predict, methods=["POST"]),
            Route("/v1/explain", self._explain, methods=["POST"]),
            Route("/v1/model", self._get_model),
            Route("/healthz", self._get_health),
            Route("/readyz", self._get_readiness),
            Route("/metrics", self._get_metrics),
            Route("/openapi.json", self._get_api),
            Route("/docs", security_headers.fixed(openapi.page(self._api))),
            Route("/", security_headers.fixed(_PAGE.read_text(encoding="utf-8"))),
        ]
        self._counts.paths = {route.path for route in routes}
        router = Router(routes, redirect_slashes=False)
        return Middleware(
            router,
            self._limits,
            self._settings.hosts,
            self._settings.key,
            lambda path: path not in openapi.OPEN_PATHS,
            self._counts.request,
        )

    async def _predict(self, request: Any) -> Any:
        asked = decode(
            await request.scope["middleware"].read(request.headers, request.receive), self._decoder
        )
        self._check(asked)
        answers = await self._in_time(self._answers(asked))
        return _json(msgspec.json.encode(PredictAnswer(self._predictor.run.name, answers)))

    async def _explain(self, request: Any) -> Any:
        asked = decode(
            await request.scope["middleware"].read(request.headers, request.receive),
            self._explain_decoder,
        )
        if isinstance(asked, ExplainText):
            (encoding,) = await self._in_time(self._encode([asked.text]))
            if not encoding.num_tokens:
                raise ApiError(422, "There is no word in this text.", "Send one that has some.")
            work: ExplainTask = partial(self._explainer.explain_text, asked.text)
        else:
            work = partial(self._explainer.explain_image, self._pixels(asked.image, 0))
        content = await self._in_time(self._explained(work, request.receive))
        return _json(content)

    async def _explained(self, work: ExplainTask, receive: Receive) -> bytes:
        """Explain once the others are done; not at all where the client is gone by then."""
        if self._num_explaining >= _MOST_EXPLAINING:
            raise busy(f"{_MOST_EXPLAINING} explanations wait to be computed.")
        loop = asyncio.get_running_loop()
        wanted = loop.run_in_executor(
            self._explaining, lambda: msgspec.json.encode(work().to_dict())
        )
        gone = asyncio.ensure_future(_until_gone(receive))
        self._num_explaining += 1
        try:
            both: set[asyncio.Future[Any]] = {wanted, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not wanted.done():
                raise ConnectionResetError
            return await wanted
        finally:
            self._num_explaining -= 1
            wanted.cancel()
            gone.cancel()

    async def _in_time(self, answering: Awaitable[_Answered]) -> _Answered:
        """Wait for an answer as long as is allowed.

        Raises:
            ApiError: It takes longer (504), or too many wait (429).
        """
        try:
            async with asyncio.timeout(self._limits.timeout):
                return await answering
        except TimeoutError:
            raise ApiError(
                504,
                f"There was no answer within {self._limits.timeout:g} s.",
                "Send fewer or shorter inputs in a request, or try again later.",
            ) from None
        except QueueFullError:
            raise busy(f"{self._limits.max_queue:,} inputs wait to be computed.") from None

    def _check(self, asked: TextRequest | ImageRequest) -> None:
        if asked.threshold is not None and len(self._predictor.labels) != 2:
            raise ApiError(
                422,
                f"A threshold needs two classes; this run has {len(self._predictor.labels)}.",
                "Leave out 'threshold'; 'top_k' shows how close the next classes are.",
            )

    async def _answers(self, asked: TextRequest | ImageRequest) -> list[PredictionAnswer]:
        most = self._limits.max_texts
        if isinstance(asked, TextRequest):
            texts = one_or_many(asked.text, asked.texts, ("text", "texts"), most)
            encodings = await self._encode(texts)
            ids = [encoding.ids for encoding in encodings]
            rows = await self._batcher.submit(ids, [len(i) for i in ids])
            told = zip(rows, encodings, strict=True)
            return [self._answer(row, asked, encoding) for row, encoding in told]
        images = one_or_many(asked.image, asked.images, ("image", "images"), most)
        pixels = [self._pixels(image, place) for place, image in enumerate(images)]
        rows = await self._batcher.submit(pixels, [len(p) for p in pixels])
        return [self._answer(row, asked, None) for row in rows]

    async def _encode(self, texts: list[str]) -> list[Encoding]:
        """Tokenise texts, and hold them to their greatest length."""
        tokenizer = self._predictor.tokenizer
        assert tokenizer is not None
        if sum(map(len, texts)) <= _SHORT_CHARACTERS:
            encodings = tokenizer.encode(texts)
        else:
            encodings = await asyncio.to_thread(tokenizer.encode, texts)
        for place, encoding in enumerate(encodings):
            if encoding.num_tokens > self._limits.max_tokens:
                raise ApiError(
                    422,
                    f"Text {place + 1} has {encoding.num_tokens:,} tokens, expected at most "
                    f"{self._limits.max_tokens:,}.",
                    f"The run reads {tokenizer.max_tokens:,} of them; send its beginning and end.",
                )
        return encodings

    def _pixels(self, image: list[list[int]], place: int) -> NDArray[np.uint8]:
        rows, columns = self._predictor.shape or (0, 0)
        if len(image) != rows or any(len(row) != columns for row in image):
            widths = sorted({len(row) for row in image})
            told = f"{widths[0]}" if len(widths) == 1 else f"{widths[0]} to {widths[-1]}"
            raise ApiError(
                422,
                f"Image {place + 1} has {len(image)} rows of {told} pixels, expected {rows} rows "
                f"of {columns}.",
                "Scale it to that size: bright strokes on black, centred.",
            )
        return np.array(image, np.uint8)

    def _compute_images(self, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return self._predictor.probabilities(np.stack(images))

    def _answer(
        self,
        row: NDArray[np.float32],
        asked: TextRequest | ImageRequest,
        encoding: Encoding | None,
    ) -> PredictionAnswer:
        labels = self._predictor.labels
        told = row.tolist()
        threshold = asked.threshold
        chosen = int(row.argmax()) if threshold is None else int(told[1] >= threshold)
        classes = list(zip(labels, told, strict=True))
        if asked.top_k is not None:
            classes = sorted(classes, key=lambda entry: -entry[1])[: asked.top_k]
        answer = PredictionAnswer(labels[chosen], told[chosen], dict(classes))
        if encoding is not None:
            answer.num_tokens = encoding.num_tokens
            answer.truncated = encoding.truncated
            answer.unknown = encoding.unknown_fraction
        return answer

    def _describe(self) -> dict[str, Any]:
        """Return what `/v1/model` says."""
        run, predictor = self._predictor.run, self._predictor
        told: dict[str, Any] = {
            "run": run.name,
            "kind": predictor.kind,
            "labels": predictor.labels,
            "data": run.config().data.name,
            "version": __version__,
            "limits": asdict(self._limits),
        }
        if predictor.tokenizer is not None:
            told["max_tokens"] = predictor.tokenizer.max_tokens
        else:
            told["shape"] = predictor.shape
        if self._settings.examples:
            told["examples"] = self._examples()
        return told

    def _examples(self) -> Sequence[Any]:
        """Return inputs of the run's own data that say something."""
        run = self._predictor.run
        golden = validate.read_golden(run, run.config(), len(self._predictor.labels))
        if isinstance(golden.inputs, np.ndarray):
            some: Sequence[Any] = golden.inputs[:_NUM_EXAMPLES].tolist()
            return some
        return [text for text in golden.inputs if text.strip()][:_NUM_EXAMPLES]

    async def _get_model(self, _request: Any) -> Any:
        return _json(self._model)

    async def _get_health(self, _request: Any) -> Any:
        return _json(b'{"status":"ok"}')

    async def _get_readiness(self, _request: Any) -> Any:
        if not self._ready:
            raise ApiError(503, "The server is about to end.", "Ask another.")
        return _json(b'{"status":"ready"}')

    async def _get_metrics(self, _request: Any) -> Any:
        from starlette.responses import Response

        content, kind = self._counts.shown()
        return Response(content, headers={"content-type": kind})

    async def _get_api(self, _request: Any) -> Any:
        return _json(msgspec.json.encode(self._api))


async def _until_gone(receive: Receive) -> None:
    """Wait until the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _json(content: bytes) -> Any:
    from starlette.responses import Response

    return Response(content, media_type="application/json")


def check_limits(limits: Limits) -> None:
    """Hold that the limits allow a request.

    Raises:
        LstmError: The queue is shorter than what one request may bring.
    """
    if limits.max_queue < limits.max_texts:
        raise LstmError(
            f"The queue holds {limits.max_queue:,} inputs, a request up to "
            f"{limits.max_texts:,}: such a request would never be answered.",
            "Raise --max-queue or lower --max-texts.",
            ExitCode.USAGE,
        )

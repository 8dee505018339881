"""The ASGI application of a run: its routes, and how it is served."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from lstm_cli import __version__
from lstm_cli.explain.explainer import Explainer
from lstm_cli.prediction.decision import MOST_PROBABLE
from lstm_cli.prediction.examples import choose_examples
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import validate
from lstm_cli.serve import docs_page, metrics, openapi, page, server
from lstm_cli.serve.errors import ApiError
from lstm_cli.serve.inference import Inference, json_response
from lstm_cli.serve.metrics import ServerMetrics
from lstm_cli.serve.middleware import Middleware
from lstm_cli.serve.schemas import DecisionInfo, ModelResponse
from lstm_cli.serve.security_headers import static_page
from lstm_cli.serve.settings import ServerSettings


def serve(
    explainer: Explainer,
    sock: socket.socket,
    settings: ServerSettings,
    on_ready: Callable[[Callable[[], None]], None],
) -> None:
    """Serve a run until the process receives a signal, then finish open requests.

    Args:
        explainer: The run's explainer; it has the predictor too.
        sock: From `server.bind`.
        settings: Limits, API key and allowed hosts.
        on_ready: Called when the server accepts connections, with a function that shuts it down.
    """

    async def run() -> None:
        app = Application(explainer, settings)
        try:
            await server.serve(app.asgi, sock, settings.limits, on_ready, app.shut_down)
        finally:
            app.close()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


def _loop_factory() -> Any:
    """Return uvloop's factory of event loops if it is installed, else None for asyncio's own."""
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


class Application:
    """The application for one run.

    Attributes:
        asgi: The ASGI application, with its middleware.
    """

    def __init__(self, explainer: Explainer, settings: ServerSettings) -> None:
        """Build the application; its threads start with the first request."""
        predictor = explainer.predictor
        self._is_ready = True
        self._metrics = ServerMetrics(openapi.PATHS, lambda: self._inference.num_waiting)
        self._inference = Inference(explainer, settings.limits, self._metrics.observe_batch)
        document = openapi.build_document(
            openapi.ApiInfo(
                predictor.run.name,
                predictor.kind,
                len(predictor.labels),
                predictor.shape,
                settings.limits,
                settings.api_key is not None,
                None if predictor.thresholds is None else predictor.labels,
                predictor.text_columns,
            )
        )
        routes = [
            Route("/v1/predict", self._inference.predict, methods=["POST"]),
            Route("/v1/explain", self._inference.explain, methods=["POST"]),
            Route("/v1/model", _static_json(_describe_model(predictor, settings))),
            Route("/healthz", _static_json({"status": "ok"})),
            Route("/readyz", self._get_readiness),
            Route("/metrics", self._get_metrics),
            Route("/openapi.json", _static_json(document)),
            Route("/docs", static_page(docs_page.render(document))),
            Route("/", static_page(page.render())),
        ]
        self.asgi = Middleware(
            Router(routes, redirect_slashes=False),
            settings,
            openapi.PUBLIC_PATHS,
            self._metrics.observe_request,
        )

    def shut_down(self) -> None:
        """Answer 503 on `/readyz` from now on."""
        self._is_ready = False

    def close(self) -> None:
        """Stop the threads."""
        self._inference.close()

    async def _get_readiness(self, _request: Request) -> Response:
        if not self._is_ready:
            raise ApiError(503, "The server is shutting down.", "Use another server.")
        return json_response({"status": "ready"})

    async def _get_metrics(self, _request: Request) -> Response:
        return Response(self._metrics.render(), headers={"content-type": metrics.CONTENT_TYPE})


def _static_json(value: Any) -> Any:
    """Return an endpoint that always answers the same JSON."""
    content = json_response(value).body

    async def endpoint(_request: Request) -> Response:
        return Response(content, media_type="application/json")

    return endpoint


def _describe_model(predictor: Predictor, settings: ServerSettings) -> ModelResponse:
    return ModelResponse(
        predictor.run.name,
        "image" if predictor.tokenizer is None else "text",
        predictor.labels,
        predictor.run.config().data.name,
        __version__,
        settings.limits,
        None if predictor.tokenizer is None else predictor.tokenizer.max_tokens,
        predictor.shape,
        _examples(predictor) if settings.show_examples else None,
        _thresholds(predictor),
        _decision(predictor),
        predictor.text_columns or None,
    )


def _thresholds(predictor: Predictor) -> dict[str, float] | None:
    """Return the thresholds by label; None for a run with one class for each input."""
    if predictor.thresholds is None:
        return None
    return dict(zip(predictor.labels, predictor.thresholds.tolist(), strict=True))


def _decision(predictor: Predictor) -> DecisionInfo | None:
    """Return the thresholds of a run with one class for each input; None if it has none."""
    if predictor.decision is MOST_PROBABLE:
        return None
    return DecisionInfo(*predictor.decision.by_class(predictor.labels))


def _examples(predictor: Predictor) -> list[Any]:
    """Return some inputs of the run's data."""
    run = predictor.run
    return choose_examples(validate.read_golden(run, run.config(), len(predictor.labels)))

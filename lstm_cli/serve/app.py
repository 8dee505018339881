"""The ASGI application of a server: its routes, and how it is served."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from lstm_cli.explain.explainer import Explainer
from lstm_cli.serve import metrics, openapi, page, server
from lstm_cli.serve.access_log import AccessLog
from lstm_cli.serve.documents import Documents
from lstm_cli.serve.errors import ApiError
from lstm_cli.serve.inference import json_response
from lstm_cli.serve.metrics import ServerMetrics
from lstm_cli.serve.middleware import Middleware
from lstm_cli.serve.models import Model, Models, ModelSource, build_model
from lstm_cli.serve.reload import Reloader
from lstm_cli.serve.request_record import RequestRecord
from lstm_cli.serve.run_state import Version, read_version
from lstm_cli.serve.schemas import ModelsResponse
from lstm_cli.serve.security_headers import static_page
from lstm_cli.serve.settings import ServerSettings
from lstm_cli.serve.shared_compute import SharedCompute


def serve(
    sources: Sequence[ModelSource],
    sock: socket.socket,
    settings: ServerSettings,
    on_ready: Callable[[Callable[[], None]], None],
    access_log: AccessLog | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve runs until the process receives a signal, then finish open requests.

    Args:
        sources: The runs; the first one answers the paths that name no model.
        sock: From `server.bind`.
        settings: Limits, API key, allowed hosts and origins.
        on_ready: Called when the server accepts connections, with a function that shuts it down.
        access_log: Receives all requests.
        report: Receives a line for each run that is replaced, or not.

    Raises:
        LstmError: A run fails its integrity check (exit code 5).
    """
    app = Application(sources, settings, access_log)

    async def run() -> None:
        reloader = Reloader(sources, app, report)
        async with background_tasks() as start:
            if settings.reload_seconds is not None:
                start(reloader.watch(settings.reload_seconds))
            try:
                await server.serve(
                    app.asgi,
                    sock,
                    settings.limits,
                    on_ready,
                    app.shut_down,
                    lambda: start(reloader.reload()),
                    app.observe,
                )
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


@contextlib.asynccontextmanager
async def background_tasks() -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Give a function that starts coroutines, which are cancelled at the end of the block."""
    tasks: set[asyncio.Task[None]] = set()

    def start(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    try:
        yield start
    finally:
        for task in tasks:
            task.cancel()


class Application:
    """The application for some runs.

    Attributes:
        asgi: The ASGI application, with its middleware.
        models: The runs that answer now.
    """

    def __init__(
        self,
        sources: Sequence[ModelSource],
        settings: ServerSettings,
        access_log: AccessLog | None = None,
    ) -> None:
        """Open the runs; threads start with the first request.

        Raises:
            LstmError: A run fails its integrity check (exit code 5).
        """
        self._is_ready = True
        self._settings = settings
        self._access_log = access_log
        self._shared = SharedCompute(settings.limits)
        self._metrics = ServerMetrics([source.name for source in sources], self._num_waiting)
        self.models = Models([self._open(source) for source in sources])
        for model in self.models:
            self._metrics.observe_run(model.name, model.description.run)
        self._documents = Documents(self.models, settings)
        self._routes = _routes_by_path(self.models.names)
        self.asgi = Middleware(
            Router(self._make_routes(), redirect_slashes=False),
            settings,
            openapi.PUBLIC_PATHS,
            self._identify,
            self.observe,
        )

    def build(self, name: str, explainer: Explainer, version: Version) -> Model:
        """Return the model of a run; may be called in a thread."""
        observe_batch = partial(self._metrics.observe_batch, name)
        return build_model(name, explainer, version, self._settings, self._shared, observe_batch)

    def observe(self, record: RequestRecord) -> None:
        """Count an answered request, and log it."""
        self._metrics.observe_request(record)
        if self._access_log is not None:
            self._access_log.add(record)

    def replace(self, model: Model) -> None:
        """Let a run answer from now on; requests that have begun finish with the one before."""
        self.models.replace(model)
        self._documents.forget()
        self._metrics.observe_run(model.name, model.description.run)
        self._metrics.observe_reload(model.name, is_taken=True)

    def observe_refused(self, name: str) -> None:
        """Count a run that is not taken."""
        self._metrics.observe_reload(name, is_taken=False)

    def shut_down(self) -> None:
        """Answer 503 on `/readyz` from now on."""
        self._is_ready = False

    def close(self) -> None:
        """Stop the threads."""
        self._shared.close()

    def _open(self, source: ModelSource) -> Model:
        version = read_version(source.run)
        return self.build(source.name, source.load(), version)

    def _make_routes(self) -> list[Route]:
        one, post = openapi.MODEL_PATH, ["POST"]
        return [
            Route(openapi.PREDICT_PATH, self._predict, methods=post),
            Route(openapi.EXPLAIN_PATH, self._explain, methods=post),
            Route(f"{one}/predict", self._predict, methods=post),
            Route(f"{one}/explain", self._explain, methods=post),
            Route(one, self._get_model),
            Route("/v1/model", self._get_model),
            Route("/v1/models", self._get_models),
            Route("/healthz", _static_json({"status": "ok"})),
            Route("/readyz", self._get_readiness),
            Route("/metrics", self._get_metrics),
            Route("/openapi.json", self._documents.get_openapi),
            Route("/docs", self._documents.get_docs),
            Route("/", static_page(page.render())),
        ]

    def _identify(self, record: RequestRecord, path: str) -> None:
        """Set path, route and model of a record, if the server has the path."""
        if path in self._routes:
            record.path = path
            record.route, record.model = self._routes[path]

    def _model(self, request: Request) -> Model:
        """Return the model that a path names, or the first one."""
        name = request.path_params.get("model")
        return self.models.first if name is None else self.models.get(name)

    def _num_waiting(self, name: str) -> int:
        return self.models.get(name).inference.num_waiting

    async def _predict(self, request: Request) -> Response:
        return await self._model(request).inference.predict(request)

    async def _explain(self, request: Request) -> Response:
        return await self._model(request).inference.explain(request)

    async def _get_model(self, request: Request) -> Response:
        return json_response(self._model(request).description)

    async def _get_models(self, _request: Request) -> Response:
        return json_response(ModelsResponse([model.description for model in self.models]))

    async def _get_readiness(self, _request: Request) -> Response:
        if not self._is_ready:
            raise ApiError(503, "The server is shutting down.", "Use another server.")
        return json_response({"status": "ready"})

    async def _get_metrics(self, _request: Request) -> Response:
        return Response(self._metrics.render(), headers={"content-type": metrics.CONTENT_TYPE})


def _routes_by_path(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the route and the model of each path that the server has."""
    first = {openapi.PREDICT_PATH, openapi.EXPLAIN_PATH, "/v1/model"}
    found = {path: (path, names[0] if path in first else "") for path in openapi.PATHS}
    for name in names:
        for end in ("", "/predict", "/explain"):
            path = f"{openapi.MODEL_PATH}{end}"
            found[path.format(model=name)] = path, name
    return found


def _static_json(value: Any) -> Any:
    """Return an endpoint that always answers the same JSON."""
    content = json_response(value).body

    async def endpoint(_request: Request) -> Response:
        return Response(content, media_type="application/json")

    return endpoint

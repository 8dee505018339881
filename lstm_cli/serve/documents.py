"""The endpoints that describe the API: `/openapi.json` and `/docs`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from lstm_cli.serve import docs_page, openapi
from lstm_cli.serve.examples import make_examples
from lstm_cli.serve.models import Model, Models
from lstm_cli.serve.openapi import ModelInfo
from lstm_cli.serve.openapi_schemas import RunInfo
from lstm_cli.serve.security_headers import content_security_policy
from lstm_cli.serve.settings import ServerSettings


@dataclass(frozen=True)
class _Built:
    models: tuple[Model, ...]
    document: bytes
    page: str
    policy: str


class Documents:
    """The description of the API of the models that are served now.

    It is made when it is first asked for, and again after a run was replaced: its examples are
    answers of the runs.
    """

    def __init__(self, models: Models, settings: ServerSettings) -> None:
        """Describe models; nothing is computed yet."""
        self._models = models
        self._settings = settings
        self._lock = asyncio.Lock()
        self._built: _Built | None = None

    async def get_openapi(self, _request: Request) -> Response:
        """Answer `/openapi.json`."""
        built = await self._build()
        return Response(built.document, media_type="application/json")

    async def get_docs(self, _request: Request) -> Response:
        """Answer `/docs`."""
        built = await self._build()
        return HTMLResponse(built.page, headers={"content-security-policy": built.policy})

    def forget(self) -> None:
        """Forget the description: a run was replaced, and must not stay in memory."""
        self._built = None

    async def _build(self) -> _Built:
        async with self._lock:
            models = tuple(self._models)
            if self._built is not None and self._built.models == models:
                return self._built
            built = await asyncio.to_thread(_describe, models, self._settings)
            if tuple(self._models) == models:
                self._built = built
            return built


def _describe(models: tuple[Model, ...], settings: ServerSettings) -> _Built:
    document: dict[str, Any] = openapi.build_document(
        [_info(model, settings) for model in models],
        settings.limits,
        settings.api_key is not None,
    )
    page = docs_page.render(document, settings.curl_url, settings.api_key is not None)
    return _Built(models, msgspec.json.encode(document), page, content_security_policy(page))


def _info(model: Model, settings: ServerSettings) -> ModelInfo:
    predictor = model.explainer.predictor
    schema = RunInfo(
        predictor.kind,
        len(predictor.labels),
        predictor.shape,
        settings.limits.max_texts,
        None if predictor.thresholds is None else predictor.labels,
        predictor.text_columns,
    )
    examples = make_examples(model.explainer, settings, model.description.examples)
    return ModelInfo(model.name, predictor.run.name, schema, examples)

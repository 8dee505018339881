"""The description of the API follows the runs that are served."""

from __future__ import annotations

import asyncio
import gc
import weakref

from lstm_cli.serve import documents
from lstm_cli.serve.documents import Documents
from lstm_cli.serve.models import Model, Models
from lstm_cli.serve.settings import Limits, ServerSettings


def make_model():
    return Model("demo", None, None, None, None)


def test_a_run_that_is_replaced_while_it_is_described_is_not_kept(monkeypatch):
    models = Models([make_model()])
    served = Documents(models, ServerSettings(Limits()))
    described = []

    def describe(found, _settings):
        described.append(weakref.ref(found[0]))
        if len(described) == 1:
            models.replace(make_model())
            served.forget()
        return documents._Built(found, b"", "", "")

    monkeypatch.setattr(documents, "_describe", describe)
    asyncio.run(served.get_docs(None))
    gc.collect()
    assert described[0]() is None
    asyncio.run(served.get_docs(None))
    asyncio.run(served.get_openapi(None))
    assert [found() for found in described] == [None, models.first]

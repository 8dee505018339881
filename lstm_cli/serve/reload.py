"""Replace the runs of a server by newer ones while it answers requests.

A run is looked for again by what the user typed: a data set means its newest finished run, and the
folder or archive of a run may hold another one than before. It is opened in a thread, behind the
same checks as at the start. A run that fails them is refused, and the one before keeps answering.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lstm_cli.errors import LstmError
from lstm_cli.explain.explainer import Explainer
from lstm_cli.runs import archive
from lstm_cli.runs.directory import RunDir
from lstm_cli.serve.models import Model, Models, ModelSource
from lstm_cli.serve.run_state import (
    Files,
    Version,
    is_archive_unchanged,
    read_files,
    read_version,
)
from lstm_cli.serve.schemas import ModelResponse


class Server(Protocol):
    """What a reload needs of a server."""

    @property
    def models(self) -> Models:
        """The models."""

    def build(self, name: str, explainer: Explainer, version: Version) -> Model:
        """Return the model of a run; called in a thread."""

    def replace(self, model: Model) -> None:
        """Let a run answer from now on."""

    def observe_refused(self, name: str) -> None:
        """Count a run that is refused."""


@dataclass
class _Slot:
    """A model and what is known of its run.

    Attributes:
        name: Of the model.
        find: Finds the run that is to be served now; None if it never changes.
        refused: The run that was refused the last time, and its files then.
        problem: What was wrong then.
    """

    name: str
    find: Callable[[], RunDir] | None
    refused: tuple[RunDir, Files] | None = None
    problem: str = ""


class Reloader:
    """Looks for newer runs and lets them answer.

    Args:
        sources: The runs that are served first.
        server: Where the newer ones are to answer.
        report: Receives one line for each run that is taken or refused.
    """

    def __init__(
        self, sources: Sequence[ModelSource], server: Server, report: Callable[[str], None]
    ) -> None:
        self._server = server
        self._slots = [_Slot(source.name, source.find) for source in sources]
        self._report = report
        self._lock = asyncio.Lock()

    async def reload(self) -> None:
        """Look for newer runs once; each one that is refused, or has not changed, is reported."""
        async with self._lock:
            for slot in self._slots:
                slot.refused, slot.problem = None, ""
                if not await self._reload(slot) and not slot.problem:
                    self._report(f"Model {slot.name}: {self._run(slot)} has not changed.")

    async def watch(self, seconds: float) -> None:
        """Look for newer runs again and again; what was refused is tried again if it changes.

        Args:
            seconds: Between two looks.
        """
        while True:
            await asyncio.sleep(seconds)
            async with self._lock:
                for slot in self._slots:
                    await self._reload(slot)

    async def _reload(self, slot: _Slot) -> bool:
        """Replace the run of a model if there is a newer one; return whether there was one."""
        try:
            model = await asyncio.to_thread(self._load, slot)
        except LstmError as error:
            self._refuse(slot, f"{error.message} {error.hint}".strip())
            return False
        except Exception as error:  # whatever is wrong with a run, the one before keeps answering
            self._refuse(slot, f"{type(error).__name__}: {error}")
            return False
        if model is None:
            return False
        before = self._model(model.name)
        self._server.replace(model)
        slot.refused, slot.problem = None, ""
        self._report(f"Model {model.name}: {_change(before.description, model.description)}.")
        self._discard(before.run)
        return True

    def _load(self, slot: _Slot) -> Model | None:
        """Open the run that is to be served now; None if it is served, or was refused before."""
        if slot.find is None or (slot.refused is not None and is_archive_unchanged(*slot.refused)):
            return None
        run = slot.find()
        try:
            return self._open(slot, run)
        except Exception:
            self._discard(run)
            raise

    def _open(self, slot: _Slot, run: RunDir) -> Model | None:
        """Open a run behind the same checks as at the start; None as in `_load`."""
        version = read_version(run)
        before = self._model(slot.name)
        if version == before.version:
            slot.refused, slot.problem = None, ""
            return None
        refused = run, read_files(run)
        if refused == slot.refused:
            return None
        # Remembered before the run is opened: a change meanwhile is a reason to try again.
        slot.refused = refused
        explainer = Explainer.load(run)
        kind = explainer.predictor.kind
        if kind != before.description.kind:
            raise LstmError(
                f"{run.name} reads {kind}s, and the run that is served reads "
                f"{before.description.kind}s.",
                "Serve it under another name.",
            )
        return self._server.build(slot.name, explainer, version)

    def _discard(self, run: RunDir) -> None:
        """Delete what was unpacked from an archive, unless it answers."""
        if run not in [model.run for model in self._server.models]:
            archive.discard(run)

    def _refuse(self, slot: _Slot, problem: str) -> None:
        if problem == slot.problem:
            return
        slot.problem = problem
        self._server.observe_refused(slot.name)
        self._report(
            f"Model {slot.name}: a new run is refused, and {self._run(slot)} keeps "
            f"answering: {problem}"
        )

    def _run(self, slot: _Slot) -> str:
        return self._model(slot.name).description.run

    def _model(self, name: str) -> Model:
        return self._server.models.get(name)


def _change(before: ModelResponse, after: ModelResponse) -> str:
    """Return what has changed."""
    labels = "" if before.labels == after.labels else "; its labels differ"
    if before.run == after.run:
        return f"{after.run} was read again, because it has changed{labels}"
    return f"{after.run} answers in place of {before.run}{labels}"

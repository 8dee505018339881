"""Replace the runs of a server by newer ones while it answers requests.

A run is looked for again by what the user typed: a data set means its newest finished run, and the
folder or archive of a run may hold another one than before. It is opened in a thread, behind the
same checks as at the start. A run that fails them is refused, and the one before keeps answering.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lstm_cli.errors import LstmError
from lstm_cli.explain.explainer import Explainer
from lstm_cli.runs import archive
from lstm_cli.runs.directory import MANIFEST, THRESHOLDS, RunDir
from lstm_cli.serve.models import Model, Models, ModelSource
from lstm_cli.serve.schemas import ModelResponse

# Where the run is, and the files that name all its content.
_Version = tuple[Path, bytes, bytes]
# Where the run is, and name, size and time of change of its files.
_Files = tuple[Path, tuple[tuple[str, int, int], ...]]


class Server(Protocol):
    """What a reload needs of a server."""

    @property
    def models(self) -> Models:
        """The models."""

    def build(self, name: str, explainer: Explainer) -> Model:
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
        version: Of the run that answers.
        refused: The files that were refused the last time.
        problem: What was wrong then.
    """

    name: str
    find: Callable[[], RunDir] | None
    version: _Version
    refused: _Files | None = None
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
        self._slots = [
            _Slot(source.name, source.find, _version(self._model(source.name).run))
            for source in sources
        ]
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
            found = await asyncio.to_thread(self._load, slot)
        except LstmError as error:
            self._refuse(slot, f"{error.message} {error.hint}".strip())
            return False
        except Exception as error:  # whatever is wrong with a run, the one before keeps answering
            self._refuse(slot, f"{type(error).__name__}: {error}")
            return False
        if found is None:
            return False
        model, slot.version = found
        before = self._model(model.name)
        self._server.replace(model)
        slot.refused, slot.problem = None, ""
        self._report(f"Model {model.name}: {_change(before.description, model.description)}.")
        if before.run not in [other.run for other in self._server.models]:
            archive.discard(before.run)
        return True

    def _load(self, slot: _Slot) -> tuple[Model, _Version] | None:
        """Open the run that is to be served now; None if it is served, or was refused before."""
        if slot.find is None:
            return None
        run = slot.find()
        version = _version(run)
        if version == slot.version:
            slot.refused, slot.problem = None, ""
            return None
        files = _files(run)
        if files == slot.refused:
            return None
        # Remembered before the run is opened: a change meanwhile is a reason to try again.
        slot.refused = files
        explainer = Explainer.load(run)
        kind = explainer.predictor.kind
        before = self._model(slot.name).description.kind
        if kind != before:
            raise LstmError(
                f"{run.name} reads {kind}s, and the run that is served reads {before}s.",
                "Serve it under another name.",
            )
        model = self._server.build(slot.name, explainer)
        return model, version

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


def _version(run: RunDir) -> _Version:
    """Return what differs between two runs; the manifest has the hashes of all files but one."""
    return run.path, _content(run.file(MANIFEST)), _content(run.file(THRESHOLDS))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _files(run: RunDir) -> _Files:
    """Return the state of the files of a run, which changes while they are being copied."""
    found = []
    for path in sorted(run.path.iterdir()):
        status = path.stat()
        found.append((path.name, status.st_size, status.st_mtime_ns))
    return run.path, tuple(found)

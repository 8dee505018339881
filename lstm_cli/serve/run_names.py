"""From values of `--run` to the runs of a server and the names of their models."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.explain.explainer import Explainer
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.find import ARCHIVE_SUFFIX, find
from lstm_cli.serve.models import ModelSource

_NAMED = re.compile(r"([\w.-]{0,100})=(.*)", re.DOTALL)
# Clients take them out of a path.
_NOT_NAMES = {"", ".", ".."}


@dataclass(frozen=True)
class FoundRun:
    """A run that was found, and how to find its successor.

    Attributes:
        name: Of the model.
        run: The run.
        find: Looks again for what the user typed.
    """

    name: str
    run: RunDir
    find: Callable[[], RunDir]

    def source(self) -> ModelSource:
        """Return what a server needs of the run."""
        return ModelSource(self.name, self.run, partial(Explainer.load, self.run), self.find)


def find_runs(values: Sequence[str], root: Path) -> list[FoundRun]:
    """Find the runs to serve.

    Args:
        values: Of `--run`: `RUN` or `NAME=RUN`; nothing means the newest finished run.
        root: Folder of all runs.

    Raises:
        LstmError: There is no such run, a name is not valid, or two runs have the same name.
    """
    found: dict[str, FoundRun] = {}
    typed_values: Sequence[str | None] = values or [None]
    for value in typed_values:
        name, typed = _split(value)
        run = find(root, typed)
        finder = partial(find, root, typed)
        if typed is None:
            # A newer run on other data is not its successor.
            finder = partial(find, root, None, data_name=run.config().data.name)
        name = name or _default_name(typed, run)
        if name in found:
            raise LstmError(
                f"Two runs have the name '{name}': {found[name].run.name} and {run.name}.",
                f"Give one of them another name: --run NAME={typed}.",
                ExitCode.USAGE,
            )
        found[name] = FoundRun(name, run, finder)
    return list(found.values())


def _split(value: str | None) -> tuple[str | None, str | None]:
    """Return the name, None if there is none, and the run."""
    match = _NAMED.fullmatch(value) if value is not None else None
    if match is None:
        return None, value
    name, typed = match[1], match[2]
    if name in _NOT_NAMES or not typed:
        raise LstmError(
            f"--run: expected RUN or NAME=RUN, found '{value}'.",
            "For example --run spam=runs/mails/v3.",
            ExitCode.USAGE,
        )
    return name, typed


def _default_name(typed: str | None, run: RunDir) -> str:
    """Return the last part of what was typed; of the newest run, its data set."""
    if typed is None:
        return run.path.parent.name
    name = Path(typed).name
    if name.lower().endswith(ARCHIVE_SUFFIX):
        name = name[: -len(ARCHIVE_SUFFIX)]
    return run.path.name if name in _NOT_NAMES else name

"""What removing runs would delete, and which runs are old enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lstm_cli.errors import LstmError
from lstm_cli.io.disk_use import folder_bytes
from lstm_cli.runs import directory as runs
from lstm_cli.runs import lock, record
from lstm_cli.runs.directory import RunDir, Status
from lstm_cli.runs.find import all_runs, check_own
from lstm_cli.runs.record import Summary
from lstm_cli.runs.rename import runs_that_refer_to


@dataclass(frozen=True)
class Removable:
    """A run that may be removed.

    Attributes:
        summary: What `runs list` shows of it.
        num_bytes: Size of its files.
        age: Seconds since it started; None if unknown.
        referred_by: Names of the runs that started from it, or had it as their teacher. They work
            without it, but cannot be repeated ('lstm runs replay').
    """

    summary: Summary
    num_bytes: int
    age: float | None
    referred_by: tuple[str, ...]

    @property
    def run(self) -> RunDir:
        """The run."""
        return self.summary.run


@dataclass(frozen=True)
class Pruning:
    """Which runs to remove.

    Attributes:
        old: Runs to remove, the oldest first.
        num_kept: Number of runs that stay.
        untouched: Old runs that stay all the same, by name, with the reason.
    """

    old: tuple[Removable, ...]
    num_kept: int
    untouched: dict[str, str]


def describe(found: Sequence[RunDir], root: Path) -> tuple[Removable, ...]:
    """Describe runs to remove; runs of this list are not named in `referred_by`.

    Args:
        found: The runs.
        root: Folder of all runs.
    """
    others = [run for run in all_runs(root) if run not in found]
    described = []
    for run in found:
        summary = record.summarize(run)
        users = tuple(runs_that_refer_to(run, others))
        described.append(Removable(summary, folder_bytes(run.path), _age(run), users))
    return tuple(described)


def choose_old(root: Path, dataset: str | None, num_kept: int) -> Pruning:
    """Choose the runs of each data set that are older than its newest finished ones.

    The newest runs are counted for classifiers and for language models on their own. A run that is
    newer than these stays, whatever its state: it may be resumed.

    Args:
        root: Folder of all runs.
        dataset: Only runs in this subfolder.
        num_kept: How many finished runs stay of each.
    """
    groups: dict[tuple[str, bool], list[RunDir]] = {}
    for run in all_runs(root, dataset):
        groups.setdefault((run.path.parent.name, runs.is_language(run)), []).append(run)
    old: list[RunDir] = []
    untouched: dict[str, str] = {}
    num_all = sum(map(len, groups.values()))
    for group in groups.values():
        finished = [run for run in group if run.status == "finished"]
        if len(finished) < num_kept:
            continue
        for run in group[: group.index(finished[-num_kept])]:
            if reason := _reason_to_stay(run):
                untouched[run.name] = reason
            else:
                old.append(run)
    return Pruning(describe(old, root), num_all - len(old), untouched)


def changed_status(each: Removable) -> Status | None:
    """Return the status of a run if it is not the one that was described.

    None if it is, and for a run that was removed.
    """
    status = record.summarize(each.run).status
    is_changed = status != each.summary.status and each.run.file(runs.RUN).exists()
    return status if is_changed else None


def _reason_to_stay(run: RunDir) -> str:
    try:
        check_own(run)
    except LstmError as error:
        return error.message.rstrip(".")
    return "another process is training it" if lock.is_locked(run.path) else ""


def _age(run: RunDir) -> float | None:
    info = runs.peek(run)
    try:
        started = datetime.fromisoformat(info.started or "") if info else None
    except ValueError:
        return None
    return (datetime.now().astimezone() - started.astimezone()).total_seconds() if started else None

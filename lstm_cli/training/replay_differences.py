"""Where the results of a run and of its replay differ, and what has changed since the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstm_cli.runs import directory as runs
from lstm_cli.training.loop import NonFiniteError

# The key of `history.jsonl` that always differs.
_TIME_KEY = "seconds"
_MACHINE_KEYS = ("platform", "device", "kernel", "backend", "processes")


@dataclass(frozen=True)
class Difference:
    """The first place at which a file of the run and of its replay differ.

    Attributes:
        file: `history.jsonl`, `weights.safetensors` or `metrics.json`.
        stage: The stage in the history; None in other files.
        epoch: The epoch in the stage; None in other files.
        key: The dotted path of the value, or `sha256` of the whole file.
        recorded: Value in the run; None if it has no such key.
        replayed: Value in the replay; None if it has no such key.
    """

    file: str
    stage: int | None
    epoch: int | None
    key: str
    recorded: Any
    replayed: Any


@dataclass(frozen=True)
class Change:
    """A version, or a property of the machine, that has changed."""

    name: str
    recorded: Any
    now: Any


@dataclass(frozen=True)
class RunResults:
    """The compared results of a run: history, digest of the weights, metrics."""

    history: Sequence[Mapping[str, Any]]
    weights: str
    metrics: Any


def compare_results(before: RunResults, after: RunResults) -> tuple[Difference, ...]:
    """Return the first difference in each file."""
    differences = []
    lines = max(len(before.history), len(after.history))
    for number in range(lines):
        first = _first_difference(
            _without_time(before.history, number), _without_time(after.history, number)
        )
        if first is not None:
            place = _stage_and_epoch((before if number < len(before.history) else after), number)
            differences.append(Difference(runs.HISTORY, *place, *first))
            break
    if before.weights != after.weights:
        digests = before.weights, after.weights
        differences.append(Difference(runs.WEIGHTS, None, None, "sha256", *digests))
    if (first := _first_difference(before.metrics, after.metrics)) is not None:
        differences.append(Difference(runs.METRICS, None, None, *first))
    return tuple(differences)


def _stage_and_epoch(results: RunResults, number: int) -> tuple[int, int]:
    """Return stage and epoch of a line of the history."""
    line = results.history[number]
    return int(line["stage"]), int(line["epoch"])


def _without_time(history: Sequence[Mapping[str, Any]], number: int) -> dict[str, Any]:
    """Return a line of the history without its time; empty if there is no such line."""
    line = history[number] if number < len(history) else {}
    return {key: value for key, value in line.items() if key != _TIME_KEY}


def _first_difference(recorded: Any, replayed: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Return path and values of the first difference between two JSON values."""
    if isinstance(recorded, list) and isinstance(replayed, list):
        recorded, replayed = dict(enumerate(recorded)), dict(enumerate(replayed))
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for key in {**replayed, **recorded}:
            below = f"{path}.{key}" if path else str(key)
            if key not in recorded or key not in replayed:
                return below, _summary(recorded.get(key)), _summary(replayed.get(key))
            first = _first_difference(recorded[key], replayed[key], below)
            if first is not None:
                return first
        return None
    # By `repr`, NaN equals NaN; by type, True does not equal 1.
    is_equal = type(recorded) is type(replayed) and repr(recorded) == repr(replayed)
    return None if is_equal else (path, _summary(recorded), _summary(replayed))


def _summary(value: Any) -> Any:
    """Return a simple value unchanged, and a name for a list or mapping, which may be large."""
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else value


def non_finite_difference(
    before: RunResults, error: NonFiniteError
) -> tuple[tuple[Difference, ...], int]:
    """Return the difference where a loss of the replay was not finite, and the epochs before it."""
    stage, epoch = int(error.details["stage"]), int(error.details["epoch"])
    places = [_stage_and_epoch(before, number) for number in range(len(before.history))]
    num_before = sum(place < (stage, epoch) for place in places)
    line = before.history[num_before] if (stage, epoch) in places else {}
    recorded, replayed = _summary(line.get(error.metric)), error.details["loss"]
    difference = Difference(runs.HISTORY, stage, epoch, error.metric, recorded, replayed)
    return (difference,), num_before


def recorded_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return the versions and properties of the machine that both runs recorded differently."""
    flat = []
    for record in (before, now):
        versions = record.get("versions")
        known = dict(versions) if isinstance(versions, dict) else {}
        flat.append({**known, **{key: record.get(key) for key in _MACHINE_KEYS}})
    names = {**flat[0], **flat[1]}
    pairs = [(name, flat[0].get(name), flat[1].get(name)) for name in names]
    return tuple(Change(n, _summary(old), _summary(new)) for n, old, new in pairs if old != new)

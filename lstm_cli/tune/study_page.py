"""The page of a study: one HTML file that loads no other file and runs no script."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lstm_cli.io.text_format import duration, number, pluralize
from lstm_cli.render import html
from lstm_cli.render.plot_style import percent
from lstm_cli.tune.plots import draw_history, draw_importance, draw_parallel_coordinates
from lstm_cli.tune.summary import (
    MIN_IMPORTANCE_TRIALS,
    StudySummary,
    TrialSummary,
    format_value,
)

FILE = "report.html"
_TEMPLATE = Path(__file__).parent / "templates" / "study.html"
_MAX_TRIALS = 200


def write_study_page(summary: StudySummary, path: Path) -> int:
    """Write the page of a study, and return its size in bytes.

    The same study gives the same bytes.

    Args:
        summary: The study.
        path: Where to write it.

    Raises:
        LstmError: See `html.check_page_path`, or the file cannot be written.
    """
    html.check_page_path(path)
    shown = summary.trials[:_MAX_TRIALS]
    page = html.render(
        _TEMPLATE,
        summary=summary,
        tiles=_tiles(summary),
        pictures=_pictures(summary),
        settings_header=settings_header(summary),
        settings_table=settings_table(summary),
        has_importance=has_importance(summary),
        min_trials=MIN_IMPORTANCE_TRIALS,
        trials_header=_trials_header(summary),
        trials_table=[_trial_row(summary, trial) for trial in shown],
        num_left_out=len(summary.trials) - len(shown),
        errors=[(str(t.number), t.error) for t in summary.trials if t.error is not None],
    )
    return html.write_page(path, page)


def has_importance(summary: StudySummary) -> bool:
    """Return whether there are enough trials for the importance of settings."""
    return any(setting.importance is not None for setting in summary.settings)


def settings_header(summary: StudySummary) -> tuple[str, ...]:
    """Return the headings of `settings_table`."""
    importance = ("importance",) if has_importance(summary) else ()
    best = _changed_best(summary)
    shown = () if best is None else (f"trial {best.number}",)
    return ("setting", *importance, "default", *shown)


def settings_table(summary: StudySummary) -> list[tuple[str, ...]]:
    """Return each searched setting with its importance, default and value in the best trial."""
    best = _changed_best(summary)
    return [
        (
            setting.key,
            *((percent(setting.importance),) if has_importance(summary) else ()),
            format_value(setting.default),
            *(() if best is None else (format_value(summary.value_of(best, setting)),)),
        )
        for setting in summary.settings
    ]


def _changed_best(summary: StudySummary) -> TrialSummary | None:
    """Return the best trial, unless it has the default settings."""
    return None if summary.best is None or summary.best.default else summary.best


def counts(summary: StudySummary) -> str:
    """Return the number of trials in each state: `35 finished, 23 pruned, 1 failed`."""
    states = dict.fromkeys(trial.state for trial in summary.trials)
    return ", ".join(f"{summary.count(state):,} {state}" for state in states) or "none"


def _tiles(summary: StudySummary) -> dict[str, str]:
    label, best, default = summary.label, summary.best, summary.default
    tiles = {}
    if best is not None:
        tiles[f"best {label} on validation"] = number(best.value)
    if default is not None:
        tiles[f"{label} of the default settings"] = number(default.value)
    tiles[f"trials: {counts(summary)}"] = f"{len(summary.trials):,}"
    if summary.seconds is not None:
        tiles["of search"] = duration(summary.seconds)
    return tiles


def _pictures(summary: StudySummary) -> dict[str, html.Picture]:
    """Draw the pictures that there are enough trials for."""
    if summary.best is None:
        return {}
    label = summary.label
    drawings: dict[str, tuple[Callable[[StudySummary, Path], None], str]] = {
        "history": (
            draw_history,
            f"The {label} of each trial, and the best so far. Triangles at the edge: trials that "
            "are worse than the picture shows.",
        )
    }
    if has_importance(summary):
        drawings["importance"] = (draw_importance, "The importance of each setting: a rough guess")
    if summary.settings and summary.count("finished") > 1:
        trials = pluralize(summary.count("finished"), "finished trial")
        drawings["parallel"] = (draw_parallel_coordinates, f"The settings of {trials}")
    pictures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (draw, caption) in drawings.items():
            path = Path(folder) / f"{name}.png"
            draw(summary, path)
            pictures[name] = html.Picture.from_png(path.read_bytes(), caption)
    return pictures


def _trials_header(summary: StudySummary) -> tuple[str, ...]:
    names = (setting.name for setting in summary.settings)
    return ("trial", summary.label, "state", "trained epochs", "time", *names)


def _trial_row(summary: StudySummary, trial: TrialSummary) -> tuple[Any, ...]:
    changed = summary.changed(trial)
    return (
        f"{trial.number}{' (default)' if trial.default else ''}",
        number(trial.value),
        trial.state,
        "-" if trial.epochs is None else f"{trial.epochs:,}",
        duration(trial.seconds),
        *(
            format_value(changed[setting.name]) if setting.name in changed else ""
            for setting in summary.settings
        ),
    )

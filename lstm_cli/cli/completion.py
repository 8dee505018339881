"""What the shell offers for a half-typed word; where nothing fits, it offers files itself."""

from __future__ import annotations

import typer


def complete_preset(incomplete: str) -> list[str]:
    """Offer presets."""
    from lstm_cli.config.load import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


def complete_dataset(incomplete: str) -> list[str]:
    """Offer data sets known by name."""
    from lstm_cli.data.registry import names

    return [entry.name for entry in names() if entry.name.startswith(incomplete)]


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer runs: `<dataset>/<name>`, and the name alone."""
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import all_runs

    runs = all_runs(runs_root(ctx.params.get("runs_dir")))
    words = dict.fromkeys([run.name for run in runs] + [run.path.name for run in runs])
    return [word for word in words if word.startswith(incomplete)]


def complete_key(incomplete: str) -> list[str]:
    """Offer settings: `model.units`."""
    from lstm_cli.config.load import all_keys

    return [key for key in all_keys() if key.startswith(incomplete)]


def complete_assignment(incomplete: str) -> list[str]:
    """Offer settings to assign: `model.units=`."""
    return [f"{key}=" for key in complete_key(incomplete)]

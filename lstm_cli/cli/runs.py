"""`lstm runs`: what was trained."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lstm_cli.cli.options import Json, RunsDir

app = typer.Typer(help="What was trained.", no_args_is_help=True)


@app.command(name="list")
def list_(
    dataset: Annotated[
        str | None, typer.Argument(metavar="DATASET", help="Only runs of this data set.")
    ] = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """List runs, the oldest first."""
    from lstm_cli import console
    from lstm_cli.run import all_runs, runs_root

    found = [_row(run) for run in all_runs(runs_root(runs_dir), dataset)]
    if json:
        console.print_json({"runs": found})
        return
    if not found:
        console.print_note(f"No runs under {runs_root(runs_dir)}. Train one: 'lstm train demo'.")
        return
    rows = [
        (
            row["name"],
            row["status"],
            _figure(row["accuracy"]),
            f"{row['parameters']:,}" if row["parameters"] else "-",
            console.duration(row["seconds"]) if row["seconds"] else "-",
            row["started"],
        )
        for row in found
    ]
    columns = ("run", "status", "test accuracy", "parameters", "time", "started")
    console.print_rows(rows, columns, right=columns[2:5])


@app.command()
def show(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder, DATASET/NAME, NAME, or a data set.")
    ],
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """Show what a run was trained on, how, and what it reached."""
    from lstm_cli import config, console
    from lstm_cli.run import find, read_run, runs_root

    found = find(runs_root(runs_dir), run)
    record, metrics = dict(read_run(found)), found.read_json("metrics.json")
    settings = config.to_dict(found.config())
    if json:
        console.print_json(
            {"path": str(found.path), **record, "config": settings, "metrics": metrics}
        )
        return
    console.print_pairs(_pairs(record), found.name)
    console.print_line("")
    for split in ("validation", "test"):
        report = metrics[split]
        low, high = report["accuracy_interval"]
        console.print_line(
            f"{split}: accuracy {report['accuracy']:.4f} ({low:.4f} to {high:.4f}), "
            f"loss {report['loss']:.4f}, F1 {report['f1']:.4f}, "
            f"{report['num_examples']:,} examples"
        )
    console.print_line(f"\n{config.to_yaml(found.config()).rstrip()}")
    console.print_line(f"\nFolder: {found.path}")


def _row(run: Any) -> dict[str, Any]:
    """Gather what the list shows; a damaged run is listed as such."""
    from lstm_cli.errors import LstmError
    from lstm_cli.run import METRICS, read_run

    row: dict[str, Any] = {"name": run.name, "status": run.status, "path": str(run.path)}
    try:
        record = read_run(run)
        metrics = run.read_json(METRICS) if row["status"] == "finished" else {}
    except LstmError:
        record, metrics = {}, {}
    test = metrics.get("test") or {}
    return {
        **row,
        "accuracy": test.get("accuracy"),
        "parameters": record.get("parameters"),
        "seconds": (record.get("seconds") or {}).get("total"),
        "started": record.get("started", "-"),
    }


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _pairs(record: dict[str, Any]) -> dict[str, object]:
    from lstm_cli.console import duration

    sizes = ", ".join(f"{n:,} {split}" for split, n in record["dataset"]["sizes"].items())
    return {
        "data": f"{record['dataset']['source']} ({sizes})",
        "command": record["command"],
        "parameters": f"{record['parameters']:,}",
        "epochs": f"{record['epochs']}, the best is {record['best_epoch']} ({record['stopped']})",
        "time": duration(record["seconds"]["total"]),
        "peak memory": f"{record['peak_memory_mb']:,} MB",
        "device": f"{record['device']} ({record['why']}), {record['kernel']}",
        "seed": record["seed"],
        "started": record["started"],
        "versions": ", ".join(f"{k} {v}" for k, v in record["versions"].items()),
    }

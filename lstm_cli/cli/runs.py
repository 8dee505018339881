"""`lstm runs`: list, check, compare and remove what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lstm_cli.cli import drift, options, remove_runs, set_threshold
from lstm_cli.cli.command import Command, Conflict, Group, check_conflicts
from lstm_cli.cli.completion import complete_dataset, complete_run

if TYPE_CHECKING:
    from lstm_cli.runs.directory import RunDir

app = typer.Typer(cls=Group, help="List, check, compare and remove runs.", no_args_is_help=True)

_DataSet = Annotated[
    str | None,
    typer.Argument(
        metavar="DATASET",
        help="List only the runs of this data set.",
        autocompletion=complete_dataset,
    ),
]
_OptionalRun = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help=f"Which run: {options.RUN_HELP}. Without it: the newest finished run.",
        autocompletion=complete_run,
    ),
]
_Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN RUN...",
        help=f"Which runs, two or more: {options.RUN_HELP}.",
        autocompletion=complete_run,
    ),
]
_All = Annotated[bool, typer.Option("--all", help="Check every finished run.")]
_ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="HTML file to write. A file is only replaced if lstm wrote it.",
        show_default="reports/report.html in the run",
    ),
]
_Errors = Annotated[
    int,
    typer.Option(
        "--errors", metavar="N", min=0, help="Show the N mistakes the run was most sure of."
    ),
]
_ComparisonFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Also write the learning curves (.png, .svg), or the whole comparison (.html).",
        show_default="no file",
    ),
]
_VERIFY_CONFLICTS = (Conflict("--all", ("RUN",), "every finished run is checked"),)


@app.command(name="list", cls=Command)
def list_(
    dataset: _DataSet = None, runs_dir: options.RunsDir = None, json: options.Json = False
) -> None:
    """List runs, the oldest first, with the size of their files.

    The files run.json, metrics.json and config.yaml of finished runs are checked. A run that fails
    is listed as broken, with the reason below the table; the exit code is still 0. 'lstm runs
    verify --all' checks every file, and ends with exit code 5 if a run fails.
    """
    from lstm_cli.cli import print_runs
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import all_runs
    from lstm_cli.runs.record import summarize
    from lstm_cli.runs.removal import leftovers

    root = runs_root(runs_dir)
    print_runs.print_list([summarize(run) for run in all_runs(root, dataset)], root, json)
    print_runs.note_leftovers(leftovers(root))


@app.command(cls=Command)
def show(
    run: options.RunArgument, runs_dir: options.RunsDir = None, json: options.Json = False
) -> None:
    """Show the data, the settings, the results and the thresholds of a run."""
    from lstm_cli.cli import print_runs
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.runs import thresholds
    from lstm_cli.runs.record import RunRecord, read

    record = read(find_run(run, runs_dir))
    stored = thresholds.read(record.run, record.labels) if isinstance(record, RunRecord) else None
    print_runs.print_record(record, stored, json)


app.command(name="set-threshold", cls=Command)(set_threshold.command)
app.command(name="drift", cls=Command)(drift.command)
app.command(cls=Command)(remove_runs.rename)
app.command(cls=Command)(remove_runs.rm)
app.command(cls=Command)(remove_runs.prune)


@app.command(cls=Command)
def verify(
    ctx: typer.Context,
    run: _OptionalRun = None,
    all_: _All = False,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Check that a run is complete, unchanged and safe to load; exit code 5 if not.

    Checks the manifest, the size and SHA-256 of every file, each node of the ONNX graph, that both
    weight files hold the same bits, and that the model still gives the answers it gave at the end
    of training.
    """
    from lstm_cli.cli import output, print_runs
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.prediction.verify import verify as verify_run

    check_conflicts(ctx, _VERIFY_CONFLICTS)
    results = []
    for found in _finished_runs(runs_dir) if all_ else [find_run(run, runs_dir)]:
        results.append(verify_run(found))
        if not json:
            print_runs.print_verify_result(results[-1])
    if json:
        values = [result.to_dict() for result in results]
        output.print_json({"runs": values} if all_ else values[0])
    print_runs.check_verify_results(results)


@app.command(cls=Command)
def replay(
    run: options.RunArgument,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Train a run again with its own settings and compare; exit code 5 if it differs.

    Compares the history (but not the seconds), the weights bit for bit, and the metrics. Prints
    "identical", or the first difference in each file and which versions and devices changed. Takes
    as long as training did; the new run is deleted.
    """
    from lstm_cli.cli import print_runs
    from lstm_cli.cli.reporter import training_reporter
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.cli.training import load_backend
    from lstm_cli.runs.directory import RUN
    from lstm_cli.runs.schema import FinishedRunInfo

    found = find_run(run, runs_dir)
    # Decided before Keras is imported: later a GPU cannot be hidden any more.
    listed = found.with_manifest()
    on_cpu = listed.decode(RUN, FinishedRunInfo).device == "cpu"
    load_backend("cpu" if on_cpu else "auto", listed.config().train.deterministic)
    from lstm_cli.training.replay import replay as replay_run

    with training_reporter() as reporter:
        replayed = replay_run(found, data_dir=data_dir, reporter=reporter)
    print_runs.print_replay(replayed, json)
    print_runs.check_replay(replayed)


@app.command(cls=Command)
def report(
    run: options.RunArgument,
    out: _ReportFile = None,
    errors: _Errors = 12,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Write everything about a run into one HTML file that needs no network.

    Results with intervals, plots, calibration, the mistakes on the test split the run was most
    sure of, settings, versions, and the model card. If the test data is not available, the page
    says so.
    """
    from lstm_cli.cli import output
    from lstm_cli.cli.reporter import make_reporter
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.report.run_report import write_report

    found = find_run(run, runs_dir)
    written = write_report(
        found, out, data_dir=data_dir, num_errors=errors, reporter=make_reporter()
    )
    if json:
        output.print_json(written.to_dict())
    else:
        output.print_line(f"Report: {written.path}")


@app.command(cls=Command)
def compare(
    runs: _Runs,
    out: _ComparisonFile = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Compare runs: metrics, settings that differ, and a paired significance test.

    Each pair of runs is tested (McNemar's exact test) on the examples that both test splits have,
    if both runs have the same classes and their data is available.

    For example:

    ```
    lstm runs compare imdb/baseline imdb/wide --out comparison.html
    ```
    """
    from lstm_cli.cli import output, print_runs
    from lstm_cli.cli.reporter import make_reporter
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.evaluation.compare import compare as compare_runs
    from lstm_cli.report import comparison

    if out is not None:
        comparison.check_path(out)
    found = [find_run(run, runs_dir) for run in runs]
    compared = compare_runs(found, data_dir=data_dir, reporter=make_reporter())
    if out is not None:
        comparison.write(compared, out)
    if json:
        output.print_json(compared.to_dict() | {"out": str(out) if out else None})
        return
    print_runs.print_comparison(compared)
    if out is not None:
        output.print_line(f"\nWritten: {out}")


def _finished_runs(runs_dir: Path | None) -> list[RunDir]:
    """Return every finished run.

    Raises:
        LstmError: There is none.
    """
    from lstm_cli.errors import LstmError
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import all_runs

    root = runs_root(runs_dir)
    found = [run for run in all_runs(root) if run.status in ("finished", "broken")]
    if not found:
        raise LstmError(f"There is no finished run under {root}.", "Train one: 'lstm train demo'.")
    return found

"""`lstm runs`: what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lstm_cli.cli.options import DataDir, Json, RunsDir
from lstm_cli.cli.pretrain import perplexities

if TYPE_CHECKING:
    from lstm_cli.evaluation.compare import Comparison
    from lstm_cli.prediction.verify import VerifyResult
    from lstm_cli.runs.directory import RunDir
    from lstm_cli.runs.record import LanguageRunRecord, RunRecord, Summary
    from lstm_cli.training.replay import Replay

app = typer.Typer(help="What was trained.", no_args_is_help=True)


@app.command(name="list")
def list_(
    dataset: Annotated[
        str | None, typer.Argument(metavar="DATASET", help="Only runs of this data set.")
    ] = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """List runs, the oldest first.

    Of a finished run, run.json, metrics.json and config.yaml are checked. A run that fails this is
    listed as broken, with the reason below the table, and the exit code is still 0; 'lstm runs
    verify --all' ends with 5.
    """
    from lstm_cli.cli import output
    from lstm_cli.io import text_format
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import all_runs
    from lstm_cli.runs.record import summarize

    found = [_row(summarize(run)) for run in all_runs(runs_root(runs_dir), dataset)]
    if json:
        output.print_json({"runs": found})
        return
    if not found:
        output.print_note(f"No runs under {runs_root(runs_dir)}. Train one: 'lstm train demo'.")
        return
    rows = [
        (
            row["name"],
            row["status"],
            _reached(row),
            "-" if row["parameters"] is None else f"{row['parameters']:,}",
            "-" if row["seconds"] is None else text_format.duration(row["seconds"]),
            row["started"][:16].replace("T", " "),
        )
        for row in found
    ]
    columns = ("run", "status", "accuracy", "parameters", "time", "started")
    output.print_rows(rows, columns, right=columns[2:5])
    for row in found:
        if row["problem"]:
            output.print_text(f"{row['name']} is broken: {row['problem']}.")


@app.command()
def show(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder, DATASET/NAME, NAME, or a data set.")
    ],
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """Show what a run was trained on, how, and what it reached."""
    from lstm_cli.cli import output
    from lstm_cli.config import load
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find
    from lstm_cli.runs.record import RunRecord, read

    record = read(find(runs_root(runs_dir), run))
    if json:
        output.print_json(_record_to_dict(record))
        return
    output.print_key_values(_pairs(record), record.run.name)
    output.print_line("")
    if isinstance(record, RunRecord):
        for split, report in (("validation", record.validation), ("test", record.test)):
            low, high = report.accuracy_interval
            output.print_line(
                f"{split}: accuracy {report.accuracy:.4f} ({low:.4f} to {high:.4f}), "
                f"loss {report.loss:.4f}, F1 {report.f1:.4f}, "
                f"{report.num_examples:,} examples"
            )
    else:
        output.print_key_values(perplexities(record.held_out))
    output.print_line(f"\n{load.to_yaml(record.config).rstrip()}")
    output.print_line(f"\nFolder: {record.run.path}")


@app.command()
def verify(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="Folder, DATASET/NAME, NAME, or a data set. The newest finished run if not given.",
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every finished run.")] = False,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """Check that a run is whole, unchanged and harmless; exit with 5 if not.

    Checks the manifest, every file's size and SHA-256, the graph node by node, the weights in both
    files bit for bit, and that the network still answers as at the end of training.
    """
    from lstm_cli.cli import output
    from lstm_cli.prediction.verify import verify as verify_run
    from lstm_cli.runs.directory import runs_root

    found = _chosen(runs_root(runs_dir), run, all_)
    verdicts = []
    for one in found:
        if run is None and not all_:
            output.print_note(f"Run: {one.name}")
        verdicts.append(verify_run(one))
        if not json:
            _print_verdict(verdicts[-1])
    if json:
        told = [verdict.to_dict() for verdict in verdicts]
        output.print_json({"runs": told} if all_ else told[0])
    _check_verdicts(verdicts)


@app.command()
def replay(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder, DATASET/NAME, NAME, or a data set.")
    ],
    data_dir: DataDir = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """Train a run again from its own settings and compare; exit with 5 if anything differs.

    Compares the history but for seconds, the weights bit for bit, and the metrics; says "identical"
    or where they first differ, with the versions and devices that are not those recorded. Takes as
    long as training did; the new run is thrown away.
    """
    from lstm_cli.cli import output
    from lstm_cli.runs.directory import RUN, runs_root
    from lstm_cli.runs.find import find
    from lstm_cli.runs.schema import FinishedRunInfo
    from lstm_cli.training.device import load_keras

    found = find(runs_root(runs_dir), run)
    # Known before Keras is imported, or a GPU cannot be hidden any more.
    on_cpu = found.verified().decode(RUN, FinishedRunInfo).device == "cpu"
    load_keras("cpu" if on_cpu else "auto")
    from lstm_cli.training.replay import replay as replay_run

    with output.training_reporter() as reporter:
        replayed = replay_run(found, data_dir=data_dir, reporter=reporter)
    if json:
        output.print_json(replayed.to_dict())
    else:
        _print_replay(replayed)
    _check_replay(replayed)


@app.command()
def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder, DATASET/NAME, NAME, or a data set.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where the page goes; a page that lstm wrote is replaced.",
            show_default="reports/report.html in the run",
        ),
    ] = None,
    errors: Annotated[
        int, typer.Option("--errors", min=0, help="Show the N most confidently wrong examples.")
    ] = 12,
    data_dir: DataDir = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """Write all there is to know of a run on one page of HTML, readable without network.

    Results with intervals, pictures, calibration, the test examples that it got most confidently
    wrong, settings, versions, model card. Where the test data is not there, the page says so.
    """
    from lstm_cli.cli import output
    from lstm_cli.report.run_report import report as report_run
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find

    found = find(runs_root(runs_dir), run)
    written = report_run(
        found, out, data_dir=data_dir, num_errors=errors, reporter=output.reporter()
    )
    if json:
        output.print_json(written.to_dict())
    else:
        output.print_line(f"Report: {written.path}")


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN...", help="Folders, DATASET/NAME, NAME, or data sets."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Also write the learning curves (.png, .svg), or everything as a page (.html).",
        ),
    ] = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """Put runs side by side: figures, settings that differ, and a paired test.

    Each pair is tested (McNemar, exact) on the examples that are in the test splits of both, where
    they have the same classes and their data is there.
    """
    from lstm_cli.cli import output
    from lstm_cli.evaluation.compare import compare as compare_runs
    from lstm_cli.report import comparison
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find

    if out is not None:
        comparison.check_place(out)
    found = [find(runs_root(runs_dir), run) for run in runs]
    compared = compare_runs(found, data_dir=data_dir, reporter=output.reporter())
    if out is not None:
        comparison.write(compared, out)
    if json:
        output.print_json(compared.to_dict() | {"out": str(out) if out else None})
        return
    _print_comparison(compared)
    if out is not None:
        output.print_line(f"\nWritten: {out}")


def _print_comparison(compared: Comparison) -> None:
    from lstm_cli.cli import output
    from lstm_cli.report import comparison

    names = compared.names
    data = comparison.shared_data(compared)
    title = "Results" if data is None else f"Results on {data}"
    rows = comparison.figures(compared)
    if data is None:
        rows.insert(0, ("data", *(entry.dataset for entry in compared.entries)))
    output.print_rows(rows, ("", *names), right=names, title=title)
    output.print_line("")
    if compared.settings:
        rows = [
            (key, *map(comparison.setting, values)) for key, values in compared.settings.items()
        ]
        output.print_rows(rows, ("setting", *names), title="Settings that differ")
    else:
        output.print_line("All settings are the same.")
    if compared.paired:
        output.print_line("")
        tests = [comparison.test_columns(paired) for paired in compared.paired]
        # Of one pair both are the same; of several the corrected one counts.
        left_out = "p" if len(tests) > 1 else "p (Holm)"
        columns = tuple(column for column in tests[0] if column != left_out)
        output.print_rows(
            [tuple(test[column] for column in columns) for test in tests],
            columns,
            right=columns[2:],
            title="The same examples",
        )
        output.print_text(comparison.HOW)
    for pair in compared.untested:
        output.print_line("")
        output.print_text(f"{pair.first} and {pair.second}: no test; {pair.reason}.")


def _print_replay(replayed: Replay) -> None:
    from lstm_cli.cli import output
    from lstm_cli.io.text_format import pluralize

    if replayed.identical:
        output.print_line(f"identical: {pluralize(replayed.epochs, 'epoch')}, weights and metrics")
    else:
        rows = [
            (d.file, d.epoch or "-", d.key, _told(d.recorded), _told(d.replayed))
            for d in replayed.differences
        ]
        columns = ("file", "epoch", "first difference", "recorded", "replayed")
        output.print_rows(rows, columns, right=columns[1:2], title=replayed.run)
    # Where it differs, the error names them.
    for change in replayed.causes if replayed.identical else ():
        output.print_line(f"Though: {change}")


def _told(value: Any) -> str:
    """Write a value of either run; none is one that only the other has."""
    return "none" if value is None else str(value)[:64]


def _check_replay(replayed: Replay) -> None:
    """End with exit code 5 if the replay differs.

    Raises:
        LstmError: It does.
    """
    from lstm_cli.errors import ExitCode, LstmError

    if replayed.identical:
        return
    first = replayed.differences[0]
    where = f" at epoch {first.epoch}" if first.epoch else ""
    hint = "Versions and device are those recorded. "
    hint += "A run trained on with more epochs, or with callbacks, cannot be repeated; else the "
    hint += "processor may be another one."
    if replayed.causes:
        hint = f"Likely: {' '.join(replayed.causes)}"
    raise LstmError(
        f"{replayed.run} was not repeated: {first.file} differs{where}, in {first.key}.",
        hint,
        ExitCode.INTEGRITY,
    )


def _chosen(root: Path, run: str | None, all_: bool) -> list[RunDir]:
    """Return the runs to verify."""
    from lstm_cli.errors import ExitCode, LstmError
    from lstm_cli.runs.find import all_runs, find

    if not all_:
        return [find(root, run)]
    if run is not None:
        raise LstmError(
            f"--all means every run, but '{run}' is named too.", "Leave one out.", ExitCode.USAGE
        )
    found = [one for one in all_runs(root) if one.status in ("finished", "broken")]
    if not found:
        raise LstmError(f"There is no finished run under {root}.", "Train one: 'lstm train demo'.")
    return found


def _print_verdict(verdict: VerifyResult) -> None:
    from lstm_cli.cli import output

    words = {True: "ok", False: "FAILED", None: "-"}
    rows = [(check.name, words[check.passed], check.told) for check in verdict.checks]
    output.print_rows(rows, ("check", "result", "found"), title=verdict.run)
    for check in verdict.failures:
        output.print_line(f"{check.name}: {check.meaning}")


def _check_verdicts(verdicts: list[VerifyResult]) -> None:
    """End with exit code 5 if a run failed.

    Raises:
        LstmError: One did.
    """
    from lstm_cli.errors import ExitCode, LstmError

    failed = [verdict for verdict in verdicts if not verdict.passed]
    if not failed:
        return
    names = ", ".join(verdict.run for verdict in failed)
    what = ", ".join(dict.fromkeys(f"'{c.name}'" for v in failed for c in v.failures))
    raise LstmError(
        f"{names} {'fails its' if len(failed) == 1 else 'fail their'} integrity check: {what}.",
        "Restore it from a copy, or train it again with the settings in its config.yaml.",
        ExitCode.INTEGRITY,
    )


def _row(summary: Summary) -> dict[str, Any]:
    """Return what the list shows of a run."""
    run, info = summary.run, summary.info
    return {
        "name": run.name,
        "status": summary.status,
        "path": str(run.path),
        "accuracy": summary.accuracy,
        "perplexity": summary.perplexity,
        "parameters": info.parameters if info else None,
        "seconds": (info.seconds or {}).get("total") if info else None,
        "started": (info.started if info else None) or "-",
        "problem": summary.problem or None,
    }


def _reached(row: dict[str, Any]) -> str:
    """Write the accuracy of a classifier, or the perplexity of a language model."""
    if row["perplexity"] is not None:
        return f"perplexity {row['perplexity']:,.1f}"
    return "-" if row["accuracy"] is None else f"{row['accuracy']:.4f}"


def _pairs(record: RunRecord | LanguageRunRecord) -> dict[str, object]:
    from lstm_cli.io.text_format import duration

    info = record.info
    sizes = ", ".join(f"{n:,} {split}" for split, n in info.dataset.sizes.items())
    memory = info.peak_memory_mb
    return {
        "data": f"{info.dataset.source} ({sizes})",
        "command": info.command or "started from Python",
        "parameters": f"{info.parameters:,}",
        "epochs": f"{info.epochs}, the best is {info.best_epoch} ({info.stopped})",
        "temperature": info.temperature,
        "time": duration(info.seconds["total"]),
        "peak memory": "-" if memory is None else f"{memory:,} MB",
        "device": f"{info.device} ({info.why}), {info.kernel}",
        "seed": info.seed,
        "started": info.started,
        "versions": ", ".join(f"{k} {v}" for k, v in info.versions.items()),
    }


def _record_to_dict(record: RunRecord | LanguageRunRecord) -> dict[str, Any]:
    """Return what `show --json` prints."""
    from msgspec import to_builtins

    from lstm_cli.config import load
    from lstm_cli.runs.record import RunRecord

    metrics: dict[str, Any] = {"best_epoch": record.info.best_epoch}
    if isinstance(record, RunRecord):
        metrics |= {"validation": record.validation.to_dict(), "test": record.test.to_dict()}
    else:
        metrics["held_out"] = to_builtins(record.held_out)
    return {
        "path": str(record.run.path),
        **record.info.to_dict(),
        "config": load.to_dict(record.config),
        "metrics": metrics,
    }

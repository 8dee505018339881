"""Results of `lstm runs`, for people or as JSON, and the errors they end with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_cli.cli import output
from lstm_cli.cli.print_thresholds import print_thresholds, to_dict
from lstm_cli.cli.print_training import perplexities, print_validation_method
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.disk_use import folder_bytes
from lstm_cli.io.text_format import duration, file_size, number, pluralize

if TYPE_CHECKING:
    from lstm_cli.evaluation.compare import Comparison
    from lstm_cli.prediction.verify import VerifyResult
    from lstm_cli.runs.record import LanguageRunRecord, RunRecord, Summary
    from lstm_cli.runs.thresholds import Thresholds
    from lstm_cli.training.replay import Replay
    from lstm_cli.training.replay_differences import Difference


def print_list(summaries: list[Summary], root: Path, as_json: bool) -> None:
    """Print a table of runs; broken ones are explained below it."""
    runs = [_summary_to_dict(summary) for summary in summaries]
    if as_json:
        output.print_json({"runs": runs})
        return
    if not runs:
        output.print_note(f"No runs under {root}. Train one: 'lstm train demo'.")
        return
    rows = [
        (
            run["name"],
            run["status"],
            score(run["accuracy"], run["perplexity"]),
            "-" if run["parameters"] is None else f"{run['parameters']:,}",
            "-" if run["seconds"] is None else duration(run["seconds"]),
            file_size(run["bytes"]),
            run["started"][:16].replace("T", " "),
        )
        for run in runs
    ]
    columns = ("run", "status", "accuracy", "parameters", "time", "size", "started")
    least = ("parameters", "size", "time", "started")
    output.print_rows(rows, columns, right=columns[2:6], unfolded=columns, least=least)
    for run in runs:
        if run["problem"]:
            output.print_text(f"{run['name']} is broken: {run['problem']}.")


def _summary_to_dict(summary: Summary) -> dict[str, Any]:
    run, info = summary.run, summary.info
    return {
        "name": run.name,
        "status": summary.status,
        "path": str(run.location),
        "accuracy": summary.accuracy,
        "perplexity": summary.perplexity,
        "parameters": info.parameters if info else None,
        "seconds": (info.seconds or {}).get("total") if info else None,
        "bytes": folder_bytes(run.path),
        "started": (info.started if info else None) or "-",
        "problem": summary.problem or None,
    }


def score(accuracy: float | None, perplexity: float | None) -> str:
    """Format the accuracy of a classifier, or the perplexity of a language model."""
    if perplexity is not None:
        return f"perplexity {perplexity:,.1f}"
    return number(accuracy)


def note_leftovers(folders: Sequence[Path]) -> None:
    """Say on stderr that removals were interrupted."""
    if folders:
        size = file_size(sum(map(folder_bytes, folders)))
        output.print_note(
            f"The removal of {pluralize(len(folders), 'run')} was interrupted ({size} left); "
            "'lstm runs prune' or 'lstm runs rm' deletes the rest."
        )


def print_record(
    record: RunRecord | LanguageRunRecord, thresholds: Thresholds | None, as_json: bool
) -> None:
    """Print data, settings, results and thresholds of a finished run."""
    from lstm_cli.config import load
    from lstm_cli.report.metric_rows import metric_table
    from lstm_cli.runs.record import RunRecord

    if as_json:
        output.print_json(_record_to_dict(record, thresholds))
        return
    output.print_key_values(_key_values(record), record.run.name)
    output.print_line("")
    if isinstance(record, RunRecord):
        splits = ("validation",) if record.test is None else ("validation", "test")
        reports = (record.validation,) if record.test is None else (record.validation, record.test)
        rows = metric_table(*reports)
        output.print_rows(rows, ("", *splits), right=splits)
        print_validation_method(record.validation_method, record.cross_validation)
        if thresholds is not None:
            output.print_line("")
            print_thresholds(thresholds, "Thresholds")
    else:
        output.print_key_values(perplexities(record.held_out))
    output.print_line(f"\n{load.to_yaml(record.config).rstrip()}")
    where = "Folder" if record.run.archive is None else "Archive"
    output.print_line(f"\n{where}: {record.run.location}")


def _key_values(record: RunRecord | LanguageRunRecord) -> dict[str, object]:
    from lstm_cli.runs.schema import describe_selection

    info = record.info
    epochs = f"{info.epochs}, the best is {info.best_epoch} ({info.stopped})"
    if info.stages:
        epochs = f"{info.best_epoch} in the refit: {describe_selection(info.stages)}"
    sizes = ", ".join(f"{n:,} {split}" for split, n in info.dataset.sizes.items())
    memory = info.peak_memory_mb
    return {
        "data": f"{info.dataset.source} ({sizes})",
        "command": info.command or "started from Python",
        "parameters": f"{info.parameters:,}",
        "epochs": epochs,
        "temperature": info.temperature,
        "time": duration(info.seconds["total"]),
        "peak memory": "-" if memory is None else f"{memory:,} MB",
        "device": f"{info.device} ({info.why}), {info.kernel}",
        "seed": info.seed,
        "started": info.started,
        "versions": ", ".join(f"{k} {v}" for k, v in info.versions.items()),
    }


def _record_to_dict(
    record: RunRecord | LanguageRunRecord, thresholds: Thresholds | None
) -> dict[str, Any]:
    """Return what `show --json` prints."""
    from msgspec import to_builtins

    from lstm_cli.config import load
    from lstm_cli.runs.record import RunRecord

    metrics: dict[str, Any] = {"best_epoch": record.info.best_epoch}
    if isinstance(record, RunRecord):
        if record.validation_method:
            metrics["validation_method"] = record.validation_method
        if record.cross_validation:
            metrics["cross_validation"] = to_builtins(record.cross_validation)
        metrics["validation"] = record.validation.to_dict()
        if record.test is not None:
            metrics["test"] = record.test.to_dict()
    else:
        metrics["held_out"] = to_builtins(record.held_out)
    return {
        "path": str(record.run.location),
        **record.info.to_dict(),
        "config": load.to_dict(record.config),
        "metrics": metrics,
        **({} if thresholds is None else to_dict(thresholds)),
    }


def print_verify_result(result: VerifyResult) -> None:
    """Print a table of checks; those that failed are explained below it."""
    words = {True: "ok", False: "FAILED", None: "-"}
    rows = [(check.name, words[check.passed], check.detail) for check in result.checks]
    output.print_rows(rows, ("check", "result", "found"), title=result.run)
    for check in result.failures:
        output.print_line(f"{check.name}: {check.meaning}")


def check_verify_results(results: list[VerifyResult]) -> None:
    """End with exit code 5 if a run failed.

    Raises:
        LstmError: One did.
    """
    failed = [result for result in results if not result.passed]
    if not failed:
        return
    names = ", ".join(result.run for result in failed)
    checks = ", ".join(dict.fromkeys(f"'{c.name}'" for r in failed for c in r.failures))
    raise LstmError(
        f"{names} {'fails its' if len(failed) == 1 else 'fail their'} integrity check: {checks}.",
        "Restore it from a copy, or train it again with the settings in its config.yaml.",
        ExitCode.INTEGRITY,
    )


def print_replay(replayed: Replay, as_json: bool) -> None:
    """Print "identical", or the first difference in each file."""
    if as_json:
        output.print_json(replayed.to_dict())
        return
    if not replayed.identical:
        rows = [
            (d.file, _epoch(d), d.key, _value(d.recorded), _value(d.replayed))
            for d in replayed.differences
        ]
        columns = ("file", "epoch", "first difference", "recorded", "replayed")
        output.print_rows(rows, columns, right=columns[1:2], title=replayed.run)
        return
    output.print_line(f"identical: {pluralize(replayed.epochs, 'epoch')}, weights and metrics")
    for change in replayed.causes:
        output.print_line(f"Although: {change}")


def _epoch(difference: Difference) -> str:
    """Format the epoch of a difference, and its stage unless it is the first."""
    if difference.epoch is None:
        return "-"
    is_later = difference.stage is not None and difference.stage > 1
    return f"{difference.epoch}{f' of stage {difference.stage}' if is_later else ''}"


def _value(value: Any) -> str:
    """Format a value of either run; None is one that only the other run has."""
    return "none" if value is None else str(value)[:64]


def check_replay(replayed: Replay) -> None:
    """End with exit code 5 if the replay differs.

    Raises:
        LstmError: It does.
    """
    if replayed.identical:
        return
    first = replayed.differences[0]
    epoch = f" at epoch {_epoch(first)}" if first.epoch else ""
    hint = (
        "Versions and device are those recorded. A run that was extended with more epochs, or "
        "trained with callbacks, cannot be repeated; otherwise the processor may be another model."
    )
    if replayed.causes:
        hint = f"Likely: {' '.join(replayed.causes)}"
    raise LstmError(
        f"{replayed.run} was not repeated: {first.file} differs{epoch}, in {first.key}.",
        hint,
        ExitCode.INTEGRITY,
    )


def print_comparison(compared: Comparison) -> None:
    """Print what was shown, metrics, settings that differ, and the paired tests."""
    from lstm_cli.report import comparison
    from lstm_cli.report.metric_rows import metric_table

    output.print_text(f"{compared.conclusion.text}\n")
    names = compared.names
    data = comparison.shared_dataset(compared)
    title = "Results" if data is None else f"Results on {data}"
    rows = metric_table(*compared.entries, rows=comparison.ROWS)
    if data is None:
        rows.insert(0, ("data", *(entry.dataset for entry in compared.entries)))
    output.print_rows(rows, ("", *names), right=names, title=title, unfolded=names)
    output.print_line("")
    if compared.settings:
        rows = [
            (key, *map(comparison.format_setting, values))
            for key, values in compared.settings.items()
        ]
        columns = ("setting", *names)
        output.print_rows(rows, columns, title="Settings that differ", unfolded=columns[:1])
    else:
        output.print_line("All settings are the same.")
    if compared.paired:
        _print_tests(compared)
    for pair in compared.untested:
        output.print_line("")
        output.print_text(f"{pair.first} and {pair.second}: no test; {pair.reason}.")


def _print_tests(compared: Comparison) -> None:
    from lstm_cli.report import comparison

    output.print_line("")
    tests = [comparison.test_columns(paired) for paired in compared.paired]
    # With one pair both p values are the same; with several the corrected one counts.
    hidden = "p" if len(tests) > 1 else "p (Holm)"
    columns = tuple(column for column in tests[0] if column != hidden)
    rows = [tuple(test[column] for column in columns) for test in tests]
    output.print_rows(
        rows,
        columns,
        right=columns[2:],
        title="The same examples",
        unfolded=columns[:2],
        least=("shared", "only A", "only B"),
    )
    if note := comparison.other_rows_note(compared):
        output.print_text(note)
    output.print_text(comparison.TEST_NOTE)

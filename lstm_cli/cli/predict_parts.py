"""Predict several files: find them, run the job, and say what happened to the records."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lstm_cli.cli import output
from lstm_cli.cli.inputs import PIPE, is_file
from lstm_cli.cli.resolve import find_run
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_format import percent, pluralize
from lstm_cli.scale.storage import is_pattern, is_remote, is_url, local_path

if TYPE_CHECKING:
    from lstm_cli.cli.predict_options import EngineOptions
    from lstm_cli.data.kept_columns import Keep
    from lstm_cli.data.readers.read_options import ReadOptions
    from lstm_cli.prediction.answers import Rule
    from lstm_cli.prediction.predictor import Predictor
    from lstm_cli.scale.finished import FinishedPart
    from lstm_cli.scale.job import Engine, Job
    from lstm_cli.scale.parts import Part
    from lstm_cli.scale.predict_part import PartOutcome

# Seconds between two lines about progress.
_PROGRESS_SECONDS = 10.0
_MAX_FAILURES = 5


@dataclass(frozen=True)
class PartsRequest:
    """What a command line asks for, as typed; see the options of `lstm predict`."""

    files: Sequence[str]
    out: str | None
    run: str | None
    runs_dir: Path | None
    format: str
    text_columns: Sequence[str]
    read_options: ReadOptions
    keep: Keep
    id_column: str | None
    top_k: int | None
    rule: Rule
    engine: EngineOptions
    stats: Path | None = None


def has_parts(files: Sequence[str]) -> bool:
    """Return whether the values of `--file` stand for files that are predicted one by one."""
    return len(files) > 1 or any(is_url(name) or is_pattern(name) for name in files)


def check_expanded(files: Sequence[str], words: Sequence[str]) -> None:
    """Refuse names of files after `--file`: a pattern that the shell has expanded.

    Raises:
        LstmError: There are some (exit code 2).
    """
    if files and words and all(is_file(word) for word in words):
        raise LstmError(
            f"--file takes one name or a quoted pattern; after {files[-1]} stands {words[0]}.",
            "Quote the pattern, so that the shell does not expand it: --file 'part-*.csv'",
            ExitCode.USAGE,
        )


def predict_parts(request: PartsRequest) -> None:
    """Predict several files, except those whose answers are written already.

    Raises:
        LstmError: Nothing could be done, or a part failed; the others are then written.
    """
    job = _make_job(request)
    with job.opened() as (finished, waiting):
        if finished:
            output.print_note(
                f"{len(finished):,} of {pluralize(len(job.parts), 'part')} were finished before."
            )
        failed = _run(_make_engine(request, job), finished, waiting, job) if waiting else []
    _print_notes(finished)
    if failed:
        raise _failure(failed, len(job.parts), bool(finished))
    num = sum(part.num_inputs for part in finished)
    if num and num == sum(part.num_bad for part in finished):
        reason = next(part.first_error for part in finished if part.first_error)
        raise LstmError(f"None of {pluralize(num, 'record')} can be read. {reason}")
    if request.stats is not None:
        _write_stats(request.stats, finished)
    written = f"{pluralize(len(finished), 'part')}, {pluralize(num, 'record')}"
    output.print_note(f"Written: {job.settings.out} ({written})")


def _write_stats(path: Path, finished: Sequence[FinishedPart]) -> None:
    """Write the statistics of all parts.

    Raises:
        LstmError: A part has none, or the file cannot be written.
    """
    from lstm_cli.prediction import input_stats

    stats = [part.stats for part in finished if part.stats is not None]
    if len(stats) < len(finished):
        raise LstmError(
            "--stats has no figures of parts that an older version of lstm finished.",
            "Name a new folder with --out.",
        )
    input_stats.write(path, input_stats.add_up(stats))
    output.print_note(f"Written: {path}")


def _make_job(request: PartsRequest) -> Job:
    """Find the parts, load the run, and check that they fit together.

    Raises:
        LstmError: They do not.
    """
    from lstm_cli.prediction.predictor import Predictor
    from lstm_cli.prediction.write_file import Content
    from lstm_cli.scale.job import Job
    from lstm_cli.scale.parts import check_out, find_parts
    from lstm_cli.scale.predict_part import PartSettings

    _check_urls((*request.files, request.out or ""))
    out = _check_out(request)
    if request.format == "table":
        raise LstmError(
            "--format table is for the terminal.",
            "Choose csv, tsv, jsonl or parquet, or leave out --format.",
            ExitCode.USAGE,
        )
    parts, format_ = find_parts(request.files, request.format, out)
    check_out(parts, out)
    predictor = Predictor.load(
        find_run(request.run, request.runs_dir, "text"), request.engine.threads
    )
    _check_predictor(predictor, request)
    content = Content(format_, False, request.top_k, request.keep, request.id_column)
    columns = tuple(request.text_columns)
    settings = PartSettings(out, content, request.rule, columns, request.read_options)
    return Job(predictor, parts, settings)


def _check_urls(names: Sequence[str]) -> None:
    """Refuse files that would be gone when the command ends.

    Raises:
        LstmError: A URL is `memory://` (exit code 2).
    """
    for name in names:
        if name.lower().startswith("memory://"):
            raise LstmError(
                f"{name} is in the memory of this command alone: nothing is there before it, and "
                "nothing stays.",
                "Name a folder, or a URL such as s3://BUCKET/FOLDER.",
                ExitCode.USAGE,
            )


def _check_out(request: PartsRequest) -> str:
    """Return the output folder, absolute if it is local.

    Raises:
        LstmError: There is none, there are no files, or one is the pipe.
    """
    if not request.files or PIPE in request.files:
        raise LstmError(
            "Several files or a Ray cluster need names of files, not the pipe.",
            "For example: lstm predict --file 'part-*.csv' --out answers/",
            ExitCode.USAGE,
        )
    if request.out is None or request.out == PIPE:
        raise LstmError(
            "Several files, URLs and --engine ray need a folder for the answers.",
            "Name it: --out FOLDER",
            ExitCode.USAGE,
        )
    if is_remote(request.out):
        return request.out
    out = local_path(request.out).absolute()
    if out.exists() and not out.is_dir():
        raise LstmError(
            f"--out {request.out} is a file, and several files need a folder.",
            "Name a new folder.",
            ExitCode.USAGE,
        )
    return str(out)


def _check_predictor(predictor: Predictor, request: PartsRequest) -> None:
    if predictor.kind == "image":
        raise LstmError(
            f"Run {predictor.run.name} reads images: they are predicted by one process, as one "
            "input.",
            "Give the folder of the images instead: lstm predict FOLDER --out answers.csv",
            ExitCode.USAGE,
        )
    predictor.check_rule(request.rule.threshold, request.rule.min_probability)


def _make_engine(request: PartsRequest, job: Job) -> Engine:
    from lstm_cli.io.worker import num_cores

    typed = request.engine
    if typed.engine == "ray":
        from lstm_cli.scale.ray_engine import Cluster

        return job.on_ray(Cluster(typed.address, typed.jobs, typed.threads or 1))
    jobs = typed.jobs or 1
    return job.on_this_machine(jobs, typed.threads or max(1, num_cores() // jobs))


def _run(
    engine: Engine, finished: list[FinishedPart], waiting: Sequence[Part], job: Job
) -> list[PartOutcome]:
    """Run the waiting parts, add those that finish, and return those that fail.

    Raises:
        LstmError: A part failed, and --on-error is stop.
    """
    failed: list[PartOutcome] = []
    start = shown = time.monotonic()
    num_records = 0
    for outcome in engine(waiting):
        if outcome.finished is None:
            if job.settings.rule.stop:
                raise _failure([outcome], len(job.parts), bool(finished))
            failed.append(outcome)
            continue
        finished.append(outcome.finished)
        num_records += outcome.finished.num_inputs
        if (now := time.monotonic()) - shown >= _PROGRESS_SECONDS:
            shown = now
            output.print_note(
                f"{len(finished):,} of {pluralize(len(job.parts), 'part')}, "
                f"{num_records / (now - start):,.0f} records/s"
            )
    return failed


def _failure(failed: Sequence[PartOutcome], num_parts: int, goes_on: bool) -> LstmError:
    """Return the error for parts that failed; the first are named on stderr if there are more.

    Args:
        failed: What became of them.
        num_parts: How many parts there are.
        goes_on: Whether there are finished parts, so that the next start goes on after them.
    """
    first = failed[0]
    for outcome in failed[1:_MAX_FAILURES]:
        output.print_note(f"Failed: {outcome.part.name}: {outcome.message}")
    count = f"{len(failed):,} of {pluralize(num_parts, 'part')} failed"
    hint = first.hint
    if goes_on and first.exit_code != ExitCode.USAGE:
        hint = f"{hint} Start the command again: it goes on after the finished parts.".strip()
    return LstmError(f"{count}. {first.message}", hint, ExitCode(first.exit_code))


def _print_notes(finished: Sequence[FinishedPart]) -> None:
    """Say on stderr which columns were read, and what happened to records."""
    columns = {part.text_columns for part in finished if part.text_columns}
    if columns:
        names = " or ".join(sorted("+".join(names) for names in columns))
        output.print_note(f"Text: {names}")
    num = sum(part.num_inputs for part in finished)
    if num_bad := sum(part.num_bad for part in finished):
        reason = next(part.first_error for part in finished if part.first_error)
        output.print_note(
            f"Warning: {num_bad:,} of {pluralize(num, 'record')} could not be read, in "
            f"{pluralize(sum(part.num_bad > 0 for part in finished), 'part')}; one: {reason}"
        )
    if num_unanswered := sum(part.num_unanswered for part in finished):
        num_predicted = sum(part.num_predicted for part in finished)
        output.print_note(
            f"No answer for {num_unanswered:,} of {num_predicted:,} inputs "
            f"({percent(num_unanswered / num_predicted)}): the probability is below the smallest "
            "for an answer."
        )
    if num_cut := sum(part.num_cut for part in finished):
        output.print_note(
            f"Warning: {pluralize(num_cut, 'record')} had fields that the first records lack; they "
            "have no column. --format jsonl writes all fields."
        )
    if num_invalid := sum(part.num_invalid_lines for part in finished):
        output.print_note(
            f"Warning: bytes that are not UTF-8 were read as U+FFFD in {num_invalid:,} lines."
        )

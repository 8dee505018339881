"""The record of a run: what run.json, metrics.json and history.jsonl hold.

`read` checks them: the files match the manifest, the values have their types and ranges, and they
agree with each other and with the settings. `runs show`, `report`, `compare` and `verify` use it.
"""

from __future__ import annotations

from dataclasses import dataclass

from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Epoch
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.metrics_schema import (
    CrossValidation,
    HeldOutScores,
    LanguageResults,
    Report,
    Results,
    check_report,
)
from lstm_cli.runs.schema import FinishedRunInfo, RunInfo


@dataclass(frozen=True)
class RunRecord:
    """The record of a finished classifier.

    Attributes:
        run: With its manifest.
        config: The settings.
        info: Content of `run.json`.
        labels: Class names.
        validation: Results on the validation split, or on the rows held out before a refit.
        test: Results on the test split; None if it was not scored.
        history: One entry per epoch.
        validation_method: How the validation results came about before a refit; empty without one.
        cross_validation: Scores of the folds; None without folds.
    """

    run: RunDir
    config: Config
    info: FinishedRunInfo
    labels: tuple[str, ...]
    validation: Report
    test: Report | None
    history: tuple[Epoch, ...]
    validation_method: str = ""
    cross_validation: CrossValidation | None = None

    @property
    def num_bytes(self) -> int:
        """Size of all files in the manifest."""
        return sum(entry.num_bytes for entry in (self.run.manifest or {}).values())


@dataclass(frozen=True)
class LanguageRunRecord:
    """The record of a finished language model.

    Attributes:
        run: With its manifest.
        config: The settings.
        info: Content of `run.json`.
        held_out: Results on words that it was not trained on.
        history: One entry per epoch.
    """

    run: RunDir
    config: Config
    info: FinishedRunInfo
    held_out: HeldOutScores
    history: tuple[Epoch, ...]


@dataclass(frozen=True)
class Summary:
    """A row of `runs list`.

    Attributes:
        run: The run.
        status: State of the run.
        info: Content of `run.json`; None if it is damaged.
        accuracy: On the test split; None for a language model, an unfinished run, and a run that
            was not scored on test.
        perplexity: Of a finished language model; None otherwise.
        problem: Why the run is broken: file, key and reason; empty if it is not broken.
    """

    run: RunDir
    status: runs.Status
    info: RunInfo | None
    accuracy: float | None = None
    perplexity: float | None = None
    problem: str = ""


def read(run: RunDir) -> RunRecord | LanguageRunRecord:
    """Read the record of a finished run.

    Raises:
        LstmError: A file is missing, changed or not valid; file and key are named (exit code 5).
    """
    run = run.with_manifest()
    config = run.config()
    for name in required_files(config):
        if name not in (run.manifest or {}):
            raise run.integrity_error(f"{runs.MANIFEST} does not list {name}")
    if config.language is not None:
        info = read_info(run, config)
        held_out = read_language_results(run, info)
        return LanguageRunRecord(run, config, info, held_out, read_history(run, config, info))
    labels = run.labels()
    info = read_info(run, config, labels)
    results = read_results(run, info, labels)
    history = read_history(run, config, info)
    return RunRecord(
        run,
        config,
        info,
        labels,
        results.validation,
        results.test,
        history,
        results.validation_method,
        results.cross_validation,
    )


def read_classifier(run: RunDir) -> RunRecord:
    """Read the record of a finished classifier.

    Raises:
        LstmError: It is a language model (exit code 2), or as `read`.
    """
    if run.with_manifest().config().language is not None:
        raise LstmError(
            f"Run {run.name} is a language model: it has no classes to report on.",
            f"Name a classifier. The results of this run are in {run.file(runs.CARD)}.",
            ExitCode.USAGE,
        )
    record = read(run)
    assert isinstance(record, RunRecord)
    return record


def read_tested(run: RunDir) -> tuple[RunRecord, Report]:
    """Read the record of a finished classifier and its results on test.

    Raises:
        LstmError: It was not scored on test (exit code 2), or as `read_classifier`.
    """
    record = read_classifier(run)
    if record.test is None:
        raise LstmError(
            f"Run {run.name} was not scored on test: it was trained with --no-test.",
            f"Score it: {find.resume_command(run, runs.runs_root())}",
            ExitCode.USAGE,
        )
    return record, record.test


def required_files(config: Config) -> tuple[str, ...]:
    """Return the files that the manifest of a finished run must list."""
    model = (runs.MODEL,) if config.language is None else ()
    has_table = config.language is None and config.data.folds and not config.is_multi_label
    table = (runs.OUT_OF_FOLD,) if has_table else ()
    return (runs.RUN, runs.METRICS, runs.HISTORY, runs.WEIGHTS, runs.CARD, *model, *table)


def read_info(
    run: RunDir, config: Config, labels: tuple[str, ...] | None = None
) -> FinishedRunInfo:
    """Read `run.json` of a finished run.

    Args:
        run: With its manifest.
        config: Its settings.
        labels: Its class names; None for a language model.

    Raises:
        LstmError: It is damaged, or belongs to other settings or labels (exit code 5).
    """
    info = run.decode(runs.RUN, FinishedRunInfo)
    expected = {"kind": config.task, "data": config.data.name}
    for key, value in expected.items():
        if (found := getattr(info, key)) != value:
            reason = f"expected {value[:100]!r} as in {runs.CONFIG}, found {found[:100]!r}"
            raise run.integrity_error(f"{runs.RUN}, {key}: {reason}")
    if bool(info.stages) != config.is_refitted:
        raise run.integrity_error(f"{runs.RUN}, stages: do not belong to the settings")
    info_labels = info.dataset.labels
    if labels is not None and info_labels is not None and tuple(info_labels) != labels:
        raise run.integrity_error(f"{runs.RUN}, dataset.labels: expected those of {runs.LABELS}")
    return info


def read_results(
    run: RunDir, info: FinishedRunInfo, labels: tuple[str, ...] | None = None
) -> Results:
    """Read `metrics.json` of a classifier.

    Args:
        run: With its manifest.
        info: Its `run.json`.
        labels: Its class names; None if unknown.

    Raises:
        LstmError: It is damaged, or belongs to another run (exit code 5).
    """
    results = run.decode(runs.METRICS, Results)
    _check_best_epoch(run, info, results.best_epoch)
    if info.stages and not results.validation_method:
        raise run.integrity_error(
            f"{runs.METRICS}, validation_method: expected a text, because of the stages in "
            f"{runs.RUN}"
        )
    has_folds = any(stage.kind == "fold" for stage in info.stages or ())
    if (results.cross_validation is not None) != has_folds:
        raise run.integrity_error(
            f"{runs.METRICS}, cross_validation: does not belong to the stages in {runs.RUN}"
        )
    for split, report in (("validation", results.validation), ("test", results.test)):
        if report is None:
            continue
        try:
            check_report(report, labels)
        except ValueError as error:
            raise run.integrity_error(f"{runs.METRICS}, {split}.{error}") from None
    return results


def read_language_results(run: RunDir, info: FinishedRunInfo) -> HeldOutScores:
    """Read `metrics.json` of a language model.

    Raises:
        LstmError: It is damaged, or belongs to another run (exit code 5).
    """
    results = run.decode(runs.METRICS, LanguageResults)
    _check_best_epoch(run, info, results.best_epoch)
    return results.held_out


def read_history(run: RunDir, config: Config, info: FinishedRunInfo) -> tuple[Epoch, ...]:
    """Read `history.jsonl` of a finished run.

    Args:
        run: With its manifest.
        config: Its settings.
        info: Its `run.json`.

    Raises:
        LstmError: It is damaged, or belongs to another run (exit code 5).
    """
    lines = run.history()
    if len(lines) != info.epochs:
        raise run.integrity_error(
            f"{runs.HISTORY} has {len(lines):,} epochs, expected {info.epochs:,} as in {runs.RUN}"
        )
    for number, line in enumerate(lines, 1):
        is_classifier = config.language is None
        has_accuracies = line.accuracy is not None and line.val_accuracy is not None
        if is_classifier and line.val_loss is None:
            has_accuracies = line.accuracy is not None and line.val_accuracy is None
        if is_classifier and not has_accuracies:
            raise run.integrity_error(f"{runs.HISTORY}, line {number}, accuracy: expected a number")
        if line.val_loss is None and not config.is_refitted:
            raise run.integrity_error(f"{runs.HISTORY}, line {number}, val_loss: expected a number")
    return tuple(line.to_epoch() for line in lines)


def summarize(run: RunDir) -> Summary:
    """Read what `runs list` shows of a run; a damaged run raises no error.

    For a finished run, run.json, metrics.json and config.yaml are checked against the manifest;
    the larger files are not read.

    Args:
        run: In any state.
    """
    status, info = run.status, runs.peek(run)
    if status not in ("finished", "broken"):
        return Summary(run, status, info)
    try:
        if info is None:
            run.decode(runs.RUN, RunInfo)
        run_with_manifest = run.with_manifest()
        finished = run_with_manifest.decode(runs.RUN, FinishedRunInfo)
        run_with_manifest.read_bytes(runs.CONFIG)
        if finished.kind == "language":
            perplexity = read_language_results(run_with_manifest, finished).perplexity
            return Summary(run, status, finished, perplexity=perplexity)
        labels = finished.dataset.labels
        results = read_results(
            run_with_manifest, finished, None if labels is None else tuple(labels)
        )
        accuracy = None if results.test is None else results.test.accuracy
        return Summary(run, status, finished, accuracy=accuracy)
    except LstmError as error:
        return Summary(run, "broken", None, problem=runs.integrity_reason(run, error))


def _check_best_epoch(run: RunDir, info: FinishedRunInfo, best_epoch: int) -> None:
    if best_epoch != info.best_epoch:
        raise run.integrity_error(
            f"{runs.METRICS}, best_epoch: expected {info.best_epoch} as in {runs.RUN}, found "
            f"{best_epoch}"
        )

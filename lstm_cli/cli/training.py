"""What `lstm train` and `lstm pretrain` share: checks first, then TensorFlow, then training."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lstm_cli.cli.command import Conflict
from lstm_cli.errors import command_line

if TYPE_CHECKING:
    from lstm_cli.config.schema import Config
    from lstm_cli.io.progress import Reporter
    from lstm_cli.io.worker import Worker
    from lstm_cli.runs.directory import RunDir
    from lstm_cli.training.cluster import Cluster
    from lstm_cli.training.dry_run import ClassifierPlan, LanguageModelPlan

CONFLICTS = (
    Conflict("--resume", ("--name",), "a run keeps its name"),
    Conflict("--resume", ("--dry-run",), "a dry run plans a new run"),
    Conflict(
        "--dry-run",
        ("--tensorboard", "--track", "--no-test", "--fail-under"),
        "a dry run trains nothing",
    ),
    Conflict("--no-test", ("--fail-under",), "it looks at the results on test"),
    Conflict("--dry-run", ("--distributed",), "a dry run takes one process"),
)


@dataclass(frozen=True)
class TrainingRequest:
    """What a command line asks to train.

    Attributes:
        dataset: As typed.
        config: YAML file of settings.
        overrides: Settings by dotted key.
        resume: Run to continue; "" for the newest unfinished one, None for a new run.
        name: Name of a new run.
        device: Where to train.
        data_dir: Folder of TFDS data sets.
        runs_dir: Folder of all runs.
        tensorboard: Whether to write TensorBoard logs.
        dry_run: Whether to plan only.
        language_model: Whether to train a language model; else a classifier.
        fail_on: Findings with which nothing is trained: `leak`.
        score_test: Whether to score a classifier on test at the end.
        cluster: The processes to train with; None to train alone.
        track: Where to send the course of the training, too: `mlflow`.
    """

    dataset: str
    config: Path | None
    overrides: dict[str, Any]
    resume: str | None
    name: str | None
    device: Literal["auto", "cpu", "gpu"]
    data_dir: Path | None
    runs_dir: Path | None
    tensorboard: bool
    dry_run: bool
    language_model: bool = False
    fail_on: tuple[str, ...] = ()
    score_test: bool = True
    cluster: Cluster | None = None
    track: str | None = None


def run_training(request: TrainingRequest) -> Any:
    """Check everything that can be checked without TensorFlow, load it, and train.

    Returns:
        The finished run (`RunDir`), or the plan of a dry run; None in a process that does not
        write the run.

    Raises:
        LstmError: A setting is wrong, the name is taken, a package is missing, or training failed.
    """
    from lstm_cli.cli.reporter import training_reporter
    from lstm_cli.data.dataset_settings import dataset_settings
    from lstm_cli.io.optional import require
    from lstm_cli.io.worker import import_modules, start_worker
    from lstm_cli.text.vector_file import check_exists
    from lstm_cli.training.task import (
        check_is_classifier,
        check_unlabeled_is_used,
        with_language_model,
    )
    from lstm_cli.training.tracking import check as check_tracking

    settings = dataset_settings(request.dataset, request.config, request.overrides)
    if request.language_model:
        settings = with_language_model(settings)
    else:
        check_is_classifier(settings)
    if request.resume is None:
        check_unlabeled_is_used(settings)
        if settings.embedding is not None and settings.embedding.vectors_file is not None:
            check_exists(Path(settings.embedding.vectors_file))
    if request.tensorboard:
        require("tensorboard")
    check_tracking(request.track)
    unfinished_run = None
    if request.resume is None:
        _check_name(request, settings)
    else:
        unfinished_run = _find_run_to_resume(request)
    # The worker starts first: while this process loads TensorFlow, it loads the other libraries.
    with start_worker(enabled=not request.dry_run and not request.language_model) as worker:
        worker.submit(import_modules, *_modules(settings))
        started = settings if unfinished_run is None else unfinished_run.config()
        load_backend(request.device, started.train.deterministic, request.cluster)
        if not _writes_run(request):
            return _train_for_first(request, settings, unfinished_run, worker)
        with training_reporter() as reporter:
            return _train(request, settings, unfinished_run, reporter, worker)


def _writes_run(request: TrainingRequest) -> bool:
    """Return whether this process writes the run, and prints."""
    if request.cluster is None:
        return True
    from lstm_cli.models import process_group

    return process_group.is_first()


def _train_for_first(
    request: TrainingRequest, settings: Config, unfinished_run: RunDir | None, worker: Worker
) -> None:
    """Train with process 0, which writes the run and prints; here only errors are printed."""
    from lstm_cli.io.progress import SilentReporter
    from lstm_cli.io.signals import Interrupted

    try:
        _train(request, settings, unfinished_run, SilentReporter(), worker)
    except Interrupted as error:
        raise SystemExit(error.exit_code) from error


def _modules(settings: Config) -> tuple[str, ...]:
    """Return the modules that the worker process needs."""
    from lstm_cli.models import linear

    drawing = ("lstm_cli.evaluation.training_plots", "matplotlib.figure")
    return drawing if settings.linear is None else (*linear.REQUIRED_MODULES, *drawing)


def load_backend(
    device: Literal["auto", "cpu", "gpu"], deterministic: bool, cluster: Cluster | None = None
) -> None:
    """Say that TensorFlow (or JAX) is loaded, which takes seconds, and load it.

    Args:
        device: Where to train.
        deterministic: `train.deterministic`, which JAX must know before it starts.
        cluster: The processes to train with; None to train alone.

    Raises:
        LstmError: It is not installed, or the other processes cannot be reached.
    """
    from lstm_cli.cli import output
    from lstm_cli.io import environment
    from lstm_cli.io.optional import hidden, require

    environment.check_backend()
    require("keras")
    backend = environment.backend()
    if cluster is None:
        output.print_note(f"Loading {'JAX' if backend == 'jax' else 'TensorFlow'} ...")
    elif cluster.process_id == 0:
        output.print_note(
            f"Loading JAX, and waiting for {cluster.num_processes} processes "
            f"at {cluster.coordinator} ..."
        )
    from lstm_cli.training.device import load_keras

    # Keras and TensorFlow import these for functions that no command uses, which takes a second.
    unused = [package for package in ("jax", "matplotlib", "sklearn") if package != backend]
    with hidden(*unused):
        load_keras(device, deterministic, cluster)
    # What is loaded stays until the end: it is not searched for garbage again.
    gc.freeze()


def _train(
    request: TrainingRequest,
    settings: Config,
    unfinished_run: RunDir | None,
    reporter: Reporter,
    worker: Worker,
) -> RunDir | ClassifierPlan | LanguageModelPlan:
    """Plan, start or continue a run."""
    from lstm_cli.training import pipeline
    from lstm_cli.training.dry_run import dry_run

    options: dict[str, Any] = {
        "data_dir": request.data_dir,
        "device": request.device,
        "reporter": reporter,
        "fail_on": request.fail_on,
    }
    if request.dry_run:
        return dry_run(settings, runs_dir=request.runs_dir, **options)
    options |= {
        "tensorboard": request.tensorboard,
        "track": request.track,
        "worker": worker,
        "score_test": request.score_test,
    }
    if unfinished_run is not None:
        epochs = request.overrides.get("train.epochs")
        test_file = settings.data.test_file
        return pipeline.resume(unfinished_run, epochs=epochs, test_file=test_file, **options)
    return pipeline.train(
        settings,
        runs_dir=request.runs_dir,
        name=request.name,
        command=command_line("lstm", *sys.argv[1:]),
        **options,
    )


def _check_name(request: TrainingRequest, settings: Config) -> None:
    """Refuse a name that is taken before anything slow begins.

    Training checks it once more when it makes the folder.

    Raises:
        LstmError: There is such a run already, or the name is not valid.
    """
    from lstm_cli.data.dataset_settings import run_folder
    from lstm_cli.runs.create import check_free
    from lstm_cli.runs.directory import runs_root

    if request.name is not None:
        check_free(runs_root(request.runs_dir), run_folder(settings.data.name), request.name)


def _find_run_to_resume(request: TrainingRequest) -> RunDir:
    """Find the run to continue, and compare the typed settings with its own.

    Raises:
        LstmError: There is nothing to resume, or a setting differs.
    """
    from lstm_cli.data.dataset_settings import locate
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find_unfinished

    run = find_unfinished(
        runs_root(request.runs_dir),
        request.resume or None,
        locate(request.dataset),
        request.language_model,
    )
    _check_settings(run, request)
    return run


def _check_settings(run: RunDir, request: TrainingRequest) -> None:
    """Compare the settings typed with `--resume` with those the run was started with.

    Settings that were not typed are the run's own; `train.epochs` may grow, and the test rows may
    be in another file.

    Raises:
        LstmError: A setting differs; the message names the key and both values (exit code 2).
    """
    from lstm_cli.config import load as configs
    from lstm_cli.data.dataset_settings import locate, with_absolute_paths
    from lstm_cli.errors import ExitCode, LstmError

    original = configs.to_dict(run.config())
    file = configs.read_settings(request.config) if request.config else {}
    typed = {"data.name": locate(request.dataset), **configs.flatten(file)}
    typed |= {key: value for key, value in request.overrides.items() if key != "train.epochs"}
    # Through validation, so that "1e-3" and 0.001 are equal.
    config = configs.from_dict(original, typed, "--resume")
    changed = configs.to_dict(with_absolute_paths(config))
    before, after = configs.flatten(original), configs.flatten(changed)
    differing = [key for key in after if after[key] != before.get(key)]
    if before["data.test_file"] and after["data.test_file"]:
        # Training does not read it.
        differing = [key for key in differing if key != "data.test_file"]
    if differing:
        values = "; ".join(f"{k} was {before.get(k)!r}, now {after[k]!r}" for k in differing)
        raise LstmError(
            f"Run {run.name} was started with other settings: {values}.",
            "Leave them out to continue the run, or start a new one without --resume.",
            ExitCode.USAGE,
        )


def check_thresholds(report: dict[str, Any], requirements: list[str]) -> None:
    """End with exit code 4 where a metric is lower than `--fail-under` requires.

    Raises:
        LstmError: A threshold is not met.
    """
    from lstm_cli.errors import ExitCode, LstmError
    from lstm_cli.evaluation.thresholds import unmet_thresholds

    unmet = unmet_thresholds(report, requirements)
    if unmet:
        reasons = "; ".join(threshold.describe(report) for threshold in unmet)
        raise LstmError(f"Threshold not met: {reasons}.", exit_code=ExitCode.THRESHOLD)

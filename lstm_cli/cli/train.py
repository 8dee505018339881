"""`lstm train`: from a data set to a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lstm_cli.cli.options import DataDir, FailUnder, Json, LabelColumn, RunsDir, TextColumn

if TYPE_CHECKING:
    from lstm_cli.runs.directory import RunDir
    from lstm_cli.training.dry_run import ClassifierPlan


def command(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="A preset (demo, digits, imdb, mnist, ...), a .csv, .tsv or .jsonl file, a folder "
            "with a subfolder per class, or tfds:NAME.",
        ),
    ],
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="With --resume: which run to go on with; the newest unfinished one if not given.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a run from its newest good checkpoint."),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="YAML settings laid over the preset's.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One setting, for example model.units=64. Repeatable; wins over --config.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Short for --set train.epochs=N.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Short for --set seed=N.")] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the run.", show_default="start time and a hash"),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            "--init-from",
            metavar="RUN",
            help="Begin with the words and weights of a run, such as one of 'lstm pretrain': its "
            "folder, DATASET/NAME, NAME, or a data set, whose newest language model is taken.",
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "gpu"],
        typer.Option("--device", help="'auto' takes a GPU where there is one."),
    ] = "auto",
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", help="At most N examples of each split, for a quick try."),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard logs into the run.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Load, encode and build, say what would be trained, stop."),
    ] = False,
    json: Json = False,
    fail_under: FailUnder = None,
) -> None:
    """Train a classifier: data in, run directory out.

    The run holds the best epoch's weights, an ONNX graph, metrics on validation and test, plots
    and a model card.

    Examples: 'lstm train demo', 'lstm train imdb --set model.units=96 --name wide',
    'lstm train reviews.csv --fail-under accuracy=0.85'.
    """
    from lstm_cli.cli import dataset_argument, output
    from lstm_cli.config import load as configs
    from lstm_cli.evaluation.thresholds import parse_thresholds
    from lstm_cli.training.device import load_keras
    from lstm_cli.training.task import check_is_classifier

    short = {
        "train.epochs": epochs,
        "seed": seed,
        "train.init_from": dataset_argument.init_from(init_from, runs_dir),
        "data.limit": limit,
        "data.text_column": text_column,
        "data.label_column": label_column,
    }
    overrides = configs.parse_overrides(set_ or [])
    overrides |= {key: value for key, value in short.items() if value is not None}
    settings = dataset_argument.settings(dataset, config, overrides)
    thresholds = fail_under or []
    parse_thresholds(thresholds)
    check_is_classifier(settings)
    if tensorboard:
        require_tensorboard()
    check_not_both(resume, dry_run)
    unfinished_run = find_run_to_resume(dataset, run, resume, runs_dir, config, overrides)
    load_keras(device)
    from lstm_cli.training import pipeline
    from lstm_cli.training.dry_run import ClassifierPlan
    from lstm_cli.training.dry_run import dry_run as plan_training

    with output.training_reporter() as reporter:
        if dry_run:
            plan = plan_training(
                settings, data_dir=data_dir, runs_dir=runs_dir, device=device, reporter=reporter
            )
        elif unfinished_run is not None:
            done = pipeline.resume(
                unfinished_run,
                epochs=epochs,
                data_dir=data_dir,
                device=device,
                tensorboard=tensorboard,
                reporter=reporter,
            )
        else:
            done = pipeline.train(
                settings,
                runs_dir=runs_dir,
                name=name,
                data_dir=data_dir,
                device=device,
                tensorboard=tensorboard,
                reporter=reporter,
                command=command_line(),
            )
    if dry_run:
        assert isinstance(plan, ClassifierPlan)
        _print_plan(plan, json)
    else:
        _print_run(done, json)
        check_thresholds(done.read_json("metrics.json")["test"], thresholds)


def command_line() -> str:
    """Return the command line of this process, for `run.json`."""
    import shlex
    import sys

    return shlex.join(["lstm", *sys.argv[1:]])


def check_not_both(resume: bool, dry_run: bool) -> None:
    """Check that a dry run is one of a new run.

    Raises:
        LstmError: Both options were given (exit code 2).
    """
    from lstm_cli.errors import ExitCode, LstmError

    if resume and dry_run:
        raise LstmError(
            "--dry-run plans a new run, so it cannot be combined with --resume.",
            "Leave out one of the two.",
            ExitCode.USAGE,
        )


def require_tensorboard() -> None:
    """Say before training, not after it, that TensorBoard is missing.

    Raises:
        LstmError: The package is not installed.
    """
    from importlib.util import find_spec

    from lstm_cli.errors import ExitCode, LstmError

    if find_spec("tensorboard") is None:
        raise LstmError(
            "--tensorboard needs the package tensorboard, which is not installed.",
            "pip install 'lstm-cli[tensorboard]'",
            ExitCode.USAGE,
        )


def find_run_to_resume(
    dataset: str,
    wanted: str | None,
    resume: bool,
    runs_dir: Path | None,
    file: Path | None,
    overrides: dict[str, Any],
    language: bool = False,
) -> RunDir | None:
    """Find the run to go on with, and hold what was typed to what it was started with.

    Args:
        dataset: As typed.
        wanted: Which run; None for the newest.
        resume: Whether `--resume` was given.
        runs_dir: Folder of all runs.
        file: Of settings.
        overrides: Dotted settings.
        language: Whether a language model is meant; else a classifier.

    Raises:
        LstmError: There is nothing to resume, or a setting differs.
    """
    from lstm_cli.cli import dataset_argument
    from lstm_cli.errors import ExitCode, LstmError
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find_unfinished

    if not resume:
        if wanted is not None:
            raise LstmError(
                f"Unexpected argument '{wanted}'.",
                f"To name a run: --name {wanted}; to go on with one: --resume {wanted}.",
                ExitCode.USAGE,
            )
        return None
    run = find_unfinished(runs_root(runs_dir), wanted, dataset_argument.locate(dataset), language)
    dataset_argument.check_unchanged(run, dataset, file, overrides)
    return run


def check_thresholds(report: dict[str, Any], requirements: list[str]) -> None:
    """End with exit code 4 where a metric is lower than required.

    Raises:
        LstmError: A gate is not met.
    """
    from lstm_cli.errors import ExitCode, LstmError
    from lstm_cli.evaluation.thresholds import unmet_thresholds

    unmet = unmet_thresholds(report, requirements)
    if unmet:
        told = ", ".join(one.describe(report) for one in unmet)
        raise LstmError(f"Gate not met: {told}.", "The run is kept.", ExitCode.THRESHOLD)


def _print_run(run: RunDir, as_json: bool) -> None:
    """Print what training reached."""
    from lstm_cli.cli import output
    from lstm_cli.io import text_format
    from lstm_cli.io.text_format import interval, number
    from lstm_cli.runs.directory import read_record

    record, metrics = read_record(run), run.read_json("metrics.json")
    if as_json:
        output.print_json({"run": str(run.path), **record, "metrics": metrics})
        return
    rows = [
        (
            split,
            f"{report['num_examples']:,}",
            number(report["accuracy"]),
            interval(report["accuracy_interval"]),
            number(report["loss"]),
            number(report["f1"]),
        )
        for split, report in metrics.items()
        if isinstance(report, dict)
    ]
    columns = ("split", "examples", "accuracy", "95% interval", "loss", "F1")
    output.print_rows(rows, columns, right=columns[1:])
    total = text_format.duration(record["seconds"]["total"])
    output.print_line(f"\nRun {run.name} in {total}: {run.path}")
    kind = "IMAGE" if record["kind"] == "image" else "'some text'"
    output.print_line(f"Next: lstm predict --run {run.name} {kind}")


def _print_plan(plan: ClassifierPlan, as_json: bool) -> None:
    """Print what would be trained."""
    from lstm_cli.cli import output
    from lstm_cli.io import text_format
    from lstm_cli.io.text_format import pluralize

    if as_json:
        output.print_json(plan.to_dict())
        return
    rows = []
    for split in plan.splits:
        tokens = " / ".join(f"{n:,}" for n in split.tokens.values()) if split.tokens else "-"
        smallest = min(split.classes.values()), max(split.classes.values())
        rows.append(
            (
                split.name,
                f"{split.examples:,}",
                len(split.classes),
                "{:,} to {:,}".format(*smallest),
                tokens,
                text_format.percent(split.coverage),
                text_format.percent(split.truncated),
            )
        )
    columns = (
        "split", "examples", "classes", "per class", "tokens 50/90/99%/max", "known", "cut",
    )  # fmt: skip
    output.print_rows(rows, columns, right=columns[1:], title=plan.source)
    layers = ", ".join(f"{name} {count:,}" for name, count in plan.layers.items())
    output.print_key_values(
        {
            "vocabulary": f"{plan.vocab_size:,} tokens" if plan.vocab_size else "none (images)",
            "parameters": f"{plan.parameters:,} ({layers})",
            "batches": f"{plan.steps_per_epoch:,} an epoch, {text_format.percent(plan.padding)} padding",
            "device": plan.device,
            "time": f"about {text_format.duration(plan.seconds)} for {pluralize(plan.epochs, 'epoch')} "
            f"({1000 * plan.seconds_per_step:.0f} ms a step, measured now)",
        }
    )
    output.print_line("Nothing was trained.")

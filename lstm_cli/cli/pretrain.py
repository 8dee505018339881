"""`lstm pretrain`: texts in, out a language model that a classifier can begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lstm_cli.cli.options import DataDir, Json, LabelColumn, RunsDir, TextColumn

if TYPE_CHECKING:
    from lstm_cli.runs.directory import RunDir
    from lstm_cli.runs.schema import HeldOutScores
    from lstm_cli.training.dry_run import LanguageModelPlan


def command(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="A preset of texts (demo, imdb, ...), a .csv, .tsv or .jsonl file, a folder with "
            "a subfolder per class, or tfds:NAME.",
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
        typer.Option("--config", metavar="FILE", help="YAML settings laid over the preset's."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One setting, for example language.window=256. Repeatable; wins over --config.",
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
        typer.Option("--limit", help="At most N texts of each split, for a quick try."),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard logs into the run.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Load, encode and build, say what would be trained, stop."),
    ] = False,
    json: Json = False,
) -> None:
    """Train a language model for a classifier to begin with: 'lstm train ... --init-from RUN'.

    It learns from the texts of train and those without labels, if the data set has any; labels,
    validation and test are not looked at. It has the embeddings and the first LSTM layer of the
    classifier with the same settings, and predicts the next word, and the previous one where the
    classifier reads in both directions. Perplexity is measured on texts held out.

    Examples: 'lstm pretrain imdb --name words', then 'lstm train imdb --init-from words'.
    """
    from lstm_cli.cli import dataset_argument, output
    from lstm_cli.cli.train import (
        check_not_both,
        command_line,
        find_run_to_resume,
        require_tensorboard,
    )
    from lstm_cli.config import load as configs
    from lstm_cli.training.device import load_keras
    from lstm_cli.training.task import with_language_model

    short = {
        "train.epochs": epochs,
        "seed": seed,
        "data.limit": limit,
        "data.text_column": text_column,
        "data.label_column": label_column,
    }
    overrides = configs.parse_overrides(set_ or [])
    overrides |= {key: value for key, value in short.items() if value is not None}
    settings = with_language_model(dataset_argument.settings(dataset, config, overrides))
    if tensorboard:
        require_tensorboard()
    check_not_both(resume, dry_run)
    unfinished_run = find_run_to_resume(
        dataset, run, resume, runs_dir, config, overrides, language=True
    )
    load_keras(device)
    from lstm_cli.training import pipeline
    from lstm_cli.training.dry_run import LanguageModelPlan
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
        assert isinstance(plan, LanguageModelPlan)
        _print_plan(plan, json)
    else:
        _print_run(done, dataset, json)


def _print_run(run: RunDir, dataset: str, as_json: bool) -> None:
    """Print what pretraining reached, and how to use it."""
    from lstm_cli.cli import output
    from lstm_cli.io import text_format
    from lstm_cli.runs.directory import read_record
    from lstm_cli.runs.schema import LanguageResults

    record, metrics = read_record(run), run.read_json("metrics.json")
    if as_json:
        output.print_json({"run": str(run.path), **record, "metrics": metrics})
        return
    output.print_key_values(perplexities(run.decode("metrics.json", LanguageResults).held_out))
    total = text_format.duration(record["seconds"]["total"])
    output.print_line(f"\nRun {run.name} in {total}: {run.path}")
    output.print_line(f"Next: lstm train {dataset} --init-from {run.name}")


def perplexities(held_out: HeldOutScores) -> dict[str, object]:
    """Return what `metrics.json` says of held-out text, by name, for people."""
    told: dict[str, object] = {
        "perplexity": f"{held_out.perplexity:,.1f} on {held_out.num_words:,} words held out "
        f"(by frequency alone {held_out.unigram_perplexity:,.1f})"
    }
    if held_out.forward is not None:
        told["next word"] = f"{held_out.forward.perplexity:,.1f}"
    if held_out.backward is not None:
        told["previous word"] = f"{held_out.backward.perplexity:,.1f}"
    return told


def _print_plan(plan: LanguageModelPlan, as_json: bool) -> None:
    """Print what would be trained."""
    from lstm_cli.cli import output
    from lstm_cli.io import text_format
    from lstm_cli.io.text_format import pluralize

    if as_json:
        output.print_json(plan.to_dict())
        return
    pairs: dict[str, object] = {
        name: f"{plan.texts[name]:,} texts, {plan.words[name]:,} words" for name in plan.texts
    }
    pairs |= {
        "vocabulary": f"{plan.vocab_size:,} tokens",
        "parameters": f"{plan.parameters:,}",
        "batches": f"{plan.steps_per_epoch:,} an epoch",
        "device": plan.device,
        "time": f"about {text_format.duration(plan.seconds)} for {pluralize(plan.epochs, 'epoch')} "
        f"({plan.words_per_second:,.0f} words/s, measured now)",
    }
    output.print_key_values(pairs, plan.source)
    output.print_line("Nothing was trained.")

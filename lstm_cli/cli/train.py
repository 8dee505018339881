"""`lstm train`: from a data set to a run directory."""

from __future__ import annotations

from typing import Annotated

import typer

from lstm_cli.cli import options, training, training_options
from lstm_cli.cli.command import check_conflicts
from lstm_cli.cli.completion import complete_preset
from lstm_cli.cli.option_groups import with_groups
from lstm_cli.cli.resolve import (
    LABEL_CONFLICTS,
    column_conflicts,
    image_conflicts,
    leak_conflicts,
)

_Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="What to train on: a preset (demo, digits, imdb, mnist, ...), a table (CSV, JSONL, "
        "Parquet, ...), a folder with one subfolder of text files or of images per class, IDX "
        "files of images, or tfds:NAME.",
        autocompletion=complete_preset,
    ),
]


@with_groups
def command(
    ctx: typer.Context,
    dataset: _Dataset,
    *,
    resume: training_options.Resume = None,
    settings: training_options.SettingOptions,
    name: training_options.Name = None,
    image_size: options.ImageSize = None,
    start: training_options.StartOptions,
    device: training_options.Device = "auto",
    data: training_options.DataOptions,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    limit: training_options.Limit = None,
    no_test: training_options.NoTest = False,
    tensorboard: training_options.TensorBoard = False,
    track: training_options.Track = None,
    dry_run: training_options.DryRun = False,
    processes: training_options.ProcessOptions,
    json: options.Json = False,
    fail_under: options.FailUnder = None,
    fail_on: options.FailOn = None,
) -> None:
    """Train a classifier: a data set in, a run directory out.

    The run directory holds the weights of the best epoch, an ONNX model, the metrics on
    validation and test data, plots and a model card.

    For example:

    ```
    lstm train demo
    lstm train imdb --set model.units=96 --name wide
    lstm train reviews.csv --fail-under accuracy=0.85
    lstm train train.csv --validation dev.csv --test test.csv --fail-on leak
    lstm train tickets.csv --class-weights balanced
    lstm train tickets.csv --folds 10
    lstm train labeled.csv --unlabeled all.csv --unlabeled more.txt
    lstm train more.csv --init-from tickets --replay-data tickets.csv
    lstm train imdb-best --teacher imdb
    lstm train reviews.csv --vectors glove.6B.100d.txt --freeze-vectors
    lstm train comments.csv --multi-label ';'
    lstm train shapes/ --image-size 32x32
    lstm train imdb --resume
    ```
    """
    from lstm_cli.cli import print_training
    from lstm_cli.evaluation.thresholds import parse_thresholds

    by_data = column_conflicts(dataset) + leak_conflicts(dataset) + image_conflicts(dataset)
    check_conflicts(ctx, training.CONFLICTS + LABEL_CONFLICTS + by_data)
    parse_thresholds(fail_under or [])
    overrides = training_options.to_overrides(
        settings.set_,
        settings.overrides()
        | start.overrides(runs_dir)
        | data.overrides()
        | {"data.limit": limit, "image.size": options.parse_image_size(image_size)},
    )
    request = training.TrainingRequest(
        dataset, settings.config, overrides, resume, name, device, data_dir, runs_dir,
        tensorboard, dry_run, fail_on=(fail_on,) if fail_on else (), score_test=not no_test,
        cluster=processes.cluster(), track=track,
    )  # fmt: skip
    result = training.run_training(request)
    if result is None:
        return
    if dry_run:
        print_training.print_plan(result, json)
    else:
        print_training.print_classifier(result, json)
        if fail_under:
            training.check_thresholds(result.read_json("metrics.json")["test"], fail_under)

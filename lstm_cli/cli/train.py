"""`lstm train`: from a data set to a run directory."""

from __future__ import annotations

from typing import Annotated

import typer

from lstm_cli.cli import options, table_options, training
from lstm_cli.cli.command import check_conflicts
from lstm_cli.cli.completion import complete_preset
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


def command(
    ctx: typer.Context,
    dataset: _Dataset,
    resume: options.Resume = None,
    config: options.ConfigFile = None,
    set_: options.Set = None,
    epochs: options.Epochs = None,
    folds: options.Folds = None,
    seed: options.Seed = None,
    class_weights: options.ClassWeights = None,
    name: options.Name = None,
    image_size: options.ImageSize = None,
    init_from: options.InitFrom = None,
    teacher: options.Teacher = None,
    vectors: options.Vectors = None,
    freeze_vectors: options.FreezeVectors = False,
    device: options.Device = "auto",
    text_column: table_options.TextColumn = None,
    label_column: table_options.LabelColumn = None,
    id_column: table_options.IdColumn = None,
    weight_column: table_options.WeightColumn = None,
    multi_label: table_options.MultiLabel = None,
    label_columns: table_options.LabelColumns = None,
    validation: options.ValidationFile = None,
    test: options.TestFile = None,
    input_format: table_options.InputFormat = None,
    encoding: table_options.Encoding = None,
    delimiter: table_options.Delimiter = None,
    quoting: table_options.Quoting = None,
    no_header: table_options.NoHeader = False,
    unlabeled: options.Unlabeled = None,
    replay_data: options.ReplayData = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    limit: options.Limit = None,
    no_test: options.NoTest = False,
    tensorboard: options.TensorBoard = False,
    track: options.Track = None,
    dry_run: options.DryRun = False,
    distributed: options.Distributed = False,
    coordinator: options.Coordinator = None,
    num_processes: options.NumProcesses = None,
    process_id: options.ProcessId = None,
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
    overrides = options.to_overrides(
        set_, epochs=epochs, folds=folds, seed=seed, class_weights=class_weights, limit=limit,
        init_from=training.init_from(init_from, runs_dir),
        teacher=training.teacher(teacher, runs_dir),
        text_columns=text_column, label_column=label_column,
        id_column=id_column, weight_column=weight_column, unlabeled=unlabeled,
        replay_data=replay_data, multi_label=multi_label, label_columns=label_columns,
        image_size=image_size,
        validation_file=validation, test_file=test,
        vectors=vectors, trainable=False if freeze_vectors else None,
        read_options=table_options.read_options(
            input_format, encoding, delimiter, quoting, no_header
        ),
    )  # fmt: skip
    request = training.TrainingRequest(
        dataset, config, overrides, resume, name, device, data_dir, runs_dir, tensorboard, dry_run,
        fail_on=(fail_on,) if fail_on else (), score_test=not no_test,
        cluster=training.cluster(distributed, coordinator, num_processes, process_id),
        track=track,
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

"""`lstm pretrain`: from texts to a language model that a classifier can start with."""

from __future__ import annotations

from typing import Annotated

import typer

from lstm_cli.cli import options, table_options, training
from lstm_cli.cli.command import check_conflicts
from lstm_cli.cli.completion import complete_preset
from lstm_cli.cli.resolve import column_conflicts

_Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="Texts to learn from: a preset (demo, imdb, ...), a table (CSV, JSONL, Parquet, "
        "...), a folder with one subfolder of text files per class, or tfds:NAME.",
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
    seed: options.Seed = None,
    name: options.Name = None,
    vectors: options.Vectors = None,
    freeze_vectors: options.FreezeVectors = False,
    device: options.Device = "auto",
    text_column: table_options.TextColumn = None,
    label_column: table_options.LabelColumn = None,
    input_format: table_options.InputFormat = None,
    encoding: table_options.Encoding = None,
    delimiter: table_options.Delimiter = None,
    quoting: table_options.Quoting = None,
    no_header: table_options.NoHeader = False,
    unlabeled: options.Unlabeled = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    limit: options.Limit = None,
    tensorboard: options.TensorBoard = False,
    track: options.Track = None,
    dry_run: options.DryRun = False,
    distributed: options.Distributed = False,
    coordinator: options.Coordinator = None,
    num_processes: options.NumProcesses = None,
    process_id: options.ProcessId = None,
    json: options.Json = False,
) -> None:
    """Train a language model whose weights a classifier can start with.

    It learns to predict the next word from the texts of the training split and from texts without
    labels: those of the data set, if it has any, and those of --unlabeled. It has the embeddings
    and the first LSTM layer of the classifier with the same settings; it also predicts the
    previous word if the classifier reads in both directions. Perplexity is measured on texts that
    are held out of training. Labels, the validation split and the test split are not used.

    For example:

    ```
    lstm pretrain imdb --name words
    lstm train imdb --init-from words
    lstm pretrain labeled.csv --unlabeled all.csv
    ```
    """
    from lstm_cli.cli import print_training

    check_conflicts(ctx, training.CONFLICTS + column_conflicts(dataset))
    overrides = options.to_overrides(
        set_, epochs=epochs, seed=seed, limit=limit,
        text_columns=text_column, label_column=label_column, unlabeled=unlabeled,
        vectors=vectors, trainable=False if freeze_vectors else None,
        read_options=table_options.read_options(
            input_format, encoding, delimiter, quoting, no_header
        ),
    )  # fmt: skip
    request = training.TrainingRequest(
        dataset, config, overrides, resume, name, device, data_dir, runs_dir, tensorboard, dry_run,
        language_model=True,
        cluster=training.cluster(distributed, coordinator, num_processes, process_id),
        track=track,
    )  # fmt: skip
    result = training.run_training(request)
    if result is None:
        return
    if dry_run:
        print_training.print_language_model_plan(result, json)
    else:
        print_training.print_language_model(result, dataset, json)

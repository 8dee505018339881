"""`lstm pretrain`: from texts to a language model that a classifier can start with."""

from __future__ import annotations

from typing import Annotated

import typer

from lstm_cli.cli import options, table_options, training, training_options
from lstm_cli.cli.command import check_conflicts
from lstm_cli.cli.completion import complete_preset
from lstm_cli.cli.option_groups import with_groups
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


@with_groups
def command(
    ctx: typer.Context,
    dataset: _Dataset,
    *,
    resume: training_options.Resume = None,
    config: training_options.ConfigFile = None,
    set_: training_options.Set = None,
    epochs: training_options.Epochs = None,
    seed: training_options.Seed = None,
    name: training_options.Name = None,
    vectors: training_options.Vectors = None,
    freeze_vectors: training_options.FreezeVectors = False,
    device: training_options.Device = "auto",
    text_column: table_options.TextColumn = None,
    label_column: table_options.LabelColumn = None,
    table_format: table_options.TableFormatOptions,
    unlabeled: options.Unlabeled = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    limit: training_options.Limit = None,
    tensorboard: training_options.TensorBoard = False,
    track: training_options.Track = None,
    dry_run: training_options.DryRun = False,
    processes: training_options.ProcessOptions,
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
    overrides = training_options.to_overrides(
        set_,
        table_format.overrides()
        | training_options.vector_overrides(vectors, freeze_vectors)
        | {
            "train.epochs": epochs,
            "seed": seed,
            "data.limit": limit,
            "data.text_columns": text_column,
            "data.label_column": label_column,
            "data.unlabeled": unlabeled,
        },
    )
    request = training.TrainingRequest(
        dataset, config, overrides, resume, name, device, data_dir, runs_dir, tensorboard, dry_run,
        language_model=True,
        cluster=processes.cluster(), track=track,
    )  # fmt: skip
    result = training.run_training(request)
    if result is None:
        return
    if dry_run:
        print_training.print_language_model_plan(result, json)
    else:
        print_training.print_language_model(result, dataset, json)

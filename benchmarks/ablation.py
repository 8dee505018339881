"""Ablation: what each part of a preset contributes, on reviews of films not seen in training.

Each variant is a preset with some settings changed. It is trained on those reviews of IMDB's train
split that share no film with 4,000 others (benchmarks/films.py), and validated on these 4,000. The
test split is not read. *Edited* is the accuracy on reviews that were edited by a few words so that
their label turns (benchmarks/edited.py). Each accuracy is of one seed: differences below half a
point mean little, and the loss is more reliable. Seconds include preparation and training, but not
the artifacts that `lstm train` writes at the end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import child, report
from benchmarks.report import Option, Outcome, Table
from benchmarks.scripts import NO_LINEAR

# The preset before it had regions, trigrams and a second epoch.
_WITHOUT_REGIONS = ("model.regions=[]", "embedding.region_widths=[]")
_ONE_EPOCH = "train.epochs=1"
_BEFORE_BUT_EPOCHS = (*_WITHOUT_REGIONS, "model.dropout=0.3", "train.learning_rate=0.004")
_BEFORE = (*_BEFORE_BUT_EPOCHS, _ONE_EPOCH)
_LINEAR_BEFORE = ("linear.word_ngrams=2", "linear.dropout=0.5")
_LSTM_ONLY = (
    *_BEFORE,
    NO_LINEAR,
    "embedding.vectors=random",
    "train.ema_momentum=0",
)
_SELF_TRAINING_ALONE = (
    *_BEFORE_BUT_EPOCHS,
    *_LINEAR_BEFORE,
    "train.self_training=true",
    "embedding.vectors=unlabeled",
)
_AVERAGING = "train.ema_momentum=0.99"
# By name: the preset, and the changed settings.
VARIANTS: dict[str, tuple[str, ...]] = {
    "unigrams": ("imdb", *_LSTM_ONLY, "embedding.bigram_buckets=0"),
    "bigrams": ("imdb", *_LSTM_ONLY),
    "bigrams-word-vectors": ("imdb", *_BEFORE, NO_LINEAR, "train.ema_momentum=0"),
    "before-regions": ("imdb", *_BEFORE, *_LINEAR_BEFORE),
    "before-regions-no-averaging": ("imdb", *_BEFORE, *_LINEAR_BEFORE, "train.ema_momentum=0"),
    "imdb": ("imdb",),
    "imdb-no-regions": ("imdb", "model.regions=[]"),
    "imdb-no-region-embeddings": ("imdb", "embedding.region_widths=[]"),
    "imdb-wide-regions": ("imdb", "embedding.region_dim=128", "model.region_units=256"),
    "imdb-no-linear-model": ("imdb", NO_LINEAR),
    "imdb-no-linear-dropout": ("imdb", "linear.dropout=0"),
    "imdb-bigrams": ("imdb", "linear.word_ngrams=2"),
    "imdb-400-tokens": ("imdb", "text.max_tokens=400"),
    "imdb-batch-64": ("imdb", "train.batch_size=64"),
    "imdb-1-epoch": ("imdb", _ONE_EPOCH),
    "imdb-30k-vocabulary": ("imdb", "text.vocab_size=30000"),
    "self-training-1-epoch": ("imdb", *_SELF_TRAINING_ALONE, _ONE_EPOCH, _AVERAGING),
    "self-training-1-epoch-no-averaging": (
        "imdb",
        *_SELF_TRAINING_ALONE,
        _ONE_EPOCH,
        "train.ema_momentum=0",
    ),
    "self-training-2-epochs": ("imdb", *_SELF_TRAINING_ALONE, _AVERAGING),
    "imdb-best": ("imdb-best",),
    "imdb-best-64-units": ("imdb-best", "model.units=64"),
    "pretrained-1-epoch": ("imdb-best", _ONE_EPOCH),
    "pretrained-3-epochs": ("imdb-best", "train.epochs=3"),
    "pretrained": ("imdb-best",),
    "pretrained-64-units": ("imdb-best", "model.units=64"),
}
# These variants start from a run of `lstm pretrain` with the same settings.
_PRETRAINED = "pretrained"

OPTIONS = (
    Option(
        "variants",
        f"any of {', '.join(VARIANTS)}",
        ",".join(name for name in VARIANTS if not name.startswith(_PRETRAINED)),
        "unigrams",
    ),
    Option("init_from", f"language model run for the variants {_PRETRAINED}...", "", ""),
    Option("seeds", "seeds, separated by commas", "0", "0"),
    Option("data", "the data set", "imdb", "demo"),
)


def measure(settings: argparse.Namespace) -> Outcome:
    """Train each variant with each seed."""
    variants = settings.variants.split(",")
    if unknown := [name for name in variants if name not in VARIANTS]:
        raise report.usage_error(
            f"There is no variant '{unknown[0]}'; there are {', '.join(VARIANTS)}."
        )
    pretrained = [name for name in variants if name.startswith(_PRETRAINED)]
    if pretrained and not settings.init_from:
        raise report.usage_error(
            f"The variant '{pretrained[0]}' needs --init-from RUN, a run of 'lstm pretrain'."
        )
    report.require_data(settings.data)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in variants}
    for name in variants:
        for seed in report.parse_numbers(settings.seeds):
            report.log(f"{name}, seed {seed}")
            changes = [*VARIANTS[name][1:], f"seed={seed}", f"data.name={settings.data}"]
            if name in pretrained:
                changes.append(f"train.init_from={Path(settings.init_from).absolute()}")
            results[name].append(child.run_script("ablate", VARIANTS[name][0], *changes))
    return Outcome(results, [_table(results)])


def _table(results: dict[str, list[dict[str, Any]]]) -> Table:
    def cell(runs: list[dict[str, Any]], key: str, digits: int, part: str = "") -> str:
        values: list[Any] = [(run.get(part, {}) if part else run).get(key) for run in runs]
        return "" if None in values else report.format_spread(report.spread(values), digits)

    def edited(runs: list[dict[str, Any]], part: str) -> str:
        if not all(part in run.get("pairs", {}) for run in runs):
            return ""
        counts = [run["pairs"][part] for run in runs]
        return report.format_spread(report.spread([c["edited"] / c["pairs"] for c in counts]), 3)

    rows = [
        (
            name,
            cell(runs, "accuracy", 4),
            cell(runs, "loss", 4),
            edited(runs, "whole"),
            cell(runs, "accuracy", 4, "lstm"),
            cell(runs, "loss", 4, "lstm"),
            edited(runs, "lstm"),
            cell(runs, "seconds", 0),
            cell(runs, "peak_mb", 0),
        )
        for name, runs in results.items()
    ]
    columns = (
        "variant", "accuracy", "loss", "edited", "LSTM alone", "loss", "edited", "seconds", "MB",
    )  # fmt: skip
    return Table("Validation on reviews of films not seen in training", columns, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("ablation", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

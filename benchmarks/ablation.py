"""What each part of a preset is worth, on reviews of films that training does not know.

Each line is a preset with some settings changed. It learns from the reviews of IMDB's train split
that share no film with 4,000 others (benchmarks/films.py), and is judged on those. The test split
is not read. Accuracies are of one seed: differences below half a point mean little, and the loss
says more. Seconds are of reading, fitting and training, without the end of a whole `lstm train`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import child, report
from benchmarks.report import Option, Outcome, Table

# By name: the preset, and the settings that are changed.
_BARE = ("linear=null", "embedding.vectors=random", "train.ema_momentum=0")
_PSEUDO_LABELS = (
    "train.self_training=true",
    "embedding.vectors=unlabeled",
    "train.ema_momentum=0.99",
)
LINES: dict[str, tuple[str, ...]] = {
    "words": ("imdb", *_BARE, "embedding.bigram_buckets=0"),
    "words-bigrams": ("imdb", *_BARE),
    "words-bigrams-vectors": ("imdb", "linear=null", "train.ema_momentum=0"),
    "imdb": ("imdb",),
    "imdb-no-averaging": ("imdb", "train.ema_momentum=0"),
    "imdb-300k-buckets": ("imdb", "linear.buckets=300000"),
    "imdb-no-linear-dropout": ("imdb", "linear.dropout=0"),
    "imdb-batch-64": ("imdb", "train.batch_size=64"),
    "imdb-2-epochs": ("imdb", "train.epochs=2"),
    "imdb-30k-words": ("imdb", "text.vocab_size=30000"),
    "self-training-1-epoch": ("imdb", *_PSEUDO_LABELS),
    "self-training-1-epoch-no-averaging": ("imdb", *_PSEUDO_LABELS, "train.ema_momentum=0"),
    "self-training-2-epochs": ("imdb", *_PSEUDO_LABELS, "train.epochs=2"),
    "imdb-best": ("imdb-best",),
    "imdb-best-64-units": ("imdb-best", "model.units=64"),
    "pretrained-1-epoch": ("imdb-best", "train.epochs=1"),
    "pretrained-3-epochs": ("imdb-best", "train.epochs=3"),
    "pretrained": ("imdb-best",),
    "pretrained-64-units": ("imdb-best", "model.units=64"),
}
# These start from a run of `lstm pretrain` with the same settings.
_PRETRAINED = "pretrained"

OPTIONS = (
    Option(
        "lines",
        f"of {', '.join(LINES)}",
        ",".join(name for name in LINES if not name.startswith(_PRETRAINED)),
        "words",
    ),
    Option("init_from", f"run of a language model, for the lines called {_PRETRAINED}...", "", ""),
    Option("seeds", "with commas between", "0", "0"),
    Option("data", "whose reviews", "imdb", "demo"),
)


def measure(settings: argparse.Namespace) -> Outcome:
    """Train each line on each seed."""
    lines = settings.lines.split(",")
    if unknown := [name for name in lines if name not in LINES]:
        raise report.usage(f"There is no line '{unknown[0]}'; there are {', '.join(LINES)}.")
    pretrained = [name for name in lines if name.startswith(_PRETRAINED)]
    if pretrained and not settings.init_from:
        raise report.usage(f"The line '{pretrained[0]}' needs --init-from RUN, of 'lstm pretrain'.")
    report.require_data(settings.data)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in lines}
    for name in lines:
        for seed in report.numbers(settings.seeds):
            report.say(f"{name}, seed {seed}")
            changes = [*LINES[name][1:], f"seed={seed}", f"data.name={settings.data}"]
            if name in pretrained:
                changes.append(f"train.init_from={Path(settings.init_from).absolute()}")
            found[name].append(child.script("ablate", LINES[name][0], *changes))
    return Outcome(found, [_table(found)])


def _table(found: dict[str, list[dict[str, Any]]]) -> Table:
    def told(runs: list[dict[str, Any]], key: str, digits: int, part: str = "") -> str:
        values = [(run.get(part, {}) if part else run).get(key) for run in runs]
        return "" if None in values else report.shown(report.spread(values), digits)

    rows = [
        (
            name,
            told(runs, "accuracy", 4),
            told(runs, "loss", 4),
            told(runs, "accuracy", 4, "network"),
            told(runs, "loss", 4, "network"),
            told(runs, "seconds", 0),
            told(runs, "peak_mb", 0),
        )
        for name, runs in found.items()
    ]
    columns = ("line", "accuracy", "loss", "LSTM alone", "loss", "seconds", "MB")
    return Table("Reviews of films that training does not know", columns, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("ablation", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

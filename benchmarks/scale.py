"""Scale: from a thousand reviews to a million, in seconds and in memory.

Generated reviews go into a file as a user has one, `lstm train FILE` encodes them and trains one
epoch, and `lstm predict --file` classifies the same texts; each size in processes of its own, with
an empty cache. Time should grow as the number of reviews does, memory far slower.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import child, report
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.data.readers import demo
from lstm_cli.runs.directory import RunDir

OPTIONS = (
    Option("sizes", "numbers of reviews, with commas between", "1000,10000,100000,1000000", "300"),
    Option("batch_size", "of training", 256, 16),
    Option("units", "of the LSTM, in each direction", 32, 4),
)
_MAX_PREDICT_MB = 600.0
# Starting takes the same time whatever the size: growth is measured from here on.
_LARGE = 10_000
# Reviews a second may fall by so much from one size to the next.
_LINEAR = 1.3


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure one size after the other."""
    found = []
    for size in report.numbers(settings.sizes):
        with tempfile.TemporaryDirectory(prefix="lstm-bench-") as scratch:
            report.say(f"{size:,} reviews")
            found.append({"reviews": size, **_one(size, Path(scratch), settings)})
    notes = [
        "Generated reviews have about 20 tokens. 'encode' reads, tokenises and stores them; "
        "'predict' is the whole command on the same texts, start-up included.",
    ]
    return Outcome(
        {"sizes": found}, [_table(found)], [] if settings.quick else _goals(found), notes
    )


def _one(size: int, scratch: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Write a file of reviews, train on it, and classify it."""
    table, texts = scratch / "reviews.tsv", scratch / "reviews.txt"
    examples = demo.generate(size, 0)
    with table.open("w", encoding="utf-8") as rows, texts.open("w", encoding="utf-8") as lines:
        rows.write("text\tlabel\n")
        for example in examples:
            rows.write(f"{example.text}\t{'pos' if example.label else 'neg'}\n")
            lines.write(f"{example.text}\n")
    del examples
    lstm, runs_dir = child.lstm_command(), scratch / "runs"
    train = [lstm, "train", str(table), "--runs-dir", str(runs_dir), "--name", "scale"]
    train += ["--epochs", "1", f"--set=train.batch_size={settings.batch_size}"]
    train += [f"--set=model.units={settings.units}", "--set=data.validation=0.01"]
    train += ["--set=data.test_fraction=0.01"]
    trained = child.run(train, {"LSTM_CACHE_DIR": str(scratch / "cache")})
    (run,) = (RunDir(path.parent) for path in runs_dir.glob("*/scale/run.json"))
    seconds = run.read_json("run.json")["seconds"]
    answers = scratch / "answers.tsv"
    predict = [lstm, "predict", "--run", str(run.path), "--file", str(texts)]
    predicted = child.run(predict, stdout=answers)
    with answers.open("rb") as lines_:
        num_answers = sum(1 for _ in lines_)
    return {
        "answers": num_answers,
        "train": {
            "encode_seconds": seconds["encode"],
            "epoch_seconds": seconds["train"],
            "seconds": trained.seconds,
            "peak_mb": trained.peak_mb,
        },
        "predict": {"seconds": predicted.seconds, "peak_mb": predicted.peak_mb},
        "accuracy": json.loads(run.read_text("metrics.json"))["test"]["accuracy"],
    }


def growth(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return by how much more than the number of reviews each time grew, at worst.

    From a size to the next; where there are no two large sizes, 1.
    """
    large = [f for f in found if f["reviews"] >= _LARGE]
    worst = {"encode": 1.0, "epoch": 1.0, "predict": 1.0}
    for less, more in itertools.pairwise(large):
        times = more["reviews"] / less["reviews"]
        for name, before, after in (
            ("encode", less["train"]["encode_seconds"], more["train"]["encode_seconds"]),
            ("epoch", less["train"]["epoch_seconds"], more["train"]["epoch_seconds"]),
            ("predict", less["predict"]["seconds"], more["predict"]["seconds"]),
        ):
            worst[name] = max(worst[name], after / before / times)
    return worst


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            f"{f['reviews']:,}",
            f"{f['train']['encode_seconds']:.1f}",
            f"{f['train']['epoch_seconds']:.1f}",
            f"{f['train']['seconds']:.1f}",
            f"{f['train']['peak_mb']:,.0f}",
            f"{f['predict']['seconds']:.1f}",
            f"{f['reviews'] / f['predict']['seconds']:,.0f}",
            f"{f['predict']['peak_mb']:,.0f}",
            f"{f['accuracy']:.3f}",
        )
        for f in found
    ]
    columns = (
        "reviews", "encode s", "epoch s", "train s", "peak MiB", "predict s", "reviews/s",
        "peak MiB", "accuracy",
    )  # fmt: skip
    return Table("lstm train FILE, one epoch, and lstm predict --file", columns, rows)


def _goals(found: Sequence[Mapping[str, Any]]) -> list[Goal]:
    goals = [
        report.at_most(f"growth of {name}, per review", worst, _LINEAR)
        for name, worst in growth(found).items()
    ]
    largest = found[-1]
    peak = largest["predict"]["peak_mb"]
    told = f"MiB to predict {largest['reviews']:,} reviews"
    goals.append(report.at_most(told, peak, _MAX_PREDICT_MB, 0))
    missing = sum(f["reviews"] - f["answers"] for f in found)
    goals.append(report.at_most("reviews without an answer", missing, 0, 0))
    return goals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("scale", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

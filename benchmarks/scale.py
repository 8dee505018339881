"""Scale: seconds and memory for a thousand to a million reviews.

Generated reviews are written to a table. `lstm train FILE` encodes them and trains one epoch, and
`lstm predict --file` classifies the same texts. Each size has its own processes and an empty cache.
Time should grow linearly with the number of reviews, and memory much slower.
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
    Option("sizes", "numbers of reviews, separated by commas", "1000,10000,100000,1000000", "300"),
    Option("batch_size", "batch size of training", 256, 16),
    Option("units", "units of the LSTM, in each direction", 32, 4),
)
_MAX_PREDICT_MB = 600.0
# Below this size, the constant start-up time is most of the time.
_MIN_SIZE = 10_000
# The time per review may grow by this factor from one size to the next.
_MAX_GROWTH = 1.3


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure each size."""
    results = []
    for size in report.parse_numbers(settings.sizes):
        with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
            report.log(f"{size:,} reviews")
            results.append({"reviews": size, **_measure_size(size, Path(temp_dir), settings)})
    notes = [
        "Generated reviews have about 20 tokens. 'encode' reads, tokenizes and stores them. "
        "'predict' is the whole command on the same texts, including start-up.",
    ]
    return Outcome(
        {"sizes": results}, [_table(results)], [] if settings.quick else _goals(results), notes
    )


def _measure_size(size: int, temp_dir: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Generate reviews, train on them, and classify them."""
    table, texts = temp_dir / "reviews.tsv", temp_dir / "reviews.txt"
    examples = demo.generate(size, 0)
    with table.open("w", encoding="utf-8") as rows, texts.open("w", encoding="utf-8") as lines:
        rows.write("text\tlabel\n")
        for example in examples:
            rows.write(f"{example.text}\t{'pos' if example.label else 'neg'}\n")
            lines.write(f"{example.text}\n")
    del examples
    lstm, runs_dir = child.lstm_command(), temp_dir / "runs"
    train = [lstm, "train", str(table), "--runs-dir", str(runs_dir), "--name", "scale"]
    train += ["--epochs", "1", f"--set=train.batch_size={settings.batch_size}"]
    train += [f"--set=model.units={settings.units}", "--set=data.validation_fraction=0.01"]
    train += ["--set=data.test_fraction=0.01"]
    trained = child.run(train, {"LSTM_CACHE_DIR": str(temp_dir / "cache")})
    (run,) = (RunDir(path.parent) for path in runs_dir.glob("*/scale/run.json"))
    seconds = run.read_json("run.json")["seconds"]
    answers = temp_dir / "answers.tsv"
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


def growth(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the largest growth of each time per review, from one size to the next.

    It is 1 if there are fewer than two large sizes.
    """
    large = [f for f in results if f["reviews"] >= _MIN_SIZE]
    max_growth = {"encode": 1.0, "epoch": 1.0, "predict": 1.0}
    for small, big in itertools.pairwise(large):
        times = big["reviews"] / small["reviews"]
        for name, before, after in (
            ("encode", small["train"]["encode_seconds"], big["train"]["encode_seconds"]),
            ("epoch", small["train"]["epoch_seconds"], big["train"]["epoch_seconds"]),
            ("predict", small["predict"]["seconds"], big["predict"]["seconds"]),
        ):
            max_growth[name] = max(max_growth[name], after / before / times)
    return max_growth


def _table(results: Sequence[Mapping[str, Any]]) -> Table:
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
        for f in results
    ]
    columns = (
        "reviews", "encode s", "epoch s", "train s", "peak MiB", "predict s", "reviews/s",
        "peak MiB", "accuracy",
    )  # fmt: skip
    return Table("lstm train FILE, one epoch, and lstm predict --file", columns, rows)


def _goals(results: Sequence[Mapping[str, Any]]) -> list[Goal]:
    goals = [
        report.at_most(f"growth of {name}, per review", max_growth, _MAX_GROWTH)
        for name, max_growth in growth(results).items()
    ]
    largest = results[-1]
    peak = largest["predict"]["peak_mb"]
    metric = f"MiB to predict {largest['reviews']:,} reviews"
    goals.append(report.at_most(metric, peak, _MAX_PREDICT_MB, 0))
    missing = sum(f["reviews"] - f["answers"] for f in results)
    goals.append(report.at_most("reviews without a prediction", missing, 0, 0))
    return goals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("scale", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

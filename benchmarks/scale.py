"""Scale: seconds and memory for a thousand to ten million short texts.

Generated texts of 20 words (`short_texts`) are written to a table. `lstm train FILE` encodes them
and trains one epoch, and `lstm predict --file` classifies the same texts. Each size has its own
processes and an empty cache. Time should grow linearly with the number of texts, and memory much
slower. Ten million texts need 10 GB of disk in the temporary folder (`TMPDIR`).
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

from benchmarks import child, report, short_texts
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.runs.directory import RunDir

OPTIONS = (
    Option(
        "sizes",
        "numbers of texts, separated by commas",
        "1000,10000,100000,1000000,10000000",
        "300",
    ),
    Option("no_predict", "leave out lstm predict", False, False, "flag"),
    Option("encode_only", "read, check and encode; memory by stage", False, False, "flag"),
    Option("batch_size", "batch size of training", 256, 16),
    Option("units", "units of the LSTM, in each direction", 32, 4),
)
_MAX_PREDICT_MB = 600.0
_MAX_TRAIN_MB = 2500.0
# Below this size, the constant start-up time is most of the time.
_MIN_SIZE = 10_000
# The time per text may grow by this factor from one size to the next.
_MAX_GROWTH = 1.3


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure each size."""
    if settings.encode_only:
        return _measure_stages(settings)
    results = []
    for size in report.parse_numbers(settings.sizes):
        with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
            report.log(f"{size:,} texts")
            results.append({"texts": size, **_measure_size(size, Path(temp_dir), settings)})
    notes = [
        "'read' is the time before encoding: the table is read, split and checked. 'MiB' is the "
        "peak of resident memory of the training process or of its worker process, whichever is "
        "larger, 'all' that of both together; both include pages of files, which the system takes "
        "back when memory is short (libraries are 400 MiB). 'own' is that of both without them. "
        "'predict' is the whole command on the same texts, including start-up.",
    ]
    return Outcome(
        {"sizes": results}, [_table(results)], [] if settings.quick else _goals(results), notes
    )


def _measure_stages(settings: argparse.Namespace) -> Outcome:
    """Measure the stages before training, of each size, without a network."""
    results = []
    for size in report.parse_numbers(settings.sizes):
        with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
            report.log(f"{size:,} texts")
            table = Path(temp_dir, "texts.tsv")
            short_texts.write(table, size)
            environment = {"LSTM_CACHE_DIR": str(Path(temp_dir, "cache"))}
            results.append(child.run_script("encode_stages", str(table), environment=environment))
    names = list(results[0]["stages"])
    tables = [
        Table(title, ["texts", *names], [_stage_row(result, key) for result in results])
        for title, key in (("Peak MiB", "peak_mb"), ("CPU seconds", "cpu_seconds"))
    ]
    return Outcome({"sizes": results}, tables, [], [])


def _stage_row(result: Mapping[str, Any], key: str) -> list[str]:
    return [f"{result['texts']:,}", *(f"{stage[key]:,.1f}" for stage in result["stages"].values())]


def _measure_size(size: int, temp_dir: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Generate texts, train on them, and classify them."""
    table = temp_dir / "texts.tsv"
    short_texts.write(table, size)
    lstm, runs_dir = child.lstm_command(), temp_dir / "runs"
    train = [lstm, "train", str(table), "--runs-dir", str(runs_dir), "--name", "scale"]
    train += ["--epochs", "1", f"--set=train.batch_size={settings.batch_size}"]
    train += [f"--set=model.units={settings.units}", "--set=data.validation_fraction=0.01"]
    train += ["--set=data.test_fraction=0.01"]
    with child.TreeMemory() as memory:
        trained = child.run(train, {"LSTM_CACHE_DIR": str(temp_dir / "cache")})
    (run,) = (RunDir(path.parent) for path in runs_dir.glob("*/scale/run.json"))
    seconds = run.read_json("run.json")["seconds"]
    result: dict[str, Any] = {
        "train": {
            # The rest: the table is read, split and checked.
            "read_seconds": 2 * seconds["total"] - sum(seconds.values()),
            "encode_seconds": seconds["encode"],
            "epoch_seconds": seconds["train"],
            "seconds": trained.seconds,
            "peak_mb": trained.peak_mb,
            "all_peak_mb": memory.peak_mb,
            "all_anonymous_mb": memory.peak_anonymous_mb,
            "parts": seconds,
        },
        "accuracy": json.loads(run.read_text("metrics.json"))["test"]["accuracy"],
    }
    return result if settings.no_predict else {**result, **_measure_predict(run, table, temp_dir)}


def _measure_predict(run: RunDir, table: Path, temp_dir: Path) -> dict[str, Any]:
    """Classify the texts of the table."""
    answers = temp_dir / "answers.tsv"
    command = [child.lstm_command(), "predict", "--run", str(run.path), "--file", str(table)]
    predicted = child.run([*command, "--keep", "none"], stdout=answers)
    with answers.open("rb") as lines:
        num_answers = sum(1 for _ in lines) - 1
    return {
        "answers": num_answers,
        "predict": {"seconds": predicted.seconds, "peak_mb": predicted.peak_mb},
    }


def growth(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the largest growth of each time per text, from one size to the next.

    It is 1 if there are fewer than two large sizes.
    """
    large = [f for f in results if f["texts"] >= _MIN_SIZE]
    max_growth = {"encode": 1.0, "epoch": 1.0, "train": 1.0, "predict": 1.0}
    for small, big in itertools.pairwise(large):
        times = big["texts"] / small["texts"]
        for name, part, key in (
            ("encode", "train", "encode_seconds"),
            ("epoch", "train", "epoch_seconds"),
            ("train", "train", "seconds"),
            ("predict", "predict", "seconds"),
        ):
            if part in small:
                ratio = big[part][key] / small[part][key] / times
                max_growth[name] = max(max_growth[name], ratio)
    return max_growth


def _table(results: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for f in results:
        train, predict = f["train"], f.get("predict")
        row = [
            f"{f['texts']:,}",
            f"{train['read_seconds']:.1f}",
            f"{train['encode_seconds']:.1f}",
            f"{train['epoch_seconds']:.1f}",
            f"{train['seconds']:.1f}",
            f"{train['peak_mb']:,.0f}",
            f"{train['all_peak_mb']:,.0f}",
            f"{train['all_anonymous_mb']:,.0f}",
            f"{f['accuracy']:.3f}",
        ]
        if predict:
            texts_per_second = f["texts"] / predict["seconds"]
            row += [f"{texts_per_second:,.0f}", f"{predict['peak_mb']:,.0f}"]
        rows.append(row)
    columns = ["texts", "read s", "encode s", "epoch s", "train s", "MiB", "all MiB", "own MiB"]
    columns.append("accuracy")
    if any("predict" in f for f in results):
        columns += ["predict texts/s", "MiB"]
    return Table("lstm train FILE, one epoch, and lstm predict --file", columns, rows)


def _goals(results: Sequence[Mapping[str, Any]]) -> list[Goal]:
    goals = [
        report.at_most(f"growth of {name}, per text", max_growth, _MAX_GROWTH)
        for name, max_growth in growth(results).items()
    ]
    largest = results[-1]
    size = f"{largest['texts']:,} texts"
    peak = largest["train"]["all_peak_mb"]
    goals.append(report.at_most(f"MiB to train on {size}", peak, _MAX_TRAIN_MB, 0))
    if "predict" in largest:
        peak = largest["predict"]["peak_mb"]
        goals.append(report.at_most(f"MiB to predict {size}", peak, _MAX_PREDICT_MB, 0))
        missing = sum(f["texts"] - f["answers"] for f in results)
        goals.append(report.at_most("texts without a prediction", missing, 0, 0))
    return goals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("scale", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

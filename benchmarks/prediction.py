"""Prediction with a trained text run: start-up, throughput, memory and latency.

The comparison is with Keras: a script that loads a .keras file and classifies one text, and
`model.predict` with the weights of the run on the same raw texts, with the default batch size,
padded to the run's `max_tokens`. The texts are the test split of the run's data set. All times
include tokenization.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import child, report
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir

OPTIONS = (
    Option("run", "a finished text run: its folder, DATASET/NAME or DATASET"),
    Option("limit", "largest number of texts; 0 means all of test", 0, 100),
    Option("cold_repeats", "cold starts of `lstm`", 10, 2),
    Option("keras_repeats", "cold starts of the Keras script", 5, 1),
    Option("bulk_repeats", "runs of `lstm predict --file`", 3, 1),
    Option("copies", "sizes of the file for the memory measurement", "1,4,16", "1,4"),
    Option("singles", "texts classified one at a time", 500, 10),
)
_TEXT = "For all its dull stretches, this is a film I would gladly see again."
_KERAS_SINGLES = 50
# The peak memory differs by a few percent between runs.
_MAX_MEMORY_GROWTH = 1.1


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure cold starts, throughput, memory and latency."""
    run = RunDir(find.find(runs.runs_root(), settings.run).path.absolute())
    config = run.config()
    if config.text is None:
        raise report.usage_error(f"Run {run.name} classifies images; this measures texts.")
    report.require_data(config.data.name)
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
        texts = Path(temp_dir, "texts.txt")
        num = child.run_script("texts", str(run.path), str(settings.limit), str(texts))["num"]
        cold = _cold(run, Path(temp_dir), settings)
        bulk = _bulk(run, texts, Path(temp_dir), settings)
        memory = _memory(run, texts, report.parse_numbers(settings.copies), num)
    results = {"run": run.name, "num_texts": num, "cold": cold, "bulk": bulk, "memory": memory}
    warm = bulk["warm"]
    notes = [
        "'lstm predict --file' is the whole process. Keras is tokenization and predict, "
        f"without the {bulk['keras']['ready_seconds']:.1f} s to load the model. It uses the run's "
        "tokenizer; the line 'TextVectorization' uses Keras' own tokenization instead.",
        f"{bulk['labels_equal']:.2%} of the labels agree; probabilities differ by at most "
        f"{bulk['largest_difference']:.1e} (six digits are printed).",
        f"NumPy multiplies 2,048 x 2,048 matrices at {warm['gemm_gflops']:,.0f} GFLOP/s. The "
        f"products of the LSTM reach {warm['lstm_gflops']:,.0f} in the time of its operators, "
        f"activations included, and {warm['model_gflops']:,.0f} in the time of the whole model.",
    ]
    tables = [_cold_table(cold), _bulk_table(bulk), _latency_table(bulk), _memory_table(memory)]
    return Outcome(results, tables, [] if settings.quick else _goals(results), notes)


def _cold(run: RunDir, temp_dir: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Time processes from their start to their answer."""
    report.log("cold starts")
    model = str(temp_dir / "tutorial.keras")
    child.run_script("keras_save", str(run.path), model)
    lstm = child.lstm_command()
    keras = [sys.executable, "-m", "benchmarks.scripts.keras_predict", model, _TEXT]
    commands = {
        "lstm --help": ([lstm, "--help"], settings.cold_repeats),
        "lstm predict": ([lstm, "predict", "--run", str(run.path), _TEXT], settings.cold_repeats),
        "Keras script": (keras, settings.keras_repeats),
    }
    results = {}
    for name, (command, repeats) in commands.items():
        # One untimed run first, so that all files are in the page cache.
        child.run(command)
        processes = [child.run(command) for _ in range(repeats)]
        results[name] = {
            "seconds": report.spread([p.seconds for p in processes]),
            "peak_mb": report.spread([p.peak_mb for p in processes]),
        }
    return results


def _bulk(run: RunDir, texts: Path, temp_dir: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Classify all texts with the command, in a warm process, and with Keras; compare."""
    answers, labels = temp_dir / "answers.tsv", temp_dir / "labels.json"
    report.log("bulk: lstm predict --file")
    processes = [_predict_file(run, texts, answers) for _ in range(settings.bulk_repeats)]
    report.log("bulk: in one warm process")
    warm = child.run_script("lstm_bulk", str(run.path), str(texts), str(settings.singles))
    report.log("bulk: Keras")
    singles = str(min(settings.singles, _KERAS_SINGLES))
    keras = child.run_script("keras_bulk", str(run.path), str(texts), singles, str(labels))
    return {
        "command": {
            "seconds": report.spread([p.seconds for p in processes]),
            "peak_mb": report.spread([p.peak_mb for p in processes]),
        },
        "warm": warm,
        "keras": keras,
        "latency_ms": {
            name: {f"p{percent}": percentile(timed["latency_ms"], percent) for percent in (50, 99)}
            for name, timed in (("lstm", warm), ("Keras predict", keras))
        },
        **compare(answers.read_text(encoding="utf-8"), json.loads(labels.read_text())),
    }


def compare(tsv: str, expected: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Compare the output of `lstm predict` with that of Keras: labels and their probabilities.

    Raises:
        ValueError: The numbers of texts differ.
    """
    records = [line.split("\t") for line in tsv.splitlines()]
    pairs = list(zip(records, expected, strict=True))
    equal = [(float(r[1]), p) for r, (label, p) in pairs if r[0] == label]
    return {
        "labels_equal": len(equal) / len(pairs),
        "largest_difference": max((abs(a - b) for a, b in equal), default=0.0),
    }


def _predict_file(run: RunDir, texts: Path, answers: Path) -> child.ProcessResult:
    command = [child.lstm_command(), "predict", "--run", str(run.path)]
    return child.run([*command, "--file", str(texts), "--format", "tsv"], stdout=answers)


def _memory(run: RunDir, texts: Path, copies: Sequence[int], num: int) -> list[dict[str, Any]]:
    """Measure the peak memory of the command for growing files."""
    results = []
    for num_copies in copies:
        report.log(f"memory: file x {num_copies}")
        longer = texts.with_name("longer.txt")
        with longer.open("wb") as file:
            for _ in range(num_copies):
                with texts.open("rb") as once:
                    shutil.copyfileobj(once, file)
        process = _predict_file(run, longer, texts.with_name("longer.tsv"))
        results.append(
            {
                "copies": num_copies,
                "texts": num * num_copies,
                "file_mb": longer.stat().st_size / 2**20,
                "peak_mb": process.peak_mb,
                "seconds": process.seconds,
            }
        )
    return results


def _cold_table(cold: dict[str, Any]) -> Table:
    rows = [
        (
            name,
            str(len(figures["seconds"]["values"])),
            *(f"{figures['seconds'][key]:.3f}" for key in ("median", "min", "max")),
            f"{figures['peak_mb']['max']:,.0f}",
        )
        for name, figures in cold.items()
    ]
    columns = ("cold process", "times", "s, median", "min", "max", "peak MiB")
    return Table("Start to answer: new processes, files in the page cache", columns, rows)


def _keras_seconds(keras: dict[str, Any], tokenize: str) -> float:
    return float(keras[f"{tokenize}_seconds"] + keras["predict_seconds"])


def _bulk_table(bulk: dict[str, Any]) -> Table:
    warm, keras = bulk["warm"], bulk["keras"]
    command = bulk["command"]["seconds"]["median"]
    seconds = {
        "lstm predict --file, whole process": command,
        "Predictor.stream": warm["stream_seconds"],
        "  tokenizing alone": warm["tokenize_seconds"],
        "  model alone": warm["compute_seconds"],
        "    LSTM operators alone": warm["lstm_seconds"],
        "Keras predict": _keras_seconds(keras, "tokenize"),
        "Keras predict, TextVectorization": _keras_seconds(keras, "vectorize"),
    }
    rows = [
        (name, f"{value:,.2f}", f"{warm['num'] / value:,.0f}", f"{value / command:.2f}")
        for name, value in seconds.items()
    ]
    columns = ("", "s", "texts/s", "relative to lstm")
    return Table(f"{warm['num']:,} raw texts", columns, rows)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile, interpolated between neighbors."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _latency_table(bulk: dict[str, Any]) -> Table:
    num = {"lstm": bulk["warm"], "Keras predict": bulk["keras"]}
    rows = [
        (name, str(len(num[name]["latency_ms"])), *(f"{ms:.2f}" for ms in results.values()))
        for name, results in bulk["latency_ms"].items()
    ]
    return Table("One text at a time, warm process", ("", "texts", "ms, p50", "p99"), rows)


def _memory_table(memory: Sequence[dict[str, Any]]) -> Table:
    rows = [
        (
            f"x {m['copies']}",
            f"{m['texts']:,}",
            f"{m['file_mb']:,.1f}",
            f"{m['peak_mb']:,.0f}",
            f"{m['seconds']:,.1f}",
        )
        for m in memory
    ]
    columns = ("file", "texts", "MiB", "peak MiB", "s")
    return Table("Memory of lstm predict --file", columns, rows)


def _goals(results: dict[str, Any]) -> list[Goal]:
    cold, bulk, memory = results["cold"], results["bulk"], results["memory"]
    medians = {name: figures["seconds"]["median"] for name, figures in cold.items()}
    command = bulk["command"]["seconds"]["median"]
    growth = max(m["peak_mb"] for m in memory) / memory[0]["peak_mb"]
    vectorized = _keras_seconds(bulk["keras"], "vectorize") / command
    share = bulk["warm"]["lstm_gflops"] / bulk["warm"]["gemm_gflops"]
    return [
        report.at_most("lstm --help, cold, s", medians["lstm --help"], 0.4, 3),
        report.at_most("lstm predict, cold, s", medians["lstm predict"], 0.5, 3),
        report.at_least(
            "speed-up over the Keras script, cold",
            medians["Keras script"] / medians["lstm predict"], 10,
        ),
        report.at_least(
            "speed-up over Keras predict, same token ids",
            _keras_seconds(bulk["keras"], "tokenize") / command, 3, 2,
        ),
        report.at_least(
            "speed-up over Keras with TextVectorization", vectorized, 5, 2
        ),
        report.at_least("rate of the LSTM operators / rate of matrix products", share, 0.6, 2),
        report.at_most("peak memory, longest file / shortest", growth, _MAX_MEMORY_GROWTH, 2),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("prediction", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

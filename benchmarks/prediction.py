"""Prediction with a trained text run: start-up, throughput, memory and latency.

Against plain Keras: a script that loads a .keras file and answers one text, and `model.predict`
with the run's own weights on the same raw texts, at its default batch size, padded to the run's
`max_tokens`. Texts are the test split of the run's data set; tokenising counts everywhere.
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
    Option("limit", "at most so many texts; 0: all of test", 0, 100),
    Option("cold_repeats", "starts of `lstm`, each a new process", 10, 2),
    Option("keras_repeats", "starts of the plain Keras script", 5, 1),
    Option("bulk_repeats", "whole files through `lstm predict`", 3, 1),
    Option("copies", "sizes of the file whose memory is watched", "1,4,16", "1,4"),
    Option("singles", "texts answered one at a time", 500, 10),
)
_TEXT = "For all its dull stretches, this is a film I would gladly see again."
_KERAS_SINGLES = 50
# Peaks of the allocator differ by some percent from run to run.
_FLAT = 1.1


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure cold starts, bulk, memory, and latency, one after the other."""
    run = RunDir(find.find(runs.runs_root(), settings.run).path.absolute())
    config = run.config()
    if config.text is None:
        raise report.usage(f"Run {run.name} reads images; this measures texts.")
    report.require_data(config.data.name)
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as scratch:
        texts = Path(scratch, "texts.txt")
        num = child.script("texts", str(run.path), str(settings.limit), str(texts))["num"]
        cold = _cold(run, Path(scratch), settings)
        bulk = _bulk(run, texts, Path(scratch), settings)
        memory = _memory(run, texts, report.numbers(settings.copies), num)
    found = {"run": run.name, "num_texts": num, "cold": cold, "bulk": bulk, "memory": memory}
    warm = bulk["warm"]
    notes = [
        f"'lstm predict --file' counts the whole process; Keras counts tokenising and predict, not "
        f"the {bulk['keras']['ready_seconds']:.1f} s until its model stood. Keras got its ids from "
        "the run's tokenizer; 'TextVectorization' is its own tokenising and the same predict.",
        f"Labels agree in {bulk['labels_equal']:.2%}; probabilities differ by at most "
        f"{bulk['largest_difference']:.1e} (six digits are printed).",
        f"NumPy multiplies 2,048 x 2,048 matrices at {warm['gemm_gflops']:,.0f} GFLOP/s; products "
        f"of the LSTM go at {warm['lstm_gflops']:,.0f} by the time of its operators, activations "
        f"included, and at {warm['network_gflops']:,.0f} by that of the whole network.",
    ]
    tables = [_cold_table(cold), _bulk_table(bulk), _latency_table(bulk), _memory_table(memory)]
    return Outcome(found, tables, [] if settings.quick else _goals(found), notes)


def _cold(run: RunDir, scratch: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Time whole processes that answer at once."""
    report.say("cold starts")
    model = str(scratch / "tutorial.keras")
    child.script("keras_save", str(run.path), model)
    lstm = child.lstm_command()
    keras = [sys.executable, "-m", "benchmarks.scripts.keras_predict", model, _TEXT]
    commands = {
        "lstm --help": ([lstm, "--help"], settings.cold_repeats),
        "lstm predict": ([lstm, "predict", "--run", str(run.path), _TEXT], settings.cold_repeats),
        "Keras script": (keras, settings.keras_repeats),
    }
    found = {}
    for name, (command, repeats) in commands.items():
        # Once untimed: what is on disk is to be in memory for all alike.
        child.run(command)
        ended = [child.run(command) for _ in range(repeats)]
        found[name] = {
            "seconds": report.spread([e.seconds for e in ended]),
            "peak_mb": report.spread([e.peak_mb for e in ended]),
        }
    return found


def _bulk(run: RunDir, texts: Path, scratch: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Time all texts through the command, in a warm process, and through Keras; compare."""
    answers, labels = scratch / "answers.tsv", scratch / "labels.json"
    report.say("bulk: lstm predict --file")
    ended = [_predict_file(run, texts, answers) for _ in range(settings.bulk_repeats)]
    report.say("bulk: in one warm process")
    warm = child.script("lstm_bulk", str(run.path), str(texts), str(settings.singles))
    report.say("bulk: Keras")
    singles = str(min(settings.singles, _KERAS_SINGLES))
    keras = child.script("keras_bulk", str(run.path), str(texts), singles, str(labels))
    return {
        "command": {
            "seconds": report.spread([e.seconds for e in ended]),
            "peak_mb": report.spread([e.peak_mb for e in ended]),
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
    """Compare the command's records with what Keras says: labels, and their probabilities.

    Raises:
        ValueError: There is not one record for each text.
    """
    records = [line.split("\t") for line in tsv.splitlines()]
    pairs = list(zip(records, expected, strict=True))
    equal = [(float(r[1]), p) for r, (label, p) in pairs if r[0] == label]
    return {
        "labels_equal": len(equal) / len(pairs),
        "largest_difference": max((abs(a - b) for a, b in equal), default=0.0),
    }


def _predict_file(run: RunDir, texts: Path, answers: Path) -> child.Child:
    command = [child.lstm_command(), "predict", "--run", str(run.path)]
    return child.run([*command, "--file", str(texts), "--format", "tsv"], stdout=answers)


def _memory(run: RunDir, texts: Path, copies: Sequence[int], num: int) -> list[dict[str, Any]]:
    """Watch the peak memory of the command as its file grows."""
    found = []
    for times in copies:
        report.say(f"memory: file x {times}")
        longer = texts.with_name("longer.txt")
        with longer.open("wb") as file:
            for _ in range(times):
                with texts.open("rb") as once:
                    shutil.copyfileobj(once, file)
        ended = _predict_file(run, longer, texts.with_name("longer.tsv"))
        found.append(
            {
                "copies": times,
                "texts": num * times,
                "file_mb": longer.stat().st_size / 2**20,
                "peak_mb": ended.peak_mb,
                "seconds": ended.seconds,
            }
        )
    return found


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


def _keras_seconds(keras: dict[str, Any], tokenise: str) -> float:
    return float(keras[f"{tokenise}_seconds"] + keras["predict_seconds"])


def _bulk_table(bulk: dict[str, Any]) -> Table:
    warm, keras = bulk["warm"], bulk["keras"]
    command = bulk["command"]["seconds"]["median"]
    seconds = {
        "lstm predict --file, whole process": command,
        "Predictor.stream": warm["stream_seconds"],
        "  tokenising alone": warm["tokenise_seconds"],
        "  network alone": warm["compute_seconds"],
        "    LSTM operators alone": warm["lstm_seconds"],
        "Keras predict": _keras_seconds(keras, "tokenise"),
        "Keras predict, TextVectorization": _keras_seconds(keras, "vectorize"),
    }
    rows = [
        (name, f"{value:,.2f}", f"{warm['num'] / value:,.0f}", f"{value / command:.2f}")
        for name, value in seconds.items()
    ]
    columns = ("", "s", "texts/s", "times lstm's")
    return Table(f"{warm['num']:,} raw texts", columns, rows)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile, between neighbours where it falls between."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _latency_table(bulk: dict[str, Any]) -> Table:
    num = {"lstm": bulk["warm"], "Keras predict": bulk["keras"]}
    rows = [
        (name, str(len(num[name]["latency_ms"])), *(f"{ms:.2f}" for ms in found.values()))
        for name, found in bulk["latency_ms"].items()
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


def _goals(found: dict[str, Any]) -> list[Goal]:
    cold, bulk, memory = found["cold"], found["bulk"], found["memory"]
    medians = {name: figures["seconds"]["median"] for name, figures in cold.items()}
    command = bulk["command"]["seconds"]["median"]
    growth = max(m["peak_mb"] for m in memory) / memory[0]["peak_mb"]
    vectorized = _keras_seconds(bulk["keras"], "vectorize") / command
    share = bulk["warm"]["lstm_gflops"] / bulk["warm"]["gemm_gflops"]
    return [
        report.at_most("lstm --help, cold, s", medians["lstm --help"], 0.4, 3),
        report.at_most("lstm predict, cold, s", medians["lstm predict"], 0.5, 3),
        report.at_least(
            "times faster, cold, than the Keras script",
            medians["Keras script"] / medians["lstm predict"], 10,
        ),
        report.at_least(
            "times faster in bulk than Keras predict, same ids",
            _keras_seconds(bulk["keras"], "tokenise") / command, 3, 2,
        ),
        report.at_least(
            "times faster in bulk than Keras with TextVectorization", vectorized, 5, 2
        ),
        report.at_least("LSTM operators' share of the matrix product rate", share, 0.6, 2),
        report.at_most("peak memory, longest file / shortest", growth, _FLAT, 2),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("prediction", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

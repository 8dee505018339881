"""Prediction of many files: local processes and a Ray cluster on the same cores, in turns.

Generated reviews are written as parts of Parquet. `lstm predict` reads them in one process, in
several, and with `--engine ray` on a cluster of nodes of one core on this machine. All write the
same bits. Then such a cluster loses a node on the way.

The time of a round is that from the start of the first part to the end of the last, which leaves
out what is needed once: starting Python, Ray and the workers, which is given beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import child, report
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.data.readers import demo
from lstm_cli.scale.finished import FOLDER, FinishedPart

OPTIONS = (
    Option("run", "a finished text run; by default one is trained on demo", "", ""),
    Option("texts", "number of texts", 10_000_000, 400),
    Option("parts", "number of files", 100, 4),
    Option("jobs", "processes, and nodes of Ray", 2, 2),
    Option("rounds", "rounds of each engine, in turns", 2, 1),
    Option("lost_after", "parts after which a node is lost; 0 for no such run", 20, 0),
)
# Parts that each worker of Ray predicts, as a share of what would be fair.
_MIN_SHARE = 0.5
_MAX_OVERHEAD = 0.15
# Peak memory of a process: after its last part, compared with that after its second.
_MAX_MEMORY_GROWTH = 1.1


def measure(settings: argparse.Namespace) -> Outcome:
    """Write the parts, predict them with each engine, and compare."""
    jobs = str(settings.jobs)
    engines = {
        "one process": ["--threads", "1"],
        "processes": ["--jobs", jobs],
    }
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
        folder = Path(temp_dir)
        run = settings.run or _train(folder)
        _write_parts(folder / "in", settings.texts, settings.parts)
        command = ["predict", "--run", str(run), "--file", f"{folder}/in/*.parquet"]
        results: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for number in range(settings.rounds):
            for name, options in engines.items():
                report.log(f"round {number + 1}: {name}")
                results[name].append(_predict([*command, *options], folder / f"{name}-{number}"))
            report.log(f"round {number + 1}: ray")
            results["ray"].append(_predict_on_ray(command, folder / f"ray-{number}", jobs, 0))
        lost = None
        if settings.lost_after:
            report.log("ray, a node is lost")
            lost = _predict_on_ray(command, folder / "lost", jobs, settings.lost_after)
    overheads = {
        unit: [
            ray[unit] / local[unit] - 1
            for local, ray in zip(results["processes"], results["ray"], strict=True)
        ]
        for unit in ("seconds", "cpu_seconds")
    }
    measurements = {"engines": results, "overheads": overheads, "lost_node": lost}
    notes = [
        f"{settings.texts:,} generated reviews of about 20 tokens in {settings.parts} files. "
        "'start' is what the whole command takes beside the parts. A core second is one in which a "
        "core worked for the process.",
    ]
    if lost is not None:
        notes.append(
            f"One node removed after {lost['finished_before']} parts: exit code "
            f"{lost['exit_code']}, {lost['rewritten']} of these written again, bits "
            f"{'the same' if lost['digest'] == results['ray'][0]['digest'] else 'others'}."
        )
    goals = [] if settings.quick else _goals(results, overheads, lost, int(settings.jobs))
    return Outcome(measurements, [_table(results)], goals, notes)


def _train(folder: Path) -> Path:
    report.log("training")
    options = ["--epochs", "1", "--name", "ray", "--runs-dir", str(folder / "runs")]
    child.run([child.lstm_command(), "train", "demo", *options])
    return folder / "runs" / "demo" / "ray"


def _write_parts(folder: Path, num_texts: int, num_parts: int) -> None:
    """Write generated reviews as Parquet, each part from a seed of its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    report.log(f"writing {num_texts:,} texts")
    folder.mkdir()
    for part in range(num_parts):
        texts = [example.text for example in demo.generate(num_texts // num_parts, part)]
        ids = [f"{part}-{row}" for row in range(len(texts))]
        pq.write_table(pa.table({"id": ids, "text": texts}), folder / f"part-{part:04}.parquet")


def _predict(command: Sequence[str], out: Path) -> dict[str, Any]:
    """Run `lstm predict`, and read the records of its parts."""
    ended = child.run([child.lstm_command(), *command, "--out", str(out)])
    return {"whole_seconds": ended.seconds, **_read_records(out)}


def _read_records(out: Path) -> dict[str, Any]:
    """Return times, memory and a hash of what was written."""
    ends: list[tuple[float, FinishedPart]] = []
    for path in (out / FOLDER / "parts").glob("*.json"):
        finished = msgspec.json.decode(path.read_bytes(), type=FinishedPart)
        ends.append((path.stat().st_mtime, finished))
    ends.sort(key=lambda entry: entry[0])
    digest = hashlib.sha256()
    for path in sorted(out.glob("*.parquet")):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    peaks: dict[str, list[int]] = defaultdict(list)
    for _, finished in ends:
        peaks[finished.worker].append(finished.peak_mb)
    seconds = ends[-1][0] - min(end - finished.seconds for end, finished in ends)
    num_texts = sum(finished.num_inputs for _, finished in ends)
    return {
        "seconds": seconds,
        "cpu_seconds": sum(finished.cpu_seconds for _, finished in ends),
        "texts": num_texts,
        "input_bytes": sum(finished.input_bytes for _, finished in ends),
        "output_bytes": sum(finished.output_bytes for _, finished in ends),
        "peaks_mb": [*peaks.values()],
        "digest": digest.hexdigest(),
    }


def _predict_on_ray(
    command: Sequence[str], out: Path, num_nodes: str, lost_after: int
) -> dict[str, Any]:
    """Predict on a cluster, and lose a node after some parts."""
    whole = [child.lstm_command(), *command, "--engine", "ray", "--out", str(out)]
    found = child.run_script("ray_nodes", str(out), num_nodes, str(lost_after), *whole)
    return {**found, "whole_seconds": found["seconds"], **_read_records(out)}


def memory_growth(peaks: Sequence[int]) -> float:
    """Return the peak memory of a process after its last part, divided by that after its second.

    The first part still loads what the process needs. It is 1 for fewer than three parts.
    """
    return peaks[-1] / peaks[1] if len(peaks) > 2 else 1.0


def least_share(peaks: Sequence[Sequence[int]], num_workers: int) -> float:
    """Return the parts of the worker with the fewest, divided by a fair share; 0 if one had none.

    Args:
        peaks: Of each worker the peak memory after each of its parts.
        num_workers: How many workers there should be.
    """
    if len(peaks) < num_workers:
        return 0.0
    num_parts = sum(len(worker) for worker in peaks)
    return min(len(worker) for worker in peaks) * num_workers / num_parts


def _table(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    rows = []
    for name, rounds in results.items():
        rate = report.spread([r["texts"] / r["seconds"] for r in rounds])
        core_rate = report.spread([r["texts"] / r["cpu_seconds"] for r in rounds])
        start = report.spread([r["whole_seconds"] - r["seconds"] for r in rounds])
        peaks = [peak for r in rounds for worker in r["peaks_mb"] for peak in worker[-1:]]
        rows.append(
            (
                name,
                report.format_spread(rate, 0),
                report.format_spread(core_rate, 0),
                report.format_spread(start),
                f"{max(peaks):,}",
                f"{rounds[0]['input_bytes'] / rounds[0]['texts']:.0f}",
                f"{rounds[0]['output_bytes'] / rounds[0]['texts']:.0f}",
            )
        )
    columns = (
        "engine",
        "texts/s",
        "texts/core s",
        "start s",
        "peak MiB",
        "bytes read",
        "bytes written",
    )
    return Table("lstm predict --file 'in/*.parquet'; bytes for a text", columns, rows)


def _goals(
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    overheads: Mapping[str, Sequence[float]],
    lost: Mapping[str, Any] | None,
    num_workers: int,
) -> list[Goal]:
    rounds = [r for engine in results.values() for r in engine]
    digests = {r["digest"] for r in [*rounds, *([lost] if lost else [])]}
    share = min(least_share(r["peaks_mb"], num_workers) for r in results["ray"])
    growth = max(memory_growth(worker) for r in rounds for worker in r["peaks_mb"])
    goals = [
        *(
            report.at_most(f"overhead of Ray in {unit}", statistics.median(found), _MAX_OVERHEAD, 3)
            for unit, found in overheads.items()
        ),
        report.at_least("share of the least busy worker", share, _MIN_SHARE, 2),
        report.at_most("growth of a process's memory", growth, _MAX_MEMORY_GROWTH, 3),
        report.at_most("different outputs", len(digests), 1, 0),
    ]
    if lost is not None:
        goals.append(report.at_most("exit code with a lost node", lost["exit_code"], 0, 0))
        goals.append(report.at_most("parts written again", lost["rewritten"], 0, 0))
    return goals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("ray", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

"""Shared by all benchmarks: options, a description of the machine, goals, tables and the JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from lstm_cli.errors import ExitCode, LstmError

_RESULTS = Path(__file__).parent / "results"
_PACKAGES = (
    "lstm-cli", "tensorflow", "jax", "keras", "numpy", "onnxruntime", "regex", "scikit-learn",
    "fasttext", "fasttext-numpy2", "fasttext-wheel", "fasttext-numpy2-wheel",
)  # fmt: skip
_MAX_LOAD = 0.5


class SkippedError(Exception):
    """The machine lacks what a benchmark measures, for example a GPU; the exit code is 0."""


@dataclass(frozen=True)
class Option:
    """An option of a benchmark.

    Attributes:
        name: `--name` on the command line.
        help: The help text.
        full: The default; None makes the option required.
        quick: The default under `--quick`; None for the same one.
        kind: `value`; `flag`, without a value; `list`, repeatable; `argument`, without a name.
    """

    name: str
    help: str
    full: Any = None
    quick: Any = None
    kind: Literal["value", "flag", "list", "argument"] = "value"


@dataclass(frozen=True)
class Goal:
    """A target for a metric, and the measured value."""

    metric: str
    target: str
    value: str
    met: bool


@dataclass(frozen=True)
class Table:
    """A table to print. The first column is aligned left, the others right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Outcome:
    """The result of a benchmark.

    Attributes:
        measurements: All measured values, as JSON types.
        tables: The same, for people.
        goals: Targets and whether they are met.
        notes: What a reader of the tables must know.
    """

    measurements: Mapping[str, Any]
    tables: Sequence[Table]
    goals: Sequence[Goal] = ()
    notes: Sequence[str] = field(default=())


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return the values with their mean, standard deviation (of a sample), and extremes."""
    return {
        "values": list(values),
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "min": min(values),
        "median": statistics.median(values),
        "max": max(values),
    }


def format_spread(values: Mapping[str, Any], digits: int = 1) -> str:
    """Format a spread: `62.1 ± 0.8`, or the plain value if there is only one."""
    mean = f"{values['mean']:,.{digits}f}"
    return mean if values["sd"] is None else f"{mean} ± {values['sd']:,.{digits}f}"


def at_least(metric: str, value: float, limit: float, digits: int = 1) -> Goal:
    """Return the goal that a value is at least a limit."""
    return Goal(metric, f">= {limit:g}", f"{value:,.{digits}f}", value >= limit)


def at_most(metric: str, value: float, limit: float, digits: int = 1) -> Goal:
    """Return the goal that a value is at most a limit."""
    return Goal(metric, f"<= {limit:g}", f"{value:,.{digits}f}", value <= limit)


def parse_numbers(text: str) -> list[int]:
    """Parse whole numbers separated by commas, such as `0,1,2`.

    Raises:
        LstmError: The text has another form.
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise usage_error(
            f"Expected whole numbers separated by commas, such as 0,1,2; found '{text}'."
        ) from None


def usage_error(message: str) -> LstmError:
    """Return the error for invalid options (exit code 2)."""
    return LstmError(message, "See --help.", ExitCode.USAGE)


def log(text: str) -> None:
    """Print the progress of the measurement to stderr."""
    print(f"[{datetime.now():%H:%M:%S}] {text}", file=sys.stderr, flush=True)


def require_data(*names: str) -> None:
    """Raise an error before the measurement if data is missing.

    Args:
        names: Data sets; only `imdb` and `mnist` must be prepared.

    Raises:
        LstmError: One of them is not prepared (exit code 3).
    """
    from lstm_cli.data import DataSource
    from lstm_cli.data.readers import tfds_prepared

    for name in names:
        if name not in tfds_prepared.REGISTERED:
            continue
        folder = tfds_prepared.resolve_data_dir(DataSource(name))
        if tfds_prepared.find_prepared(tfds_prepared.parse_name(name), folder) is None:
            raise LstmError(
                f"This measurement needs {name}, which is not prepared in {folder}.",
                f"Set TFDS_DATA_DIR to its folder, or prepare it: lstm data prepare {name}. "
                "To try the script without it: --quick.",
                ExitCode.DATA,
            )


def main(
    name: str,
    description: str | None,
    options: Sequence[Option],
    measure: Callable[[argparse.Namespace], Outcome],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a benchmark: read the command line, measure, print, write the JSON.

    Args:
        name: The name of the benchmark and of its JSON file.
        description: The text of `--help`.
        options: The options of the benchmark.
        measure: The measurement.
        arguments: The command line, for tests.

    Returns:
        The exit code: 0, or that of the error. A goal that is not met is not an error.
    """
    settings = read_settings(name, description, options, arguments)
    start, stamp, load = time.monotonic(), datetime.now(UTC), os.getloadavg()[0]
    if load > _MAX_LOAD and not settings.quick:
        log(f"Warning: the machine is busy (load {load:.1f}); times will be too long.")
    try:
        outcome = measure(settings)
    except SkippedError as skipped:
        log(f"Skipped: {skipped}")
        return 0
    except LstmError as error:
        print(f"Error: {error.message}", *filter(None, [error.hint]), sep="\n", file=sys.stderr)
        return int(error.exit_code)
    _print(outcome)
    if settings.markdown:
        settings.markdown.write_text(markdown(outcome), encoding="utf-8")
    record = {
        "benchmark": name,
        "quick": settings.quick,
        "started": stamp.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - start, 1),
        "load_before": load,
        "settings": {o.name: getattr(settings, o.name) for o in options},
        "machine": machine(),
        "versions": versions(),
        "commit": _commit(),
        "measurements": outcome.measurements,
        "goals": [asdict(goal) for goal in outcome.goals],
        "notes": list(outcome.notes),
    }
    _write(record, settings.json or (None if settings.quick else _RESULTS / f"{name}.json"))
    return 0


def machine() -> dict[str, Any]:
    """Describe the machine."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "os": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the relevant packages that are installed."""
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def read_settings(
    name: str,
    description: str | None,
    options: Sequence[Option],
    arguments: Sequence[str] | None,
) -> argparse.Namespace:
    """Return the options of a benchmark, with the default of each that is not given.

    Args:
        name: Its module.
        description: For `--help`.
        options: Its options.
        arguments: Of the command line; None for those of this process.
    """
    settings = make_parser(name, description, options).parse_args(arguments)
    for option in options:
        if getattr(settings, option.name) is None:
            is_quick = settings.quick and option.quick is not None
            setattr(settings, option.name, option.quick if is_quick else option.full)
    return settings


def make_parser(
    name: str, description: str | None, options: Sequence[Option]
) -> argparse.ArgumentParser:
    """Return the parser of a benchmark; what is not given is None. See `read_settings`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small sizes, to test the script",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to this file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables")
    for option in options:
        _add(parser, option)
    return parser


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    """Add an option; without a value on the command line it is None."""
    if option.kind == "argument":
        parser.add_argument(option.name, metavar=option.name.upper(), help=option.help)
        return
    flag = f"--{option.name.replace('_', '-')}"
    if option.kind == "flag":
        parser.add_argument(flag, action="store_true", default=None, help=option.help)
        return
    parser.add_argument(
        flag,
        action="append" if option.kind == "list" else "store",
        type=type(option.full) if isinstance(option.full, int | float) else str,
        help=option.help + (f" ({option.full})" if option.full or option.full == 0 else ""),
        required=option.full is None,
    )


def _print(outcome: Outcome) -> None:
    from rich.console import Console

    # A pipe has no width, and with the default of 80 columns every row would wrap.
    console = Console(width=None if sys.stdout.isatty() else 140, markup=False, highlight=False)
    for table in _all_tables(outcome):
        console.print(_rich_table(table))
    for note in outcome.notes:
        console.print(note)


def _all_tables(outcome: Outcome) -> list[Table]:
    """Return the tables, with one of the goals if there are any."""
    goals = [
        (goal.metric, goal.target, goal.value, "met" if goal.met else "NOT met")
        for goal in outcome.goals
    ]
    columns = ("metric", "target", "value", "")
    return [*outcome.tables, *([Table("Goals", columns, goals)] if goals else [])]


def markdown(outcome: Outcome) -> str:
    """Return the tables and notes as Markdown."""
    blocks = []
    for table in _all_tables(outcome):
        rule = ["---", *["---:"] * (len(table.columns) - 1)]
        cells = [table.columns, rule, *table.rows]
        lines = [
            "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in cells
        ]
        blocks.append("\n".join([f"**{table.title}**", "", *lines]))
    if outcome.notes:
        blocks.append("\n".join(f"- {note}" for note in outcome.notes))
    return "\n\n".join(blocks) + "\n"


def _rich_table(table: Table) -> Any:
    from rich import box
    from rich.table import Table as RichTable

    rich_table = RichTable(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(table.columns):
        rich_table.add_column(column, justify="right" if index else "left")
    for row in table.rows:
        rich_table.add_row(*row)
    return rich_table


def _write(record: Mapping[str, Any], path: Path | None) -> None:
    if path is None:
        log("No result written with --quick; name a file with --json to keep it.")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    log(f"Written: {path}")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _commit() -> str | None:
    """Return the commit, with a mark if files differ from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None

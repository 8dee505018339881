"""Whether `lstm serve` does what its OpenAPI document says: schemathesis, all checks.

Random requests, valid by the document and invalid, go to a server in a process of its own; a run
on texts and one on images, with an API key and without. Valid ones must be answered, invalid ones
refused, and every answer must be one that the document names. Needs: pip install schemathesis.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import child, report
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.errors import LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir

OPTIONS = (
    Option("run", "a finished text run; else one is trained on demo", "", ""),
    Option("image_run", "a finished run on images; else one is trained on digits", "", ""),
    Option("cases", "at most, for each path, of each server", 1000, 10),
    Option("seed", "of the cases", 1, 1),
)
_ROOT = Path(__file__).parents[1]
_KEY = "key of a benchmark"
_SECONDS = 3600.0
# Of the texts in a request: cases at this limit and over it stay small.
_LIMITS = ("--max-texts", "8")
# Left alone, schemathesis takes a refusal such as 429 of a valid request for right.
_CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = [200]
"""


@dataclass(frozen=True)
class Found:
    """What schemathesis found.

    Attributes:
        num_cases: Requests sent.
        num_valid: Of each `METHOD /path`, those that were valid by the document, and answered.
        failures: One line each, what failed and where.
        details: Of the failures, requests that repeat them included.
        seconds: That it took.
    """

    num_cases: int
    num_valid: Mapping[str, int]
    failures: Sequence[str]
    details: str
    seconds: float


def measure(settings: argparse.Namespace) -> Outcome:
    """Test a server of each kind, with a key and without."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="lstm-bench-runs-") as scratch:
        wanted = (settings.run, "demo"), (settings.image_run, "digits")
        for run in [_find(name, preset, Path(scratch)) for name, preset in wanted]:
            kind = "image" if run.config().text is None else "text"
            for key in (None, _KEY):
                told = f"{kind}, {'with a key' if key else 'no key'}"
                report.log(told)
                with serving(run, key) as url:
                    found[told] = hold(url, key, settings.cases, settings.seed)
    rows = [
        [name, f"{one.num_cases:,}", f"{sum(one.num_valid.values()):,}", str(len(one.failures))]
        for name, one in found.items()
    ]
    table = Table("Cases", ["server", "cases", "valid ones", "failures"], rows)
    measurements = {name: vars(one) for name, one in found.items()}
    notes = [f"{name}: {line}" for name, one in found.items() for line in one.failures]
    notes += [one.details for one in found.values() if one.details]
    return Outcome(measurements, [table], _goals(found), notes)


def _find(name: str, preset: str, scratch: Path) -> RunDir:
    """Find the run named, or train one for an epoch."""
    if name:
        return RunDir(find.find(runs.runs_root(), name).path.absolute())
    report.log(f"training on {preset}")
    options = ("--epochs", "1", "--runs-dir", str(scratch), "--name", "a")
    child.run([sys.executable, "-m", "lstm_cli", "train", preset, *options])
    return find.find(scratch, f"{preset}/a")


def _goals(found: Mapping[str, Found]) -> list[Goal]:
    num = sum(len(one.failures) for one in found.values())
    return [report.at_most("failures", num, 0, digits=0)]


@contextlib.contextmanager
def serving(run: RunDir, key: str | None) -> Iterator[str]:
    """Serve a run in a process of its own during a block; yield where.

    Raises:
        LstmError: It does not start.
    """
    environment = {k: v for k, v in os.environ.items() if k != "LSTM_API_KEY"}
    if key is not None:
        environment["LSTM_API_KEY"] = key
    command = [sys.executable, "-m", "lstm_cli", "serve", "--run", str(run.path), "--port", "0"]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*command, *_LIMITS], cwd=_ROOT, env=environment, stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stderr is not None
            for line in process.stderr:
                said.write(line)
                if place := re.search(r"Serving on (http://\S+)", line):
                    break
            else:
                said.seek(0)
                raise LstmError(f"lstm serve does not start: {said.read().strip()}")
            yield place[1]
        finally:
            process.terminate()
            process.communicate(timeout=60)


def hold(
    url: str, key: str | None, cases: int, seed: int, document: Mapping[str, Any] | None = None
) -> Found:
    """Hold a server to its document.

    Args:
        url: Of the server.
        key: That clients bring; None where there is none.
        cases: Random ones for each path, at most. Those that follow from the document by
            themselves (its limits, other methods, other types) come on top.
        seed: Of the random ones.
        document: That it is held to; its own where not given.

    Raises:
        LstmError: schemathesis did not end as it should.
    """
    with tempfile.TemporaryDirectory(prefix="lstm-openapi-") as scratch:
        # Read from a file, so that the document's own path is a path like the others.
        path = Path(scratch, "openapi.json")
        path.write_bytes(_get(f"{url}/openapi.json") if not document else _json(document))
        Path(scratch, "schemathesis.toml").write_text(_CONFIG, encoding="utf-8")
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", url),
            *("--checks", "all", "--max-examples", str(cases), "--seed", str(seed)),
            *("--generation-database", "none", "--continue-on-failure", "--no-color"),
            *("--report", "json", "--report-json-path", "report.json"),
        ]
        if key is not None:
            command += ["--header", f"Authorization: Bearer {key}"]
        done = subprocess.run(
            command, cwd=scratch, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
        try:
            told = json.loads(Path(scratch, "report.json").read_bytes())
        except OSError:
            raise LstmError(
                f"schemathesis failed: {(done.stderr or done.stdout)[-2000:]}"
            ) from None
    return _found(told, done.stdout)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode()


def _found(told: Mapping[str, Any], said: str) -> Found:
    """Sum up the report of schemathesis, and what it said of failures."""
    valid = {
        operation: sum(phase["accepted"] for phase in phases.values())
        for operation, phases in told["valid_rates"].items()
    }
    failures = [
        f"{one['code']} {one['title']}: {', '.join(one['operations'])}" for one in told["failures"]
    ]
    failures += [json.dumps(error) for error in told["errors"]]
    failures += [f"{name}: {of}" for name, of in told["warnings"].items() if of]
    if not (told["complete"] or failures):
        failures = [f"ended early: {told['stop_reason']}"]
    details = said.partition("= FAILURES =")[2].partition("= SUMMARY =")[0].strip("=\n ")
    return Found(
        told["test_cases"]["generated"], valid, failures, details, round(told["running_time"], 1)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    return report.main("openapi", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

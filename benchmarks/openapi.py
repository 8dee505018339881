"""Whether `lstm serve` agrees with its OpenAPI document: schemathesis with all checks.

Random valid and invalid requests go to a server in a process of its own: a text run and an image
run, with and without an API key. The server must answer the valid ones and reject the invalid ones,
and the document must describe every response. Needs: pip install schemathesis.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import child, report
from benchmarks.report import Goal, Option, Outcome, Table
from benchmarks.serve import serving
from lstm_cli.errors import LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir

OPTIONS = (
    Option("run", "a finished text run; by default one is trained on demo", "", ""),
    Option("image_run", "a finished image run; by default one is trained on digits", "", ""),
    Option("cases", "per path and server, at most", 1000, 10),
    Option("seed", "of the cases", 1, 1),
)
_API_KEY = "benchmark key"
_TIMEOUT_SECONDS = 3600.0
# A low limit, so that cases at and above it stay small.
_OPTIONS = ("--max-texts", "8")
# By default, schemathesis accepts an error such as 429 as the response to a valid request.
_CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = [200]
"""


@dataclass(frozen=True)
class CheckResult:
    """The result of schemathesis.

    Attributes:
        num_cases: Requests sent.
        num_valid: For each `METHOD /path`, valid requests that were answered with success.
        failures: One line for each failure.
        details: Report of the failures, with requests that reproduce them.
        seconds: Duration.
    """

    num_cases: int
    num_valid: Mapping[str, int]
    failures: Sequence[str]
    details: str
    seconds: float


def measure(settings: argparse.Namespace) -> Outcome:
    """Check a server of each kind, with and without a key."""
    results = {}
    with tempfile.TemporaryDirectory(prefix="lstm-bench-runs-") as folder:
        names = (settings.run, "demo"), (settings.image_run, "digits")
        for run in [_find(name, preset, Path(folder)) for name, preset in names]:
            kind = "image" if run.config().text is None else "text"
            for key in (None, _API_KEY):
                title = f"{kind}, {'with a key' if key else 'no key'}"
                report.log(title)
                with serving(run, *_OPTIONS, api_key=key) as server:
                    url = f"http://{server.host}:{server.port}"
                    results[title] = check(url, key, settings.cases, settings.seed)
    rows = [
        [
            name,
            f"{result.num_cases:,}",
            f"{sum(result.num_valid.values()):,}",
            str(len(result.failures)),
        ]
        for name, result in results.items()
    ]
    table = Table("Cases", ["server", "cases", "valid ones", "failures"], rows)
    measurements = {name: vars(result) for name, result in results.items()}
    notes = [f"{name}: {line}" for name, result in results.items() for line in result.failures]
    notes += [result.details for result in results.values() if result.details]
    return Outcome(measurements, [table], _goals(results), notes)


def _find(name: str, preset: str, folder: Path) -> RunDir:
    """Find a run by name, or train one for one epoch."""
    if name:
        return RunDir(find.find(runs.runs_root(), name).path.absolute())
    report.log(f"training on {preset}")
    options = ("--epochs", "1", "--runs-dir", str(folder), "--name", "a")
    child.run([sys.executable, "-m", "lstm_cli", "train", preset, *options])
    return find.find(folder, f"{preset}/a")


def _goals(results: Mapping[str, CheckResult]) -> list[Goal]:
    num = sum(len(result.failures) for result in results.values())
    return [report.at_most("failures", num, 0, digits=0)]


def check(
    url: str, key: str | None, cases: int, seed: int, document: Mapping[str, Any] | None = None
) -> CheckResult:
    """Check a server against an OpenAPI document.

    Args:
        url: URL of the server.
        key: API key that clients send; None for no key.
        cases: Most random requests per path. Requests that follow from the document (its limits,
            other methods, other types) are sent in addition.
        seed: Seed of the random requests.
        document: The document; by default the server's own.

    Raises:
        LstmError: schemathesis failed.
    """
    with tempfile.TemporaryDirectory(prefix="lstm-openapi-") as folder:
        # From a file, so that the path of the document is checked like the others.
        path = Path(folder, "openapi.json")
        path.write_bytes(_get(f"{url}/openapi.json") if not document else _json(document))
        Path(folder, "schemathesis.toml").write_text(_CONFIG, encoding="utf-8")
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", url),
            *("--checks", "all", "--max-examples", str(cases), "--seed", str(seed)),
            *("--generation-database", "none", "--continue-on-failure", "--no-color"),
            *("--report", "json", "--report-json-path", "report.json"),
        ]
        if key is not None:
            command += ["--header", f"Authorization: Bearer {key}"]
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
        try:
            content = json.loads(Path(folder, "report.json").read_bytes())
        except OSError:
            raise LstmError(
                f"schemathesis failed: {(done.stderr or done.stdout)[-2000:]}"
            ) from None
    return _parse_report(content, done.stdout)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode()


def _parse_report(content: Mapping[str, Any], stdout: str) -> CheckResult:
    """Return the result from the JSON report and the output of schemathesis."""
    valid = {
        operation: sum(phase["accepted"] for phase in phases.values())
        for operation, phases in content["valid_rates"].items()
    }
    failures = [
        f"{failure['code']} {failure['title']}: {', '.join(failure['operations'])}"
        for failure in content["failures"]
    ]
    failures += [json.dumps(error) for error in content["errors"]]
    failures += [
        f"{name}: {operations}" for name, operations in content["warnings"].items() if operations
    ]
    if not (content["complete"] or failures):
        failures = [f"ended early: {content['stop_reason']}"]
    details = stdout.partition("= FAILURES =")[2].partition("= SUMMARY =")[0].strip("=\n ")
    return CheckResult(
        content["test_cases"]["generated"],
        valid,
        failures,
        details,
        round(content["running_time"], 1),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    return report.main("openapi", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())

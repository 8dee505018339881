"""Say in one line what the newest versions of everything break. The exit code is 0 all the same.

The tests of CI install the versions of `constraints.txt`. Others install `lstm` without it, so CI
should see new versions before they do. Where pip would choose the locked versions, nothing is
tried: the tests of CI are to come. Otherwise the packages that moved are laid over the environment
of the locked ones, for these tests: files in which `lstm` meets its libraries, cheap ones first, as
many as the time allows. All tests would double the time of CI, for news that fail nothing.

Usage: PYTHON newest.py find REPORT           ask pip which versions are the newest
       PYTHON newest.py try REPORT FOLDER     try them, in the environment of a folder
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ".[serve,jax,parquet,tune,ray,litert]"
FIND_SECONDS = 150
TRY_SECONDS = 60
FILES = """
unit/config unit/text unit/runs unit/evaluation unit/models unit/io unit/data unit/prediction
system/test_cli.py training/test_classifier.py unit/serve unit/render unit/report
training/test_language_model.py training/test_peephole.py unit/explain
training/test_loop.py
"""
# What holds CI to the locked versions does not hold here.
ENV = {name: os.environ[name] for name in os.environ if not name.endswith("_CONSTRAINT")}


def find(report: Path) -> None:
    """Write the report of pip on the newest versions, or why there is none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = [EXTRAS, *project["dependency-groups"]["dev"]]
    options = ["--dry-run", "--ignore-installed", "--report", report, *packages]
    try:
        error = _install(Path(sys.executable), *options, timeout=FIND_SECONDS)
    except subprocess.TimeoutExpired:
        error = f"not found after {FIND_SECONDS} s"
    if error:
        report.write_text(json.dumps({"error": error}), "utf-8")


def try_newest(report: Path, folder: Path) -> None:
    """Try the newest versions and print the line."""
    try:
        line = _try(json.loads(report.read_text("utf-8")), folder, time.monotonic() + TRY_SECONDS)
    except subprocess.TimeoutExpired:
        line = f"not installed after {TRY_SECONDS} s"
    except (OSError, ValueError, KeyError) as error:
        line = f"not tried: {error!r:.200}"
    print(f"newest versions: {line}", flush=True)


def _install(python: Path, *options: str | Path, timeout: float) -> str:
    """Install; return why pip cannot, or nothing."""
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *options],
        cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return f"pip cannot install them: {' '.join(errors[:1])[:300]}" if done.returncode else ""


def _try(report: dict, folder: Path, deadline: float) -> str:
    if "error" in report:
        return report["error"]
    newest = versions(report)
    moves = moved(newest, (ROOT / "constraints.txt").read_text("utf-8"))
    if not moves:
        return "those of constraints.txt, nothing to try"
    python, pins = folder / "bin" / "python", folder / "newest.txt"
    pins.write_text("".join(f"{name}=={newest[name]}\n" for name in moves), "utf-8")
    options = ["--no-deps", "--no-compile", "--requirement", pins]
    if failure := _install(python, *options, timeout=deadline - time.monotonic()):
        return failure
    log = folder / "tests.log"
    ended = _run_tests(python, log, deadline)
    return f"{shortened(list(moves.values()))}: {outcome(log.read_text('utf-8', 'replace'), ended)}"


def versions(report: dict) -> dict[str, str]:
    """Take the versions of all packages but this one from a report of pip."""
    found = {item["metadata"]["name"]: item["metadata"]["version"] for item in report["install"]}
    return {name: found[name] for name in found if _canonical(name) != "lstm-cli"}


def moved(newest: dict[str, str], constraints: str) -> dict[str, str]:
    """Find the packages whose version is not the locked one: `PyYAML 6.0.3 -> 6.0.4` by name."""
    locked: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", constraints, re.MULTILINE):
        locked.setdefault(_canonical(name), []).append(version)
    return {
        name: f"{name} {' or '.join(locked.get(_canonical(name), ['none']))} -> {newest[name]}"
        for name in sorted(newest, key=str.lower)
        if newest[name] not in locked.get(_canonical(name), [])
    }


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _run_tests(python: Path, log: Path, deadline: float) -> bool:
    """Run the tests into a log, up to the deadline; return whether they came to their end."""
    files = [f"tests/{name}" for name in FILES.split()]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    command = [python, "-m", "pytest", "-v", "--tb=no", "-r", "N", "-p", "no:cacheprovider"]
    command += ["-n", "auto"]
    with log.open("wb") as out:
        tests = subprocess.Popen(
            [*command, *(name for name in files if (ROOT / name).exists())],
            cwd=ROOT, env=ENV, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True,
            # A job in the background of a shell ignores it, and so would pytest.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        try:
            tests.wait(max(1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            tests.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                tests.wait(20)
            return False
        finally:
            # Also if CI ends this process because something else has failed.
            if tests.poll() is None:
                os.killpg(tests.pid, signal.SIGKILL)
                tests.wait()
    return True


def outcome(log: str, ended: bool) -> str:
    """Say how the tests of a log of `pytest -v` went."""
    # As pytest-xdist writes it: `[gw0] [ 50%] PASSED tests/test_a.py::test_x`.
    found = re.findall(r"^\[gw\d+\] \[ *\d+%\] (PASSED|FAILED|ERROR) (.+?) *$", log, re.MULTILINE)
    broken = [test for how, test in found if how != "PASSED"]
    where = "" if ended else " in the time there was"
    if not found and not ended:
        return f"no test ended{where}"
    if broken:
        names = Counter(test.partition("[")[0] for test in broken)
        each = [f"{name} ({times} times)" if times > 1 else name for name, times in names.items()]
        return f"{len(broken)} of {len(found)} tests fail{where}: {shortened(each)}"
    if ended and not re.search(r"^=+ .*\d+ passed", log, re.MULTILINE):
        last = [line for line in log.splitlines() if line.strip()][-1:]
        return f"the tests do not start: {' '.join(last)[:300]}"
    return f"all of {len(found)} tests pass{where}"


def shortened(items: list[str], most: int = 6) -> str:
    """Join items, the first ones in full and the others as a number."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


if __name__ == "__main__":
    verb, *paths = sys.argv[1:]
    {"find": find, "try": try_newest}[verb](*map(Path, paths))

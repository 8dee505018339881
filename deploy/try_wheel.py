"""Check a wheel: its files, and what it does in a fresh environment without TensorFlow.

The environment has the packages of deploy/predict.txt and the wheel. It predicts with a small run
(tests/fixtures_runs.py), outside the checkout.

Usage: PYTHON deploy/try_wheel.py WHEEL [PYTHON ...]     in an environment of `make install`; the
       environments are made by each PYTHON, or by the one that runs this
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (
    "lstm_cli/py.typed",
    "lstm_cli/configs/imdb.yaml",
    "lstm_cli/serve/server.js",
    "lstm_cli/report/templates/",
    "lstm_cli/export/templates/",
    "/licenses/LICENSE",
    "/share/man/man1/lstm.1",
)
MAKE_RUN = """
import pathlib, sys
from fixtures_runs import make_text_run
make_text_run(pathlib.Path(sys.argv[1]))
"""


def main(wheel: Path, pythons: list[str]) -> int:
    """Check the wheel; return the exit code."""
    if problems := content_problems(zipfile.ZipFile(wheel).namelist()):
        print("\n".join(problems))
        return 1
    for python in pythons or [sys.executable]:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{wheel.name}: {use(wheel.resolve(), python, Path(folder))}", flush=True)
    return 0


def content_problems(names: list[str]) -> list[str]:
    """Say which files a wheel lacks, and which should not be in it."""
    lacking = [part for part in NEEDED if not any(part in name for name in names)]
    other = [
        name for name in names
        if not name.startswith("lstm_cli/") and ".dist-info/" not in name and ".data/" not in name
    ]  # fmt: skip
    compiled = [name for name in names if name.endswith(".pyc")]
    return [f"not in the wheel: {part}" for part in lacking] + [
        f"should not be in the wheel: {name}" for name in other + compiled
    ]


def use(wheel: Path, python: str, folder: Path) -> str:
    """Install the wheel in a new environment, and use it; return what worked.

    Args:
        wheel: The wheel.
        python: Makes the environment.
        folder: An empty folder for it.

    Raises:
        subprocess.CalledProcessError: A command failed.
    """
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"LSTM_RUNS_DIR": str(folder / "runs"), "LSTM_CACHE_DIR": str(folder / "cache")}

    def run(*command: str | Path, **more: str) -> str:
        words = [*map(str, command)]
        done = subprocess.run(
            words, cwd=folder, env=env | more, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    run(python, "-m", "venv", folder / "env")
    lstm, new = folder / "env" / "bin" / "lstm", folder / "env" / "bin" / "python"
    install = (new, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile")
    run(*install, "--requirement", ROOT / "deploy" / "predict.txt")
    run(*install, wheel)
    checkout = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    tiny = folder / "runs" / "demo" / "tiny"
    run(sys.executable, "-c", MAKE_RUN, tiny, PYTHONPATH=checkout)
    versions = json.loads(run(lstm, "--version", "--json"))
    assert versions["packages"]["tensorflow"] is None, versions
    assert "imdb" in run(lstm, "config", "list")
    answer = run(lstm, "predict", "--run", "demo", "A dull film.").split("\t")
    assert answer[0] in {"positive", "negative"}, answer
    manual = folder / "env" / "share" / "man" / "man1" / "lstm.1"
    assert ".TH LSTM 1" in manual.read_text("utf-8")
    return f"lstm {versions['lstm']} on Python {versions['python']} predicts {answer[0]}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))

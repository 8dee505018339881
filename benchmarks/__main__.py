"""Run all benchmarks in order, each in its own process: `python -m benchmarks`.

This takes some hours. Each can be run alone: `python -m benchmarks.step`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import large, report


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to test the scripts")
    parser.add_argument("--run", help="a text run for `prediction`; default: the one of `presets`")
    parser.add_argument("--own", help="a folder for `own`, which is left out without it")
    return parser


def main() -> int:
    """Run all; return the exit code of the first that failed, or 0."""
    settings = make_parser().parse_args()
    quick = ["--quick"] if settings.quick else []
    with tempfile.TemporaryDirectory(prefix="lstm-bench-runs-") as runs_dir:
        data = "demo" if settings.quick else "imdb"
        run = settings.run or str(Path(runs_dir, data, f"{data}-0"))
        demo = [str(Path(runs_dir, "demo", f"demo-{seed}")) for seed in range(1 if quick else 3)]
        commands = {
            "presets": [*quick, "--runs-dir", runs_dir],
            "baseline": quick,
            "prediction": [*quick, "--run", run],
            "serve": [*quick, "--run", run],
            "explain": [*quick, "--run", run, "--demo-run", ",".join(demo)],
            "step": quick,
            "kernels": quick,
            "determinism": quick,
            "gpu": quick,
            "memory": quick,
            "scale": quick,
            "ray": [*quick, "--run", demo[0]],
            "ablation": quick,
            "crash": quick,
            "openapi": quick,
        }
        if settings.quick and not settings.own:
            settings.own = str(Path(runs_dir, "own"))
            large.write(Path(settings.own), 300)
        if settings.own:
            commands["own"] = [*quick, settings.own]
        codes = {name: _run(name, options) for name, options in commands.items()}
    failed = [name for name, code in codes.items() if code]
    if failed:
        report.log(f"Failed: {', '.join(failed)}")
    return next((code for code in codes.values() if code), 0)


def _run(name: str, options: list[str]) -> int:
    report.log(f"== {name}")
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    return subprocess.run(command, check=False, cwd=Path(__file__).parents[1]).returncode


if __name__ == "__main__":
    sys.exit(main())

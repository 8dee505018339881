"""Write docs/cli.md from the app itself; with --check, fail where it is out of date."""

from __future__ import annotations

import html
import os
import subprocess
import sys
from pathlib import Path

TARGET = Path(__file__).with_name("cli.md")
COMMAND = ["typer", "lstm_cli.cli", "utils", "docs", "--name", "lstm", "--title", "Command line"]


def generate() -> str:
    """Return the reference as Markdown."""
    # Values of the caller's environment must not show up as defaults.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LSTM_", "TFDS_"))}
    finished = subprocess.run(
        [sys.executable, "-m", *COMMAND], capture_output=True, text=True, check=True, env=kept
    )
    lines = [line.rstrip() for line in html.unescape(finished.stdout).splitlines()]
    return "\n".join(lines).strip() + "\n"


def main() -> int:
    """Write or check the file."""
    text = generate()
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{TARGET} is out of date: run 'make docs'.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

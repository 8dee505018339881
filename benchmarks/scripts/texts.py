"""Write the raw test texts of a run's data set, one per line.

Usage: texts.py RUN LIMIT TEXTS.txt RESULT.json   (a limit of 0 means none)
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.scripts import clock
from lstm_cli.runs.directory import RunDir
from lstm_cli.training.prepare import load_data


def main(run: str, limit: int, texts_path: str, out: str) -> None:
    """Read and write."""
    config = RunDir(Path(run)).config()
    # A text with line breaks would become several lines.
    texts = [
        " ".join(str(text).splitlines())
        for text in load_data(config, ("test",), None).splits["test"].inputs
    ]
    texts = texts[: limit or None]
    Path(texts_path).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    clock.write(out, {"num": len(texts)})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])

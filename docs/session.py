"""Draw docs/session.svg: run the commands below in a terminal and record the output."""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

TARGET = Path(__file__).with_name("session.svg")
COLUMNS = 100
COMMANDS = (
    "lstm train demo --name first",
    'lstm predict "It is dull and shallow, but it is moving and clever." '
    '"It is dull and shallow, though it is moving and clever."',
    "echo 'It is anything but a bore.' | lstm predict --run demo --format jsonl --top-k 1",
)


def run(command: str, folder: str) -> str:
    """Run a command line in a new pseudo-terminal; return its output."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # With CI set there is no progress bar; each of its states would be in the picture.
    env = {**os.environ, "PATH": path, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    env |= {"CI": "1", "LSTM_RUNS_DIR": "runs", "LSTM_CACHE_DIR": f"{folder}/cache"}
    parent, child = pty.openpty()
    with subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=env, stdin=child, stdout=child, stderr=child
    ):
        os.close(child)
        output = b""
        while chunk := _read(parent):
            output += chunk
    os.close(parent)
    return output.decode("utf-8").replace("\r\n", "\n")


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # the last program has ended
        return b""


def main() -> None:
    """Run the session and write the picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            assert shlex.split(command)
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            console.print(Text.from_ansi(run(command, folder)))
    # Use the monospace font of the page: a picture should not load a font from another server.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="lstm"), flags=re.S)
    TARGET.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()

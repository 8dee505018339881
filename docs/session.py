"""Draw docs/session.svg: a real session, run now, in the colours of a terminal."""

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
    """Run a command line in a terminal of its own; return what it showed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # CI: lines in place of a bar, which would leave its every state in the picture.
    env = {**os.environ, "PATH": path, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    env |= {"CI": "1", "LSTM_RUNS_DIR": "runs", "LSTM_CACHE_DIR": f"{folder}/cache"}
    near, far = pty.openpty()
    with subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=env, stdin=far, stdout=far, stderr=far
    ):
        os.close(far)
        shown = b""
        while chunk := _read(near):
            shown += chunk
    os.close(near)
    return shown.decode("utf-8").replace("\r\n", "\n")


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 65536)
    except OSError:  # the terminal closes with its last program
        return b""


def main() -> None:
    """Run the session and write the picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            assert shlex.split(command)
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            console.print(Text.from_ansi(run(command, folder)))
    # The page's own monospace font will do: a picture should load nothing from elsewhere.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="lstm"), flags=re.S)
    TARGET.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()

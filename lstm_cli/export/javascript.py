"""Run the JavaScript of a page on texts or images: in Node.js, or without it in Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError
from lstm_cli.export.html_page import engine_script

_TIMEOUT_SECONDS = 300
_PROBE_SECONDS = 30
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_RUN = """
async function predictAll(data, inputs) {
  const { classifier } = await makeAnswers(data);
  const encode = (input) =>
    typeof input === "string" ? classifier.encodeText(input) : classifier.encodeImage(input);
  return inputs.map((input) => classifier.run(encode(input)).probabilities);
}
"""


def find_engine() -> tuple[str, str] | None:
    """Return the name and the path of a program that runs JavaScript here; None without one."""
    if (path := shutil.which("node")) and _has_streams(path):
        return "Node.js", path
    for name in _CHROMIUM:
        if path := shutil.which(name):
            return "Chromium", path
    return None


def _has_streams(node: str) -> bool:
    """Return whether a Node.js is new enough (18) to unpack the data of a page."""
    probe = "process.exit(typeof DecompressionStream === 'function' ? 0 : 1)"
    try:
        done = subprocess.run([node, "-e", probe], capture_output=True, timeout=_PROBE_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def predict_in_page(
    page: Path, inputs: Sequence[Any], engine: tuple[str, str]
) -> NDArray[np.float64]:
    """Return the probabilities that a page computes, `<float64>[num, classes]`.

    Args:
        page: A file that `html_page` wrote.
        inputs: Texts, or images as lists of rows.
        engine: From `find_engine`.

    Raises:
        LstmError: The engine does not run, or the script of the page ends by an error.
    """
    name, path = engine
    run = _run_in_node if name == "Node.js" else _run_in_chromium
    try:
        return np.array(run(path, prediction_script(page, inputs)), np.float64)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        raise LstmError(
            f"The page cannot be checked: {name} ended with an error: {detail[-500:]}",
            f"Try {path} alone; without Node.js and Chromium the page is written unchecked.",
        ) from None


def prediction_script(page: Path, inputs: Sequence[Any]) -> str:
    """Return a script in which `predictAll(DATA, INPUTS)` promises a page's probabilities.

    Args:
        page: A file that `html_page` wrote.
        inputs: Texts, or images as lists of rows.
    """
    found = re.search(r'<script type="text/plain" id="run">([^<]*)<', page.read_text("utf-8"))
    assert found is not None
    script = f"{engine_script()}{_RUN}const DATA = {json.dumps(found[1])}, "
    # Within a page, "</script>" in a text would end the script.
    return script + f"INPUTS = {json.dumps(list(inputs))};\n".replace("<", "\\u003c")


def _run_in_node(path: str, script: str) -> Any:
    script += "predictAll(DATA, INPUTS).then((rows) => process.stdout.write(JSON.stringify(rows)));"
    done = subprocess.run(
        [path, "-"],
        input=script,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=True,
    )
    return json.loads(done.stdout)


def _run_in_chromium(path: str, script: str) -> Any:
    """Run a script in a page of its own, and read the result from the page's content."""
    script += (
        "predictAll(DATA, INPUTS).then((rows) => "
        "{ document.body.textContent = `[[${JSON.stringify(rows)}]]`; });"
    )
    with tempfile.TemporaryDirectory(prefix="lstm-export-") as folder:
        page = Path(folder) / "check.html"
        page.write_text(f'<meta charset="utf-8"><body><script>{script}</script>', "utf-8")
        flags = ["--headless=new", "--disable-gpu", f"--user-data-dir={folder}/u"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # Chromium has no sandbox for the superuser, and refuses to start with one.
            flags.append("--no-sandbox")
        wait = "--virtual-time-budget=100000"
        done = subprocess.run(
            [path, *flags, wait, "--dump-dom", page.as_uri()],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=True,
        )
    result = re.search(r"\[\[(\[.*\])\]\]", done.stdout, re.DOTALL)
    if result is None:
        raise ValueError("the script gave no result")
    return json.loads(result[1])

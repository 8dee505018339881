"""What the GitHub action runs: `lstm` with checks, their failures as annotations, and a summary.

Usage: LSTM_ARGUMENTS='eval held-out.csv --run ci --fail-under accuracy=0.9' python github_action.py

Calls `lstm train`, `lstm eval` or `lstm data check` with `--json`, and ends with its exit code. A
row that a check of `--fail-on` has found, a line that cannot be read, and a threshold of
`--fail-under` that is not met become annotations (`::error file=...,line=...::`). A table goes to
the page of the job.
Source: docs.github.com, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# GitHub shows ten annotations of a step.
MAX_ANNOTATIONS = 10
MAX_TEXT = 200
COMMANDS = (["train"], ["eval"], ["data", "check"])
METRICS = ("num_examples", "accuracy", "f1", "micro_f1", "precision", "recall", "roc_auc", "loss")


def main() -> int:
    """Run the command, report, and return its exit code."""
    arguments = shlex.split(os.environ.get("LSTM_ARGUMENTS", ""))
    if arguments[:1] not in COMMANDS and arguments[:2] not in COMMANDS:
        expected = "expected the command train, eval or data check"
        print(annotation("", 0, "lstm", f"{expected}, found {arguments[:1]}"))
        return 2
    if "--json" not in arguments:
        arguments.append("--json")
    lstm = shlex.split(os.environ.get("LSTM_COMMAND", "lstm"))
    code, output, messages = execute([*lstm, *arguments])
    try:
        result = json.loads(output)
    except ValueError:
        result = {}
    title = f"lstm {shlex.join(arguments)}"
    if code:
        for line in annotations(result, messages, arguments):
            print(line)
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary(title, code, result, messages))
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"exit-code={code}\n")
    return code


def execute(command: list[str]) -> tuple[int, str, list[str]]:
    """Run a command, stderr to the log; return its exit code, stdout and the lines of stderr."""
    # Texts of the data may look like commands of the workflow: none are obeyed in the log.
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", flush=True)
    messages = []
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
        )
        for line in process.stderr or ():
            messages.append(line.rstrip("\n"))
            print(messages[-1], flush=True)
        code = process.wait()
        output.seek(0)
        text = output.read()
    print(f"::{token}::", flush=True)
    return code, text, messages


def annotations(result: dict[str, Any], messages: list[str], arguments: list[str]) -> list[str]:
    """Return the lines that GitHub shows beside files.

    Args:
        result: What `--json` printed; empty after an error.
        messages: Lines of stderr.
        arguments: Of the command; they have the paths of the files.
    """
    error = " ".join(line for line in messages if line.startswith(("Error: ", "Try: ")))
    found = list(_findings(result, error, arguments))
    more = len(found) - (MAX_ANNOTATIONS - 1)
    if more > 1:
        found = found[: MAX_ANNOTATIONS - 1]
        error += f" {more} more rows are in the log and in the summary."
    place = re.search(r"Error: (.+?), lines? (\d+)", error)
    if place:
        path, line = place[1], int(place[2])
        return [annotation(relative(path), line, "lstm", error.removeprefix("Error: "))]
    return [*found, annotation("", 0, "lstm", error.removeprefix("Error: "))]


def _findings(result: dict[str, Any], error: str, arguments: list[str]) -> Iterator[str]:
    """Yield an annotation for each group of rows of the checks that failed."""
    paths = {Path(word).name: relative(word) for word in arguments if Path(word).is_file()}
    for finding in result.get("findings", ()):
        if f"{finding['kind']} ({finding['num']:,})" not in error:
            continue
        for group in finding["groups"]:
            first, *others = group["rows"]
            name, _, line = first["place"].rpartition(":")
            message = first["text"][:MAX_TEXT]
            message += f" ({group['detail']})" if group["detail"] else ""
            if others:
                message += f"; also {', '.join(row['place'] for row in others[:5])}"
            number = int(line) if line.isdigit() else 0
            yield annotation(paths.get(name, name), number, f"lstm: {finding['kind']}", message)


def annotation(path: str, line: int, title: str, message: str) -> str:
    """Return a workflow command; a line break in it would be the begin of another one."""
    fields = {"file": path, "line": str(line) if line else "", "title": title}
    parts = [f"{key}={_escape(value, ':,')}" for key, value in fields.items() if value]
    return f"::error {','.join(parts)}::{_escape(message)}"


def _escape(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def relative(path: str) -> str:
    """Return a path from the checkout on, as GitHub names files."""
    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    try:
        return Path(path).resolve().relative_to(root).as_posix()
    except ValueError:
        return path


def summary(title: str, code: int, result: dict[str, Any], messages: list[str]) -> str:
    """Return the Markdown for the page of the job: metrics, or what was found."""
    head = "Passed" if code == 0 else f"Failed with exit code {code}"
    table = _checks(result["findings"]) if "findings" in result else _metrics(result)
    errors = [line for line in messages if line.startswith(("Error: ", "Try: "))]
    notes = [f"> {_cell(line)}  " for line in errors]
    return "\n".join([f"### {head}", "", f"`{title}`", "", *table, "", *notes, ""]) + "\n"


def _checks(findings: list[dict[str, Any]]) -> list[str]:
    lines = ["| check | found | first row |", "|---|---|---|"]
    for finding in findings:
        rows = [row for group in finding["groups"] for row in group["rows"]]
        first = f"{rows[0]['place']}: {rows[0]['text'][:MAX_TEXT]}" if rows else ""
        lines.append(f"| {finding['kind']} | {finding['num']:,} | {_cell(first)} |")
    return lines


def _metrics(result: dict[str, Any]) -> list[str]:
    """Return a table of the splits that have results; none without results."""
    parts = result.get("metrics", {result.get("split", "result"): result})
    splits = {
        name: part for name, part in parts.items() if isinstance(part, dict) and "accuracy" in part
    }
    keys = [key for key in METRICS if any(_has(part, key) for part in splits.values())]
    if not keys:
        return []
    rows = [
        f"| {_cell(name)} | {' | '.join(_number(part.get(key)) for key in keys)} |"
        for name, part in splits.items()
    ]
    return [f"| split | {' | '.join(keys)} |", "|---" * (len(keys) + 1) + "|", *rows]


def _has(report: dict[str, Any], key: str) -> bool:
    return isinstance(report.get(key), int | float)


def _number(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if isinstance(value, float) else ""


def _cell(text: str) -> str:
    """Return text as itself in a table: no Markdown, no HTML, no second column."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", " ".join(text.split()))


if __name__ == "__main__":
    sys.exit(main())

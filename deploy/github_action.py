"""What the GitHub action runs: `lstm` with checks, their failures as annotations, and a summary.

Usage: LSTM_ARGUMENTS='eval held-out.csv --run ci --fail-under accuracy=0.9' python github_action.py

Calls `lstm train`, `lstm eval` or `lstm data check` with `--json`, and ends with its exit code. A
row that a check of `--fail-on` has found, a line that cannot be read, and a threshold of
`--fail-under` that is not met become annotations (`::error file=...,line=...::`). A table goes to
the page of the job.
What cannot be run at all ends with the exit code 2, with an annotation, too.
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
USAGE = 2
COMMANDS = (["train"], ["eval"], ["data", "check"])
METRICS = ("num_examples", "accuracy", "f1", "micro_f1", "precision", "recall", "roc_auc", "loss")


def main() -> int:
    """Run the command, report, and return its exit code."""
    # A Windows runner has another encoding, which lacks characters.
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    result: dict[str, Any] = {}
    try:
        arguments = read_arguments(os.environ.get("LSTM_ARGUMENTS", ""))
        lstm = shlex.split(os.environ.get("LSTM_COMMAND", "lstm"))
        code, output, messages = execute([*lstm, *arguments])
        result = parse_result(output)
        title = f"lstm {shlex.join(arguments)}"
    except (ValueError, OSError) as error:
        arguments, title = [], "lstm"
        code, messages = USAGE, [f"Error: {error}"]
    if code and not any(line.startswith("Error: ") for line in messages):
        messages.append(f"Error: lstm ended with exit code {code}; the log says more.")
    if code:
        for line in annotations(result, messages, arguments):
            print(line)
    append("GITHUB_STEP_SUMMARY", summary(title, code, result, messages))
    append("GITHUB_OUTPUT", f"exit-code={code}\n")
    return code


def read_arguments(text: str) -> list[str]:
    """Split the input `run` into the arguments of `lstm`, with `--json` after the command.

    Raises:
        ValueError: A quote is open, or it is another command.
    """
    try:
        arguments = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"run: {error}, found {text[:MAX_TEXT]!r}") from None
    num = next((len(command) for command in COMMANDS if arguments[: len(command)] == command), 0)
    if not num:
        raise ValueError(
            f"run: expected the command train, eval or data check, found {text[:MAX_TEXT]!r}"
        )
    # Not at the end: behind `--` it would be a file.
    return arguments if "--json" in arguments else [*arguments[:num], "--json", *arguments[num:]]


def parse_result(output: str) -> dict[str, Any]:
    """Return what `--json` printed; empty after an error."""
    try:
        result = json.loads(output)
    except ValueError:
        return {}
    return result if isinstance(result, dict) else {}


def append(variable: str, text: str) -> None:
    """Append text to the file that a variable of GitHub names, if it does."""
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def execute(command: list[str]) -> tuple[int, str, list[str]]:
    """Run a command, stderr to the log; return its exit code, stdout and the lines of stderr.

    The exit code of a command that a signal ended is 128 and its number, as in a shell.

    Raises:
        OSError: It cannot be started.
    """
    # Texts of the data may look like commands of the workflow: none are obeyed in the log.
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", flush=True)
    try:
        code, text, messages = _run(command)
    finally:
        print(f"::{token}::", flush=True)
    return code if code >= 0 else 128 - code, text, messages


def _run(command: list[str]) -> tuple[int, str, list[str]]:
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
        return code, output.read(), messages


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
        path, line = locate(f"{place[1]}:{place[2]}", arguments)
        return [annotation(path, line, "lstm", error.removeprefix("Error: "))]
    return [*found, annotation("", 0, "lstm", error.removeprefix("Error: "))]


def _findings(result: dict[str, Any], error: str, arguments: list[str]) -> Iterator[str]:
    """Yield an annotation for each group of rows of the checks that failed."""
    has_ids = any(word.startswith("--id-column") for word in arguments)
    for finding in result.get("findings", ()):
        # A near-leak is not a leak.
        kind = re.escape(f"{finding['kind']} ({finding['num']:,})")
        if not re.search(rf"(?<![\w-]){kind}", error):
            continue
        for group in finding["groups"]:
            first, *others = group["rows"]
            path, line = locate(first["place"], arguments, has_ids)
            message = first["text"][:MAX_TEXT]
            if not line:
                message = f"{first['place']}: {message}"
            message += f" ({group['detail']})" if group["detail"] else ""
            if others:
                message += f"; also {', '.join(row['place'] for row in others[:5])}"
            yield annotation(path, line, f"lstm: {finding['kind']}", message)


def locate(place: str, arguments: list[str], has_ids: bool = False) -> tuple[str, int]:
    """Return the file of a place, as GitHub names it, and its line; "" and 0 if not known.

    Args:
        place: `test.csv:12`, or `folder/good/7.txt`. Of two tables with the same name, it begins
            with the folders that tell them apart.
        arguments: Of the command; they have the paths of the files, also as `--test=PATH`.
        has_ids: Whether `test.csv:12` has the id of a row; `test.csv:line 12` then has the line.
    """
    found, root = "", Path()
    # An error may name a file that no argument names.
    for word in (*arguments, place.rpartition(":")[0]):
        value = word.partition("=")[2] if word.startswith("-") else word
        if (path := _path(value)) is None:
            continue
        parts = path.absolute().parts
        names = [value, str(path), str(path.absolute())]
        names += ["/".join(parts[-length:]) for length in range(1, len(parts))]
        for name in names:
            if len(name) > len(found) and place[: len(name) + 1] in (f"{name}:", f"{name}/"):
                found, root = name, path
    if not found:
        return "", 0
    rest = place[len(found) + 1 :]
    if place[len(found)] == "/":
        file, _, rest = rest.partition(":")
        root /= file
    line = re.fullmatch(r"line (\d+)" if has_ids else r"(\d+)", rest)
    return relative(str(root)), int(line[1]) if line else 0


def _path(text: str) -> Path | None:
    """Return the path of a file or folder; None if there is none."""
    try:
        path = Path(text).expanduser()
        return path if text and path.exists() else None
    except (OSError, RuntimeError):  # too long; the home of an unknown user
        return None


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

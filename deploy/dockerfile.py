"""The instructions of our Dockerfile and the rules of .dockerignore, as `try_dockerfile` runs them.

It reads what the Dockerfile uses of the format, and refuses the rest: nothing is left out without a
word. Source: https://docs.docker.com/reference/dockerfile/ and its section on .dockerignore.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

_INSTRUCTIONS = frozenset(
    ("FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")
)


@dataclass(frozen=True)
class Step:
    """One instruction, such as `RUN` with the command as its value, continued lines joined."""

    name: str
    value: str


@dataclass
class Stage:
    """One `FROM` and the instructions below it."""

    base: str
    name: str
    steps: list[Step] = field(default_factory=list)

    def last(self, name: str) -> str:
        """Return the value of the last instruction of a name, which is the one that counts."""
        return [step.value for step in self.steps if step.name == name][-1]

    def environment(self) -> dict[str, str]:
        """Return what the ENV instructions set."""
        pairs = [shlex.split(step.value) for step in self.steps if step.name == "ENV"]
        return dict(pair.split("=", 1) for values in pairs for pair in values)

    def health_command(self) -> list[str]:
        """Return the command of HEALTHCHECK in its JSON form, without the options."""
        return exec_form(self.last("HEALTHCHECK").partition("CMD ")[2])


def parse(text: str) -> list[Stage]:
    """Read the stages of a Dockerfile.

    Raises:
        ValueError: An instruction is not one that is executed here, or comes before FROM.
    """
    stages: list[Stage] = []
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        name, _, value = line.strip().partition(" ")
        if name not in _INSTRUCTIONS:
            raise ValueError(f"{name} is not one of {', '.join(sorted(_INSTRUCTIONS))}: {line}")
        if name == "FROM":
            base, _, alias = value.partition(" AS ")
            stages.append(Stage(base, alias or str(len(stages))))
        elif not stages:
            raise ValueError(f"{name} comes before FROM")
        else:
            stages[-1].steps.append(Step(name, value.strip()))
    return stages


def exec_form(value: str) -> list[str]:
    """Read the JSON form of a command.

    Raises:
        ValueError: It is not a list of strings; the shell form would need a shell as process 1.
    """
    words = json.loads(value)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"expected a JSON list of strings: {value}")
    return words


def copy_parts(value: str) -> tuple[str, list[str], str]:
    """Split the value of COPY into the stage of `--from` (or ""), the sources and the target."""
    words = shlex.split(value)
    stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else ""
    return stage, words[:-1], words[-1]


def context_files(root: Path, ignore: str) -> Iterator[Path]:
    """Yield the files of a folder that .dockerignore leaves in the context, relative to it."""
    rules = [line.strip() for line in ignore.splitlines() if line.strip() and line[0] != "#"]
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and not is_ignored(relative, rules):
            yield relative


def is_ignored(path: PurePosixPath | Path, rules: list[str]) -> bool:
    """Return whether a file stays out: the last rule that matches it, or a folder above it."""
    ignored = False
    names = [PurePosixPath(*path.parts[:n]).as_posix() for n in range(1, len(path.parts) + 1)]
    for rule in rules:
        pattern = rule.removeprefix("!").rstrip("/")
        if any(_matches(name, pattern) for name in names):
            ignored = not rule.startswith("!")
    return ignored


def _matches(name: str, pattern: str) -> bool:
    """Match as Go's filepath.Match, where `*` ends at a slash, and `**/` stands for any folders."""
    if pattern.startswith("**/"):
        parts = name.split("/")
        return any(_matches("/".join(parts[n:]), pattern[3:]) for n in range(len(parts)))
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)

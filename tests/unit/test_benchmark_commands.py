"""The commands of the benchmarks: those that documents quote are accepted, and defaults exist."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

import benchmarks
from benchmarks import report
from benchmarks.report import Option

ROOT = Path(__file__).parents[2]
NAMES = sorted(
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if "\nif __name__ ==" in path.read_text()
)
WITH_OPTIONS = [name for name in NAMES if name not in ("__main__", "large", "short_texts")]
_START = "python -m benchmarks"


def _options(name):
    return importlib.import_module(f"benchmarks.{name}").OPTIONS


def _parser(name):
    module = importlib.import_module(f"benchmarks.{name}")
    if hasattr(module, "OPTIONS"):
        return report.make_parser(name, module.__doc__, module.OPTIONS)
    return module.make_parser()


def _commands(text):
    """Yield the arguments of each command in Markdown: in blocks of code, or between backticks."""
    fence = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
    lines = [line for block in fence.findall(text) for line in block.splitlines()]
    text = fence.sub("", text)
    lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]
    lines += [line for line in text.splitlines() if line.startswith("    ") and "`" not in line]
    for part in (part for line in lines for part in re.split("&&|;", line)):
        if _START in part:
            yield shlex.split(part[part.index(_START) :], comments=True)[2:]


def _refusal(module, *arguments):
    """Return why a command is refused; empty if it is not."""
    name = module.removeprefix("benchmarks").removeprefix(".") or "__main__"
    if name.startswith("scripts."):
        return "" if importlib.util.find_spec(module) else "no such script"
    if name not in NAMES:
        return "no such benchmark"
    if not arguments:
        # The name alone, of a benchmark that needs a run or a folder.
        return ""
    parser, reasons = _parser(name), []
    parser.error = reasons.append
    parser.parse_args(arguments)
    return "; ".join(reasons)


def test_the_commands_in_documents_are_accepted():
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    commands = {tuple(c) for file in files for c in _commands(file.read_text(encoding="utf-8"))}
    assert len(commands) > 20
    assert {command: why for command in commands if (why := _refusal(*command))} == {}


def test_a_command_with_another_option_is_refused():
    text = "`x; python -m benchmarks.step --steps 3`\n\n    python -m benchmarks.step --step-s 3"
    accepted, refused = map(list, _commands(text))
    assert _refusal(*accepted) == ""
    assert "--step-s" in _refusal(*refused)
    assert _refusal("benchmarks.steps") == "no such benchmark"


def test_the_package_lists_each_benchmark():
    listed = re.findall(r"python -m benchmarks\.(\w+)", benchmarks.__doc__)
    assert sorted(listed) == [name for name in NAMES if name != "__main__"]


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_an_option_that_names_a_default_has_one(name):
    assert _parser(name).format_help()
    for option in _options(name):
        if option.kind != "argument" and "default" in option.help:
            assert option.full is not None, option.name


def test_a_default_has_its_type_and_is_that_of_quick_too():
    options = [Option("share", "", 0.5), Option("num", "", 3, 1), Option("names", "", "a,b")]
    found = report.read_settings("x", None, options, ["--share", "0.25", "--num", "2"])
    assert (found.share, found.num, found.names) == (0.25, 2, "a,b")
    found = report.read_settings("x", None, options, ["--quick"])
    assert (found.share, found.num, found.names) == (0.5, 1, "a,b")

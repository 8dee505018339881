"""README.md: its commands exist, its links lead somewhere, and README.zh-CN.md keeps to it."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest
import typer

from lstm_cli import cli
from lstm_cli.render.plot_style import display_width

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|\$ |\| |run: )lstm (.*)", re.MULTILINE)


def blocks(text: str) -> list[tuple[str, str]]:
    """Return language and content of each fenced block."""
    return _FENCE.findall(text)


def command_lines(text: str) -> list[list[str]]:
    """Return the arguments of each `lstm` command in the blocks of a document."""
    found = [line for _, block in blocks(text) for line in _COMMAND.findall(block)]
    # The comment goes, and what follows a pipe or a redirection.
    split = [shlex.split(line, comments=True) for line in found]
    return [_until(words, ("|", ">", "<")) for words in split]


def _until(words: list[str], ends: tuple[str, ...]) -> list[str]:
    return words[: next((i for i, word in enumerate(words) if word in ends), len(words))]


def find_command(words: list[str]) -> tuple[typer._click.Command, list[str]]:
    """Return the command that words name, and the words after its name."""
    command = typer.main.get_command(cli.app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            # `lstm tune DATA` is short for `lstm tune search DATA`.
            assert "search" in command.commands, f"no command {words[0]!r}"
            words = ["search", *words]
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("words", command_lines(README), ids=" ".join)
def test_a_command_of_the_readme_has_the_options_it_shows(words):
    command, rest = find_command(words)
    known = {name for each in command.params for name in each.opts} | {"--help"}
    given = {word.partition("=")[0] for word in rest if re.match("--[a-z]", word)}
    assert given <= known


def without_words(block: str) -> list[str]:
    """Return a block without its comments and the columns that they stand in."""
    return [re.sub(r"(^|\s+)# .*", "", line) for line in block.splitlines()]


@pytest.mark.parametrize("text", [README, CHINESE], ids=["english", "chinese"])
def test_no_line_of_a_block_is_cut_on_the_page_of_a_repository(text):
    lines = [line for _, block in blocks(text) for line in block.splitlines()]
    assert [line for line in lines if display_width(line) > 90] == []


def test_the_chinese_readme_has_the_same_blocks():
    expected = [(name, without_words(block)) for name, block in blocks(README)]
    assert [(name, without_words(block)) for name, block in blocks(CHINESE)] == expected


def test_the_chinese_readme_has_the_same_figures():
    def figures(text: str) -> list[str]:
        table = [line for line in text.splitlines() if line.startswith("| `lstm ") and "±" in line]
        return re.findall(r"\d[\d,.]*", "".join(table))

    assert len(figures(README)) > 20
    assert figures(CHINESE) == figures(README)


@pytest.mark.parametrize("text", [README, CHINESE], ids=["english", "chinese"])
def test_links_and_pictures_lead_to_files(text):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    local = [target for target in targets if "://" not in target]
    assert len(local) > 10
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_the_example_tables_are_what_their_page_says():
    page = (ROOT / "docs/examples/README.md").read_text(encoding="utf-8")
    for name, rows in re.findall(r"^\| `(\S+)` \| (\d+) ", page, re.MULTILINE):
        with (ROOT / "docs/examples" / name).open(encoding="utf-8", newline="") as file:
            texts = [row["text"] for row in csv.DictReader(file)]
        assert len(set(texts)) == len(texts) == int(rows)

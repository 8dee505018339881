"""The commands of docs/own-data.md, run as they stand on a small table."""

from __future__ import annotations

import csv
import re
import shlex
import sys
from pathlib import Path

import pytest

import lstm_cli
from lstm_cli import cli

GUIDE = Path(__file__).parents[2] / "docs" / "own-data.md"
WORDS = {"billing": "invoice", "login": "password", "delivery": "parcel"}
# Small: the commands are tested, not the models.
SMALL = (
    "train.refit=false",
    "embedding.dim=4",
    "embedding.vectors=random",
    "model.units=4",
    "linear.folds=2",
)
# These need another environment, or run until they are stopped.
ELSEWHERE = ("make", "env/bin/lstm", "curl")


def blocks(language):
    """Return the lines of the blocks of code in a language; "" for those without one."""
    text = GUIDE.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


def commands():
    lines = [line for block in blocks("") for line in block.splitlines()]
    return [line for line in lines if line.startswith("lstm ")]


def write(name, columns, rows):
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Tickets of three classes that one word tells apart."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSTM_RUNS_DIR", "runs")
    rows = [
        (f"My {word} number {i} again.", team) for i in range(30) for team, word in WORDS.items()
    ]
    # Copies, some of which get into the test split.
    write("tickets.csv", ("text", "label"), rows + rows[:20])
    write("must-pass.csv", ("text", "label"), rows[:6])
    write("new.csv", ("id", "text"), [(i, text) for i, (text, _) in enumerate(rows[:9])])
    write(
        "archive.csv",
        ("text",),
        [(f"An old {word} case {i}.",) for i in range(9) for word in WORDS],
    )


def run(command, monkeypatch, capsys):
    """Run a command line; return what it wrote."""
    words, _, target = command.partition(" > ")
    arguments = shlex.split(words)
    if arguments[1] == "train":
        settings = [s for s in SMALL if "--unlabeled" not in arguments or "vectors" not in s]
        arguments = ["2" if word == "10" else word for word in arguments]
        if "--folds" not in arguments:
            # The first run has few rows and so has folds, which 'lstm data issues' needs.
            settings.append(f"data.folds={2 * ('first' in arguments)}")
        arguments += [word for setting in settings for word in ("--set", setting)]
    monkeypatch.setattr(sys, "argv", arguments)
    code = cli.run()
    output = capsys.readouterr()
    assert code == 0, (command, output.err)
    if target:
        Path(target).write_text(output.out, encoding="utf-8")
    return output


def test_every_command_of_the_guide_works(tables, monkeypatch, capsys):
    out = {command: run(command, monkeypatch, capsys) for command in commands()}
    assert {command.split()[1] for command in out} == {
        "data", "train", "eval", "runs", "explain", "predict",
    }  # fmt: skip
    (shown,) = (out[command].out for command in out if command.startswith("lstm data show"))
    assert all(label in shown for label in WORDS)
    (checked,) = (out[command].out for command in out if command == "lstm data check tickets.csv")
    assert "tickets.csv:92" in checked
    stderr = out["lstm train tickets.csv --name first"].err
    assert "20 of 110 texts repeat an earlier one." in stderr
    assert "test texts are in train or validation too" in stderr
    assert stderr.count("See 'lstm data check tickets.csv'.") >= 2
    for name in ("labelled.csv", "answers.csv"):
        with Path(name).open(encoding="utf-8") as file:
            answers = list(csv.DictReader(file))
        assert [answer["id"] for answer in answers] == [str(i) for i in range(9)]
        assert {answer["prediction_label"] for answer in answers} <= {"", *WORDS}
    assert len(Path("answers.jsonl").read_text().splitlines()) == 9
    assert lstm_cli.load("tickets").run.path.name == "ci"
    (code,) = blocks("python")
    exec(code, {})


def test_nothing_else_is_in_the_blocks_of_the_guide():
    lines = [line for block in blocks("") for line in block.splitlines()]
    others = [line for line in lines if not line.startswith(("lstm ", *ELSEWHERE))]
    assert others[0] == "text,label"
    assert all(line.rpartition(",")[2] in WORDS for line in others[1:])

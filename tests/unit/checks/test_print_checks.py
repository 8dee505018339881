"""`lstm data check`: what is printed where, and the exit codes."""

from __future__ import annotations

import json
import sys

import pytest

from lstm_cli import cli

ROWS = (
    "I was charged twice for one order.,billing",
    "My card has not come yet.,delivery",
    "i was charged twice  for one order.,Billing",
    "Where is it?,login\x1b[2J",
)


@pytest.fixture
def check(monkeypatch, capsys, tmp_path):
    """Run `lstm data check` on two tables: `code, out, err = check("--json")`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name, rows in (("test.csv", ROWS[1:2] * 2), ("train.csv", ROWS)):
        (tmp_path / name).write_text("\n".join(["text,label", *rows, ""]))

    def run(*arguments, files=("test.csv", "train.csv")):
        monkeypatch.setattr(sys, "argv", ["lstm", "data", "check", *files, *arguments])
        code = cli.run()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_counts_and_rows_are_printed_and_nothing_else(check):
    code, out, err = check()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    # Tables fit; sentences are wrapped on a terminal only.
    assert max(len(line) for line in lines if not line.endswith(".")) <= 80
    assert [line.split()[:2] for line in lines if line.startswith(("leak ", "labels "))] == [
        ["leak", "2"], ["labels", "2"], ["leak", "(2):"], ["labels", "(2):"],
    ]  # fmt: skip
    leak = out[out.index("leak (2)") :]
    assert leak.index("test.csv:2") < leak.index("train.csv:3")
    assert "differ in case: 1 'billing', 1 'Billing'" in out
    assert "\x1b" not in out


def test_the_limit_hides_rows_and_says_how_many(check):
    (_, out, _), (_, none, _) = check("--limit", "1"), check("--limit", "0")
    assert "more (--limit)" not in check()[1]
    # Copies of a text in each file.
    assert out.count("... 1 more (--limit)") == 1
    assert none.count("more (--limit)") == 3
    assert "train.csv:" not in none


def test_json_is_one_object_with_the_same_counts(check):
    code, out, err = check("--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert [file["name"] for file in result["files"]] == ["train.csv", "test.csv"]
    counts = {each["kind"]: each["num"] for each in result["findings"]}
    assert (counts["leak"], counts["duplicate"], counts["conflict"]) == (2, 2, 0)
    (group,) = next(each["groups"] for each in result["findings"] if each["kind"] == "leak")
    assert [row["place"] for row in group["rows"]] == ["test.csv:2", "train.csv:3", "test.csv:3"]


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--fail-on", "conflict,empty"], 0, ""),
        (["--fail-on", "leak", "--fail-on", "conflict, labels"], 4, "leak (2), labels (2)"),
        (["--fail-on", "leek"], 2, "'leak'"),
        (["--fail-on", ""], 2, "leak"),
        (["--limit", "-1"], 2, "--limit"),
    ],
)
def test_exit_codes(check, arguments, code, expected):
    found, out, err = check(*arguments)
    assert found == code
    assert expected in err
    assert bool(out) == (code != 2)


def test_a_leak_cannot_be_required_of_one_file(check):
    code, out, err = check("--fail-on", "leak", files=["train.csv"])
    assert (code, out) == (2, "")
    assert "one file" in err


def test_a_column_of_what_has_none_is_refused(check, tmp_path):
    for name in ("a/1.txt", "b/2.txt"):
        (tmp_path / "folder" / name).parent.mkdir(parents=True)
        (tmp_path / "folder" / name).write_text("A text.")
    code, out, err = check("--text-column", "text", files=["folder"])
    assert (code, out) == (2, "")
    assert "--text-column" in err
    assert check("--text-column", "text", files=["folder", "train.csv"])[0] == 0

"""Where answers and statistics are written: never over what is read, nor over each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures_errors import refused

from lstm_cli.cli.write_predictions import check_out, check_stats
from lstm_cli.errors import ExitCode
from lstm_cli.prediction import input_stats


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").mkdir()
    for name in ("s/p-1.csv", "s/p-2.csv", "digit.png"):
        Path(name).write_text("text\nfine\n")
    return tmp_path


@pytest.mark.parametrize(
    ("stats", "used", "out"),
    [
        ("s/p-1.csv", ["s/p-*.csv"], "answers"),
        ("digit.png", ["digit.png"], None),
        ("s/../s/p-1.csv", ["s/p-1.csv"], "out.csv"),
        # What a list of images names.
        ("digit.png", ["names.txt"], "out.csv"),
        ("new.csv", ["s/p-1.csv"], "s/../new.csv"),
        ("answers/p-1.csv", ["s/p-*.csv"], "answers"),
        ("answers/p-1.csv", ["s/p-*.csv"], "file://answers"),
        ("s", ["s/p-1.csv"], None),
        ("-", ["s/p-1.csv"], None),
    ],
)
def test_statistics_replace_nothing_else(folder, stats, used, out):
    refused(check_stats, Path(stats), used, out, code=ExitCode.USAGE)


def test_statistics_replace_statistics_and_an_empty_file(folder):
    counted = input_stats.StatsCounter(["no", "yes"], is_text=True).result("demo", "0" * 64)
    Path("old.json").write_bytes(input_stats.to_json(counted))
    Path("empty.json").touch()
    for name in ("old.json", "empty.json", "new/stats.json"):
        check_stats(Path(name), ["a text", "x" * 5000, "s/p-1.csv"], "s3://bucket/answers")
    assert not Path("new").exists()


def test_statistics_that_cannot_be_written_are_refused_at_once(folder):
    refused(check_stats, Path("digit.png/stats.json"), ["s/p-1.csv"], "out.csv")


def test_answers_do_not_replace_an_input(folder):
    check_out(Path("s/new.csv"), (None, "s/p-1.csv", "a text"))
    check_out(None, ("s/p-1.csv",))
    for used in ((Path("s/p-1.csv"),), (None, "a text", "s/../s/p-1.csv")):
        refused(check_out, Path("s/p-1.csv"), used, code=ExitCode.USAGE)

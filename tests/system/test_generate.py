"""`lstm generate`, as it is typed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from fixtures_runs import make_language_run, make_text_run


@pytest.fixture
def run():
    root = Path(os.environ["LSTM_RUNS_DIR"]) / "demo"
    make_text_run(root / "classes", started="2026-02-01T00:00:00+00:00")
    return make_language_run(root / "words")


def test_texts_are_printed_one_a_line(lstm, run):
    code, out, err = lstm("generate", "a fine", "--count", 3, "--tokens", 5, "--seed", 2)
    assert (code, err) == (0, "Run: demo/words\n")
    assert len(out.splitlines()) == 3
    assert all(line.startswith("a fine") for line in out.splitlines())
    assert lstm("generate", "a fine", "--count", 3, "--tokens", 5, "--seed", 2)[1] == out
    found = json.loads(lstm("generate", "a fine", "--seed", 2, "--tokens", 5, "--json")[1])
    assert found["texts"][0]["text"] == out.splitlines()[0]
    assert (found["run"], found["direction"], found["temperature"]) == ("demo/words", "forward", 1)
    assert lstm("generate", "dull", "--backward", "--temperature", 0)[1].endswith("dull\n")
    assert "xyzzy" in lstm("generate", "a xyzzy")[2]


def test_a_single_text_is_scored_word_by_word(lstm, run):
    code, out, _ = lstm("generate", "--score", "a fine xyzzy film")
    assert code == 0
    rows = out.splitlines()
    assert any(row.startswith("film ") for row in rows)
    assert "unknown" in out
    assert "Perplexity of 5 words" in rows[-1]
    found = json.loads(lstm("generate", "--score", "a fine xyzzy film", "--json")[1])
    assert f"{found['forward']['perplexity']:.1f} forward" in rows[-1]
    assert found["texts"][0]["tokens"][2]["known"] is False


@pytest.mark.parametrize("words", [["--score"], ["--score", "-"]])
def test_lines_of_the_pipe_are_scored(lstm, run, words, monkeypatch, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("a fine film\n\nnot dull\n")
    with path.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        code, out, err = lstm("generate", *words, "--run", "words")
    assert code == 0
    assert [line.split("\t")[1:] for line in out.splitlines()] == [
        ["4", "a fine film"], ["1", ""], ["3", "not dull"],
    ]  # fmt: skip
    assert "Perplexity of 8 words" in err


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["a", "--run", "classes"], 2, "classifier"),
        (["xyzzy"], 2, "xyzzy"),
        (["--score", "a", "--seed", "1"], 2, "--seed"),
        (["a", "--temperature", "0", "--count", "2"], 2, "--count"),
        (["a", "--temperature", "-1"], 2, "--temperature"),
        (["a", "--count", "0"], 2, "--count"),
        (["a", "-"], 2, "'-'"),
        (["a", "--run", "nothing"], 1, "nothing"),
    ],
)
def test_errors_say_what_was_expected(lstm, run, words, code, part):
    ended, out, err = lstm("generate", *words)
    assert (ended, out) == (code, "")
    assert part in err

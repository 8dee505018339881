"""The record of a run: every command checks it in the same way."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from fixtures_attacks import within
from fixtures_mutations import BAD, mutated
from fixtures_reports import complete, rewrite, text_run
from fixtures_runs import make_language_run
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_cli import cli
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import text_format
from lstm_cli.prediction.verify import verify
from lstm_cli.render import plot_style
from lstm_cli.report.run_report import write_report
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find, schema
from lstm_cli.runs import record as run_record
from lstm_cli.runs.decode import decode
from lstm_cli.runs.directory import RunDir

FILES = (runs.RUN, runs.METRICS, runs.HISTORY)

BAD += (float("inf"), "x" * 100_000, "\ud800", "\x1b[2J", 10**400)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder of three finished runs: two classifiers and a language model."""
    root = tmp_path_factory.mktemp("runs")
    text_run(root / "reviews" / "tiny")
    other = RunDir(root / "reviews" / "other")
    shutil.copytree(root / "reviews" / "tiny", other.path)
    make_language_run(root / "demo" / "words", started="2026-01-02T00:00:00+00:00")
    return root


@pytest.fixture
def root(template):
    path = Path(os.environ["LSTM_RUNS_DIR"])
    shutil.copytree(template, path)
    return path


@pytest.fixture
def run(root):
    return RunDir(root / "reviews" / "tiny")


@pytest.fixture
def lstm(monkeypatch, capfd):
    def call(*arguments, seconds=10):
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["lstm", *map(str, arguments)])
        with within(seconds):
            code = cli.run()
        captured = capfd.readouterr()
        assert "defect" not in captured.err, captured.err
        return code, captured.out, captured.err

    return call


def parsed(run, name):
    """The content of a file; a list of lines for the history."""
    text = run.file(name).read_text()
    if name == runs.HISTORY:
        return [json.loads(line) for line in text.splitlines()]
    return json.loads(text)


def put(run, name, value):
    """Write a value, and a manifest that matches it, as an attacker would."""
    if name == runs.HISTORY and isinstance(value, list):
        run.write_text(name, "".join(map(runs.json_line, value)))
    else:
        run.write_json(name, value)
    run.write_manifest()


COMMANDS = {
    "tiny": (("show", "tiny"), ("show", "tiny", "--json"), ("compare", "tiny", "other")),
    "words": (("show", "words"), ("show", "words", "--json")),
}


@pytest.mark.parametrize(
    ("which", "num"),
    [
        ("tiny", 12),
        ("words", 12),
        pytest.param("tiny", 300, marks=pytest.mark.slow),
        pytest.param("words", 300, marks=pytest.mark.slow),
    ],
)
def test_commands_end_with_0_or_5_for_any_content(which, num, root, lstm):
    (run,) = (one for one in find.all_runs(root) if one.path.name == which)
    before = {file: run.file(file).read_bytes() for file in (*FILES, runs.MANIFEST)}

    @settings(max_examples=num, deadline=None)
    @given(st.data())
    def hold(data):
        name = data.draw(st.sampled_from(FILES))
        try:
            put(run, name, data.draw(mutated(parsed(run, name))))
            hold_commands(run, which, name, lstm)
        finally:
            for file, content in before.items():
                run.file(file).write_bytes(content)

    hold()


def hold_commands(run, which, name, lstm):
    """Check that the commands agree on a run with a changed file."""
    codes = set()
    for command in COMMANDS[which]:
        code, _, err = lstm("runs", *command)
        assert code in (0, 5)
        assert code == 0 or any(file in err for file in FILES)
        codes.add(code)
    codes.add(lstm("runs", "verify", run.path)[0])
    if which == "tiny":
        codes.add(lstm("runs", "report", run.path, "--errors", 0)[0])
    assert len(codes) == 1
    code, out, _ = lstm("runs", "list", "--json")
    assert code == 0
    statuses = {row["name"]: row["status"] for row in json.loads(out)["runs"]}
    assert len(statuses) == 3
    assert list(statuses.values()).count("finished") >= 2
    if codes == {0}:
        assert statuses[run.name] == "finished"
    assert lstm("runs", "list")[0] == 0


def refused(run, *words):
    """Check that everything that reads the record of a run refuses it, for the given reason."""
    for call in (run_record.read, write_report):
        with pytest.raises(LstmError) as caught:
            call(run)
        assert caught.value.exit_code == ExitCode.INTEGRITY
        assert all(word in caught.value.message for word in words), caught.value.message
        assert len(caught.value.message) < 2000
    assert not verify(run).passed


def cells(change):
    """Change the cells of the confusion matrix of test."""
    return lambda m: m | {"test": m["test"] | {"confusion": change(m["test"]["confusion"])}}


WRONG = {
    "a number": (runs.METRICS, lambda m: 5, ["metrics.json"]),
    "an unknown format": (runs.RUN, lambda r: r | {"format": 99}, ["format"]),
    "an empty test": (runs.METRICS, lambda m: m | {"test": {}}, ["test", "num_examples"]),
    "a text for a number": (
        runs.METRICS,
        lambda m: m | {"test": m["test"] | {"loss": "low"}},
        ["test.loss"],
    ),
    "NaN": (
        runs.METRICS,
        lambda m: m | {"test": m["test"] | {"loss": float("nan")}},
        ["test.loss"],
    ),
    "an accuracy of its own": (
        runs.METRICS,
        lambda m: m | {"test": m["test"] | {"accuracy": 0.99}},
        ["test.accuracy"],
    ),
    "examples of its own": (
        runs.METRICS,
        lambda m: m | {"validation": m["validation"] | {"num_examples": 10**6}},
        ["validation.num_examples"],
    ),
    "cells out of order": (runs.METRICS, cells(lambda c: c[::-1]), ["test.confusion"]),
    "a cell twice": (runs.METRICS, cells(lambda c: [*c, c[-1]]), ["test.confusion"]),
    "a cell of no class": (runs.METRICS, cells(lambda c: [*c, [9, 9, 1]]), ["test.confusion"]),
    "a cell of 0": (runs.METRICS, cells(lambda c: [[*c[0][:2], 0], *c[1:]]), ["test.confusion"]),
    "a cell too few": (runs.METRICS, cells(lambda c: c[1:]), ["test.confusion"]),
    "cells of rows": (runs.METRICS, cells(lambda c: [[1, 2], [3, 4]]), ["test.confusion"]),
    "another best epoch": (runs.METRICS, lambda m: m | {"best_epoch": 1}, ["best_epoch"]),
    "a data set of 5": (runs.RUN, lambda r: r | {"dataset": 5}, ["run.json", "dataset"]),
    "sizes in words": (
        runs.RUN,
        lambda r: r | {"dataset": r["dataset"] | {"sizes": {"train": "many"}}},
        ["run.json", "dataset.sizes"],
    ),
    "a time without total": (runs.RUN, lambda r: r | {"seconds": {}}, ["seconds"]),
    "a best epoch to come": (runs.RUN, lambda r: r | {"best_epoch": 3}, ["best_epoch"]),
    "a date without end": (runs.RUN, lambda r: r | {"started": "2" * 5_000_000}, ["started"]),
    "a line without fields": (runs.HISTORY, lambda h: [h[0], {"epoch": 2}], ["line 2"]),
    "a line too few": (runs.HISTORY, lambda h: h[:1], ["history.jsonl", "1 epoch"]),
    "a line without accuracy": (
        runs.HISTORY,
        lambda h: [h[0], h[1] | {"accuracy": None}],
        ["line 2, accuracy"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_contradiction_is_refused_with_file_and_key(case, run, lstm):
    name, change, words = WRONG[case]
    put(run, name, change(parsed(run, name)))
    refused_by_path = [word for word in words if word != runs.RUN]
    with within(5):
        refused(run, *refused_by_path)
    for command in (("show", run.path), ("compare", "other", run.path), ("verify", run.path)):
        code, out, err = lstm("runs", *command, seconds=5)
        assert code == 5
        assert any(word in out + err for word in words)


@pytest.mark.parametrize("name", [runs.RUN, runs.METRICS, runs.CONFIG])
def test_changed_file_is_refused_by_all_commands(name, run, lstm):
    text = run.read_text(name)
    changed = text.replace("0", "1", 1)
    assert changed != text
    run.write_text(name, changed)
    assert lstm("runs", "show", run.path)[0] == 5
    code, out, _ = lstm("runs", "list", "--json")
    (row,) = (row for row in json.loads(out)["runs"] if row["name"] == run.name)
    assert code == 0
    assert (row["status"], row["accuracy"]) == ("broken", None)
    assert name in row["problem"]
    out = lstm("runs", "list")[1]
    assert f"{run.name} is broken:" in out
    assert name in out


def test_run_that_predicts_needs_a_valid_record(run, lstm):
    rewrite(run, runs.RUN, lambda record: record.update(seed=1))
    assert lstm("predict", "fine", "--run", run.path)[0] == 0
    run.write_text(runs.RUN, run.read_text(runs.RUN).replace('"seed": 1', '"seed": 2'))
    # The newest classifier is the same run.
    for wanted in (("--run", run.path), ()):
        code, _, err = lstm("predict", "fine", *wanted)
        assert code == 5
        assert "run.json" in err


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_unfinished_run_is_listed(status, run, lstm):
    run.file(runs.MANIFEST).unlink()
    known = parsed(run, runs.RUN) | {"status": status}
    run.write_json(runs.RUN, known)
    (row,) = (r for r in listed(lstm) if r["name"] == run.name)
    assert row["status"] == ("interrupted" if status == "running" else status)
    assert row["parameters"] == 123
    run.write_json(runs.RUN, known | {"parameters": "many"})
    (row,) = (r for r in listed(lstm) if r["name"] == run.name)
    assert row["status"] == "broken"
    assert "run.json, parameters" in row["problem"]
    assert lstm("runs", "show", run.path)[0] == 5


def listed(lstm):
    return json.loads(lstm("runs", "list", "--json")[1])["runs"]


def test_too_large_plot_is_refused(run, lstm):
    run.write_bytes("plots/curves.png", bytes(60 << 20))
    run.write_manifest()
    code, _, err = lstm("runs", "report", run.path, seconds=15)
    assert code == 5
    assert "plots/curves.png" in err
    assert "contents" in {check.name for check in verify(run).failures}


def test_large_plot_is_reported_in_time(run, lstm):
    run.write_bytes("plots/curves.png", bytes(7 << 20))
    run.write_manifest()
    assert lstm("runs", "report", run.path, "--errors", 0, seconds=15)[0] == 0


@pytest.mark.parametrize("piece", ["[", "*a ", "`", "> ", "- ", "|a", "<a ", "![", "\\"])
def test_card_with_any_markdown_is_reported_in_time(piece, run, lstm):
    run.write_text(runs.CARD, piece * (900_000 // len(piece)))
    run.write_manifest()
    assert lstm("runs", "report", run.path, "--errors", 0, seconds=15)[0] == 0


def test_card_outside_the_manifest_is_refused_by_all_commands(run, lstm):
    run.file(runs.CARD).unlink()
    run.write_manifest()
    refused(run, runs.CARD)


def test_listing_takes_milliseconds_per_run(root, run, lstm):
    for number in range(100):
        shutil.copytree(run.path, root / "reviews" / f"n{number}")
    began = time.monotonic()
    assert len(listed(lstm)) == 103
    assert time.monotonic() - began < 10


def test_record_round_trip(run):
    record = run_record.read(run)
    assert record.test.to_dict() == parsed(run, runs.METRICS)["test"]
    lines = [{"stage": 1, **line} for line in parsed(run, runs.HISTORY)]
    assert [vars(epoch) for epoch in record.history] == lines
    known = parsed(run, runs.RUN)
    assert {key: record.info.to_dict()[key] for key in known} == known


def test_lone_surrogate_in_a_name_is_accepted(run):
    put(run, runs.RUN, parsed(run, runs.RUN) | {"command": "lstm train \udcff"})
    assert run_record.read(run).info.command == "lstm train \udcff"


def test_decoder_message_is_bounded():
    with pytest.raises(ValueError, match=r"^, status: ") as caught:
        decode(b'{"status": "%s"}' % (b"x" * 1_000_000), schema.RunInfo)
    assert len(str(caught.value)) < 1000


def test_long_names_are_cleaned_in_time():
    with within(3):
        assert text_format.clean("abc \x1b" * 2_000_000).endswith("abc  ")
        assert len(plot_style.fit_name("a name " * 1_000_000)) <= 18


def test_cleaning_equals_cleaning_by_character():
    turns = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    unsafe = ("Cc", "Cs", "Zl", "Zp")
    expected = "".join(
        " " if char in turns or unicodedata.category(char) in unsafe else char for char in every
    )
    assert text_format.clean(every) == expected


def test_completed_run_passes_verify(run):
    assert run_record.read(complete(run))
    assert verify(run).passed

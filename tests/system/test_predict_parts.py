"""`lstm predict` with several files, from the command line."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from fixtures_runs import make_image_run, make_text_run

from lstm_cli.cli import predict_parts

RUNS = ("x/tiny", "x/images")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with three parts, and two runs."""
    root = Path(os.environ["LSTM_RUNS_DIR"])
    make_text_run(root / "x" / "tiny", ("no", "yes"))
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        rows = "".join(f"{number}{i},a fine film {i}\n" for i in range(5))
        Path(f"p-{number}.csv").write_text(f"id,text\n{rows}")
    return tmp_path


def test_each_part_has_the_answers_that_it_would_have_alone(lstm, folder):
    code, out, err = lstm("predict", "--file", "p-*.csv", "--out", "many", "--keep", "id")
    assert (code, out) == (0, "")
    assert "3 parts, 15 records" in err
    for number in range(3):
        assert (
            lstm("predict", "--file", f"p-{number}.csv", "--out", "one.csv", "--keep", "id")[0] == 0
        )
        assert Path(f"many/p-{number}.csv").read_bytes() == Path("one.csv").read_bytes()
    code, _, err = lstm("predict", "--file", "p-*.csv", "--out", "many", "--keep", "id")
    assert (code, "3 of 3 parts were finished before" in err) == (0, True)


def test_urls_are_read_and_written(lstm, folder, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    # Stands for a store that outlives the command.
    monkeypatch.setattr(predict_parts, "_check_urls", lambda _: None)
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for path in folder.glob("p-*.csv"):
        memory.pipe(f"/in/{path.name}", path.read_bytes())
    command = ("predict", "--file", "memory://in/p-*.csv", "--out", "memory://out")
    assert lstm(*command)[0] == 0
    assert lstm("predict", "--file", "p-*.csv", "--out", "local")[0] == 0
    for number in range(3):
        expected = Path(f"local/p-{number}.csv").read_bytes()
        assert memory.cat(f"/out/p-{number}.csv") == expected
    assert "3 of 3 parts were finished before" in lstm(*command)[2]


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        ("--file p-*.csv", 2, "need a folder"),
        ("--file p-0.csv p-1.csv --out o", 2, "Quote the pattern"),
        ("--file p-*.csv --out p-1.csv", 2, "is a file"),
        ("--file p-*.csv --out .", 2, "are in the folder of --out"),
        ("--file p-0.csv --file p-1.csv --out .", 2, "would replace"),
        ("--file p-*.csv --out memory://o", 2, "nothing stays"),
        ("--file memory://p-*.csv --out o", 2, "nothing stays"),
        ("--file p-9*.csv --out o", 3, "No file matches p-9*.csv"),
        ("--file p-0.csv --file - --out o", 2, "not the pipe"),
        ("--file p-*.csv --out o --format table", 2, "is for the terminal"),
        ("--file p-*.csv --out o --rank uncertain", 2, "--rank has no effect"),
        ("--file p-*.csv --out o --address auto", 2, "--address has no effect"),
        ("--file p-0.csv --out o.csv --jobs 2", 2, "--jobs has no effect"),
        ("--engine ray --out o", 2, "not the pipe"),
        ("--engine ray --file p-*.csv --out o --address here", 2, "auto or HOST:PORT"),
        ("--engine ray --file p-*.csv --out o --address 127.0.0.1:1", 1, "can be reached"),
        ("--engine ray --file p-*.csv --out o --address ray://host:1", 2, "Ray client"),
        ("--file p-*.csv --file p-0.jsonl --out o", 2, "different formats"),
        ("--file p-*.csv --out o --keep id --id-column no", 2, "3 of 3 parts failed"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(lstm, folder, options, code, reason):
    if "--engine ray --file" in options:
        pytest.importorskip("ray")
    Path("p-0.jsonl").write_text('{"text": "fine"}\n')
    found, out, err = lstm("predict", *options.split())
    assert (found, out, reason in err) == (code, "", True), err


def test_an_image_run_is_refused(lstm, folder):
    make_image_run(Path(os.environ["LSTM_RUNS_DIR"]) / "x" / "images")
    code, _, err = lstm("predict", "--run", "images", "--file", "p-*.csv", "--out", "o")
    assert (code, "reads images" in err) == (2, True)


def test_an_absent_package_is_named_with_its_extra(lstm, folder, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in ("ray", "fsspec") else real(name)
    )
    ray = lstm("predict", "--engine", "ray", "--file", "p-*.csv", "--out", "o")
    url = lstm("predict", "--file", "s3://b/p-*.csv", "--out", "o")
    for code, _, err in (ray, url):
        assert (code, "lstm-cli[ray]" in err) == (1, True)

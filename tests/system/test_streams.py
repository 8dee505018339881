"""Standard streams that are full or closed, through the command line as processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from fixtures_reports import text_run
from fixtures_runs import make_language_run

from lstm_cli import __version__, cli

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")

# Each child is forked before the command is run: it ends as a process does that was started for it,
# its last flush of stdout included, in a tenth of the time.
_FORKED = """
import json, os, sys, tempfile
import rich.table
from lstm_cli import cli
from lstm_cli.cli import output as console
results = []
for number, path, arguments in json.loads(sys.argv[1]):
    kept = [tempfile.TemporaryFile() for _ in range(2)]
    child = os.fork()
    if not child:
        for stream, file in zip((1, 2), kept):
            os.dup2(file.fileno(), stream)
        os.dup2(os.open(path, os.O_WRONLY), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["lstm", *arguments]
        cli.main()
    _, status = os.waitpid(child, 0)
    [file.seek(0) for file in kept]
    results.append((os.waitstatus_to_exitcode(status), *(file.read().decode() for file in kept)))
print(json.dumps(results))
"""
# What makes each command print something; the help of those that would train, or not end.
COMMANDS = {
    "train": [["--help"]],
    "pretrain": [["--help"]],
    "serve": [["--help"]],
    "eval": [["{data}"]],
    "predict": [["fine"], ["fine", "--format", "table"]],
    "explain": [["fine"], ["fine", "--format", "json"]],
    "generate": [["a", "--run", "words"], ["a", "--run", "words", "--score", "--json"]],
    "tune search": [["--help"]],
    "tune show": [["--help"]],
    "export": [["one", "--format", "zip", "--out", "{data}.zip", "--force"]],
    "data check": [["{data}"], ["{data}", "--json"]],
    "data curve": [["--help"]],
    "data issues": [["--help"]],
    "data list": [[], ["--json"]],
    "data show": [["{data}"], ["{data}", "--json"]],
    "data prepare": [["demo"]],
    "runs list": [[], ["--json"]],
    "runs show": [["one"], ["one", "--json"]],
    "runs verify": [["one"]],
    "runs replay": [["--help"]],
    "runs drift": [["--help"]],
    "runs rename": [["--help"]],
    "runs rm": [["one", "--dry-run"]],
    "runs prune": [["--keep", "1", "--dry-run", "--json"]],
    "runs set-threshold": [["one", "--threshold", "0.6"]],
    "runs report": [["one", "--errors", "0"]],
    "runs compare": [["one", "two", "--json"]],
    "config show": [["imdb"], ["imdb", "--full"]],
    "config list": [[]],
    "config describe": [[], ["model.units"]],
    "config schema": [[]],
}
ROOT = [
    ["--help"], ["--version"], ["--version", "--json"], [], ["runs"], ["runs", "--help"],
    ["--show-completion", "bash"],
]  # fmt: skip


def leaves(command, path=()):
    """The names of all commands, those of groups in front."""
    below = getattr(command, "commands", None)
    if below is None:
        return [" ".join(path)]
    return [name for key in below for name in leaves(below[key], (*path, key))]


@pytest.fixture
def run():
    path = Path(os.environ["LSTM_RUNS_DIR"]) / "reviews" / "one"
    return text_run(path, record={"peak_memory_mb": 1})


@pytest.fixture
def lines(run):
    shutil.copytree(run.path, run.path.with_name("two"))
    make_language_run(run.path.with_name("words"))
    data = str(run.path.parent / "one.csv")
    typed = [
        [*name.split(), *(word.replace("{data}", data) for word in words)]
        for name, cases in COMMANDS.items()
        for words in cases
    ]
    return [*ROOT, *typed]


def forked(number, path, commands):
    """Run commands with a stream that leads elsewhere: exit code, stdout and stderr of each."""
    asked = json.dumps([(number, path, command) for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", _FORKED, asked], capture_output=True, timeout=120, check=True
    )
    return json.loads(done.stdout)


def shell(line):
    """Run a line of shell in which `$LSTM` is the command."""
    command = f"LSTM='{sys.executable} -m lstm_cli'; {line}"
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)


def test_every_command_is_tried():
    assert sorted(leaves(typer.main.get_command(cli.app))) == sorted(COMMANDS)


def test_a_full_disk_on_stdout_is_an_error_with_exit_code_1(lines):
    for line, (code, _, err) in zip(lines, forked(1, "/dev/full", lines), strict=True):
        assert code == 1, (line, err)
        assert err.count("No space left on device") == 1, (line, err)
        assert "Traceback" not in err, line
        assert "defect" not in err, line
        assert "Exception ignored" not in err, line


def test_a_full_disk_on_stderr_changes_neither_result_nor_exit_code(run):
    data = str(run.path.parent / "one.csv")
    expected = {
        ("predict", "--nonsense"): 2,
        ("runs", "show", "nothing"): 1,
        ("config", "show", "imbd"): 2,
        ("--version",): 0,
        ("predict", "fine"): 0,
        ("explain", "fine", "--format", "json"): 0,
        ("data", "show", data): 0,
        ("eval", data): 0,
    }
    found = forked(2, "/dev/full", list(expected))
    for (line, code), (ended, out, err) in zip(expected.items(), found, strict=True):
        assert ended == code, line
        assert err == "", line
        assert bool(out) == (code == 0), line


def test_a_result_that_nobody_can_read_is_an_error_whatever_it_is(run):
    run.file("labels.json").write_text("[]")
    ((code, _, err),) = forked(1, "/dev/full", [["runs", "verify", "one", "--json"]])
    assert code == 1
    assert "No space left on device" in err


def test_a_file_that_may_not_grow_is_as_a_full_disk(run, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text(5000 * "a fine film\n")
    done = shell(f"ulimit -f 8; $LSTM predict --file {texts} > {tmp_path / 'out.tsv'}")
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "standard output" in done.stderr


@pytest.mark.parametrize("name", ["page.html", "answer.json", "picture.png", "picture.svg"])
def test_a_full_disk_under_out_leaves_no_file(run, tmp_path, name):
    out = tmp_path / "new" / name
    done = shell(f"ulimit -f 1; $LSTM explain 'a fine film' --out {out}")
    assert done.returncode == 1
    assert str(out) in done.stderr
    assert "defect" not in done.stderr
    assert not list(out.parent.iterdir())


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("$LSTM config list >&-", 1, "standard output"),
        ("$LSTM --version >&-", 1, "standard output"),
        ("$LSTM predict fine 2>&-", 0, ""),
        ("$LSTM predict --file - <&-", 1, "standard input"),
        ("$LSTM predict --file - 0>/dev/null", 1, "standard input"),
        ("$LSTM predict <&-", 2, "nothing to classify"),
        ("$LSTM explain - <&-", 1, "standard input"),
    ],
)
def test_a_closed_stream_is_an_error_where_it_is_needed(run, line, code, message):
    done = shell(line)
    assert done.returncode == code
    assert message in done.stderr
    assert "defect" not in done.stderr
    assert bool(done.stdout) == (code == 0)


def test_no_file_gets_the_number_of_a_closed_stream(run, tmp_path):
    out = tmp_path / "page.html"
    done = shell(f"$LSTM explain 'a fine film' --out {out} >&- 2>&- <&-")
    assert done.returncode == 0
    # With number 1 or 2 a file would hold what is printed meanwhile.
    content = out.read_text()
    assert content.startswith("<!doctype html>")
    assert "Written:" not in content


def test_a_reader_that_must_not_be_waited_for_gets_everything(run, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text(20_000 * "a fine film\n")
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    command = [sys.executable, "-m", "lstm_cli", "predict", "--file", str(texts)]
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, text=True) as process:
        os.close(writing)
        with os.fdopen(reading) as answers:
            assert sum(1 for _ in answers) == 20_000
        assert process.wait(60) == 0, process.stderr.read()


def test_no_character_is_refused_by_an_encoding(run, tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + 3 * '"a fïne film ☂",näh\n"a dull film",jå\n')
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for words in (["data", "show", str(path)], ["data", "show", str(path), "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "lstm_cli", *words],
            env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
    assert "jå" in json.loads(done.stdout)["labels"]


def test_the_version_of_a_process():
    done = shell("$LSTM --version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"lstm {__version__}\n", "")

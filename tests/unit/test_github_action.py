"""The GitHub action: failures become annotations, texts of the data never become commands."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "github_action.py"
# Stands for `lstm`: prints what a file has, and ends with a code.
FAKE = """
import json, pathlib, sys
case = json.loads(pathlib.Path("case.json").read_text())
assert "--json" in sys.argv[2:4], sys.argv
sys.stderr.write(case["stderr"])
sys.stdout.write(json.dumps(case["stdout"]) if case["stdout"] else "")
sys.exit(case["code"])
"""


@pytest.fixture(scope="module")
def action():
    spec = importlib.util.spec_from_file_location("github_action", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path):
    """Run the script in a folder of a checkout: `code, log, summary, outputs = run(...)`."""
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "fake.py").write_text(FAKE)
    (folder / "test.csv").write_text("text,label\n")

    def call(arguments, code=0, stdout=None, stderr="", command=f"{sys.executable} -I fake.py"):
        case = {"code": code, "stdout": stdout, "stderr": stderr}
        (folder / "case.json").write_text(json.dumps(case))
        files = {name: tmp_path / name for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
        env = os.environ | {name: str(path) for name, path in files.items()}
        env |= {"LSTM_ARGUMENTS": arguments, "GITHUB_WORKSPACE": str(tmp_path)}
        env["LSTM_COMMAND"] = command
        done = subprocess.run(
            [sys.executable, "-I", SCRIPT], cwd=folder, env=env, capture_output=True, text=True
        )
        assert not done.stderr
        texts = [path.read_text() if path.exists() else "" for path in files.values()]
        return done.returncode, done.stdout, *texts

    return call


def _finding(kind, *rows, detail=""):
    listed = [{"place": place, "label": "good", "text": text} for place, text in rows]
    return {"kind": kind, "num": 1, "groups": [{"detail": detail, "rows": listed}]}


def test_rows_of_failed_checks_become_annotations(run):
    leak = _finding("leak", ("test.csv:2", "a | film\n::set-env::x"), ("train.csv:7", "a film"))
    other = _finding("duplicate", ("test.csv:9", "b"), ("test.csv:3", "b"))
    code, log, summary, outputs = run(
        "data check train.csv test.csv --fail-on leak",
        4, {"findings": [leak, other]}, "Error: Found leak (1).\n",
    )  # fmt: skip
    assert (code, outputs) == (4, "exit-code=4\n")
    errors = [line for line in log.splitlines() if line.startswith("::error")]
    assert errors == [
        "::error file=sub/test.csv,line=2,title=lstm%3A leak::"
        "a | film%0A::set-env::x; also train.csv:7",
        "::error title=lstm::Found leak (1).",
    ]
    assert r"| leak | 1 | test.csv:2: a \| film ::set-env::x |" in summary
    assert "Failed with exit code 4" in summary


def test_a_threshold_that_is_not_met_is_an_annotation_with_the_metrics_beside(run):
    metrics = {"test": {"num_examples": 1200, "accuracy": 0.81234, "f1": 0.8, "classes": []}}
    code, log, summary, _ = run(
        "train a.csv --fail-under accuracy=0.9", 4, {"run": "a", "metrics": metrics},
        "Epoch 1\nError: Threshold not met: accuracy is 0.8123, expected 0.9.\n",
    )  # fmt: skip
    assert code == 4
    assert "::error title=lstm::Threshold not met: accuracy" in log
    assert "| test | 1,200 | 0.8123 | 0.8000 |" in summary


def test_a_line_that_cannot_be_read_is_named(run, tmp_path):
    message = f"Error: {tmp_path}/sub/test.csv, lines 3 to 4: a quote is open.\nTry: Close it.\n"
    code, log, *_ = run("eval test.csv", 1, None, message)
    assert code == 1
    assert "::error file=sub/test.csv,line=3,title=lstm::" in log
    assert "Try: Close it." in log


def test_what_passes_has_no_annotation(run):
    code, log, summary, outputs = run("eval test.csv", 0, {"split": "test", "accuracy": 1.0})
    assert (code, outputs) == (0, "exit-code=0\n")
    assert "::error" not in log
    assert "| test | 1.0000 |" in summary


def test_the_log_obeys_no_command(run):
    _, log, *_ = run("eval test.csv", 1, None, "::add-mask::x\nError: no\n")
    stop, first, *_, last, _ = log.splitlines()
    token = stop.removeprefix("::stop-commands::")
    assert (first, last) == ("::add-mask::x", f"::{token}::")
    assert len(token) == 32


@pytest.mark.parametrize("arguments", ["serve", "", "data list", "eval 'open.csv"])
def test_what_cannot_be_run_is_refused(run, arguments):
    code, log, summary, outputs = run(arguments)
    assert (code, outputs) == (2, "exit-code=2\n")
    assert log.startswith("::error title=lstm::run: ")
    assert "Failed with exit code 2" in summary


def test_the_log_obeys_commands_again_when_lstm_is_missing(run):
    code, log, _, outputs = run("eval test.csv", command="no-such-program")
    assert (code, outputs) == (2, "exit-code=2\n")
    stop, start, error = log.splitlines()
    assert start == f"::{stop.removeprefix('::stop-commands::')}::"
    assert "no-such-program" in error


def test_a_command_that_says_nothing_has_an_annotation(run):
    _, log, *_ = run("eval test.csv", 137)
    assert "::error title=lstm::lstm ended with exit code 137" in log


def test_json_is_an_option_not_a_file(action):
    assert action.read_arguments("data check -- -a.csv") == [
        "data",
        "check",
        "--json",
        "--",
        "-a.csv",
    ]
    assert action.read_arguments("eval --json a.csv") == ["eval", "--json", "a.csv"]
    assert action.parse_result("[1]") == action.parse_result("{") == {}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A checkout with two tables of one name; returns nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    for name in ("a/data.csv", "b/data.csv", "data.csv", "shapes/good/7.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")


@pytest.mark.parametrize(
    ("place", "arguments", "expected"),
    [
        ("a/data.csv:3", "a/data.csv b/data.csv", ("a/data.csv", 3)),
        ("b/data.csv:3", "a/data.csv b/data.csv", ("b/data.csv", 3)),
        ("data.csv:3", "a/data.csv", ("a/data.csv", 3)),
        ("data.csv:3", "x.csv --test=b/data.csv", ("b/data.csv", 3)),
        ("./b/data.csv:3", "./b/data.csv", ("b/data.csv", 3)),
        ("shapes/good/7.txt", "shapes/", ("shapes/good/7.txt", 0)),
        ("demo train:3", f"demo ~nobody/x {'x' * 300}", ("", 0)),
        ("data.csv:3", "--id-column=id data.csv", ("data.csv", 0)),
        ("data.csv:line 3", "--id-column=id data.csv", ("data.csv", 3)),
    ],
)
def test_a_place_is_a_file_of_the_command(action, files, place, arguments, expected):
    assert action.locate(place, arguments.split(), "--id-column" in arguments) == expected


def test_a_table_beside_one_of_the_same_name_is_told_apart(action, files, tmp_path):
    place = f"{tmp_path.name}/data.csv:3"
    assert action.locate(place, ["a/data.csv", "data.csv"]) == ("data.csv", 3)


def test_a_near_leak_is_not_a_leak(action):
    found = {"findings": [_finding("leak", ("t:2", "x")), _finding("near-leak", ("t:3", "y"))]}
    first, last = action.annotations(found, ["Error: Found near-leak (1)."], [])
    assert "near-leak" in first
    assert last.endswith("::Found near-leak (1).")


def test_github_shows_ten_annotations(action):
    groups = [{"detail": "", "rows": [{"place": f"t:{n}", "text": "x"}]} for n in range(2, 40)]
    finding = {"kind": "leak", "num": 38, "groups": groups}
    lines = action.annotations({"findings": [finding]}, ["Error: Found leak (38)."], [])
    assert len(lines) == 10
    assert "29 more rows" in lines[-1]


def test_the_inputs_reach_the_script_as_variables():
    """`${{ inputs.run }}` in a script would let a branch name or a title run commands."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    assert not any("${{" in step.get("run", "") for step in steps)
    assert steps[-1]["env"]["LSTM_ARGUMENTS"] == "${{ inputs.run }}"

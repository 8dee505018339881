"""`lstm explain`: its formats, its errors, and what it imports."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from fixtures_explain import (
    TEXT,
    random_image,
)
from fixtures_runs import (
    make_image_run,
    make_text_run,
)
from PIL import Image

from lstm_cli import cli
from lstm_cli.cli import output


@pytest.fixture(scope="module")
def digit():
    return random_image()


@pytest.fixture
def lstm(monkeypatch, capfd, tmp_path):
    """Run `lstm explain` in this process, on the runs of this test."""
    make_text_run(tmp_path / "runs" / "demo" / "tiny")
    make_image_run(tmp_path / "runs" / "digits" / "tiny")

    def run(*arguments):
        output._stdout.cache_clear()
        runs_dir = ("--runs-dir", str(tmp_path / "runs"))
        monkeypatch.setattr(sys, "argv", ["lstm", "explain", *map(str, arguments), *runs_dir])
        code = cli.run()
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_command_writes_signed_numbers_without_colour(lstm):
    code, out, err = lstm(TEXT)
    assert code == 0
    assert "Run: demo/tiny" in err
    assert "Probability of" in out
    assert "\x1b" not in out
    assert "[+" in out or "[-" in out


def test_the_command_reads_the_pipe(lstm, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a fine\x81 film\n")))
    code, out, _ = lstm("-", "--format", "json")
    assert code == 0
    assert json.loads(out)["text"] == "a fine\ufffd film"


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.json", b'{"kind"'), ("a.html", b"<!doctype"), ("a.png", b"\x89PNG"), ("a.svg", b"<?xml")],
)
def test_the_suffix_of_the_file_sets_the_format(name, start, lstm, tmp_path):
    path = tmp_path / "new" / name
    assert lstm("a fine film", "--out", path)[:2] == (0, "")
    assert path.read_bytes().startswith(start)


def test_json_and_pages_go_to_stdout_too(lstm):
    assert json.loads(lstm("fine", "--format", "json")[1])["kind"] == "text"
    assert lstm("fine", "--format", "html")[1].endswith("</html>\n")
    assert json.loads(lstm("fine \udc80", "--format", "json")[1])["text"] == "fine \udc80"


def test_the_command_explains_an_image(lstm, tmp_path, digit):
    path = tmp_path / "digit.png"
    Image.fromarray(digit).save(path)
    code, out, _ = lstm(path, "--run", "digits")
    assert code == 0
    assert "row" in out
    assert json.loads(lstm(path, "--run", "digits", "--format", "json")[1])["name"] == "digit.png"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([""], 2, "no word"),
        (["fine", "--format", "png"], 2, "--out"),
        (["fine", "--format", "png", "--out", "a.jpg"], 2, ".png"),
        (["fine", "--out", "a.txt"], 2, ".json"),
        (["fine", "--format", "gif"], 2, "gif"),
        (["fine", "--out", "/dev/null/a.json"], 1, "Name another file."),
        (["fine", "--out", "/dev/null/a.png"], 1, "Name another file."),
        (["fine film", "--run", "digits"], 3, "There is no image"),
        (["fine", "--run", "nothing"], 1, "no run 'nothing'"),
        ([], 2, "TEXT"),
    ],
)
def test_a_wrong_argument_is_named(arguments, code, message, lstm):
    found, out, err = lstm(*arguments)
    assert (found, out) == (code, "")
    assert message in " ".join(err.split())


def test_an_image_for_a_run_that_reads_texts_is_named(lstm, tmp_path, digit):
    path = tmp_path / "digit.png"
    Image.fromarray(digit).save(path)
    code, _, err = lstm(path, "--run", "demo")
    assert code == 2
    assert "is an image" in err
    assert "--run" in err


WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "onnx", "sklearn", "scipy", "matplotlib"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from lstm_cli.cli import main
sys.argv = ["lstm", "explain", "a fine film", "--runs-dir", sys.argv[1], "--format", sys.argv[2]]
main()
"""


@pytest.mark.parametrize("kind", ["auto", "html"])
def test_explaining_needs_neither_tensorflow_nor_keras(kind, tmp_path):
    make_text_run(tmp_path / "runs" / "demo" / "tiny")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path / "runs"), kind],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

"""The light environment of `make predict-env`: its size, what works in it, what it asks to install.

It is built once, from the package index, unless LSTM_PREDICT_ENV names one, as `.ci/run` does.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures_reports import image_run, text_run
from fixtures_runs import make_language_run

from lstm_cli.data.readers.compression import load_zstd

ROOT = Path(__file__).parents[2]
MAX_MEGABYTES = 230
# pip's cache, before the tests move HOME.
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
BUILD_SECONDS = 300
OFFLINE = ("No matching distribution", "Connection", "Temporary failure", "ProxyError", "SSLError")
ABSENT = ("tensorflow", "keras", "sklearn", "scipy", "matplotlib", "onnx", "PIL", "pandas")


def environment_path(tmp_path):
    """Build the environment with the server's packages, or take the one that is there."""
    if os.environ.get("LSTM_PREDICT_ENV"):
        return Path(os.environ["LSTM_PREDICT_ENV"])
    folder = tmp_path / "venv"
    command = ["make", "predict-env", f"VENV={folder}", f"PYTHON={sys.executable}", "SERVE=1"]
    try:
        built = subprocess.run(
            command, cwd=ROOT, env={"PIP_CACHE_DIR": f"{CACHE}/pip", **os.environ},
            capture_output=True, text=True, timeout=BUILD_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip(f"pip has not installed the packages in {BUILD_SECONDS} s")
    if built.returncode and any(text in built.stderr for text in OFFLINE):
        pytest.skip("pip cannot reach a package index")
    assert built.returncode == 0, built.stderr
    return folder


def megabytes(folder):
    """Size of all files on disk, as `du -sm` counts: pip included, its cache not."""
    done = subprocess.run(["du", "-sm", folder], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def predict_over_http(folder, run, env, cwd):
    """Start `lstm serve`, send it a text, stop it; return the status of the response."""
    server = subprocess.Popen(
        [folder / "bin" / "lstm", "serve", "--port", "0", "--run", run.path],
        cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        lines = []
        for line in server.stderr:
            lines.append(line)
            if address := re.search(r"http://([\d.]+):(\d+)", line):
                break
        else:
            pytest.fail("".join(lines))
        connection = http.client.HTTPConnection(address[1], int(address[2]), timeout=20)
        body = json.dumps({"text": "a dull film"})
        connection.request("POST", "/v1/predict", body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
        connection.close()
    finally:
        server.terminate()
        server.communicate(timeout=30)
    return status


def test_the_light_environment_is_small_and_does_all_but_training(tmp_path, capsys):
    folder = environment_path(tmp_path)
    run = text_run(tmp_path / "runs" / "reviews" / "one")
    other = text_run(tmp_path / "runs" / "reviews" / "two", seed=1)
    images = image_run(tmp_path / "runs" / "digits" / "one")
    table, texts = tmp_path / "runs" / "reviews" / "two.csv", tmp_path / "texts.txt"
    texts.write_text("a dull film\na fine film\n")
    packed = tmp_path / "packed.csv.zst"
    packed.write_bytes(load_zstd().compress(b"text\na dull film\n"))
    parquet = tmp_path / "reviews.parquet"
    words = make_language_run(tmp_path / "runs" / "texts" / "words")
    parquet.write_bytes(b"PAR1")
    picture = tmp_path / "digit.png"
    picture.write_bytes(b"\x89PNG")
    # An empty PYTHONPATH: the installed package is tested, not the checkout.
    env = os.environ | {"LSTM_RUNS_DIR": str(tmp_path / "runs"), "PYTHONPATH": ""}
    env.pop("ORT_DISABLE_TELEMETRY", None)  # `lstm` sets it, also in this process
    text, image = f"--run={run.path}", f"--run={images.path}"
    calls = [  # exit code, in stdout (or stderr, after an error), arguments
        (0, '"label"', ["predict", text, "--format=jsonl", "a dull film"]),
        (0, "\t", ["predict", text, "--file", texts]),
        (0, "input", ["explain", text, "a dull film"]),
        (0, "</html>", ["explain", text, "--format=html", "a dull film"]),
        (0, '"kind": "text"', ["explain", text, "--format=json", "a dull film"]),
        (0, "Perplexity", ["generate", "--score", f"--run={words.path}", "a film"]),
        (0, "reviews/one", ["runs", "list"]),
        (0, "accuracy", ["runs", "show", run.path]),
        (0, "", ["runs", "verify", run.path]),
        (0, '"accuracy"', ["eval", table, text, "--json"]),
        (0, '"accuracy"', ["eval", tmp_path / "runs" / "reviews" / "one.csv", "--json"]),
        (0, "imdb", ["config", "list"]),
        (0, "positive", ["data", "show", table]),
        (1, "pip install matplotlib", ["explain", text, "--out", tmp_path / "x.svg", "a film"]),
        (1, "pip install matplotlib", ["explain", text, "--out", tmp_path / "x.png", "a film"]),
        (0, "", ["runs", "report", run.path]),
        (0, "\t", ["predict", text, "--file", packed]),
        (1, "pip install pyarrow", ["predict", text, "--file", parquet]),
        (1, "pip install pillow", ["explain", image, picture]),
        (1, "pip install pillow", ["predict", image, picture]),
        (1, "pip install scipy", ["runs", "compare", run.path, other.path]),
        (1, "pip install scikit-learn", ["eval", "digits", image]),
        (1, "pip install lstm-cli", ["train", "demo"]),
        (1, "pip install lstm-cli", ["train", table, "--dry-run"]),
        (1, "pip install lstm-cli", ["pretrain", table]),
        (1, "pip install lstm-cli", ["runs", "replay", run.path]),
        (1, "pip install lstm-cli", ["data", "show", "imdb"]),
        (1, "pip install lstm-cli", ["train", "tfds:imdb_reviews"]),
    ]
    failures = []
    for code, expected, arguments in calls:
        done = subprocess.run(
            [folder / "bin" / "lstm", *map(str, arguments)],
            cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, input="",
        )  # fmt: skip
        output = done.stderr if code else done.stdout
        wrong = done.returncode != code or expected not in output or "defect" in done.stderr
        if wrong or "Traceback" in done.stderr:
            failures.append((arguments, done.returncode, done.stdout[-300:], done.stderr[-900:]))
    assert not failures, failures
    report = run.path / "reports" / "one-test" / "report.json"
    assert json.loads(report.read_text())["num_examples"] == 24
    assert [path.name for path in report.parent.iterdir()] == ["report.json"]

    assert predict_over_http(folder, run, env, tmp_path) == 200
    assert not list(Path(env["HOME"]).rglob("*onnxruntime*")), "telemetry is on"

    packages = subprocess.run(
        [folder / "bin" / "python", "-c",
         "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n)])",
         *ABSENT],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert packages.stdout.strip() == "[]"
    size = megabytes(folder)
    with capsys.disabled():
        sys.stdout.write(f"\nThe light environment, with the server's packages: {size} MB\n")
    assert size < MAX_MEGABYTES

"""The command line: what goes to stdout, what to stderr, and with which exit code."""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures_runs import make_image_run, make_text_run, text_config, write_results

from lstm_cli import __version__, cli
from lstm_cli.evaluation import evaluate
from lstm_cli.evaluation.evaluate import draw_results


@pytest.fixture(autouse=True)
def _without_plots(monkeypatch):
    """Draw no plots, which take a second."""
    monkeypatch.setattr(evaluate, "draw_results", lambda *_: [])


@pytest.fixture
def lstm(monkeypatch, capfd):
    """Run a command line in this process: `code, out, err = lstm("runs", "list")`."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lstm", *map(str, arguments)])
        code = cli.run()
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def text_run():
    return make_text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "demo" / "tiny")


@pytest.fixture
def image_run():
    return make_image_run(Path(os.environ["LSTM_RUNS_DIR"]) / "digits" / "tiny")


@pytest.fixture
def reviews(tmp_path):
    path = tmp_path / "reviews.csv"
    rows = '"a fine, fine film",positive\na dull film,negative\n'
    path.write_text("text,label\n" + 3 * rows)
    return path


def test_version_is_printed_and_nothing_else(lstm):
    assert lstm("--version") == (0, f"lstm {__version__}\n", "")


@pytest.mark.parametrize("arguments", [("--version", "--json"), ("--json", "--version")])
def test_versions_are_one_object(arguments, lstm):
    code, out, err = lstm(*arguments)
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["lstm"] == __version__
    assert found["python"] == platform.python_version()
    assert found["packages"]["numpy"] == importlib.metadata.version("numpy")
    assert set(found["packages"]) >= {"tensorflow", "keras", "onnxruntime"}


def test_json_before_a_command_is_refused(lstm):
    code, out, err = lstm("--json", "runs", "list")
    assert (code, out) == (2, "")
    assert "--json" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["frobnicate"], "frobnicate"),
        (["train"], "DATASET"),
        (["train", "demo", "--frobnicate"], "--frobnicate"),
        (["train", "imbd"], "'imdb'"),
        (["train", "demo", "--set", "model.unitz=3"], "'model.units'"),
        (["train", "demo", "--set", "model.units=0"], "model.units"),
        (["train", "demo", "--set", "model.units"], "KEY=VALUE"),
        (["train", "demo", "--epochs", "0"], "train.epochs"),
        (["train", "demo", "--fail-under", "acuracy=0.9"], "'accuracy'"),
        (["train", "demo", "--fail-under", "accuracy=2"], "accuracy"),
        (["train", "demo", "elsewhere"], "elsewhere"),
        (["train", "notes.txt"], "notes.txt"),
        (["eval", "demo", "--split", "tests"], "test"),
        (["config", "show", "imbd"], "imdb"),
        (["predict", "x", "--file", "y"], "--file"),
        (["predict", "x", "--threshold", "2"], "--threshold"),
        (["data", "show", "imbd"], "'imdb'"),
    ],
)
def test_what_was_typed_wrong_is_named_with_exit_code_2(lstm, tmp_path, arguments, expected):
    os.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("a note")
    code, out, err = lstm(*arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert "Traceback" not in err


def test_an_unknown_settings_key_in_a_file_offers_the_nearest(lstm, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model:\n  unit: 3\n")
    code, _, err = lstm("train", "demo", "--config", path)
    assert code == 2
    assert str(path) in err
    assert "model.units" in err


def test_a_settings_file_for_other_data_is_refused(lstm, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("data:\n  name: imdb\n")
    code, _, err = lstm("train", "demo", "--config", path)
    assert code == 2
    assert "imdb" in err
    assert "demo" in err


def test_predict_answers_each_argument_in_order_as_tsv(lstm, text_run):
    code, out, err = lstm("predict", "a fine film", "", "a dull unheard film")
    assert code == 0
    rows = [line.split("\t") for line in out.splitlines()]
    assert [len(row) for row in rows] == [7, 7, 7]
    assert [row[4] for row in rows] == ["3", "0", "4"]
    assert rows[2][6] == "0.2500"
    assert float(rows[0][2]) + float(rows[0][3]) == pytest.approx(1, abs=2e-6)
    assert "demo/tiny" in err


def test_predict_names_its_columns_with_header(lstm, text_run):
    _, out, _ = lstm("predict", "--header", "fine")
    assert out.splitlines()[0].split("\t") == [
        "label", "probability", "probability:negative", "probability:positive", "tokens",
        "truncated", "unknown",
    ]  # fmt: skip


def test_predict_says_when_a_text_was_cut(lstm, text_run):
    _, out, _ = lstm("predict", "--format", "jsonl", "fine " * 13)
    record = json.loads(out)
    assert record["truncated"] is True
    assert record["num_tokens"] == 13


def test_top_k_keeps_the_most_probable_classes_first(lstm, text_run):
    _, out, _ = lstm("predict", "--format", "csv", "--header", "--top-k", 1, "fine")
    header, row = (line.split(",") for line in out.splitlines())
    assert header[:4] == ["label", "probability", "class_1", "probability_1"]
    assert row[0] == row[2]
    assert row[1] == row[3]


def test_a_threshold_moves_the_choice_to_the_second_class(lstm, text_run):
    labels = [lstm("predict", "--threshold", t, "fine")[1].split("\t")[0] for t in ("0", "1")]
    assert labels == ["positive", "negative"]


def test_unsure_predictions_have_no_label_and_are_counted(lstm, text_run):
    code, out, err = lstm("predict", "--min-probability", 1, "fine", "dull", "--format", "csv")
    assert code == 0
    rows = [line.split(",") for line in out.splitlines()]
    assert [row[0] for row in rows] == ["", ""]
    assert all(float(row[1]) == max(map(float, row[2:4])) for row in rows)
    assert "2 of 2" in err
    _, out, err = lstm("predict", "--min-probability", 0.5, "fine")
    assert out.split("\t")[0] in ("negative", "positive")
    assert "No answer" not in err


def test_a_file_gives_one_record_a_line_empty_lines_included(lstm, text_run, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeffa fine film\r\n\r\n\xe9\n".encode() + b"dull \xff film\nlast")
    code, out, err = lstm("predict", "--file", path)
    assert code == 0
    assert [line.split("\t")[4] for line in out.splitlines()] == ["3", "0", "1", "3", "1"]
    assert "UTF-8" in err


def test_a_table_needs_no_label_column(lstm, text_run, tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text('id,review\n1,"a ""fine""\nfilm, dull"\n2,\n')
    _, out, _ = lstm("predict", "--file", path, "--format", "jsonl")
    assert [json.loads(line)["num_tokens"] for line in out.splitlines()] == [7, 0]


def test_a_text_for_a_run_on_two_columns_should_have_the_separator(lstm):
    config = text_config(data__text_columns=["title", "body"])
    make_text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "demo" / "tiny", config=config)
    for command in (["predict"], ["explain", "--format", "json"]):
        _, out, err = lstm(*command, "a fine film")
        assert "TITLE \u241f BODY" in err
        assert "a fine film \u241f" not in out
        assert "TITLE" not in lstm(*command, "a fine film \u241f not dull")[2]


def test_a_column_that_is_not_there_is_named(lstm, text_run, reviews, tmp_path):
    code, _, err = lstm("predict", "--file", reviews, "--text-column", "txt")
    assert code == 1
    assert "'txt'" in err
    assert "'text'" in err
    (tmp_path / "plain.txt").write_text("a fine film\n")
    assert lstm("predict", "--file", tmp_path / "plain.txt", "--text-column", "txt")[0] == 2


def test_a_missing_file_is_an_error(lstm, text_run, tmp_path):
    code, out, err = lstm("predict", "--file", tmp_path / "none.txt")
    assert (code, out) == (3, "")
    assert "none.txt" in err


def test_image_runs_take_image_files(lstm, image_run, tmp_path):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 100, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    code, out, _ = lstm("predict", "--run", "digits", tmp_path / "digit.png")
    assert code == 0
    assert len(out.split("\t")) == 13
    code, _, err = lstm("predict", "--run", "digits", "some text")
    assert code == 1
    assert "some text" in err


def test_the_newest_text_run_answers_where_none_is_named(lstm, text_run, image_run):
    make_text_run(text_run.path.with_name("newer"), started="2027-01-01T00:00:00+00:00")
    assert "demo/newer" in lstm("predict", "fine")[2]


def test_runs_that_are_missing_or_unfinished_are_told_apart(lstm, text_run):
    code, _, err = lstm("predict", "--run", "tyni", "fine")
    assert code == 1
    assert "tiny" in err
    text_run.file("manifest.json").unlink()
    code, _, err = lstm("predict", "--run", "tiny", "fine")
    assert code == 5
    assert "manifest.json is missing" in err
    assert lstm("predict", "fine")[0] == 1


def test_a_changed_model_ends_with_5(lstm, text_run):
    content = bytearray(text_run.file("model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    text_run.file("model.onnx").write_bytes(content)
    code, out, err = lstm("predict", "fine")
    assert (code, out) == (5, "")
    assert "model.onnx" in err


def test_eval_scores_a_table_with_the_same_labels(lstm, text_run, reviews, monkeypatch):
    monkeypatch.setattr(evaluate, "draw_results", draw_results)
    code, out, err = lstm("eval", reviews, "--run", "tiny", "--json")
    assert code == 0
    report = json.loads(out)
    assert report["num_examples"] == 6
    assert 0 <= report["accuracy_interval"][0] <= report["accuracy"] <= 1
    assert sum(count for _, _, count in report["confusion"]) == 6
    folder = Path(report["folder"])
    assert json.loads((folder / "report.json").read_text())["accuracy"] == report["accuracy"]
    assert sorted(p.name for p in folder.glob("*.png")) == [
        "confusion.png", "reliability.png", "roc_pr.png", "scores.png",
    ]  # fmt: skip
    assert "Evaluating" in err


def test_eval_lists_the_most_confident_errors(lstm, text_run, reviews):
    code, out, _ = lstm("eval", reviews, "--run", "tiny", "--errors", 2)
    assert code == 0
    assert "Most confidently wrong" in out
    assert "film" in out


def test_other_data_is_scored_on_the_columns_of_the_run(lstm, tmp_path):
    columns = {"text_columns": ["review"], "label_column": "stars", "id_column": "text"}
    config = text_config(**{f"data__{name}": value for name, value in columns.items()})
    run = make_text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "demo" / "tiny", config=config)
    write_results(run)
    path = tmp_path / "other.csv"
    path.write_text("text,review,stars\nT-1,a fine film,positive\nT-2,a fine film,negative\n")
    code, out, err = lstm("eval", path, "--run", "tiny", "--errors", 2, "--json")
    assert code == 0
    assert "column 'review', labels from column 'stars'" in err
    (mistake,) = json.loads(out)["mistakes"]
    assert mistake["text"] == "a fine film"
    assert mistake["id"] in ("T-1", "T-2")


def test_rows_are_named_by_their_ids(lstm, text_run, reviews):
    rows = "a fine film,positive,T-7\na fine film,negative,T-8\ndull,negative,T-8\n"
    reviews.write_text(f"text,label,id\n{rows}")
    options = ("--id-column", "id")
    code, out, err = lstm("data", "check", reviews, *options)
    assert code == 0
    assert "reviews.csv:T-7" in out
    assert "1 id of several rows ('T-8')" in err
    out = lstm("eval", reviews, "--run", "tiny", "--errors", 3, *options)[1]
    table = out[out.index("Most confidently wrong") :]
    assert "T-7" in table or "T-8" in table
    assert lstm("eval", "--run", "tiny", *options)[0] == 2
    assert "--id-column" in lstm("train", "demo", *options)[2]


def test_labels_that_training_never_saw_are_refused(lstm, text_run, tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("text,label\nfine,good\ndull,negative\n")
    code, _, err = lstm("eval", path, "--run", "tiny")
    assert code == 1
    assert "'good'" in err


def test_eval_of_the_other_kind_is_refused(lstm, text_run):
    code, _, err = lstm("eval", "digits", "--run", "tiny")
    assert code in (1, 2)
    assert "digits" in err


@pytest.mark.parametrize(
    "command",
    [
        ["train", "FILE"],
        ["train", "DATA", "--test", "FILE"],
        ["train", "DATA", "--validation", "FILE"],
        ["train", "DATA", "--unlabeled", "FILE"],
        ["train", "demo", "--config", "FILE"],
        ["pretrain", "FILE"],
        ["data", "show", "FILE"],
        ["data", "check", "FILE"],
        ["data", "issues", "FILE"],
        ["data", "curve", "FILE"],
    ],
    ids=" ".join,
)
def test_a_missing_file_ends_with_3_whatever_reads_it_and_its_suffix(lstm, reviews, command):
    _check_missing(lstm, command, reviews)


@pytest.mark.parametrize("command", [["eval", "FILE"], ["predict", "--file", "FILE"]], ids=" ".join)
def test_a_missing_file_for_a_run_ends_with_3(lstm, text_run, reviews, command):
    _check_missing(lstm, [*command, "--run", "tiny"], reviews)


def _check_missing(lstm, command, reviews):
    for suffix in ("", ".csv", ".txt", ".foo", ".jsonl.gz"):
        words = {"FILE": f"folder/missing{suffix}", "DATA": str(reviews)}
        code, out, err = lstm(*(words.get(word, word) for word in command))
        assert (code, out) == (3, ""), suffix
        assert f"missing{suffix}" in err
        assert "Loading" not in err


def test_a_missing_image_ends_with_3(lstm, image_run):
    assert lstm("explain", "--run", "tiny", "missing.png")[0] == 3


def test_a_threshold_that_is_not_met_ends_with_4(lstm, text_run, reviews):
    code, out, err = lstm("eval", reviews, "--run", "tiny", "--fail-under", "accuracy=1")
    assert code == 4
    assert "accuracy" in out
    assert "below 1" in err


def test_data_that_is_not_there_ends_with_3_within_5_seconds(lstm, tmp_path):
    import time

    began = time.monotonic()
    code, out, err = lstm("data", "prepare", "imdb", "--data-dir", tmp_path)
    assert time.monotonic() - began < 5
    assert (code, out) == (3, "")
    for way_out in ("--data-dir", "aclImdb_v1.tar.gz", "lstm train demo"):
        assert way_out in err


def test_data_is_listed_and_shown(lstm):
    listed = json.loads(lstm("data", "list", "--json")[1])["datasets"]
    assert {"demo", "imdb", "digits", "mnist"} == {entry["name"] for entry in listed}
    assert "imdb" in lstm("data", "list")[1]
    shown = json.loads(lstm("data", "show", "demo", "--json")[1])
    assert [split["num_examples"] for split in shown["splits"]] == [5400, 600, 1000]
    assert "@@" in lstm("data", "show", "digits")[1]


def test_a_table_is_read_as_the_options_say(lstm, tmp_path):
    path = tmp_path / "reviews.txt"
    path.write_bytes(b"".join(b'7~isn\x92t "it %d~%d\n' % (i, i % 2) for i in range(40)))
    options = ["--input-format", "csv", "--delimiter", "~", "--quoting", "none", "--no-header"]
    options += ["--encoding", "windows-1252", "--text-column", "2", "--label-column", "3"]
    code, out, _ = lstm("data", "show", path, "--json", *options)
    shown = json.loads(out)
    assert code == 0
    assert sum(split["num_examples"] for split in shown["splits"]) == 40
    assert {
        text.partition(' "it')[0] for texts in shown["examples"].values() for text in texts
    } == {"isn’t"}
    for command in ("check", "issues", "curve"):
        code, _, err = lstm("data", command, path, *options)
        assert code == 0 or "row" in err  # too few rows for a curve


def test_what_was_guessed_is_said(lstm, tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_bytes(b"text;label\n" + 6 * b"isn\x92t;good\nfine;bad\n")
    for command in ("show", "check", "issues", "curve"):
        code, out, err = lstm("data", command, path)
        assert code == (command == "curve")  # too few rows for that
        assert "6 lines are not UTF-8" in " ".join((out + err).split())
        assert "semicolon" in out + err


@pytest.mark.parametrize("pipe", [False, True])
def test_predict_reads_and_refuses_by_content(lstm, text_run, pipe, tmp_path, monkeypatch):
    table = b"text,label\na fine film,good\na dull film,bad\n"
    contents = {
        b'[{"text": "a fine film"}, {"text": "a dull film"}]': 2,
        gzip.compress(table): 2,
        table: 2,
        b"a fine film\nno table\na dull, dull film": 3,
        b"%PDF-1.7": "a PDF",
        b"PK\x03\x04" + b"\0" * 26 + b"xl/workbook.xml": "an Excel workbook",
        bytes(i * i * 7919 % 256 for i in range(1, 4000)): "not text",
    }
    for content, expected in contents.items():
        path = tmp_path / "input"
        path.write_bytes(content)
        with path.open() as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            code, out, err = lstm("predict", *([] if pipe else ["--file", path]))
        if isinstance(expected, int):
            assert (code, len(out.splitlines())) == (0, expected)
        else:
            assert (code, out) == (2, "")
            assert expected in err


def test_runs_are_listed_and_shown(lstm, text_run):
    write_results(text_run)
    found = json.loads(lstm("runs", "list", "--json")[1])["runs"]
    assert [(row["name"], row["status"]) for row in found] == [("demo/tiny", "finished")]
    assert "demo/tiny" in lstm("runs", "list")[1]


METRICS = ("[1]", "7", "null", '"x"', "[" * 9000, "{}")
TESTS = ("[1]", "5", '"x"', '{"accuracy": "x"}', '{"accuracy": NaN}', '{"accuracy": {}}', "{}")
RECORDS = (
    '"seconds": 3',
    '"seconds": {"total": []}',
    '"seconds": {"total": Infinity}',
    '"parameters": "many"',
    '"parameters": true',
    '"parameters": 1' + "0" * 4000,
)
DAMAGED = {
    "metrics.json": (*METRICS, *(f'{{"test": {test}}}' for test in TESTS)),
    "run.json": RECORDS,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_run_with_damaged_figures_is_listed_as_broken(lstm, text_run, name):
    write_results(text_run)
    before = {"metrics.json": "", "run.json": text_run.file("run.json").read_text().rstrip("\n}")}
    for content in DAMAGED[name]:
        integrity_error = f"{before[name]}, {content}}}" if before[name] else content
        text_run.file(name).write_text(integrity_error)
        text_run.write_manifest()
        (row,) = json.loads(lstm("runs", "list", "--json")[1])["runs"]
        assert (row["status"], row["accuracy"], row["parameters"]) == ("broken", None, None)
        assert name in row["problem"]
        code, out, err = lstm("runs", "list")
        assert (code, err) == (0, "")
        assert "demo/tiny" in out


def test_no_runs_are_said_on_stderr(lstm):
    code, out, err = lstm("runs", "list")
    assert (code, out) == (0, "")
    assert "lstm train demo" in err


def test_presets_and_schema_are_printed(lstm):
    import yaml

    assert yaml.safe_load(lstm("config", "show", "imdb", "--full")[1])["data"]["name"] == "imdb"
    assert yaml.safe_load(lstm("config", "show", "imdb")[1])["data"]["name"] == "imdb"
    assert "$defs" in json.loads(lstm("config", "schema")[1])
    assert "mnist-tutorial" in lstm("config", "list")[1]


def test_data_is_never_read_as_markup_or_escapes(lstm, text_run, tmp_path):
    nasty = "[red]fine[/red] \x1b[31mdull\x1b[0m \u202efilm"
    code, out, _ = lstm("predict", "--format", "table", nasty)
    assert code == 0
    assert "[red]" in out
    assert "\x1b" not in out
    assert "\u202e" not in out
    code, _, err = lstm("predict", "--run", "\x1b[31mred", "fine")
    assert code == 1
    assert "\x1b[31m" not in err


def test_unexpected_errors_are_a_line_not_a_traceback(lstm, monkeypatch):
    from lstm_cli.config import load

    def fail(*_: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(load, "preset_names", fail)
    code, _, err = lstm("config", "list")
    assert code == 1
    assert "boom" in err
    assert "Traceback" not in err
    monkeypatch.setenv("LSTM_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        lstm("config", "list")


def test_pipes_are_read_and_a_closed_one_ends_quietly(text_run):
    command = f"{sys.executable} -m lstm_cli predict | head -1"
    done = subprocess.run(
        ["bash", "-c", command], input=b"fine film\n" * 5000, capture_output=True, timeout=60
    )
    assert len(done.stdout.splitlines()) == 1
    assert b"Broken" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_prediction_and_help_need_no_keras(text_run, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('tensorflow', 'keras', 'onnx', 'sklearn', 'scipy'):\n"
        "            raise RuntimeError('imported ' + name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path}
    for arguments in (["--help"], ["predict", "a fine film"], ["train", "--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "lstm_cli", *arguments], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_a_slow_pipe_is_answered_as_it_comes(text_run):
    command = [sys.executable, "-m", "lstm_cli", "predict"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in (b"fine film\n", b"\n", b"dull\n"):
            process.stdin.write(text)
            process.stdin.flush()
            # Would wait for ever if the answer came with a full window only.
            assert len(process.stdout.readline().split(b"\t")) == 7
        process.stdin.close()
        assert process.stdout.read() == b""


def test_a_missing_tensorboard_is_said_before_training(lstm, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    code, out, err = lstm("train", "demo", "--tensorboard")
    assert (code, out) == (1, "")
    assert "lstm-cli[tensorboard]" in err


def test_labels_in_headings_are_data_too(lstm, tmp_path):
    labels = ("[red]neg", "pos\u202e\x1b[1m")
    make_text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "demo" / "tiny", labels=labels)
    path = tmp_path / "reviews.jsonl"
    rows = [{"text": "fine", "label": label} for label in labels for _ in range(3)]
    path.write_text("\n".join(map(json.dumps, rows)))
    code, out, _ = lstm("eval", path, "--run", "tiny")
    assert code == 0
    assert "[red]neg" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["train", "demo", "--resume", "--name", "x"], "--name"),
        (["train", "demo", "--resume", "t1", "--name", "x"], "--name"),
        (["train", "demo", "--resume", "--dry-run"], "--dry-run"),
        (["train", "demo", "--dry-run", "--tensorboard"], "--tensorboard"),
        (["train", "demo", "--dry-run", "--fail-under", "accuracy=0.9"], "--fail-under"),
        (["train", "demo", "--text-column", "x"], "--text-column"),
        (["pretrain", "demo", "--resume", "--name", "x"], "--name"),
        (["predict", "fine", "--text-column", "x"], "--text-column"),
        (["predict", "fine", "--file", "x.csv"], "--file"),
        (["predict", "fine", "--format", "jsonl", "--header"], "--header"),
        (["eval", "--limit", "5"], "--limit"),
        (["eval", "demo", "--label-column", "x"], "--label-column"),
        (["data", "show", "digits", "--label-column", "x"], "--label-column"),
        (["runs", "verify", "tiny", "--all"], "RUN"),
        *[
            ([*command, *option], option[0])
            for command in (["train", "demo"], ["eval"], ["data", "show", "digits"])
            for option in (
                ["--input-format", "csv"],
                ["--encoding", "latin-1"],
                ["--delimiter", ";"],
                ["--quoting", "none"],
                ["--no-header"],
            )
        ],
    ],
    ids=" ".join,
)
def test_an_option_without_effect_is_refused(lstm, text_run, arguments, option):
    code, out, err = lstm(*arguments)
    assert (code, out) == (2, "")
    assert option in err


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["train", "demo", "--device", "cuda"], "--device", "cuda"),
        (["train", "demo", "--epochs", "many"], "--epochs", "many"),
        (["train", "demo", "--set", "model.units=many"], "model.units", "many"),
        (["eval", "--errors", "-1"], "--errors", "-1"),
        (["predict", "fine", "--threshold", "high"], "--threshold", "high"),
        (["predict", "fine", "--min-probability", "1.5"], "--min-probability", "1.5"),
        (["predict", "fine", "--top-k", "0"], "--top-k", "0"),
        (["explain", "fine", "--format", "gif"], "--format", "gif"),
        (["serve", "--port", "99999"], "--port", "99999"),
        (["data", "show", "demo", "--examples", "few"], "--examples", "few"),
    ],
    ids=" ".join,
)
def test_a_bad_value_is_named_without_words_of_a_library(lstm, arguments, name, value):
    code, out, err = lstm(*arguments)
    assert (code, out) == (2, "")
    assert name in err
    assert f"found '{value}'" in err
    assert not any(word in err for word in ("Value error", "parse", "pydantic", "`int`", "got"))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["predict", "--file", "a", "-o", "b", "--out", "c"], "--out"),
        (["predict", "fine", "--run", "a", "--run=b"], "--run"),
        (["eval", "demo", "--label-column", "a", "--label-column", "a"], "--label-column"),
        (["train", "demo", "--epochs", "1", "--epochs", "2"], "--epochs"),
        (["train", "demo", "--resume", "--resume", "x"], "--resume"),
        (["train", "demo", "--set", "seed=1", "--set", "seed=2"], "--set seed"),
        (["train", "demo", "--set", "seed=1", "--seed", "2"], "seed"),
        (["runs", "list", "--runs-dir", "a", "--runs-dir", "b"], "--runs-dir"),
    ],
    ids=" ".join,
)
def test_an_option_with_one_value_is_refused_twice(lstm, arguments, name):
    code, out, err = lstm(*arguments)
    assert (code, out) == (2, "")
    assert f"{name} is" in err
    assert "twice" in err


def test_flags_and_repeatable_options_may_come_twice(lstm, text_run):
    code, out, _ = lstm("runs", "list", "--json", "--json")
    assert (code, len(json.loads(out)["runs"])) == (0, 1)
    err = lstm("train", "demo", "--set", "seed=2", "--set", "model.units=0")[2]
    assert "model.units" in err
    assert "twice" not in err


@pytest.mark.parametrize("group", [[], ["runs"], ["data"], ["config"]])
def test_a_group_alone_prints_its_help(lstm, group):
    code, out, err = lstm(*group)
    assert (code, err) == (2, "")
    assert "Commands" in out


def test_resume_takes_a_run_or_nothing(lstm):
    for arguments in (["train", "demo", "--resume"], ["train", "--resume", "demo"]):
        code, _, err = lstm(*arguments)
        assert code == 1
        assert "nothing to resume" in err
    code, _, err = lstm("train", "demo", "--resume", "best", "--epochs", "3")
    assert code == 1
    assert "'best'" in err


def test_a_name_that_is_taken_is_found_before_tensorflow_loads(lstm, text_run):
    code, _, err = lstm("train", "demo", "--name", "tiny")
    assert code == 1
    assert "demo/tiny" in err
    assert "Loading" not in err


@pytest.mark.parametrize(
    "arguments", [["--run", "tiny"], ["reviews", "--run", "tiny"], ["reviews"]]
)
def test_eval_knows_the_runs_own_data(lstm, arguments):
    from fixtures_reports import text_run

    text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "reviews" / "tiny")
    (Path(os.environ["LSTM_RUNS_DIR"]) / "reviews" / "one.csv").exists()
    code, out, _ = lstm("eval", *arguments, "--json")
    assert code == 0
    assert json.loads(out)["run"] == "reviews/tiny"


def test_an_unknown_run_is_answered_with_similar_names_or_all(lstm, text_run):
    assert "Did you mean 'demo'" in lstm("runs", "show", "dmo")[2]
    assert lstm("runs", "show", "zzz")[2].count("tiny") == 1


def test_names_of_runs_are_never_folded(lstm, monkeypatch):
    name = "a-name-that-is-much-longer-than-the-terminal-is-wide-and-must-not-be-folded"
    make_text_run(Path(os.environ["LSTM_RUNS_DIR"]) / "demo" / name)
    monkeypatch.setenv("COLUMNS", "60")
    assert f"demo/{name}" in lstm("runs", "list")[1]


def test_settings_are_described(lstm):
    code, out, _ = lstm("config", "describe", "model.units")
    assert code == 0
    assert all(word in out for word in ("model.units", "16,384", "64"))
    everything = lstm("config", "describe")[1]
    assert all(key in everything for key in ("seed", "train.epochs", "data.text_columns"))
    code, _, err = lstm("config", "describe", "model.unitz")
    assert code == 2
    assert "model.units" in err


def test_a_missing_server_package_names_the_extra(lstm, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    code, out, err = lstm("serve")
    assert (code, out) == (1, "")
    assert "lstm-cli[serve]" in err


def test_a_missing_package_is_no_defect(lstm, monkeypatch):
    from lstm_cli.config import load

    def fail() -> None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib.figure")

    monkeypatch.setattr(load, "preset_names", fail)
    code, _, err = lstm("config", "list")
    assert code == 1
    assert "pip install" in err
    assert "defect" not in err


@pytest.mark.parametrize("arguments", [["train"], ["serve"], ["runs", "verify"], []])
def test_help_fits_80_columns_and_flags_have_no_type(lstm, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = lstm(*arguments, "--help")
    assert max(map(len, out.splitlines())) <= 80
    assert "<bool>" not in out


def test_examples_in_help_stand_on_lines_of_their_own(lstm):
    lines = [line.strip() for line in lstm("config", "describe", "--help")[1].splitlines()]
    assert "lstm config describe train" in lines


def test_only_linux_and_macos_are_supported(monkeypatch, capfd):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert "Linux and macOS" in capfd.readouterr().err


def test_the_shell_completes_presets_runs_and_settings(text_run):
    from lstm_cli.cli import completion

    assert "imdb" in completion.complete_preset("im")
    assert completion.complete_assignment("model.un") == ["model.units="]
    environment = {
        **os.environ, "_LSTM_COMPLETE": "complete_bash", "COMP_CWORD": "3",
        "COMP_WORDS": "lstm predict --run ",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "lstm_cli"], env=environment, capture_output=True, text=True
    )
    assert "demo/tiny" in done.stdout.splitlines()

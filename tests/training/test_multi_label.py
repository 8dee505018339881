"""Any number of labels a text, from a table to a finished run, and the commands that read it."""

from __future__ import annotations

import csv
import io
import json
import sys

import numpy as np
import pytest
from fixtures_results import whole

from lstm_cli import cli
from lstm_cli.errors import ExitCode
from lstm_cli.io.progress import Epoch
from lstm_cli.io.worker import Worker
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.report.run_report import write_report
from lstm_cli.runs import directory as runs
from lstm_cli.runs import record
from lstm_cli.runs.directory import RunDir
from lstm_cli.training import stages
from lstm_cli.training.objectives.classification import EpochLogits

SMALL = ("embedding.dim=4", "model.units=3", "train.epochs=2", "linear.folds=2", "train.refit=true")
WORDS = {"joy": "glad", "love": "dear", "pride": "proud"}


def rows_of(num):
    """Texts of none, one or two labels, each with a word for each label."""
    names = ("", "joy", "love", "pride", "joy|love", "love|pride")
    for i in range(num):
        label = names[i % len(names)]
        words = [WORDS[name] for name in label.split("|") if name]
        yield f"it was day{i:02} {' and '.join(words)} again", label


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "notes.csv"
    with path.open("w", newline="") as file:
        rows = [(*row, f"N-{i}", 1 + i % 2) for i, row in enumerate(rows_of(72))]
        csv.writer(file).writerows([("text", "label", "note", "weight"), *rows])
    return path


@pytest.fixture
def lstm(monkeypatch, capsys):
    """Run a command line: `code, out, err = lstm("runs", "list")`."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lstm", *map(str, arguments)])
        monkeypatch.setattr("lstm_cli.io.worker.start_worker", lambda *_, **__: _NoWorker())
        code = cli.run()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


class _NoWorker:
    """In place of the worker process, whose start takes longer than the work."""

    def __enter__(self):
        return Worker()

    def __exit__(self, *_):
        return None


def options(*changes):
    settings = dict(change.split("=", 1) for change in (*SMALL, *changes))
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory):
    """A run of two folds and a refit."""
    root = tmp_path_factory.mktemp("runs")
    columns = ("--id-column", "note", "--weight-column", "weight")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lstm", "train", str(table), "--name", "x", "--runs-dir",
                                    str(root), *columns, *options("data.folds=2")])  # fmt: skip
        patch.setattr("lstm_cli.io.worker.start_worker", lambda *_, **__: _NoWorker())
        assert cli.run() == 0
    return RunDir(root / "notes" / "x")


def test_run_is_whole_and_says_how_labels_are_read(trained):
    assert whole(trained)
    config = trained.config()
    assert config.is_multi_label
    assert config.data.multi_label == "|"
    assert (config.data.id_column, config.data.weight_column) == ("note", "weight")
    assert len(trained.read_json(runs.LABEL_THRESHOLDS)) == 3
    found = record.read_classifier(trained)
    assert found.test.micro.f1 > 0.8
    assert (
        found.validation.micro.num_labels
        == sum(len(label.split("|")) for _, label in rows_of(72) if label)
        - found.test.micro.num_labels
    )
    card = trained.read_text(runs.CARD)
    assert "any number of 3 labels" in card
    assert "| joy | " in card


def test_test_scores_are_those_of_eval(trained, lstm):
    code, out, _ = lstm("eval", "--run", trained.path, "--json")
    assert code == 0
    found = json.loads(out)
    metrics = trained.read_json(runs.METRICS)["test"]
    assert found["micro"] == metrics["micro"]
    assert found["classes"] == metrics["classes"]
    assert found["linear"] == metrics["linear"]
    assert found["linear"].keys() == {"accuracy", "f1", "micro_f1", "thresholds"}
    code, out, _ = lstm(
        "eval", "--run", trained.path, "--errors", 2, "--fail-under", "micro_f1=1.0"
    )
    assert ("threshold" in out, "AUC" in out) == (True, True)
    assert code == (ExitCode.THRESHOLD if metrics["micro"]["f1"] < 1 else 0)


def test_predictions_have_all_labels_in_every_format(trained, lstm):
    texts = ["a glad and dear day", "nothing"]
    predictor = Predictor.load(trained)
    expected = predictor.predict(texts)
    _, out, _ = lstm("predict", "--run", trained.path, "--format", "jsonl", *texts)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["labels"] for line in lines] == [p.labels for p in expected]
    _, out, _ = lstm("predict", "--run", trained.path, "--format", "csv", "--header", *texts)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["labels"] for row in rows] == ["|".join(p.labels) for p in expected]
    assert float(rows[0]["probability:joy"]) == pytest.approx(
        expected[0].probabilities["joy"], abs=1e-6
    )
    values = rows[0]["probabilities"].split("|")
    assert [float(v) for v in values] == pytest.approx(
        [expected[0].probabilities[name] for name in expected[0].labels], abs=1e-6
    )
    _, out, _ = lstm("predict", "--run", trained.path, "--format", "table", *texts)
    assert ", ".join(expected[0].labels) in out
    _, out, _ = lstm("explain", "--run", trained.path, "--label", "love", texts[0])
    assert "Log-odds of love" in out


def test_other_data_is_read_like_that_of_the_run(trained, lstm, tmp_path):
    path = tmp_path / "more.jsonl"
    lines = [
        {"text": text, "label": label.split("|") if label else []} for text, label in rows_of(6)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out, _ = lstm("eval", path, "--run", trained.path, "--json")
    assert (code, json.loads(out)["num_examples"]) == (0, 6)


def test_report_shows_labels_and_errors(trained, tmp_path):
    page = tmp_path / "report.html"
    write_report(trained, page, num_errors=2)
    assert "any number of 3 labels" in page.read_text()


def test_label_columns_without_a_refit(tmp_path, lstm):
    path = tmp_path / "columns.csv"
    rows = [(text, *(int(name in label) for name in WORDS)) for text, label in rows_of(48)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", *WORDS), *rows])
    changes = options("data.folds=0", "train.refit=false", "train.epochs=1")
    code, _, err = lstm("train", path, "--label-columns", "joy,love", "--name", "y", *changes)
    assert code == 0, err
    run = RunDir(runs.runs_root(None) / "columns" / "y")
    assert run.labels() == ("joy", "love")
    assert np.shape(run.read_json(runs.GOLDEN)["probabilities"])[1] == 2
    code, _, err = lstm("eval", "--run", run.path)
    assert code == 0, err


@pytest.mark.parametrize("command", ["issues", "curve"])
def test_data_commands_for_one_label_refuse_several(table, lstm, command):
    code, _, err = lstm("data", command, table)
    assert code == ExitCode.USAGE
    assert "several labels" in err


def test_logits_of_a_fold_survive_a_checkpoint():
    lstm = np.random.default_rng(0).normal(size=(1, 5, 2)).astype(np.float32)
    line = Epoch(1, 1, 0.5, 0.5, 0.5, 0.5, 0.1, 0.0, True)
    logits = EpochLogits(lstm, np.ones(1, np.float32), None, multi_label=True)
    finished = stages.FinishedStage((line,), 1, "done", logits)
    (restored,) = stages.from_checkpoint(*stages.to_checkpoint([finished]), multi_label=True)
    rows = np.arange(5)
    held_out = stages.HeldOutLogits(
        restored.logits.of_epoch(1), np.zeros((5, 2), np.int32), rows, np.ones(5, np.int64)
    )
    expected = 1 / (1 + np.exp(-lstm[0]))
    assert held_out.probabilities(calibrate=False) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "extra",
    [
        ("--class-weights", "balanced"),
        ("--set", "linear.self_training=0.5"),
        ("--label-columns", "joy", "--multi-label", "|"),
    ],
)
def test_what_is_not_available_is_refused(table, lstm, extra):
    code, _, err = lstm("train", table, *extra)
    assert code == ExitCode.USAGE
    assert extra[0].lstrip("-") in err or "linear.self_training" in err

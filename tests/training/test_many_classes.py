"""Many classes with few rows each, and uneven classes: from a table to a report."""

from __future__ import annotations

import json

import pytest
from fixtures_reports import lstm

from lstm_cli.errors import ExitCode

NUM_CLASSES = 1450
# Without folds and refit: reports are tested, not models.
SMALL = (
    "data.folds=0",
    "train.refit=false",
    "linear.folds=2",
    "embedding.dim=4",
    "embedding.vectors=random",
    "model.units=4",
    "train.batch_size=256",
)


def write_table(path, rows):
    path.write_text("".join(f"{text},{label}\n" for text, label in [("text", "label"), *rows]))
    return path


def train(path, *options):
    settings = [word for setting in SMALL for word in ("--set", setting)]
    return lstm("train", path, "--name", "it", "--device", "cpu", *settings, *options)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rows = [
        (f"word{i} word{i % 7} row{n}", f"class {i:04}")
        for i in range(NUM_CLASSES)
        for n in range(3)
    ]
    return write_table(tmp_path_factory.mktemp("data") / "many.csv", rows)


@pytest.mark.slow
def test_1450_classes_of_three_rows_are_trained_and_reported(table):
    result = train(table, "--epochs", 1)
    assert result.exit_code == 0, result.output
    assert "1,450 classes" in result.stderr
    shown = lstm("runs", "show", "many/it", "--json")
    record = json.loads(shown.stdout)
    assert record["dataset"]["sizes"] == {"train": 3132, "validation": 348, "test": 870}
    assert len(record["metrics"]["test"]["confusion"]) <= 870
    evaluated = lstm("eval", "--run", "many/it")
    assert evaluated.exit_code == 0, evaluated.output
    assert "lowest F1" in evaluated.output
    assert len(evaluated.output.splitlines()) < 80
    assert lstm("runs", "report", "many/it", "--errors", 0).exit_code == 0
    assert lstm("runs", "verify", "many/it").exit_code == 0


def test_uneven_classes_are_noticed_and_judged_by_macro_f1(tmp_path):
    rows = [(f"a b {i}", "rare" if i % 10 == 0 else "common") for i in range(300)]
    path = write_table(tmp_path / "uneven.csv", rows)
    result = train(path, "--epochs", 1, "--set", "auto=[]")
    assert result.exit_code == 0, result.output
    assert "'rare' has 22." in result.stderr
    assert "'--class-weights balanced', or a power" in result.stderr
    warning = next(line for line in result.stderr.splitlines() if line.startswith("Warning"))
    assert "'rare'" in warning
    assert "'--class-weights balanced'" in warning
    heading = next(line for line in result.stdout.splitlines() if line.startswith("split"))
    assert heading.split() == [
        "split",
        "examples",
        "macro",
        "F1",
        "accuracy",
        "95%",
        "interval",
        "loss",
    ]
    evaluated = lstm("eval", "--run", "uneven/it")
    assert evaluated.output.index("macro F1 (main figure)") < evaluated.output.index("accuracy")


@pytest.mark.parametrize("weights", ["balanced", "0.5"])
def test_class_weights_are_an_option_that_raises_the_rare_class(tmp_path, weights):
    rows = [(f"a b {i}", "rare" if i % 10 == 0 else "common") for i in range(300)]
    path = write_table(tmp_path / "uneven.csv", rows)
    result = train(path, "--class-weights", weights, "--epochs", 1)
    assert result.exit_code == 0, result.output
    assert "--class-weights" not in next(
        line for line in result.stderr.splitlines() if "uneven" in line
    )
    config = json.loads(lstm("runs", "show", "uneven/it", "--json").stdout)["config"]
    assert config["train"]["class_weights"] == (weights if weights == "balanced" else 0.5)


def test_a_power_above_1_is_a_usage_error(tmp_path):
    path = write_table(tmp_path / "a.csv", [("a", "x"), ("b", "y")] * 9)
    result = train(path, "--class-weights", "2")
    assert result.exception.exit_code == ExitCode.USAGE
    assert "a number from 0 to 1" in result.exception.message

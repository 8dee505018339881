"""Dry runs: what they report, what they build, and what they refuse."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from lstm_cli import cli
from lstm_cli.config import load as configs
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.text import batching
from lstm_cli.training import pipeline
from lstm_cli.training.dry_run import dry_run
from lstm_cli.training.objectives import classification
from lstm_cli.training.objectives.classification import Examples
from lstm_cli.training.task import with_language_model

SETTINGS = {
    "data.demo_train": 400,
    "data.demo_test": 20,
    "embedding.dim": 8,
    "model.units": 8,
    "train.epochs": 2,
    "train.batch_size": 16,
}


def lstm(capsys, monkeypatch, *arguments):
    options = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    monkeypatch.setattr(sys, "argv", ["lstm", *arguments, *options])
    code = cli.run()
    return code, capsys.readouterr()


@pytest.mark.parametrize("task", ["classifier", "language model"])
def test_a_dry_run_builds_only_the_batches_that_it_times(task, monkeypatch, tmp_path):
    config = configs.load_preset("demo", SETTINGS)
    if task == "language model":
        settings = configs.to_dict(with_language_model(config))
        config = configs.from_dict(settings, {"language.window": 8})
    prepare, built, trained = pipeline.prepare, [], []

    def watched(*args):
        prepared = prepare(*args)
        objective = prepared.make_objective(args[-1].reporter)
        original, train_step = objective.batches, objective.train_step
        objective.batches = lambda *a: (built.append(1) or batch for batch in original(*a))
        objective.train_step = lambda *a: trained.append(1) or train_step(*a)
        monkeypatch.setattr(type(prepared), "make_objective", lambda *_: objective)
        return prepared

    monkeypatch.setattr("lstm_cli.training.dry_run.prepare", watched)
    plan = dry_run(config, runs_dir=tmp_path, device="cpu")
    assert len(built) == len(trained) == 9
    assert plan.steps_per_epoch > 9
    assert plan.seconds > 0
    assert not list(tmp_path.iterdir())


def test_the_plan_of_a_classifier_is_that_of_its_training(capsys, monkeypatch):
    code, output = lstm(capsys, monkeypatch, "train", "demo", "--dry-run", "--json")
    assert code == 0
    plan = json.loads(output.out)
    train, validation = plan["splits"]
    assert train["examples"] + validation["examples"] == 400
    assert plan["steps_per_epoch"] == -(-train["examples"] // 16)
    assert sum(plan["layers"].values()) == plan["parameters"]
    assert not runs.runs_root().exists()


def test_vectors_are_not_learned_in_a_dry_run(monkeypatch, tmp_path):
    for learn in (
        "prepare_classifier.learn_word_vectors", "start_regions.learn_region_embedding"
    ):  # fmt: skip
        monkeypatch.setattr(f"lstm_cli.training.{learn}", lambda *_: pytest.fail("learned"))
    regions = {"embedding.region_widths": [3], "embedding.region_dim": 4}
    config = configs.load_preset("demo", {**SETTINGS, "embedding.vectors": "train", **regions})
    assert dry_run(config, runs_dir=tmp_path, device="cpu").parameters > 0


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_settings_of_a_language_model_are_refused_by_train(options, capsys, monkeypatch):
    code, output = lstm(
        capsys, monkeypatch, "train", "demo", "--set", "language.window=24", *options
    )
    assert code == ExitCode.USAGE
    assert "lstm pretrain demo" in output.err
    assert not runs.runs_root().exists()


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_a_dry_run_of_a_resumed_run_is_refused(command, capsys, monkeypatch):
    code, output = lstm(capsys, monkeypatch, command, "demo", "--resume", "--dry-run")
    assert code == ExitCode.USAGE
    assert "--dry-run" in output.err


def test_batches_of_some_steps_are_those_of_the_epoch():
    config = configs.load_preset("digits", {"train.batch_size": 4})
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    examples = Examples(images, np.zeros(30, np.int32))
    epoch = list(classification.training_batches(examples, config, 1))
    assert len(epoch) == len(batching.training_batches(examples.lengths, 4, config.seed, 1)) == 8
    for step, (indices, inputs) in zip(
        (6, 0, 3), classification.training_batches(examples, config, 1, (6, 0, 3)), strict=True
    ):
        assert np.array_equal(indices, epoch[step][0])
        assert np.array_equal(inputs, epoch[step][1])


def test_test_rows_and_leaks_are_refused_before_anything_is_built(tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_cli.training.prepare_classifier._build", lambda *_: pytest.fail())
    rows = [f"{'fine' if i % 2 else 'dull'} film {i},{'ab'[i % 2]}" for i in range(40)]
    path, test = tmp_path / "train.csv", tmp_path / "test.csv"
    path.write_text("\n".join(["text,label", *rows]))
    settings = {"data.test_file": str(test), "auto": []}
    test.write_text("\n".join(["text,label", *rows[:9], "lamp,neutral"]))
    config = dataset_settings(str(path), None, settings)
    with pytest.raises(LstmError, match=r"test\.csv has labels that .* in line 11"):
        dry_run(config, runs_dir=tmp_path, device="cpu")
    test.write_text("\n".join(["text,label", *rows[:9], "a lamp,a"]))
    with pytest.raises(LstmError, match="9 of 10 test texts are in train or") as caught:
        dry_run(config, runs_dir=tmp_path, device="cpu", fail_on=("leak",))
    assert caught.value.exit_code == ExitCode.THRESHOLD

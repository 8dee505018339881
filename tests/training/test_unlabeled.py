"""Training with `data.unlabeled`: what learns from the texts, and what a resume refuses."""

from __future__ import annotations

import os
import signal
import sys

import numpy as np
import pytest
from fixtures_errors import refused

from lstm_cli import cli
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.errors import ExitCode
from lstm_cli.io.progress import SilentReporter
from lstm_cli.io.signals import Interrupted
from lstm_cli.io.worker import Worker
from lstm_cli.runs import directory as runs
from lstm_cli.text import corpus
from lstm_cli.training import loop, prepare_classifier
from lstm_cli.training.dry_run import dry_run
from lstm_cli.training.init_weights import read_initial_weights
from lstm_cli.training.pipeline import resume, train
from lstm_cli.training.prepare import load_training_data
from lstm_cli.training.replay import replay
from lstm_cli.training.task import check_unlabeled_is_used, with_language_model

SMALL = {
    "data.folds": 0,
    "embedding.dim": 8,
    "model.units": 4,
    "train.epochs": 2,
    "train.batch_size": 16,
    "train.refit": False,
    "linear.buckets": 500,
    "linear.char_buckets": 500,
    "linear.self_training": 0.0,
}


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """Labeled and unlabeled texts; only the latter have the word `zebra`."""
    words = {"good": "a fine film", "bad": "a dull film"}
    labels = [("good", "bad")[i % 2] for i in range(60)]
    rows = [f"{words[label]} number {i},{label}" for i, label in enumerate(labels)]
    (tmp_path / "films.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    lines = [f"a fine zebra film {i}" for i in range(40)]
    (tmp_path / "more.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path / "runs"))


def settings(**changes):
    return dataset_settings("films.csv", None, {**SMALL, "data.unlabeled": ["more.txt"], **changes})


def interrupted(config, monkeypatch):
    """Return a run that was interrupted after one epoch."""
    validate = loop.TrainingLoop._validate

    def interrupting(*args):
        os.kill(os.getpid(), signal.SIGINT)
        return validate(*args)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(loop.TrainingLoop, "_validate", interrupting)
        train(config, name="stopped")
    return runs.RunDir(runs.runs_root() / "films" / "stopped")


def test_word_vectors_and_vocabulary_are_of_all_texts():
    notes = []
    reporter = SilentReporter()
    reporter.note = notes.append
    run = train(settings(), name="x", reporter=reporter)
    assert "zebra" in run.read_text(runs.TOKENIZER)
    assert any("Word vectors: learned from 83 texts" in note for note in notes)
    dataset = run.read_json(runs.RUN)["dataset"]
    assert dataset["sizes"] == {"train": 43, "validation": 5, "unlabeled": 40, "test": 12}
    (file,) = dataset["unlabeled_files"]
    assert file.endswith("more.txt")
    assert file.startswith("/")
    card = run.read_text(runs.CARD)
    assert "The word vectors learned from the texts without labels" in card
    assert not any("Unlabeled texts" in note for note in notes)
    assert "more.txt" in card


@pytest.mark.parametrize("refit", [False, True])
def test_self_training_uses_the_texts_and_replays_with_the_same_bits(refit, tmp_path):
    changes = {"train.self_training": True, "train.refit": refit, "embedding.vectors": "random"}
    run = train(settings(**changes), name="x")
    assert run.read_json(runs.RUN)["dataset"]["sizes"]["unlabeled"] == 40
    assert "zebra" in run.read_text(runs.TOKENIZER)
    assert "The network (by pseudo-labels) learned from the texts without labels" in run.read_text(
        runs.CARD
    )
    assert replay(run).identical
    with (tmp_path / "more.txt").open("a") as file:
        file.write("one more\n")
    assert "more.txt has changed" in refused(replay, run).message


@pytest.mark.parametrize("stages", [{"data.folds": 3}, {"train.refit": True}, {}])
def test_the_linear_model_learns_from_the_texts_in_every_stage(stages):
    changes = {"linear.self_training": 0.5, "embedding.vectors": "random", **stages}
    notes = []
    reporter = SilentReporter()
    reporter.note = notes.append
    run = train(settings(**changes), name="x", reporter=reporter)
    assert run.read_json(runs.RUN)["dataset"]["sizes"]["unlabeled"] == 40
    num_rows = 48 if stages else 43
    gain = f"out-of-fold on {num_rows} training texts; without them"
    assert any(note.startswith("Unlabeled texts: ") and gain in note for note in notes)
    card = run.read_text(runs.CARD)
    assert "The linear model (by pseudo-labels) learned from the texts without labels" in card
    assert gain in card
    assert replay(run).identical
    other = train(settings(**stages), name="other")
    assert other.read_bytes(runs.WEIGHTS) != run.read_bytes(runs.WEIGHTS)


def test_training_texts_are_encoded_as_by_themselves(monkeypatch):
    config = settings()
    dataset = load_training_data(config, None)
    monkeypatch.setattr(prepare_classifier, "encode", lambda *_: pytest.fail("tokenized again"))
    tokenizer, examples, _ = prepare_classifier._encode_train(
        config, dataset, read_initial_weights(config), Worker()
    )
    assert "zebra" in tokenizer.words
    expected = vars(corpus.encode(dataset.splits["train"].inputs, tokenizer))
    found = vars(examples.inputs)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert np.array_equal(found[name], array), name


def test_a_language_model_learns_from_the_texts():
    config = with_language_model(settings())
    assert dry_run(config).unlabeled == 40
    run = train(config, name="x")
    dataset = run.read_json(runs.RUN)["dataset"]
    assert dataset["unlabeled"] == 40
    assert sum(dataset["sizes"].values()) == 43 + 40
    assert "more.txt" in run.read_text(runs.CARD)
    classifier = train(settings(**{"train.init_from": str(run.path), "train.self_training": True}))
    assert classifier.read_json(runs.RUN)["init_from"]["arrays"]


def test_a_resumed_run_ends_with_the_same_bits_or_names_the_changed_file(tmp_path, monkeypatch):
    config = settings(**{"train.self_training": True})
    run = interrupted(config, monkeypatch)
    whole = train(config, name="whole")
    content = (tmp_path / "more.txt").read_bytes()
    (tmp_path / "more.txt").write_bytes(content + b"one more\n")
    assert f"{tmp_path / 'more.txt'} has changed" in refused(resume, run).message
    (tmp_path / "more.txt").unlink()
    assert "more.txt" in refused(resume, run, code=ExitCode.DATA).message
    (tmp_path / "more.txt").write_bytes(content)
    resume(run)
    assert run.read_bytes(runs.WEIGHTS) == whole.read_bytes(runs.WEIGHTS)


def test_a_plan_counts_the_texts_and_refuses_what_it_cannot_read(tmp_path):
    assert dry_run(settings()).unlabeled == 40
    config = settings()
    (tmp_path / "more.txt").write_bytes(b"\x81\x8d\n")
    assert "more.txt, line 1" in refused(dry_run, config).message


@pytest.mark.parametrize(
    "changes", [{"embedding.vectors": "train"}, {"train.init_from": "some run"}]
)
def test_texts_that_nothing_learns_from_are_refused(changes):
    config = settings(**changes)
    refused(check_unlabeled_is_used, config, code=ExitCode.USAGE)
    check_unlabeled_is_used(settings(**changes, **{"train.self_training": True}))
    check_unlabeled_is_used(settings(**changes, **{"linear.self_training": 0.5}))
    check_unlabeled_is_used(with_language_model(config))


def test_the_option_is_compared_with_the_run_to_resume(tmp_path, monkeypatch, capsys):
    interrupted(settings(), monkeypatch)
    (tmp_path / "other.txt").write_text("other\n")

    def lstm(*options):
        monkeypatch.setattr(sys, "argv", ["lstm", "train", "films.csv", "--resume", *options])
        return cli.run(), " ".join(capsys.readouterr().err.split())

    code, err = lstm("--unlabeled", "more.txt", "--unlabeled", "other.txt")
    assert code == ExitCode.USAGE
    assert "data.unlabeled was" in err
    assert lstm("--unlabeled", "more.txt")[0] == 0

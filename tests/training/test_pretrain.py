"""`lstm pretrain`: training, resuming and verification of language models; and `--init-from`.

Everything here imports Keras; the runs are of a few steps.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys

import numpy as np
import pytest
import safetensors.numpy
from fixtures_errors import refused

from lstm_cli import cli
from lstm_cli.config import load as configs
from lstm_cli.data import loading
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.evaluate import evaluate
from lstm_cli.io.signals import Interrupted
from lstm_cli.models import classifier
from lstm_cli.prediction.language_model import WordPredictor
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.surprise import window_nats
from lstm_cli.prediction.verify import verify
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.manifest import sha256
from lstm_cli.text import corpus as encoded
from lstm_cli.text import lm_windows
from lstm_cli.training import init_weights
from lstm_cli.training.device import configure_backend
from lstm_cli.training.dry_run import dry_run
from lstm_cli.training.objectives.language_model import LanguageModelObjective
from lstm_cli.training.options import TrainOptions
from lstm_cli.training.pipeline import prepare, resume, train
from lstm_cli.training.prepare import load_training_data
from lstm_cli.training.task import check_is_classifier, with_language_model

SMALL = {
    "data.demo_train": 160,
    "data.demo_test": 20,
    "embedding.dim": 8,
    "embedding.bigram_buckets": 64,
    "embedding.bigram_dim": 4,
    "model.units": 8,
    "train.epochs": 2,
    "train.batch_size": 16,
    "train.learning_rate": 0.03,
}
LANGUAGE = {"language.window": 24, "language.negatives": 64, "language.validation_fraction": 0.1}


def settings(**changes):
    chosen = {**SMALL, **{key.replace("__", "."): value for key, value in changes.items()}}
    return configs.load_preset("demo", chosen)


def language_settings(**changes):
    return configs.from_dict(configs.to_dict(settings(**changes)), LANGUAGE)


def weights_of(run):
    return safetensors.numpy.load(run.file(runs.WEIGHTS).read_bytes())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def pretrained(root):
    """A finished language model."""
    return train(language_settings(), runs_dir=root, name="words")


@pytest.fixture
def copied(pretrained, tmp_path):
    """A copy of it that the test may change."""
    shutil.copytree(pretrained.path, tmp_path / "demo" / "words")
    return runs.RunDir(tmp_path / "demo" / "words")


def test_it_beats_the_unigram_perplexity_and_records_both(pretrained):
    held_out = pretrained.read_json(runs.METRICS)["held_out"]
    assert held_out["perplexity"] < held_out["unigram_perplexity"]
    assert held_out["perplexity"] == pytest.approx(np.exp(held_out["loss"]))
    lines = [json.loads(line) for line in pretrained.read_text(runs.HISTORY).splitlines()]
    assert lines[1]["loss"] < lines[0]["loss"]
    assert lines[1]["val_perplexity"] == pytest.approx(held_out["perplexity"])
    assert "perplexity" in pretrained.read_text(runs.CARD)


def test_the_perplexity_without_keras_is_the_same(pretrained):
    """In `lstm generate --score`, on the same windows of the held-out texts."""
    model = WordPredictor.load(pretrained)
    config = pretrained.config()
    texts = load_training_data(config, None).splits["train"].inputs
    corpus = encoded.encode(texts, model.tokenizer)
    fraction = config.language.validation_fraction
    _, held_out = lm_windows.hold_out([corpus], fraction, config.seed)
    windows = lm_windows.make_windows(held_out, config.language.window)
    expected = pretrained.read_json(runs.METRICS)["held_out"]
    assert len(windows) * windows.length == expected["num_words"]
    for direction in ("forward", "backward"):
        nats = [
            window_nats(model, ids, direction) for ids in windows.gather(np.arange(len(windows)))
        ]
        assert np.mean(nats) == pytest.approx(expected[direction]["loss"], abs=1e-5)


def test_run_json_has_the_sizes_of_its_data(pretrained):
    record = runs.read_run_json(pretrained)
    sizes = record["dataset"]["sizes"]
    assert record["kind"] == "language"
    # 160 texts without the validation split of the classifier, which is a tenth.
    assert sizes["train"] + sizes["held_out"] == 144
    assert pretrained.config().language.window == 24


def test_it_passes_verification(pretrained):
    assert verify(pretrained).passed


@pytest.mark.parametrize(
    ("name", "failed"),
    [
        (runs.WEIGHTS, {"contents", "weights"}),
        (runs.TOKENIZER, {"tokenizer", "contents"}),
        (runs.METRICS, {"contents", "results"}),
        (runs.CONFIG, {"settings", "contents"}),
    ],
)
def test_a_changed_file_fails_verification(copied, name, failed):
    path = copied.file(name)
    path.write_bytes(path.read_bytes()[:-2] + b"x\n")
    assert {check.name for check in verify(copied).failures} == failed


def test_weights_of_another_shape_fail_although_the_manifest_lists_them(copied):
    arrays = weights_of(copied)
    arrays["next_bias/embeddings"] = arrays["next_bias/embeddings"][:-1]
    copied.write_bytes(runs.WEIGHTS, safetensors.numpy.save(arrays))
    copied.write_manifest()
    (failure,) = verify(copied).failures
    assert "next_bias/embeddings" in failure.detail


def test_labels_are_not_used(pretrained, monkeypatch, tmp_path):
    read = loading.load

    def scrambled(source, splits):
        dataset = read(source, splits)
        for split in dataset.splits.values():
            split.labels[:] = 0
        return dataset

    monkeypatch.setattr("lstm_cli.data.load", scrambled)
    again = train(language_settings(), runs_dir=tmp_path)
    assert again.read_bytes(runs.WEIGHTS) == pretrained.read_bytes(runs.WEIGHTS)


def test_unlabeled_texts_are_read_too(monkeypatch, tmp_path):
    texts = ["an unlabeled film is a film"] * 40
    monkeypatch.setattr("lstm_cli.data.load_unlabeled", lambda _: texts)
    plan = dry_run(language_settings(), runs_dir=tmp_path)
    assert plan.texts["train"] + plan.texts["held_out"] == 144 + 40


class StopError(Exception):
    """Ends a training."""


@pytest.mark.parametrize("after", [1, 9])
def test_a_resumed_language_model_ends_with_the_same_bits(after, pretrained, monkeypatch, tmp_path):
    train_step, taken = LanguageModelObjective.train_step, []

    def interrupting(*args):
        taken.append(1)
        if len(taken) == after:
            os.kill(os.getpid(), signal.SIGINT)
        return train_step(*args)

    with monkeypatch.context() as patch, pytest.raises(Interrupted) as interrupted:
        patch.setattr(LanguageModelObjective, "train_step", interrupting)
        train(language_settings(), runs_dir=tmp_path, name="x")
    assert "lstm pretrain demo --resume" in interrupted.value.message
    run = find.find_unfinished(tmp_path, None, "demo", language=True)
    assert run.status == "interrupted"
    resume(run)
    assert run.read_bytes(runs.WEIGHTS) == pretrained.read_bytes(runs.WEIGHTS)
    assert run.read_json(runs.METRICS) == pretrained.read_json(runs.METRICS)
    assert verify(run).passed


def test_a_checkpoint_beyond_the_number_of_steps_is_refused(pretrained, monkeypatch, tmp_path):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        train_step = LanguageModelObjective.train_step
        patch.setattr(
            LanguageModelObjective,
            "train_step",
            lambda *args: os.kill(os.getpid(), signal.SIGINT) or train_step(*args),
        )
        train(language_settings(), runs_dir=tmp_path, name="x")
    run = find.find_unfinished(tmp_path, None, "demo", language=True)
    path = run.file(f"{runs.CHECKPOINTS}/000001.json")
    good = path.read_text()
    for step in (10**8, 2, 0):
        record = json.loads(json.loads(good)["body"])
        record["progress"]["step"] = step
        body = json.dumps(record)
        signed = {"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}
        path.write_text(json.dumps(signed))
        if step:
            refused(resume, run, code=ExitCode.INTEGRITY)
    path.write_text(good)
    resume(run)
    assert run.read_bytes(runs.WEIGHTS) == pretrained.read_bytes(runs.WEIGHTS)


def test_it_can_be_extended_with_more_epochs(copied):
    before = copied.read_json(runs.METRICS)["held_out"]["perplexity"]
    resume(copied, epochs=3)
    assert copied.read_json(runs.METRICS)["held_out"]["perplexity"] < before
    assert len(copied.read_text(runs.HISTORY).splitlines()) == 3


@pytest.mark.parametrize("preset", ["demo", "imdb", "imdb-best", "text"])
def test_the_settings_of_every_preset_of_texts_make_a_language_model(preset):
    config = with_language_model(configs.load_preset(preset))
    assert configs.from_dict(configs.to_dict(config)) == config


def test_a_language_model_of_images_is_refused():
    error = refused(with_language_model, configs.load_preset("digits"), code=ExitCode.USAGE)
    assert "digits has no text" in error.message


def test_a_classifier_with_the_section_language_is_refused():
    error = refused(check_is_classifier, language_settings(), code=ExitCode.USAGE)
    assert "lstm pretrain demo" in error.hint


def test_prediction_with_a_language_model_is_refused_with_a_hint(pretrained):
    for use in (Predictor.load, evaluate):
        error = refused(use, pretrained, code=ExitCode.USAGE)
        assert "is a language model" in error.message
        assert "lstm train demo --init-from demo/words" in error.hint


def test_the_newest_run_is_a_classifier_unless_a_language_model_is_wanted(pretrained, root):
    assert find.find(root, "demo", language=True) == pretrained
    assert find.find(root, "words") == pretrained
    with pytest.raises(LstmError, match="no finished run of 'demo'"):
        find.find(root, "demo")


def test_a_language_model_is_not_resumed_by_train(pretrained, root):
    error = refused(find.find_unfinished, root, "words", "demo", code=ExitCode.USAGE)
    assert "lstm pretrain demo --resume words" in error.hint


# Training that starts from a run


def starting_from(pretrained, **changes):
    return settings(train__init_from=str(pretrained.path), **changes)


def test_a_classifier_starts_from_vocabulary_and_weights_of_the_run(pretrained, root):
    chosen = starting_from(pretrained, train__frozen_steps=1000)
    run = train(chosen, runs_dir=root, name="begun")
    theirs, own = weights_of(pretrained), weights_of(run)
    shared = [name for name in own if not name.startswith("head")]
    assert len(shared) == 8
    # All steps are frozen, so only the head has changed.
    assert all(np.array_equal(own[name], theirs[name]) for name in shared)
    assert np.abs(own["head/bias"]).max() > 0
    assert run.read_bytes(runs.TOKENIZER) == pretrained.read_bytes(runs.TOKENIZER)
    record = runs.read_run_json(run)["init_from"]
    assert record["run"] == "demo/words"
    assert sorted(record["arrays"]) == sorted(shared)
    assert record["weights_sha256"] == sha256(pretrained.file(runs.WEIGHTS))
    assert run.config().train.init_from == str(pretrained.path)
    assert verify(run).passed


def test_it_is_resumed_to_the_same_bits_without_that_run(copied, monkeypatch, tmp_path):
    chosen = starting_from(copied, train__init_lr_factor=0.5, train__frozen_steps=3)
    whole = train(chosen, runs_dir=tmp_path, name="whole")
    with monkeypatch.context() as patch, pytest.raises(StopError):
        # Killed before the first step.
        patch.setattr(
            "lstm_cli.training.objectives.classification.ClassificationObjective.train_step", _stop
        )
        train(chosen, runs_dir=tmp_path, name="x")
    shutil.rmtree(copied.path)
    run = runs.RunDir(tmp_path / "demo" / "x")
    resume(run)
    assert run.read_bytes(runs.WEIGHTS) == whole.read_bytes(runs.WEIGHTS)


def _stop(*_):
    raise StopError


def test_a_classifier_can_start_from_a_classifier(root, pretrained, tmp_path):
    first = train(settings(train__epochs=1), runs_dir=tmp_path, name="first")
    init = init_weights.read_initial_weights(starting_from(first))
    assert init.kind == "run"
    assert init.record["task"] == "text"
    assert "head/kernel" in init.arrays


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.units", 9),
        ("embedding.dim", 9),
        ("embedding.bigram_buckets", 65),
        ("embedding.bigram_dim", 5),
    ],
)
def test_other_widths_are_refused_with_key_and_both_values(pretrained, key, value):
    chosen = starting_from(pretrained, **{key.replace(".", "__"): value})
    was = configs.to_dict(pretrained.config())
    section, name = key.split(".")
    error = refused(init_weights.read_initial_weights, chosen, code=ExitCode.USAGE)
    assert f"{key} is {was[section][name]} there, {value} here" in error.message
    assert f"--set {key}={was[section][name]}" in error.hint


def test_a_damaged_run_to_start_from_is_refused(copied):
    path = copied.file(runs.WEIGHTS)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    refused(init_weights.read_initial_weights, starting_from(copied), code=ExitCode.INTEGRITY)


def test_a_classifier_of_images_cannot_start_from_a_run_on_texts(pretrained):
    chosen = configs.load_preset("digits", {"train.init_from": str(pretrained.path)})
    assert (
        "images" in refused(init_weights.read_initial_weights, chosen, code=ExitCode.USAGE).message
    )


def test_word_vectors_are_not_learned_anew(pretrained, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "lstm_cli.models.word_vectors.learn_word_vectors", lambda *_: pytest.fail("learned")
    )
    chosen = starting_from(pretrained, embedding__vectors="train", train__epochs=1)
    assert train(chosen, runs_dir=tmp_path).status == "finished"


def test_arrays_of_the_run_have_the_lower_learning_rate():
    settings_ = settings(train__init_lr_factor=0.25, train__clip_norm=0.0).train
    changed = {}
    for share in (0.25, 1.0):
        model = classifier.build_classifier(settings(), 2, 30, None)
        classifier.compile_classifier(model, settings_, 2, ["embedding/embeddings"])
        ones = {name: np.ones_like(array) for name, array in classifier.get_weights(model).items()}
        classifier.set_weights(model, ones)
        model.optimizer.learning_rate.assign(0.01)
        model.optimizer.init_lr_factor.assign(share)
        tokens = np.full((2, 3), 5, np.int32)
        model.train_on_batch(tokens, np.array([[0.0], [1.0]], np.float32))
        changed[share] = {n: a - ones[n] for n, a in classifier.get_weights(model).items()}
    lower, full = changed[0.25], changed[1.0]
    assert np.allclose(lower["embedding/embeddings"], full["embedding/embeddings"] / 4, atol=1e-6)
    assert np.abs(full["embedding/embeddings"]).max() > 1e-4
    assert np.allclose(lower["head/kernel"], full["head/kernel"])


# The command line


def lstm(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["lstm", *map(str, arguments)])
    code = cli.run()
    return code, capsys.readouterr()


def as_options(chosen):
    return [f"--set={key}={value}" for key, value in chosen.items()]


def test_pretrain_then_train(capsys, monkeypatch):
    code, output = lstm(
        capsys, monkeypatch, "pretrain", "demo", "--name=w", *as_options({**SMALL, **LANGUAGE})
    )
    assert code == 0
    assert "perplexity" in output.out
    assert "lstm train demo --init-from demo/w" in output.out
    options = as_options({**SMALL, "train.epochs": 1})
    code, output = lstm(capsys, monkeypatch, "train", "demo", "--init-from", "w", *options)
    assert code == 0
    assert "Starting from run demo/w: no new word; " in output.err
    code, output = lstm(capsys, monkeypatch, "runs", "list")
    assert "perplexity" in output.out
    code, output = lstm(capsys, monkeypatch, "runs", "show", "w")
    assert code == 0
    assert "by frequency alone" in output.out
    code, output = lstm(capsys, monkeypatch, "eval", "demo", "--run", "w")
    assert code == 2
    assert "is a language model" in output.err


def test_a_dry_run_counts_words_and_writes_nothing(capsys, monkeypatch):
    options = as_options({**SMALL, **LANGUAGE})
    code, output = lstm(capsys, monkeypatch, "pretrain", "demo", "--dry-run", "--json", *options)
    assert code == 0
    plan = json.loads(output.out)
    assert plan["words"]["train"] > 1000
    assert plan["steps_per_epoch"] == (plan["words"]["train"] + plan["texts"]["train"]) // 24 // 16
    assert not runs.runs_root().exists()


def test_texts_are_not_truncated(tmp_path):
    chosen = language_settings(text__max_tokens=5)
    options = TrainOptions(device="cpu")
    dataset = load_training_data(chosen, None)
    device_info = configure_backend(chosen, "cpu", options.reporter)
    init = init_weights.InitialWeights("random")
    task = prepare(chosen, dataset, init, device_info, options)
    longest = max(len(encoded.encode([text], task.tokenizer.without_truncation())[0])
                  for text in dataset.splits["train"].inputs)  # fmt: skip
    assert longest > 5
    (corpus,) = task.train.corpora
    assert corpus.lengths.max() == longest

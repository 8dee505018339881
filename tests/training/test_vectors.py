"""Training that starts from word vectors of a file."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import safetensors.numpy
from fixtures_errors import refused
from fixtures_runs import text_config
from fixtures_training import Notes

from lstm_cli import cli
from lstm_cli.config import load as configs
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.signals import Interrupted
from lstm_cli.models import classifier
from lstm_cli.models.word_vectors import fit_width
from lstm_cli.prediction.verify import verify
from lstm_cli.runs import directory as runs
from lstm_cli.text.vector_file import digest
from lstm_cli.training import checkpoint, pipeline, replay
from lstm_cli.training.auto_settings import with_auto_settings
from lstm_cli.training.checkpoint import Checkpoint
from lstm_cli.training.classifier_task import ClassifierTask
from lstm_cli.training.device import configure_backend
from lstm_cli.training.init_weights import read_initial_weights
from lstm_cli.training.options import TrainOptions
from lstm_cli.training.prepare import load_training_data
from lstm_cli.training.resume_checks import check_vectors
from lstm_cli.training.task import with_language_model

LINES = ["the 1 2 3 4", "Fine 0.5 -0.5 1 -1", "film 1 1 1 -1", "unseen 9 9 9 9"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A table and a file of vectors."""
    monkeypatch.chdir(tmp_path)
    rows = [
        f"the {('fine', 'dull')[i % 2]} film {i % 5},{('good', 'bad')[i % 2]}" for i in range(40)
    ]
    Path("films.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    Path("words.vec").write_text("\n".join(LINES) + "\n")


def config_for(**settings):
    changes = {
        "data.name": str(Path("films.csv").absolute()),
        "embedding.vectors_file": str(Path("words.vec").absolute()),
        "train.epochs": 2,
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    return configs.from_dict(configs.to_dict(text_config()), changes)


def prepared(config, notes=None):
    options = TrainOptions(device="cpu", reporter=notes or Notes())
    info = configure_backend(config, "cpu", options.reporter)
    dataset = load_training_data(config, None)
    # No step is taken: compiling them would take most of the time.
    with patch.object(ClassifierTask, "compile_steps"):
        return pipeline.prepare(config, dataset, read_initial_weights(config), info, options)


def embedding_of(task):
    return classifier.get_weights(task.model)["embedding/embeddings"]


def test_words_of_the_file_start_with_its_vectors_and_the_others_as_usual(files):
    notes = Notes()
    task = prepared(config_for(), notes)
    found, usual = (
        embedding_of(task),
        embedding_of(prepared(config_for(embedding__vectors_file=None))),
    )
    ids = {word: i for i, word in enumerate(task.tokenizer.words)}
    expected = np.array([[1, 2, 3, 4], [0.5, -0.5, 1, -1], [1, 1, 1, -1]])
    rows = [ids["the"], ids["fine"], ids["film"]]
    assert np.allclose(found[rows], expected * 0.3 / expected.std(), atol=1e-6)
    others = [i for i in range(len(found)) if i not in rows]
    assert np.array_equal(found[others], usual[others])
    (note,) = (line for line in notes.lines if "words.vec" in line)
    # the, fine, dull, film and five numbers; four tokens in a text.
    assert "3 of 9 words (33.3%)" in note
    assert "62.5% of the training tokens" in note or "% of the training tokens" in note
    record = task.describe()["vectors"]
    assert (record["found"], record["words"], record["rows"], record["width"]) == (3, 9, 4, 4)
    assert 0.5 < record["tokens"] < 0.75


def test_wider_vectors_are_projected_and_keep_their_dot_products():
    rng = np.random.default_rng(0)
    found = rng.normal(size=(30, 3)) @ rng.normal(size=(3, 8))
    vectors = np.vstack([np.zeros((2, 8)), found]).astype(np.float32)
    is_found = np.arange(32) >= 2
    table = fit_width(vectors, is_found, 3)
    assert table.shape == (32, 3)
    assert not table[:2].any()
    assert table[2:].std() == pytest.approx(0.3, abs=1e-5)
    # Of rank 3, so three dimensions hold all of it.
    products, expected = table[2:] @ table[2:].T, found @ found.T
    assert np.allclose(products / products[0, 0], expected / expected[0, 0], atol=1e-4)
    assert np.array_equal(table, fit_width(vectors, is_found, 3))


def test_narrower_vectors_are_padded_and_equal_ones_are_scaled_only():
    vectors = np.array([[0, 0], [1, 3]], np.float32)
    is_found = np.array([False, True])
    assert fit_width(vectors, is_found, 3)[1].tolist() == pytest.approx([0.3, 0.9, 0])
    assert fit_width(vectors, is_found, 2)[1].tolist() == pytest.approx([0.3, 0.9])


def test_a_file_without_any_word_of_the_texts_is_refused(files):
    Path("words.vec").write_text("nichts 1 2 3 4\nweiter 1 2 3 4\n")
    assert "has none of the 9 words" in refused(prepared, config_for()).message


def test_the_width_of_the_file_is_taken_where_it_is_chosen(files):
    settings = {"embedding.vectors_file": "words.vec"}
    config = dataset_settings("films.csv", None, settings)
    assert config.embedding.vectors_file == str(Path("words.vec").absolute())
    for each in (config, with_language_model(config)):
        chosen, _ = with_auto_settings(each, load_training_data(each, None), None, Notes())
        assert chosen.embedding.dim == 4
    config = dataset_settings("films.csv", None, {**settings, "embedding.dim": 3})
    chosen, _ = with_auto_settings(config, load_training_data(config, None), None, Notes())
    assert chosen.embedding.dim == 3
    assert embedding_of(prepared(config_for(embedding__dim=3))).shape[1] == 3


def test_a_language_model_starts_from_them_too(files):
    task = prepared(
        config_for(language__window=8, language__negatives=4, embedding__trainable=False)
    )
    word = task.tokenizer.words.index("the")
    vector = embedding_of(task)[word]
    assert np.allclose(vector / vector[0], [1, 2, 3, 4], atol=1e-5)
    assert "embedding" not in {v.path.split("/")[0] for v in task.model.trainable_variables}


def test_vectors_of_a_run_and_of_a_file_exclude_each_other(files):
    error = refused(config_for, train__init_from="some", code=ExitCode.USAGE)
    assert "--init-from" in error.message


def interrupted_in_the_second_epoch(config, monkeypatch, root):
    """A run that ended with its second checkpoint; the first is one before the first step."""
    save, saved = checkpoint.save, []

    def saving(folder, state):
        saved.append(save(folder, state))
        if len(saved) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return saved[-1]

    with monkeypatch.context() as patching, pytest.raises(Interrupted):
        patching.setattr(checkpoint, "save", saving)
        patching.setattr(pipeline, "_FOLD_SAVE_SECONDS", 0.0)
        pipeline.train(config, runs_dir=root, name="again", device="cpu")
    return runs.RunDir(root / "films" / "again")


def weights_of(run):
    return safetensors.numpy.load(run.file(runs.WEIGHTS).read_bytes())


def test_frozen_vectors_stay_bit_for_bit_in_folds_and_a_resume_needs_no_file(
    files, tmp_path, monkeypatch
):
    config = config_for(
        embedding__trainable=False, data__folds=2, train__weight_decay=0.1, train__ema_momentum=0.5
    )
    start = embedding_of(prepared(config))
    whole = pipeline.train(config, runs_dir=tmp_path / "runs", name="whole", device="cpu")
    assert np.array_equal(weights_of(whole)["embedding/embeddings"], start)
    assert verify(whole).passed
    run = interrupted_in_the_second_epoch(config, monkeypatch, tmp_path / "runs")
    Path("words.vec").write_text("the 4 3 2 1\n")
    notes = Notes()
    pipeline.resume(run, device="cpu", reporter=notes)
    assert any("words.vec has changed since the run was started" in line for line in notes.lines)
    assert run.read_bytes(runs.WEIGHTS) == whole.read_bytes(runs.WEIGHTS)
    assert run.read_json(runs.RUN)["vectors"] == whole.read_json(runs.RUN)["vectors"]
    assert "words.vec has changed" in refused(replay.replay, whole).message
    Path("words.vec").unlink()
    refused(replay.replay, whole, code=ExitCode.DATA)


def test_without_a_checkpoint_a_changed_file_is_refused(files, tmp_path):
    run, path = runs.RunDir(tmp_path / "runs" / "films" / "x"), Path("words.vec").absolute()
    before = path.read_text()
    record = {"vectors": {"file": str(path), "sha256": digest(path)}}
    path.write_text("the 4 3 2 1\n")
    error = refused(check_vectors, run, record, None, Notes())
    assert "words.vec has changed" in error.message
    assert "Restore" in error.hint
    path.write_text(before)
    check_vectors(run, record, None, Notes())
    path.unlink()
    refused(check_vectors, run, record, None, Notes(), code=ExitCode.DATA)
    # A checkpoint has the vectors.
    check_vectors(run, record, Checkpoint({}, {}), Notes())


def test_the_options(files, monkeypatch):
    taken = []

    def train(config, **_):
        taken.append(config)
        raise LstmError("Enough.")

    monkeypatch.setattr(pipeline, "train", train)

    def lstm(*words):
        monkeypatch.setattr(sys, "argv", ["lstm", *words])
        return cli.run()

    Path("old.csv").write_text("text,label\nan old film,good\n")
    assert lstm("train", "films.csv", "--replay-data", "old.csv", "--replay-data", "films.csv") == 1
    files = [str(Path(name).absolute()) for name in ("old.csv", "films.csv")]
    assert list(taken.pop().data.replay_files) == files
    assert lstm("train", "films.csv", "--replay-data", "none.csv") == ExitCode.DATA
    for command in ("train", "pretrain"):
        assert lstm(command, "films.csv", "--vectors", "none.vec") == ExitCode.DATA
        assert not taken
        assert lstm(command, "films.csv", "--vectors", "words.vec", "--freeze-vectors") == 1
        settings = taken.pop().embedding
        assert settings.vectors_file == str(Path("words.vec").absolute())
        assert not settings.trainable

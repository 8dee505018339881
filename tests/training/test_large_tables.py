"""Training on a table whose texts are on disk: the same run as in memory, also when resumed."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.data.readers import path as reader
from lstm_cli.io import array_file, text_store
from lstm_cli.io.progress import SilentReporter
from lstm_cli.io.signals import Interrupted
from lstm_cli.models import linear_sample
from lstm_cli.runs import directory as runs
from lstm_cli.training import loop
from lstm_cli.training.pipeline import resume, train

SMALL = {
    "data.folds": 0,
    "embedding.dim": 4,
    "model.units": 3,
    "train.epochs": 2,
    "train.batch_size": 32,
    "train.refit": False,
    "linear.buckets": 200,
    "linear.char_ngrams": "unknown",
    "linear.char_buckets": 100,
    "linear.folds": 2,
    "linear.refit": True,
}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Settings for 100 short texts, of which the linear model reads half."""
    rng = np.random.default_rng(0)
    rows = [
        f"{('fine', 'dull')[i % 2]} w{rng.integers(9)} x{i},{('good', 'bad')[i % 2]}\n"
        for i in range(100)
    ]
    (tmp_path / "films.csv").write_text("text,label\n" + "".join(rows))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setattr(linear_sample, "MAX_FEATURES", 240)
    monkeypatch.setattr(reader, "_stored_tables", [])
    return dataset_settings("films.csv", None, SMALL)


def content(run):
    """What training and its evaluation decide."""
    names = (runs.WEIGHTS, runs.METRICS, runs.GOLDEN, runs.TOKENIZER)
    return {name: run.file(name).read_bytes() for name in names}


def test_a_run_on_disk_ends_with_the_same_bits_even_if_it_is_resumed(config, monkeypatch):
    notes, reporter = [], SilentReporter()
    reporter.note = notes.append
    in_memory = train(config, name="memory", reporter=reporter)
    assert any("linear model is fitted to 40 of 72 training texts" in note for note in notes)
    monkeypatch.setattr(text_store, "MAX_IN_MEMORY", 100)
    monkeypatch.setattr(array_file, "_LARGE", 1)
    validate = loop.TrainingLoop._validate

    def interrupting(*args):
        os.kill(os.getpid(), signal.SIGINT)
        return validate(*args)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(loop.TrainingLoop, "_validate", interrupting)
        train(config, name="disk")
    on_disk = resume(runs.RunDir(runs.runs_root() / "films" / "disk"))
    assert content(on_disk) == content(in_memory)
    texts = reader._stored_tables[0].read.texts
    assert (len(texts), text_store.is_stored(texts)) == (100, True)

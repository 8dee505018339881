"""`lstm export` for Keras, TensorFlow and LiteRT: what is written predicts as the run does."""

from __future__ import annotations

import os
import runpy
import sys
from importlib.util import find_spec

import fixtures_runs
import keras
import numpy as np
import pytest
from fixtures_errors import refused
from fixtures_images import save
from fixtures_runs import (
    EVERYTHING,
    TEXTS,
    make_image_run,
    make_language_run,
    make_multi_label_run,
    make_text_run,
    text_config,
)

from lstm_cli.errors import ExitCode
from lstm_cli.export.export import export, open_folder
from lstm_cli.prediction.predictor import Predictor

FORMATS = ("keras", "savedmodel", "litert")
needs_litert = pytest.mark.skipif(
    find_spec("ai_edge_litert") is None, reason="ai-edge-litert is not installed"
)
needs_tensorflow = pytest.mark.skipif(
    os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow", reason="needs TensorFlow"
)
LAYERS = {"model__layers": 2, "model__pooling": "last"}
SIMILAR = {"text__min_similarity": 0.3}
LONG = {"text__max_tokens": 60}
PEEPHOLES = {"model__cell": "peephole", "model__pooling": "mean", "model__bidirectional": True}


def make_run(kind, folder):
    if kind == "labels":
        return make_multi_label_run(folder)
    if kind == "image":
        return make_image_run(folder, image__window=3, image__stride=2, image__border="dark")
    settings = {**EVERYTHING, **SIMILAR, **LAYERS} if kind == "layers" else PEEPHOLES
    settings = {**EVERYTHING, **LONG} if kind == "everything" else settings
    labels = ("bad", "fair", "good") if kind == "layers" else ("bad", "good")
    return make_text_run(folder, labels, text_config(**settings))


# A converter takes a second for a run, so each kind of run is in one or two formats.
CASES = [
    ("keras", "everything"),
    ("keras", "peepholes"),
    ("savedmodel", "labels"),
    pytest.param("litert", "everything", marks=needs_litert),
    pytest.param("litert", "peepholes", marks=needs_litert),
    pytest.param("litert", "image", marks=needs_litert),
]


@pytest.fixture
def large_states(monkeypatch):
    """Let input and forget gates of runs be open, so that cell states grow by up to 1 each step."""
    make = fixtures_runs.random_weights

    def weights(config, *sizes, **columns):
        arrays = make(config, *sizes, **columns)
        for name in arrays:
            if name.endswith("/bias") and name.startswith("lstm"):
                arrays[name][: 2 * config.model.units] = 6
        return arrays

    monkeypatch.setattr(fixtures_runs, "random_weights", weights)


def run_example(folder, monkeypatch):
    """Run `example.py` as a person does, who has Keras without `lstm`; return its `predict`."""
    known = keras.saving.get_custom_objects()
    for name in list(known):
        monkeypatch.delitem(known, name)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "argv", ["example.py"])
    return runpy.run_path(str(folder / "example.py"))["predict"]


@needs_tensorflow
@pytest.mark.usefixtures("large_states")
@pytest.mark.parametrize(("format_", "kind"), CASES)
def test_the_example_predicts_as_the_run(format_, kind, tmp_path, monkeypatch):
    run = make_run(kind, tmp_path / "demo" / "a")
    written = export(run, format_, tmp_path / "out")
    assert 0 < written.golden.max_difference < 1e-5
    predict = run_example(written.path, monkeypatch)
    predictor = Predictor.load(run)
    if kind == "image":
        image = np.random.default_rng(0).integers(0, 100, (8, 8), np.uint8)
        image[[0, -1]] = image[:, [0, -1]] = 0
        path = save(tmp_path / "a.png", image)
        found, expected = predict([path, path]), predictor.probabilities(np.stack([image, image]))
    else:
        # Two texts of one length follow each other: each begins from states of zeros.
        # Cell states become larger than 10, then smaller.
        long = "fine " * 25 + "dull " * 25
        texts = [*TEXTS, *TEXTS[::-1], "", long, "an unknownword fime"]
        found, expected = predict(texts), predictor.text_probabilities(texts)
    assert np.abs(found - expected).max() < 1e-5
    readme = (written.path / "README.md").read_text()
    assert (written.path / "example.py").read_text().rstrip() in readme
    assert ("peephole.py" in readme) == (kind == "peepholes" and format_ == "keras")


@needs_tensorflow
def test_unknown_words_are_read_as_the_run_reads_them(tmp_path):
    run = make_run("layers", tmp_path / "demo" / "a")
    predictor = Predictor.load(run)
    written = open_folder(predictor, "keras", export(run, "keras", tmp_path / "out").path)
    texts = ["fime fines dul flim", "not fime a unmoved 0", *TEXTS]
    found, expected = (one.text_probabilities(texts) for one in (written, predictor))
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("format_", FORMATS)
def test_weights_are_those_of_the_run(format_, tmp_path):
    run = make_text_run(tmp_path / "demo" / "a")
    refused(export, run, format_, tmp_path / "a", quantize="int8", code=ExitCode.USAGE)


def test_a_language_model_is_refused(tmp_path):
    run = make_language_run(tmp_path / "words" / "lm")
    refused(export, run, "keras", tmp_path / "a", code=ExitCode.USAGE)


def test_tensorflow_formats_need_its_backend(tmp_path, monkeypatch):
    run = make_text_run(tmp_path / "demo" / "a")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    refused(export, run, "savedmodel", tmp_path / "a", code=ExitCode.USAGE)


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    from lstm_cli.io import optional

    run = make_text_run(tmp_path / "demo" / "a")
    find = optional.importlib.util.find_spec

    def find_other(name):
        return None if name == "ai_edge_litert" else find(name)

    monkeypatch.setattr(optional.importlib.util, "find_spec", find_other)
    error = refused(export, run, "litert", tmp_path / "a")
    assert error.hint == "pip install 'lstm-cli[litert]'"

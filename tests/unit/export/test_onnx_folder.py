"""Folders with a graph: what they predict, also by their own example, and their README."""

from __future__ import annotations

import json
import runpy
import sys

import numpy as np
import onnx
import pytest
from fixtures_errors import refused
from fixtures_images import save
from fixtures_runs import TEXTS, make_image_run, make_multi_label_run, make_text_run, text_config

import lstm_cli
from lstm_cli.errors import ExitCode
from lstm_cli.export.export import export
from lstm_cli.export.onnx_folder import build_model
from lstm_cli.export.quantize import store
from lstm_cli.export.source import Source
from lstm_cli.prediction.predictor import Predictor

# Large enough for smaller weights.
LARGE = {
    "embedding__dim": 40,
    "embedding__bigram_buckets": 50,
    "embedding__bigram_dim": 30,
    "embedding__region_widths": [3],
    "embedding__region_dim": 40,
    "linear__buckets": 2000,
    "linear__char_ngrams": "unknown",
    "linear__char_buckets": 1500,
    "model__regions": [2],
    "model__region_units": 20,
    "model__units": 20,
    "model__bidirectional": True,
}
OTHER_TEXTS = ["", "a fine film", "fine " * 30 + "dull", "unknownword fine café naïve", "好电影"]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    texts = [*TEXTS, " ".join(f"w{n}" for n in range(60))]
    path = tmp_path_factory.mktemp("runs") / "demo" / "large"
    return make_text_run(path, config=text_config(**LARGE), texts=texts)


def predict_by_example(folder, inputs, monkeypatch):
    """Run `example.py` as a person does, and return the rows that it computes."""
    monkeypatch.setattr(sys, "argv", ["example.py"])
    return runpy.run_path(str(folder / "example.py"))["predict"](inputs)


@pytest.mark.parametrize("kind", ["plain", "chars", "labels"])
def test_the_example_predicts_as_the_run(kind, large, tmp_path, monkeypatch):
    if kind == "chars":
        run = large
    elif kind == "plain":
        run = make_text_run(tmp_path / "demo" / "a")
    else:
        run = make_multi_label_run(tmp_path / "demo" / "a")
    folder = export(run, "onnx", tmp_path / "out").path
    texts = [*TEXTS, *OTHER_TEXTS]
    found = predict_by_example(folder, texts, monkeypatch)
    assert np.abs(found - Predictor.load(run).text_probabilities(texts)).max() < 1e-6
    assert json.loads((folder / "labels.json").read_text()) == list(run.labels())
    # The README shows the program that was run.
    assert (folder / "example.py").read_text().rstrip() in (folder / "README.md").read_text()


def test_the_readme_says_when_there_is_no_answer(tmp_path):
    run = make_text_run(tmp_path / "demo" / "a")
    folder = export(run, "onnx", tmp_path / "plain").path
    assert "No answer below" not in (folder / "README.md").read_text()
    lstm_cli.set_thresholds(run, min_probability=0.625)
    readme = (export(run, "onnx", tmp_path / "out").path / "README.md").read_text()
    first, second = run.labels()
    assert f"No answer below: {first} 0.6250, {second} 0.6250." in readme


def test_the_example_of_images_predicts_as_the_run(tmp_path, monkeypatch):
    run = make_image_run(tmp_path / "digits" / "a")
    folder = export(run, "onnx", tmp_path / "out").path
    image = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    path = save(tmp_path / "a.png", image)
    found = predict_by_example(folder, [path or tmp_path / "a.png"], monkeypatch)
    assert np.abs(found - Predictor.load(run).probabilities(image[None])).max() < 1e-6


@pytest.mark.parametrize(
    ("quantize", "size", "error"), [("float16", 0.62, 5e-3), ("int8", 0.5, 0.1)]
)
def test_smaller_weights_are_smaller_and_near(quantize, size, error, large, tmp_path):
    source = Source.load(large)
    stored = store(source.weights, quantize)
    model = build_model(source, stored)
    onnx.checker.check_model(model, full_check=True)
    whole = source.predictor.run.file("model.onnx").stat().st_size
    assert len(model.SerializeToString()) < size * whole
    written = export(large, "onnx", tmp_path / "out", quantize=quantize)
    assert 0 < written.golden.max_difference < error
    assert written.accuracy.num == 600
    assert 0 < written.accuracy.max_difference < 2 * error
    # The graph restores exactly what the page and the accuracy are computed with.
    restored = source.with_weights({name: array.restore() for name, array in stored.items()})
    graph = source.predictor.with_model(written.path / "model.onnx")
    texts = [*TEXTS, *OTHER_TEXTS]
    difference = graph.text_probabilities(texts) - restored.text_probabilities(texts)
    assert np.abs(difference).max() < 1e-6


def test_without_its_data_the_cost_of_smaller_weights_is_not_measured(tmp_path):
    config = text_config(data__name="nowhere.csv", **LARGE)
    run = make_text_run(tmp_path / "a" / "b", config=config)
    written = export(run, "onnx", tmp_path / "out", quantize="float16")
    assert written.accuracy is None
    assert "not measured" in written.notes[0]


def test_an_export_that_predicts_something_else_is_not_written(large, tmp_path, monkeypatch):
    from lstm_cli.export import export as module

    source = Source.load(large)
    source.golden.probabilities[:] = source.golden.probabilities[:, ::-1]
    monkeypatch.setattr(module.Source, "load", lambda *_: source)
    refused(export, large, "onnx", tmp_path / "out", code=ExitCode.INTEGRITY)
    assert not (tmp_path / "out").exists()


def test_quantize_has_no_effect_on_a_zip(large, tmp_path):
    refused(export, large, "zip", tmp_path / "a", quantize="int8", code=ExitCode.USAGE)


def test_examples_are_on_pages_alone(large, tmp_path):
    refused(export, large, "onnx", tmp_path / "a", examples=False, code=ExitCode.USAGE)

"""A run trained on texts in each script: Keras, the ONNX graph and look-alikes agree."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import safetensors.numpy
from fixtures_runs import text_config
from fixtures_scripts import SAMPLES

from lstm_cli.models import classifier
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.training import pipeline


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """The predictor of a run trained on all samples; the class is the script's place."""
    path = tmp_path_factory.mktemp("data") / "scripts.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("text", "label"))
        for repeat in range(4):
            for place, sample in enumerate(SAMPLES):
                rows.writerow((f"{sample.text} {repeat}", "even" if place % 2 else "odd"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSTM_RUNS_DIR", str(path.parent / "runs"))
        config = text_config(data__name=str(path), train__epochs=2, train__batch_size=8)
        return Predictor.load(pipeline.train(config))


def test_the_vocabulary_has_the_tokens_of_each_script(predictor):
    for sample in SAMPLES:
        assert set(sample.tokens) <= set(predictor.tokenizer.words)


def test_keras_and_onnx_agree(predictor):
    config, words = predictor.run.config(), predictor.tokenizer.vocab_size
    model = classifier.build_classifier(config, 2, words, None)
    weights = safetensors.numpy.load(predictor.run.file(runs.WEIGHTS).read_bytes())
    classifier.set_weights(model, weights)
    for sample in SAMPLES:
        (encoding,) = predictor.tokenizer.encode([sample.text])
        second = np.asarray(model(encoding.ids[None], training=False))[0, 0]
        for text in (sample.text, sample.look_alike):
            assert predictor.text_probabilities([text])[0, 1] == pytest.approx(second, abs=1e-5)

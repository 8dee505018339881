"""`lstm serve` answers texts in each script like `lstm predict` and `lstm explain`."""

from __future__ import annotations

import pytest
from fixtures_runs import make_text_run
from fixtures_scripts import SAMPLES
from fixtures_serve import explainer_of, server_thread

from lstm_cli.prediction.predictor import Predictor

TEXTS = [text for sample in SAMPLES for text in (sample.text, sample.look_alike)]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor.load(make_text_run(tmp_path_factory.mktemp("runs") / "one", texts=TEXTS))


@pytest.fixture(scope="module")
def served(predictor):
    with server_thread(predictor) as server:
        yield server


def test_answers_are_those_of_predict(predictor, served):
    answers = served.predict({"texts": TEXTS}).json()["predictions"]
    for answer, expected in zip(answers, predictor.predict(TEXTS), strict=True):
        assert answer["label"] == expected.label
        assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
        assert answer["num_tokens"] == expected.num_tokens


def test_explanations_are_those_of_explain(predictor, served):
    explainer = explainer_of(predictor)
    for sample in SAMPLES:
        answer = served.post("/v1/explain", {"text": sample.text}).json()
        assert answer["text"] == sample.text
        assert [token["text"] for token in answer["tokens"]] == sample.words
        expected = explainer.explain_text(sample.text).to_dict()
        assert answer["tokens"] == expected["tokens"]
        assert answer["token_effects"]["effects"] == pytest.approx(
            expected["token_effects"]["effects"], abs=1e-5
        )

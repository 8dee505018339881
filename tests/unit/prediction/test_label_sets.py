"""A run with several labels a text: predictions, explanations and requests to its server."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_errors import refused
from fixtures_runs import TEXTS, make_multi_label_run, make_text_run
from fixtures_serve import server_thread

from lstm_cli.errors import ExitCode
from lstm_cli.explain.explainer import Explainer
from lstm_cli.explain.render_html import render_page
from lstm_cli.explain.render_terminal import render_lines
from lstm_cli.prediction.label_sets import make_label_prediction, most_likely_label
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.verify import verify
from lstm_cli.runs import directory as runs

LABELS = ("joy", "love", "pride")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_multi_label_run(tmp_path_factory.mktemp("runs") / "demo" / "several")


@pytest.fixture(scope="module")
def explainer(run):
    return Explainer.load(run)


@pytest.fixture(scope="module")
def predictor(explainer):
    return explainer.predictor


def test_all_labels_over_their_thresholds_are_predicted(predictor):
    assert predictor.thresholds == pytest.approx([0.3, 0.4, 0.5])
    probabilities = predictor.text_probabilities(TEXTS)
    sums = probabilities.sum(axis=1)
    assert np.abs(sums - 1).min() > 0.01  # each label has a sigmoid of its own
    for row, found in zip(probabilities, predictor.predict(TEXTS), strict=True):
        expected = {name for i, name in enumerate(LABELS) if row[i] >= predictor.thresholds[i]}
        assert set(found.labels) == expected
        assert list(found.probabilities.values()) == pytest.approx(row.tolist())
        values = [found.probabilities[name] for name in found.labels]
        assert values == sorted(values, reverse=True)


def test_threshold_replaces_those_of_the_run(predictor):
    assert all(found.labels == [] for found in predictor.predict(TEXTS, threshold=1.0))
    assert all(len(found.labels) == 3 for found in predictor.predict(TEXTS, threshold=0.0))
    refused(predictor.predict, TEXTS, threshold=1.5, code=ExitCode.USAGE)


def test_without_a_predicted_label_the_closest_one_gives_the_probability():
    row, limits = np.array([0.2, 0.3], np.float32), np.array([0.25, 0.9])
    found = make_label_prediction(row, ("a", "b"), limits, top_k=1)
    assert (found.label, found.labels) == ("", [])
    assert found.probability == pytest.approx(0.2)
    assert list(found.probabilities) == ["b"]
    assert most_likely_label(row, limits) == 0


@pytest.mark.parametrize("content", ["[0.5, 0.5]", "[0.5, 0.5, 2]", "{}", "nonsense", None])
def test_broken_thresholds_are_refused(tmp_path, content):
    broken = make_multi_label_run(tmp_path / "demo" / "broken")
    if content is None:
        broken.file(runs.LABEL_THRESHOLDS).unlink()
    else:
        broken.file(runs.LABEL_THRESHOLDS).write_text(content)
    broken.write_manifest()
    refused(Predictor.load, broken, code=ExitCode.INTEGRITY)
    assert "thresholds" in [check.name for check in verify(broken).failures]


def test_one_label_is_explained_at_a_time(explainer, predictor):
    text = TEXTS[0]
    (row,) = predictor.text_probabilities([text]).astype(float)
    found = explainer.explain_text(text)
    expected = most_likely_label(row.astype(np.float32), predictor.thresholds)
    assert found.prediction.label == LABELS[expected]
    for i, label in enumerate(LABELS):
        found = explainer.explain_text(text, label=label)
        assert found.prediction.label == label
        assert found.prediction.probability == pytest.approx(row[i])
        # The score is the log-odds of the label alone.
        assert found.gates.score == pytest.approx(np.log(row[i] / (1 - row[i])), abs=1e-4)
        assert found.gates.runner_up == ""
        without = found.token_effects.occluded_probabilities
        effects = np.log(row[i] / (1 - row[i])) - np.log(without / (1 - without))
        assert found.token_effects.effects == pytest.approx(effects, abs=1e-4)
        lines = "\n".join("".join(p.text for p in line) for line in render_lines(found, 80, False))
        assert f"Log-odds of {label}" in lines
        assert "Predicted labels: " in lines
        assert "Predicted labels: " in render_page(found)


def test_label_that_cannot_be_explained_is_refused(explainer, tmp_path):
    refused(explainer.explain_text, TEXTS[0], label="jo", code=ExitCode.USAGE)
    single = Explainer.load(make_text_run(tmp_path / "demo" / "single"))
    refused(single.explain_text, TEXTS[0], label="positive", code=ExitCode.USAGE)


def test_server_predicts_and_explains_labels(predictor):
    with server_thread(predictor) as server:
        model = server.get("/v1/model").json()
        assert model["thresholds"] == pytest.approx({"joy": 0.3, "love": 0.4, "pride": 0.5})
        (found,) = server.predict({"text": TEXTS[0]}).json()["predictions"]
        (expected,) = predictor.predict(TEXTS[0])
        assert found["labels"] == expected.labels
        assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
        (all_,) = server.predict({"text": TEXTS[0], "threshold": 0}).json()["predictions"]
        assert len(all_["labels"]) == 3
        explained = server.post("/v1/explain", {"text": TEXTS[0], "label": "love"}).json()
        assert explained["prediction"]["label"] == "love"
        assert server.post("/v1/explain", {"text": TEXTS[0], "label": "hate"}).status == 422
        schemas = server.get("/openapi.json").json()["components"]["schemas"]
        label = schemas["ExplainTextRequest"]["properties"]["label"]
        assert {"enum": list(LABELS)} in label["anyOf"]

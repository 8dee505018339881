"""What notebooks and the Python shell show: models, predictions, explanations and errors."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from fixtures_reports import EVIL, text_run
from fixtures_runs import make_image_run, make_multi_label_run

import lstm_cli
from lstm_cli.errors import LstmError
from lstm_cli.prediction.result import Prediction, Predictions

TEXT = f"A fine film, {EVIL}\x1b[31m not a dull moment"
_VOID = {"path", "rect", "polyline"}


class Reader(HTMLParser):
    """Checks that tags are closed, and collects texts and attributes."""

    def __init__(self, content):
        super().__init__()
        self.open, self.tags, self.texts, self.attributes = [], set(), [], []
        self.feed(content)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes += [value for _, value in attrs]

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "reviews" / "one"
    return lstm_cli.load(text_run(folder, labels=("bad", f"{EVIL} good")))


def test_a_model_says_what_it_is(model):
    line = repr(model)
    accuracy = model.run.read_json("metrics.json")["test"]["accuracy"]
    assert line.startswith("<Model reviews/one: text, 2 classes (")
    assert f"accuracy {accuracy:.4f} on test" in line
    page = Reader(model._repr_html_())
    assert f"{accuracy:.4f}" in page.text
    assert EVIL in page.text
    assert "script" not in page.tags


def test_a_model_without_results_still_has_a_repr(tmp_path):
    several = lstm_cli.load(make_multi_label_run(tmp_path / "demo" / "several"))
    assert repr(several) == "<Model demo/several: text, 3 labels (joy, love, pride)>"
    images = lstm_cli.load(make_image_run(tmp_path / "demo" / "images"))
    assert repr(images).startswith("<Model demo/images: images of 8 x 8, 10 classes (0, 1, ")
    assert "and 2 more" in repr(images)
    assert "8 x 8" in Reader(images._repr_html_()).text


def test_a_prediction_shows_its_classes_as_bars(model):
    prediction = model.predict(TEXT)[0]
    page = Reader(prediction._repr_html_())
    assert "script" not in page.tags
    for value in prediction.probabilities.values():
        assert f"{value:.1%}" in page.texts
        assert any(f"width:{100 * value:.1f}%" in each for each in page.attributes)
    many = Prediction("", 0.1, {str(n): 0.1 for n in range(10)}, 5, True, 0.5)
    shown = Reader(many._repr_html_()).text
    for part in ("no answer", "2 less probable", "50% of them", "middle"):
        assert part in shown
    assert (
        "joy, love" in Reader(Prediction("joy", 0.9, {}, labels=["joy", "love"])._repr_html_()).text
    )


def test_predictions_are_a_list_that_shows_the_first(model):
    predictions = model.predict(["fine"] * 25)
    assert isinstance(predictions, list)
    assert isinstance(predictions, Predictions)
    page = Reader(predictions._repr_html_())
    assert "25 predictions; the first 20" in page.text
    assert sum(": " in text for text in page.texts) == 20


def test_an_explanation_shows_coloured_words(model):
    explanation = model.explain(TEXT)
    page = Reader(explanation._repr_html_())
    assert "script" not in page.tags
    assert EVIL in "".join(page.texts)
    assert "\x1b" not in explanation._repr_html_()
    strongest = int(np.abs(explanation.token_effects.effects).argmax())
    positive = explanation.token_effects.effects[strongest] > 0
    colour = "40,140,210" if positive else "225,110,30"
    assert any(re.search(rf"background:rgba\({colour},0.55\)", each) for each in page.attributes)
    assert "<TextExplanation by reviews/one: " in repr(explanation)
    assert len(repr(explanation)) < 150


def test_an_explanation_of_an_image_shows_it(tmp_path):
    model = lstm_cli.load(make_image_run(tmp_path / "demo" / "images"))
    explanation = model.explain(np.full((8, 8), 200, np.uint8))
    content = explanation._repr_html_()
    Reader(content)
    assert content.count("rgb(200,200,200)") == 64
    assert "<ImageExplanation" in repr(explanation)


def test_an_error_in_a_notebook_shows_the_line_of_the_user(model, monkeypatch):
    with pytest.raises(LstmError) as caught:
        model.predict(["fine", None])
    lines = caught.value._render_traceback_()
    assert 'model.predict(["fine", None])' in lines[0]
    assert "position 1" in lines[2]
    assert lines[3].startswith("Try: ")
    assert not any(os.sep + "lstm_cli" in line for line in lines)
    monkeypatch.setenv("LSTM_DEBUG", "1")
    lines = caught.value._render_traceback_()
    assert any(str(Path("prediction", "inputs.py")) in line for line in lines)

"""Explanations of texts in each script: tokens, offsets, and what is shown."""

from __future__ import annotations

import pytest
from fixtures_explain import shown, text_of
from fixtures_runs import make_text_run, text_config
from fixtures_scripts import SAMPLES

from lstm_cli.explain import render_html
from lstm_cli.explain.explainer import Explainer


@pytest.fixture(scope="module")
def explainer(tmp_path_factory):
    """An explainer whose vocabulary is that of all samples."""
    config = text_config(embedding__bigram_buckets=11)
    folder = tmp_path_factory.mktemp("runs") / "demo" / "one"
    texts = [sample.text for sample in SAMPLES]
    return Explainer.load(make_text_run(folder, config=config, texts=texts))


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_tokens_are_those_of_the_text_as_spelled(sample, explainer):
    result = explainer.explain_text(sample.text)
    assert [token.text for token in result.tokens] == sample.words
    assert all(token.known for token in result.tokens)
    assert all(token.text == sample.text[token.start : token.end] for token in result.tokens)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_look_alikes_have_the_same_explanation(sample, explainer):
    one, other = map(explainer.explain_text, (sample.text, sample.look_alike))
    assert one.token_effects.effects.tolist() == other.token_effects.effects.tolist()
    assert one.prediction.probabilities == other.prediction.probabilities


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_page_and_terminal_show_the_text_once(sample, explainer):
    result = explainer.explain_text(sample.text)
    assert text_of(render_html.render_page(result)).strip() == sample.text
    # Invisible characters can be left out or shown as something else.
    visible = [word for word in sample.words if word.isalpha() and word.isprintable()]
    assert all(word in shown(result, colour=True) for word in visible)


def test_truncation_inside_a_character_leaves_the_others_their_text(tmp_path):
    run = make_text_run(tmp_path / "demo" / "one", config=text_config(text__max_tokens=4))
    result = Explainer.load(run).explain_text("½ ½ ½")
    assert [(token.start, token.end) for token in result.tokens] == [(0, 1), (0, 1), (4, 5), (4, 5)]
    assert result.truncated_span == (1, 4)
    assert result.num_truncated == 5
    inside = Explainer.load(run).explain_text("fine \ufdfb fine½")
    assert [token.text for token in inside.tokens] == ["fine", "\ufdfb", "½", "½"]
    assert inside.text[slice(*inside.truncated_span)] == " fine"
    nothing = Explainer.load(run).explain_text("\ufdfa½")
    assert (nothing.truncated_span, nothing.num_truncated) == (None, 3)

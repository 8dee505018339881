"""Regions: what the features of neighbouring words add to the score, and which words they read."""

from __future__ import annotations

import json
from dataclasses import replace

import fixtures_lstm as reference
import numpy as np
import pytest
import safetensors.numpy
from fixtures_explain import ids_of, random_image, shown
from fixtures_runs import TEXTS, make_image_run, make_text_run, text_config

from lstm_cli.explain import explainer as explain
from lstm_cli.explain import render_html
from lstm_cli.explain.explainer import Explainer
from lstm_cli.explain.region_embedding import input_contributions
from lstm_cli.explain.summary import describe_region
from lstm_cli.runs import directory as runs

LABELS = ("a", "b", "c")
REGIONS = {"model__regions": (2, 3), "model__region_units": 5}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "demo" / "one"
    return Explainer.load(make_text_run(folder, LABELS, text_config(**REGIONS)))


@pytest.fixture(scope="module")
def weights(found):
    return safetensors.numpy.load(found.predictor.run.file(runs.WEIGHTS).read_bytes())


@pytest.fixture(autouse=True)
def all_regions(monkeypatch):
    monkeypatch.setattr(explain, "NUM_REGIONS", 1000)


@pytest.mark.parametrize("text", [*TEXTS, "fine", "a fine"])
def test_the_words_and_the_regions_both_add_up_to_the_features(text, found, weights):
    result = found.explain_text(text)
    gates, embedded = result.gates, reference.embed(ids_of(found, text), weights, found.config)
    features = np.concatenate([reference.regions(embedded, weights, width) for width in (2, 3)])
    head = weights["head/kernel"][-len(features) :].astype(float)
    chosen, other = (LABELS.index(name) for name in (result.prediction.label, gates.runner_up))
    added = features * (head[:, chosen] - head[:, other])
    assert gates.regions == pytest.approx(added.sum(), abs=1e-5)
    assert gates.region_steps.sum() == pytest.approx(gates.regions, abs=1e-9)
    units = [(region.width, unit) for region in gates.top_regions for unit in region.features]
    assert sorted(units) == [(2 + i // 5, i % 5) for i in np.flatnonzero(features)]
    for region in gates.top_regions:
        places = [5 * (region.width - 2) + unit for unit in region.features]
        assert region.contribution == pytest.approx(added[places].sum(), abs=1e-5)
        assert region.end - region.start == min(region.width, region.end)


def test_a_region_is_where_its_features_have_their_maximum(found, weights):
    result = found.explain_text(TEXTS[0])
    embedded = reference.embed(ids_of(found, TEXTS[0]), weights, found.config)
    for region in result.gates.top_regions:
        ends = [reference.regions(embedded[:end], weights, region.width) for end in (
            region.end - 1, region.end, len(embedded)
        ) if end]  # fmt: skip
        for unit in region.features:
            assert ends[-2][unit] == pytest.approx(ends[-1][unit], abs=1e-6)
            assert len(ends) == 2 or ends[0][unit] < ends[1][unit]


def test_the_words_of_a_region_share_it_by_their_parts_of_the_sum(found, weights):
    result = found.explain_text("a fine")
    gates, embedded = result.gates, reference.embed(ids_of(found, "a fine"), weights, found.config)
    head = dict(zip((2, 3), np.split(weights["head/kernel"][-10:], 2), strict=True))
    chosen, other = (LABELS.index(name) for name in (result.prediction.label, gates.runner_up))
    expected = np.zeros(2)
    for region in gates.top_regions:
        kernel, bias = (weights[f"regions_{region.width}/{part}"] for part in ("kernel", "bias"))
        for unit in region.features:
            factor = head[region.width][unit, chosen] - head[region.width][unit, other]
            for step in range(region.start, region.end):
                tap = kernel[region.width - (region.end - step), :, unit]
                share = bias[unit] / (region.end - region.start)
                expected[step] += factor * (embedded[step] @ tap + share)
    assert gates.region_steps == pytest.approx(expected, abs=1e-5)
    assert np.abs(expected).min() > 1e-3


@pytest.mark.parametrize("widths", [(3,), (2, 5)])
def test_a_word_adds_through_all_regions_that_it_is_in(widths, tmp_path):
    """Taking its vector away changes the features by its part, if the same units stay above 0."""
    embedding = {"embedding__region_widths": widths, "embedding__region_dim": 4}
    config = text_config(embedding__bigram_buckets=7, **embedding, **REGIONS)
    found = Explainer.load(make_text_run(tmp_path / "demo" / "two", LABELS, config))
    weights = safetensors.numpy.load(found.predictor.run.file(runs.WEIGHTS).read_bytes())
    gates = found.explain_text("a fine film").gates
    assert gates.region_steps.sum() == pytest.approx(gates.regions, abs=1e-6)
    ids = ids_of(found, "a fine film")
    inputs = reference.embed(ids, weights, config)
    gradients = np.random.default_rng(0).normal(size=inputs.shape)
    explained = input_contributions(config.embedding, weights, ids, inputs, gradients)
    expected = (inputs * gradients)[:, : -4 * len(widths)].sum(axis=1)
    for number, width in enumerate(widths):
        place = slice(inputs.shape[1] - 4 * (len(widths) - number), None)
        table, bias = (
            weights[f"region_embedding_{width}/{part}"] for part in ("embeddings", "bias")
        )
        for t in range(3):
            words = range(max(0, t - width // 2), min(3, t + (width - 1) // 2 + 1))
            above = gradients[t, place][:4] * (inputs[t, place][:4] > 0)
            for word in words:
                expected[word] += above @ (table[ids[word]] + bias / len(words))
    assert explained == pytest.approx(expected, abs=1e-6)
    assert explained.sum() == pytest.approx((inputs * gradients).sum(), abs=1e-6)


def test_every_output_names_the_regions(found):
    result = found.explain_text("not a fine film")
    page = render_html.render_page(result)
    for region in result.gates.top_regions[:4]:
        words = " ".join(token.text for token in result.tokens[region.start : region.end])
        assert words in shown(result)
        assert f'<th scope="row">{words}</th><td>{region.contribution:+.3f}</td>' in page
    assert f"regions {result.gates.regions:+.2f}" in shown(result)
    assert f"{result.gates.region_steps[2]:+.2f} from regions" in page
    gates = json.loads(json.dumps(result.to_dict()))["gates"]
    assert list(gates["top_regions"][0]) == ["width", "start", "end", "features", "contribution"]
    assert len(gates["region_steps"]) == 4


def test_a_run_without_regions_has_none(tmp_path):
    result = Explainer.load(make_text_run(tmp_path / "demo" / "one")).explain_text("fine")
    gates = result.gates
    assert (gates.regions, gates.region_steps, gates.top_regions) == (None, None, ())
    assert "egions" not in shown(result) + render_html.render_page(result)


def test_regions_of_an_image_are_rows(tmp_path):
    found = Explainer.load(make_image_run(tmp_path / "digits" / "one", **REGIONS))
    gates = (result := found.explain_image(random_image())).gates
    assert gates.region_steps.sum() == pytest.approx(gates.regions, abs=1e-9)
    region = gates.top_regions[0]
    numbers = f"{region.start + 1} to {region.end}"
    assert (f"rows {numbers}" if region.end - region.start > 1 else "row 1") in shown(result)


def test_regions_of_steps_of_several_rows_name_all_their_rows(tmp_path):
    path, steps = tmp_path / "digits" / "one", {"image__window": 3, "image__stride": 2}
    result = Explainer.load(make_image_run(path, **REGIONS, **steps)).explain_image(random_image())
    assert result.windows == ((0, 3), (2, 5), (4, 7), (5, 8))
    region = replace(result.gates.top_regions[0], start=1, end=3)
    assert describe_region(result, region) == "rows 3 to 7"

"""The JavaScript of an exported page against the run: tokens, probabilities, explanations."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import zlib

import numpy as np
import pytest
from fixtures_runs import (
    EVERYTHING,
    TEXTS,
    make_image_run,
    make_multi_label_run,
    make_text_run,
    text_config,
)

from lstm_cli.explain.explainer import Explainer
from lstm_cli.export import html_page, javascript, page_data, quantize
from lstm_cli.export.export import export
from lstm_cli.export.source import Source
from lstm_cli.text.tokenizer import token_spans, tokenize

NODE, CHROMIUM = shutil.which("node"), shutil.which("chromium")
pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed (Debian: nodejs)")

# Several scripts, composed and decomposed letters, and what breaks tokenizers.
HARD_TEXTS = (
    *TEXTS,
    "",
    " \n\t",
    "a",
    "don't 'tis o'clock'  it’s it´s rock'n'roll'",
    "one<br />two<BR>three<br\u00a0/>four < br>",
    "cafe\u0301 café CAFÉ naïve Ångström ﬁne ＦＩＮＥ ½ 3½ Lego™ x² … ①",
    "İstanbul ıI ΣΊΣΥΦΟΣ ὈΔΥΣΣΕΎΣ ẞ ß straße",
    "好电影，真好看！2024年。これは映画です。ラーメン一杯",
    "영화가 정말 좋았다 ㅋㅋ \u1112\u1161\u11ab",
    "หนังเรื่องนี้ดีมาก น้ำ \u0e4d\u0e32 ກຳ ព្រះរាជាណាចក្រ မြန်မာ\u200bစာ",
    "فيلمٌ رائعٌ جداً ﷺ ﻓﻴﻠﻢ سـلام می\u200cخواهم שָׁלוֹם עולם",
    "यह फ़िल्म बहुत अच्छी है क\u094d\u200dष தமிழ் తెలుగు",
    "fine 👍🏽 film 👨\u200d👩\u200d👧 😀 ❤\ufe0f :) ¯\\_(ツ)_/¯ €5.00 #tag @me",
    "a\u00adb soft\u00adhyphen \u200ffine\u200e \ufeffdull fi\u200blm",
    "\ud800 lone \udc00 surrogate",
    "q\u0323\u0307 \u0307\u0323 e\u0301\u00ad\u0302 \u0345",
    "\x00\x1f\x7f\x85control\u2028lines",
    "fine " * 40,
    "fime fines dul flim moments unmoved",
    "𝐅𝐢𝐧𝐞 𝓯𝓲𝓵𝓶 ⅷ ㍿ ꙮ 𐍈",
)
SETTINGS = {
    "plain": {},
    "everything": {**EVERYTHING, "text__min_similarity": 0.3},
    "peephole": {"model__cell": "peephole", "model__pooling": "mean"},
    "layers": {"model__layers": 2, "model__bidirectional": True, "model__pooling": "last"},
    "backward": {
        "model__bidirectional": True,
        "model__pooling": "max",
        "embedding__region_widths": [3],
        "embedding__region_dim": 2,
    },
}
DRIVER = """
const fs = require("fs");
async function check({ data, texts, images, explain }) {
  const answers = await makeAnswers(data), { classifier } = answers, { tokenizer } = classifier;
  const bodies = [...texts.map((text) => ({ text })), ...images.map((image) => ({ image }))];
  return {
    tokens: texts.map((text) => tokenizer.tokenize(text)),
    spans: texts.map((text) => tokenizer.spans(text)),
    predictions: bodies.map((body) => answers.predict(body).predictions[0]),
    probabilities: bodies.map((body) => classifier.run(answers.input(body)).probabilities),
    explanations: await Promise.all(explain.map((body) => answers.explain(body, async () => {}))),
  };
}
async function main() {
  const results = {};
  const asked = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
  for (const name of Object.keys(asked)) results[name] = await check(asked[name]);
  fs.writeFileSync(process.argv[3], JSON.stringify(results));
}
main();
"""


def make_runs(folder):
    runs = {
        name: make_text_run(folder / name / "a", config=text_config(**settings))
        for name, settings in SETTINGS.items()
    }
    three = ("bad", "fair", "good")
    runs["classes"] = make_text_run(folder / "classes" / "a", three)
    runs["labels"] = make_multi_label_run(folder / "labels" / "a")
    runs["image"] = make_image_run(
        folder / "image" / "a", image__window=3, image__stride=2, image__border="dark"
    )
    return runs


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the script computes for each run, and the runs."""
    folder = tmp_path_factory.mktemp("page")
    sources = {name: Source.load(run) for name, run in make_runs(folder).items()}
    asked = {}
    for name, source in sources.items():
        is_image = source.predictor.kind == "image"
        images = source.golden.inputs.tolist() if is_image else []
        bright = [[[255 - value // 4 for value in row] for row in images[0]]] if is_image else []
        images += bright
        explain = [{"image": image} for image in images]
        if not is_image:
            explain = [{"text": HARD_TEXTS[n]} for n in (0, 9, 15, 21)]
        asked[name] = {
            "data": page_data.encode(source, quantize.store(source.weights, "none")),
            "texts": [] if is_image else HARD_TEXTS,
            "images": images,
            "explain": explain,
        }
    script = folder / "check.js"
    script.write_text(html_page.engine_script() + DRIVER, "utf-8", "surrogatepass")
    (folder / "in.json").write_text(json.dumps(asked))
    subprocess.run([NODE, script, folder / "in.json", folder / "out.json"], check=True, timeout=120)
    found = json.loads((folder / "out.json").read_text("utf-8"))
    return {name: (source, asked[name], found[name]) for name, source in sources.items()}


NAMES = [*SETTINGS, "classes", "labels", "image"]


def test_tokens_and_their_places_are_those_of_the_tokenizer(results):
    _, _, found = results["plain"]
    for text, tokens, spans in zip(HARD_TEXTS, found["tokens"], found["spans"], strict=True):
        assert tokens == tokenize(text), text
        assert [tuple(span) for span in spans] == token_spans(text), text


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_those_of_the_run(name, results):
    source, asked, found = results[name]
    predictor = source.predictor
    if predictor.kind == "image":
        inputs = np.array(asked["images"], np.uint8)
        expected = predictor.probabilities(inputs)
    else:
        inputs = list(HARD_TEXTS)
        expected = predictor.text_probabilities(inputs)
    assert np.abs(np.array(found["probabilities"]) - expected).max() < 1e-5
    for shown, prediction in zip(found["predictions"], predictor.predict(inputs), strict=True):
        assert shown["label"] == prediction.label
        assert shown.get("num_tokens") == prediction.num_tokens
        assert shown.get("truncated") == prediction.truncated
        assert shown.get("unknown") == prediction.unknown
        assert shown.get("labels") == prediction.labels


@pytest.mark.parametrize("name", NAMES)
def test_explanations_are_those_of_the_run(name, results):
    source, asked, found = results[name]
    explainer = Explainer.load(source.predictor.run)
    for body, shown in zip(asked["explain"], found["explanations"], strict=True):
        if "image" in body:
            expected = explainer.explain_image(np.array(body["image"], np.uint8)).to_dict()
            assert shown["windows"] == expected["windows"]
        else:
            expected = explainer.explain_text(body["text"]).to_dict()
            for key in ("tokens", "truncated_span", "text"):
                assert shown[key] == expected[key]
            check_effects(shown["token_effects"], expected)
        assert shown["prediction"]["label"] == expected["prediction"]["label"]
        check_prefixes(shown["prefixes"], expected["prefixes"])
        check_gates(shown["gates"], expected["gates"])


def check_effects(shown, expected):
    effects = expected["token_effects"]
    occluded = np.array(effects["occluded_probabilities"])
    # Log-odds of 32-bit probabilities are less exact near 0 and 1.
    least = np.minimum(occluded, 1 - occluded)
    whole = min(expected["prediction"]["probability"], 1 - expected["prediction"]["probability"])
    error = 2e-4 + 2e-7 / np.maximum(np.minimum(least, whole), 1e-6)
    assert np.median(error) < 5e-3
    assert (np.abs(np.array(shown["effects"]) - effects["effects"]) <= error).all()
    assert shown["window"] == 1


def check_prefixes(shown, expected):
    assert np.allclose(shown["steps"], expected["steps"], atol=2e-5)
    if expected["start"] is not None:
        assert shown["start"] == pytest.approx(expected["start"], abs=1e-5)
    for name, swing in expected["swings"].items():
        if swing is not None and abs(swing["after"] - swing["before"]) > 1e-3:
            assert shown["swings"][name] == pytest.approx(swing, abs=2e-5)


def check_gates(shown, expected):
    assert shown["runner_up"] == expected["runner_up"]
    assert shown["memory"] == pytest.approx(expected["memory"], rel=1e-4)
    for unit, other in zip(shown["units"], expected["units"], strict=True):
        assert unit["contribution"] == pytest.approx(other["contribution"], abs=1e-4)
        for part in ("input_gate", "forget_gate", "output_gate", "cell"):
            assert unit[part] == pytest.approx(other[part], abs=1e-5)


def test_a_page_is_run_as_it_was_written(results, tmp_path):
    source, _, _ = results["everything"]
    page = tmp_path / "page.html"
    page.write_text(html_page.build_html(source, quantize.store(source.weights, "int8")), "utf-8")
    found = javascript.predict_in_page(page, list(TEXTS), ("Node.js", NODE))
    stored = quantize.store(source.weights, "int8")
    smaller = source.with_weights({name: array.restore() for name, array in stored.items()})
    assert np.abs(found - smaller.text_probabilities(TEXTS)).max() < 1e-5


def test_examples_can_be_left_out(results, tmp_path):
    run = results["plain"][0].predictor.run
    with_examples = export(run, "html", tmp_path / "a.html")
    without = export(run, "html", tmp_path / "b.html", examples=False)
    assert "--no-examples" in with_examples.notes[0]
    assert without.notes == ()
    assert without.golden.max_difference < 1e-5
    assert sorted(header(with_examples.path)["model"]["examples"]) == sorted(TEXTS)
    assert header(without.path)["model"]["examples"] == []


def header(page):
    """Return the header of the data of a page."""
    encoded = re.search(r'id="run">([^<]*)<', page.read_text("utf-8"))[1]
    content = zlib.decompress(base64.b64decode(encoded))
    size = int.from_bytes(content[:4], "little")
    return json.loads(content[4 : 4 + size])


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)")
def test_a_text_cannot_end_the_script_of_the_check(tmp_path):
    run = make_text_run(tmp_path / "one")
    page = export(run, "html", out=tmp_path / "one.html").path
    texts = ["fine", "</script><script>document.body.textContent = '[[[1]]]'</script>"]
    engines = (("Node.js", NODE), ("Chromium", CHROMIUM))
    first, second = (javascript.predict_in_page(page, texts, engine) for engine in engines)
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_page_that_would_be_large_has_smaller_weights(results, monkeypatch, tmp_path):
    run = results["everything"][0].predictor.run
    monkeypatch.setattr(html_page, "MAX_BYTES", 1000)
    chosen = export(run, "html", tmp_path / "a.html")
    assert chosen.quantize == "int8"
    assert "--quantize none" in chosen.notes[0]
    assert chosen.accuracy is not None
    kept = export(run, "html", tmp_path / "b.html", quantize="none")
    assert (kept.quantize, kept.accuracy) == ("none", None)
    monkeypatch.setattr(html_page, "MAX_BYTES", 10**6)
    assert html_page.choose_quantize(results["everything"][0]) == ("none", ())

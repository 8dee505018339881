"""The numbers of an explanation are those of the model."""

from __future__ import annotations

from dataclasses import replace

import fixtures_lstm as reference
import numpy as np
import pytest
import safetensors.numpy
from fixtures_explain import (
    ODD,
    encoding_of,
    ids_of,
    image_explainer,
    random_image,
    shown,
    text_explainer,
    text_of,
)
from fixtures_runs import (
    LABELS,
    TEXTS,
    _finish,
    _write,
    image_config,
    make_text_run,
    random_weights,
    text_config,
)

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.explain import explainer as explain
from lstm_cli.explain import (
    forward_pass,
    occlusion,
    prefixes,
    render_html,
)
from lstm_cli.explain.explainer import Explainer
from lstm_cli.explain.occlusion import log_odds
from lstm_cli.explain.result import Swing, Swings
from lstm_cli.models import lstm_equations
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.text import tokenizer_json
from lstm_cli.text.tokenizer import Tokenizer

VARIANTS = {
    "plain": {},
    "last, one direction": {"model__pooling": "last", "model__bidirectional": False},
    "last, both": {"model__pooling": "last"},
    "max, two layers": {"model__pooling": "max", "model__layers": 2},
    "mean, peephole": {"model__pooling": "mean", "model__cell": "peephole"},
    "bigrams and linear model": {"embedding__bigram_buckets": 11, "linear__buckets": 13},
    "one direction, all": {
        "model__bidirectional": False, "model__layers": 2, "model__cell": "peephole",
        "linear__buckets": 7,
    },
    "character n-grams": {
        "linear__buckets": 7, "linear__word_ngrams": 3,
        "linear__char_ngrams": "unknown", "linear__char_buckets": 40,
    },
    "regions": {
        "model__regions": (1, 4), "model__region_units": 2, "model__layers": 2,
        "linear__buckets": 7,
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=VARIANTS)
def any_text(request, tmp_path_factory):
    """An explainer for each kind of text run; three classes if the name has an odd length."""
    name = request.param
    labels = ("a", "b", "c") if len(name) % 2 else LABELS
    folder = tmp_path_factory.mktemp("runs") / "demo" / "one"
    return Explainer.load(make_text_run(folder, labels, text_config(**VARIANTS[name])))


@pytest.fixture(scope="module")
def explainer(tmp_path_factory):
    return text_explainer(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def of_images(tmp_path_factory):
    return image_explainer(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def digit():
    return random_image()


def weights_of(found):
    return safetensors.numpy.load(found.predictor.run.file(runs.WEIGHTS).read_bytes())


def probabilities_without_ngrams(found, texts):
    """The predictions if unknown words have no character n-grams, as a masked token."""
    known = found.predictor.tokenizer
    return found.predictor.run_texts(Tokenizer(known.words, known.max_tokens).encode(texts))


# Token effects


def test_effects_are_the_log_odds_lost_without_a_token(any_text):
    result = any_text.explain_text("a fine film")
    chosen = result.class_index
    changed = ["a fine film", "xyz fine film", "a xyz film", "a fine xyz"]
    whole, *without = probabilities_without_ngrams(any_text, changed)[:, chosen].astype(float)
    assert result.token_effects.occluded_probabilities == pytest.approx(without, abs=1e-6)
    odds = [np.log(p / (1 - p)) for p in (whole, *without)]
    assert result.token_effects.effects == pytest.approx(odds[0] - np.array(odds[1:]), abs=1e-4)


def test_tokens_can_be_removed_instead_of_masked(explainer):
    result = explainer.explain_text("a fine film", occlusion="remove")
    chosen = result.class_index
    shorter = explainer.predictor.text_probabilities(["fine film", "a film", "a fine"])
    assert result.token_effects.occluded_probabilities == pytest.approx(
        shorter[:, chosen], abs=1e-6
    )


def test_a_text_of_one_token_is_compared_with_the_empty_text(explainer):
    for mode in ("remove", "mask"):
        result = explainer.explain_text("fine", occlusion=mode)
        empty = explainer.predictor.predict("")[0].probabilities[result.prediction.label]
        assert result.token_effects.occluded_probabilities == pytest.approx([empty], abs=1e-6)


def test_log_odds_of_certainty_are_finite():
    found = log_odds(np.array([[0.0, 1.0], [1.0, 0.0], [0.25, 0.75]]), 1)
    assert found == pytest.approx([16.6, -16.6, np.log(3)], abs=0.1)
    # With three classes, softmax gives each probability, however small.
    found = log_odds(np.array([[1.0, 1e-30, 1e-30], [1e-30, 0.5, 0.5]], np.float32), 0)
    assert found == pytest.approx([-np.log(2e-30), np.log(1e-30)], abs=0.01)


def test_a_masked_unknown_word_has_no_ngrams_while_others_keep_theirs(explainer):
    result = explainer.explain_text("finne dul")
    encoding = encoding_of(explainer, "finne dul")
    counts = [len(encoding_of(explainer, word).ngrams) for word in ("finne", "dul")]
    ngrams = np.split(encoding.ngrams, [counts[0]])
    one, other = (np.full(count, position) for position, count in enumerate(counts))
    expected = explainer.predictor.run_texts(
        [
            replace(encoding, ngrams=ngrams[1], ngram_positions=other),
            replace(encoding, ngrams=ngrams[0], ngram_positions=one),
        ]
    )
    found = result.token_effects.occluded_probabilities
    assert found == pytest.approx(expected[:, result.class_index], abs=1e-6)
    assert (np.abs(result.token_effects.effects) > 1e-3).all()


def test_a_text_without_effects_says_so(tmp_path):
    plain = Explainer.load(make_text_run(tmp_path / "demo" / "one"))
    result = plain.explain_text("zebra zebra")
    assert not result.token_effects.effects.any()
    assert "No single token changes the prediction." in shown(result)


def test_tokens_of_very_long_texts_share_a_window(explainer, monkeypatch):
    monkeypatch.setattr(occlusion, "_MAX_STEPS", 50)
    result = explainer.explain_text("a fine film and a dull cast a fine film")
    assert result.token_effects.window == 3
    alike = result.token_effects.effects[:9].reshape(3, 3)
    assert (alike == alike[:, :1]).all()
    assert len(set(result.token_effects.effects.tolist())) == 4
    without = probabilities_without_ngrams(explainer, ["u u u and a dull cast a fine film"])[0]
    chosen = result.class_index
    assert result.token_effects.occluded_probabilities[:3] == pytest.approx(
        without[chosen], abs=1e-6
    )
    assert len(result.prefixes.steps) == len(result.tokens) == 10


@pytest.mark.parametrize("text", ODD)
def test_token_offsets_point_into_the_text(text, explainer):
    result = explainer.explain_text(text)
    ends = [0, *(token.end for token in result.tokens)]
    for token, before in zip(result.tokens, ends, strict=False):
        assert before <= token.start < token.end <= len(text)
        assert token.text == text[token.start : token.end]
    assert len(result.tokens) == len(result.token_effects.effects) == len(result.prefixes.steps)
    assert "<br" not in [token.text.lower() for token in result.tokens]


def test_a_token_in_capitals_is_known_in_lower_case(explainer):
    result = explainer.explain_text("NOT fine Zebras")
    assert [(t.text, t.known) for t in result.tokens] == [
        ("NOT", True), ("fine", True), ("Zebras", False),
    ]  # fmt: skip


def test_a_truncated_text_says_what_was_not_read(explainer):
    text = "fine " * 6 + "dull dull dull " + "film " * 6
    result = explainer.explain_text(text)
    assert text[slice(*result.truncated_span)] == "dull dull dull"
    assert [token.text for token in result.tokens] == ["fine"] * 6 + ["film"] * 6
    assert "3 tokens not read" in shown(result)
    assert "dull" not in shown(result)
    assert text in text_of(render_html.render_page(result))
    assert explainer.explain_text("fine").truncated_span is None


@pytest.mark.parametrize("text", ["", "   ", "\x00\x1b", "<br />"])
def test_a_text_without_a_word_is_refused(text, explainer):
    with pytest.raises(LstmError, match="no word") as caught:
        explainer.explain_text(text)
    assert caught.value.exit_code == ExitCode.USAGE


# Prefix predictions


def test_prefix_predictions_are_those_of_the_prefix_alone(any_text):
    result = any_text.explain_text("not a fine film")
    prefixes = ["", "not", "not a", "not a fine", "not a fine film"]
    expected = any_text.predictor.text_probabilities(prefixes)
    assert result.prefixes.start == pytest.approx(expected[0], abs=1e-6)
    assert result.prefixes.steps == pytest.approx(expected[1:], abs=1e-6)


def test_prefixes_keep_the_character_ngrams_of_their_unknown_words(any_text):
    result = any_text.explain_text("nott a finne film")
    prefixes = ["", "nott", "nott a", "nott a finne", "nott a finne film"]
    expected = any_text.predictor.text_probabilities(prefixes)
    found = np.vstack([result.prefixes.start, result.prefixes.steps])
    assert found == pytest.approx(expected, abs=1e-6)


def test_removal_keeps_the_character_ngrams_of_other_words(any_text):
    result = any_text.explain_text("nott a finne film", "remove")
    without = ["a finne film", "nott finne film", "nott a film", "nott a finne"]
    expected = any_text.predictor.text_probabilities(without)[:, result.class_index]
    assert result.token_effects.occluded_probabilities == pytest.approx(expected, abs=1e-6)


def test_the_last_prefix_prediction_is_the_prediction(any_text):
    for text in (*TEXTS, "a finne , dul film"):
        result = any_text.explain_text(text)
        expected = list(result.prediction.probabilities.values())
        assert result.prefixes.steps[-1] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("most_probable", "decision_step"),
    [("0110", None), ("1111", None), ("0111", 0), ("0011", 1), ("0101", 2), ("1101", 2)],
)
def test_the_decision_step_is_where_the_class_stays_the_most_probable(most_probable, decision_step):
    start, *steps = np.array([[1.0 - int(c), int(c)] for c in most_probable])
    assert prefixes.summarize(start, np.array(steps), 1).decision_step == decision_step


def test_an_image_has_no_prediction_before_its_first_row():
    steps = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert prefixes.summarize(None, steps, 1).decision_step == 2
    only = prefixes.summarize(None, steps[:1], 1)
    assert (only.decision_step, only.swings) == (None, Swings(None, None))


@pytest.mark.parametrize(
    ("start", "steps", "drop", "rise"),
    [
        (0.5, (0.9, 0.2, 0.8), Swing(1, 0.9, 0.2), Swing(2, 0.2, 0.8)),
        (0.5, (0.9, 0.95), None, Swing(0, 0.5, 0.9)),
        (0.5, (0.5, 0.5), None, None),
        (0.9, (0.5, 0.3), Swing(0, 0.9, 0.5), None),
        (None, (0.9, 0.2, 0.8), Swing(1, 0.9, 0.2), Swing(2, 0.2, 0.8)),
        (None, (0.9,), None, None),
    ],
)
def test_swings_are_the_largest_changes_between_prefixes(start, steps, drop, rise):
    steps = np.array([[1 - p, p] for p in steps])
    first = None if start is None else np.array([1 - start, start])
    assert prefixes.summarize(first, steps, 1).swings == Swings(drop, rise)


# Gates


def test_the_parts_of_the_score_add_up_to_the_log_ratio_of_probabilities(any_text):
    for text in (*TEXTS, "a finne , dul film"):
        result = any_text.explain_text(text)
        gates, probabilities = result.gates, result.prediction.probabilities
        ratio = np.log(probabilities[result.prediction.label] / probabilities[gates.runner_up])
        assert gates.score == pytest.approx(ratio, abs=1e-4)
        parts = (gates.lstm, gates.regions or 0, gates.linear or 0, gates.bias)
        assert sum(parts) == pytest.approx(gates.score)
        ranked = sorted(probabilities, key=probabilities.get)
        assert [result.prediction.label, gates.runner_up] == ranked[:-3:-1]


def test_the_contributions_of_all_units_add_up_to_the_lstm_part(any_text, monkeypatch):
    monkeypatch.setattr(explain, "NUM_UNITS", 1000)
    gates = any_text.explain_text(TEXTS[0]).gates
    settings = any_text.config.model
    assert len(gates.units) == settings.units * (2 if settings.bidirectional else 1)
    assert sum(unit.contribution for unit in gates.units) == pytest.approx(gates.lstm, abs=1e-5)
    sizes = [abs(unit.contribution) for unit in gates.units]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("text", [TEXTS[1], "a finne film , a dul cast", "finne"])
def test_the_linear_part_is_that_of_the_linear_model(text, explainer):
    result = explainer.explain_text(text)
    encoding, settings = encoding_of(explainer, text), explainer.config.linear
    assert (len(encoding.ngrams) > 0) == ("finne" in text)
    weights = weights_of(explainer)
    logits = reference.linear(encoding.ids, weights, settings, encoding.ngrams)
    sign = 1 if result.prediction.label == LABELS[1] else -1
    # The biases do not belong to any token; they are a part of `bias`.
    biases = weights["linear/scale"] * weights["linear/biases"]
    expected = sign * float(logits[0] - biases[0])
    assert result.gates.bias == pytest.approx(sign * (weights["head/bias"] + biases)[0], abs=1e-5)
    assert result.gates.linear == pytest.approx(expected, abs=1e-5)
    assert result.gates.linear_steps.sum() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "peephole"])
def test_gates_are_those_of_the_equations(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(explain, "NUM_UNITS", 1000)
    config = text_config(model__cell=kind)
    found = Explainer.load(make_text_run(tmp_path / "runs" / "demo" / "one", config=config))
    weights, ids = weights_of(found), ids_of(found, TEXTS[0])
    vectors = weights["embedding/embeddings"][ids]
    for unit in found.explain_text(TEXTS[0]).gates.units:
        names = ("kernel", "recurrent_kernel", "bias", "peepholes")
        arrays = [weights.get(f"lstm_0_{unit.direction}/{name}") for name in names]
        way = -1 if unit.direction == "backward" else 1
        trace = lstm_equations.forward(lstm_equations.Weights(*arrays), vectors[None, ::way])
        for name in ("input_gate", "forget_gate", "output_gate", "cell", "hidden"):
            expected = getattr(trace, name)[0, ::way, unit.index]
            assert getattr(unit, name) == pytest.approx(expected, abs=1e-6)
        assert unit.memory == pytest.approx(1 / (1 - unit.forget_gate.mean()), rel=1e-4)


def test_a_network_of_one_constant_unit_is_explained_as_by_hand(tmp_path):
    config = text_config(model__units=1, model__bidirectional=False, model__pooling="mean")
    tokenizer = Tokenizer.fit(TEXTS, config.text)
    drawn = random_weights(config, 2, tokenizer.vocab_size)
    weights = {name: np.zeros_like(array) for name, array in drawn.items()}
    # Gates that do not depend on the input: i = o = 1/2, f = 3/4, and a candidate of tanh(1).
    weights["lstm_0_forward/bias"] = np.array([0, np.log(3), 1, 0], np.float32)
    weights["head/kernel"] = np.array([[2.0]], np.float32)
    weights["head/bias"] = np.array([0.5], np.float32)
    run = _write(tmp_path / "runs" / "demo" / "one", config, LABELS, weights, None, "2026")
    run.write_text(runs.TOKENIZER, tokenizer_json.write(tokenizer))
    _finish(run, ["fine"], Predictor.from_files(run).text_probabilities(["fine"]))
    result = Explainer.load(run).explain_text("fine film")
    (unit,) = result.gates.units
    first = 0.5 * np.tanh(1)
    states = np.array([first, 0.75 * first + first])
    assert unit.cell == pytest.approx(states, abs=1e-6)
    assert (unit.forget_gate, unit.input_gate) == (
        pytest.approx([0.75, 0.75]), pytest.approx([0.5, 0.5]),
    )  # fmt: skip
    assert unit.memory == result.gates.memory == pytest.approx(4)
    pooled = (0.5 * np.tanh(states)).mean()
    assert result.gates.lstm == unit.contribution == pytest.approx(2 * pooled, abs=1e-6)
    assert (result.gates.bias, result.gates.linear) == (0.5, None)
    assert result.gates.score == pytest.approx(2 * pooled + 0.5, abs=1e-6)
    # No token has an effect.
    assert result.token_effects.effects == pytest.approx([0, 0], abs=1e-6)


def test_weights_of_another_network_are_refused(tmp_path):
    run = make_text_run(tmp_path / "runs" / "demo" / "one")
    weights = safetensors.numpy.load(run.file(runs.WEIGHTS).read_bytes())
    weights["head/bias"] = weights["head/bias"] + 1
    run.write_bytes(runs.WEIGHTS, safetensors.numpy.save(weights))
    run.write_manifest()
    with pytest.raises(LstmError, match="same network") as caught:
        Explainer.load(run).explain_text("fine")
    assert caught.value.exit_code == ExitCode.INTEGRITY


def test_a_batch_gives_the_logits_of_each_sequence_alone(any_text):
    settings, weights = any_text.config.model, weights_of(any_text)
    width = len(weights["lstm_0_forward/kernel"])
    steps = np.random.default_rng(0).normal(size=(3, 5, width)).astype(np.float32)
    lengths = np.array([5, 1, 3])
    together = forward_pass.run_layers(settings, weights, steps, lengths)
    for row, length in enumerate(lengths):
        alone = forward_pass.run_layers(
            settings, weights, steps[row : row + 1, :length], np.array([length])
        )
        assert together.logits[row] == pytest.approx(alone.logits[0], abs=1e-5)


# Images


def test_prefix_predictions_of_an_image_are_those_of_its_first_rows(of_images, digit):
    result = of_images.explain_image(digit, "digit.png")
    weights, config = weights_of(of_images), image_config()
    for row in (0, 3, 7):
        expected = reference.probabilities(digit[: row + 1] / 255, weights, config)
        assert result.prefixes.steps[row] == pytest.approx(expected, abs=1e-5)
    assert result.prefixes.steps[-1] == pytest.approx(
        list(result.prediction.probabilities.values()), abs=1e-5
    )
    assert result.prefixes.start is None


def test_a_step_over_an_image_reads_several_rows(digit, tmp_path):
    found = image_explainer(tmp_path, image__window=3, image__stride=2)
    result = found.explain_image(digit)
    # The last step begins one row below the one before it.
    assert result.windows == ((0, 3), (2, 5), (4, 7), (5, 8))
    assert result.row_edges == (0, 3, 5, 7, 8)
    assert result.to_dict()["windows"] == [[0, 3], [2, 5], [4, 7], [5, 8]]
    steps = reference.steps_of(digit, 3, 2)
    for index in range(4):
        expected = reference.probabilities(steps[: index + 1], weights_of(found), found.config)
        assert result.prefixes.steps[index] == pytest.approx(expected, abs=1e-5)
    assert len(result.gates.units[0].cell) == 4


def test_an_image_of_many_rows_is_predicted_in_batches(of_images, digit, monkeypatch):
    whole = of_images.explain_image(digit)
    monkeypatch.setattr(explain, "_BATCH_SIZE", 3)
    assert of_images.explain_image(digit).prefixes.steps == pytest.approx(
        whole.prefixes.steps, abs=1e-6
    )


def test_a_run_of_the_other_kind_is_refused(explainer, of_images, digit):
    with pytest.raises(LstmError, match="reads images"):
        of_images.explain_text("fine")
    with pytest.raises(LstmError, match="reads texts"):
        explainer.explain_image(digit)

"""Explanations: their numbers are those of the model, and all outputs show the text as written."""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import fixtures_lstm as reference
import numpy as np
import pytest
import safetensors.numpy
from fixtures_properties import relaxed
from fixtures_runs import (
    LABELS,
    TEXTS,
    _finish,
    _write,
    image_config,
    make_image_run,
    make_text_run,
    random_weights,
    text_config,
)
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from benchmarks import explain as measured
from lstm_cli import cli
from lstm_cli.cli import output
from lstm_cli.config.load import load_preset
from lstm_cli.data.readers import demo, demo_grammar
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.explain import explainer as explain
from lstm_cli.explain import (
    forward_pass,
    occlusion,
    prefixes,
    render_html,
    render_image,
    render_terminal,
    summary,
)
from lstm_cli.explain.explainer import Explainer
from lstm_cli.explain.occlusion import log_odds
from lstm_cli.explain.render_terminal import render_lines
from lstm_cli.explain.result import Swing, Swings
from lstm_cli.models import lstm_equations
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.text import tokenizer_json
from lstm_cli.text.tokenizer import Tokenizer, token_spans
from lstm_cli.training import artifacts, train

TEXT = "Not a fine film, and  NOT fine acting."
# Characters whose lower case is longer, that combine with the one before, or that are no letters.
ODD = (
    "好电影, fine film",
    "fine 😀👩‍👩‍👧 film!",
    "cafe\u0301 fi\u0301ne na\u00efve",
    "a fine film<br /><br />A dull<BR>cast",
    "İstanbul fine \u212a fine",
    "it\u2019s fine, isn't it",
    "  \tfine\nfilm\r\n ",
    "\x1b[31mfine\x00film\x9b",
    "fine \udc80 film",
    "\u05e9\u05dc\u05d5\u05dd fine \u202eelif",
)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
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
    config = text_config(embedding__bigram_buckets=11, linear__buckets=13)
    folder = tmp_path_factory.mktemp("runs") / "demo" / "one"
    return Explainer.load(make_text_run(folder, config=config))


@pytest.fixture(scope="module")
def of_images(tmp_path_factory):
    return Explainer.load(make_image_run(tmp_path_factory.mktemp("runs") / "digits" / "one"))


@pytest.fixture(scope="module")
def digit():
    return np.random.default_rng(5).integers(0, 256, (8, 8), dtype=np.uint8)


def weights_of(found):
    return safetensors.numpy.load(found.predictor.run.file(runs.WEIGHTS).read_bytes())


def ids_of(found, text):
    return found.predictor.tokenizer.encode([text])[0].ids


# Token effects


def test_effects_are_the_log_odds_lost_without_a_token(any_text):
    result = any_text.explain_text("a fine film")
    chosen = result.class_index
    changed = ["a fine film", "xyz fine film", "a xyz film", "a fine xyz"]
    whole, *without = any_text.predictor.text_probabilities(changed)[:, chosen].astype(float)
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


def test_a_text_without_effects_says_so(explainer):
    result = explainer.explain_text("zebra zebra")
    assert not result.token_effects.effects.any()
    assert "No single token changes the prediction." in shown(result)


def test_tokens_of_very_long_texts_share_a_window(explainer, monkeypatch):
    monkeypatch.setattr(occlusion, "_MAX_STEPS", 50)
    result = explainer.explain_text("a fine film and a dull cast a fine film")
    assert result.token_effects.window == 3
    alike = result.token_effects.effects[:9].reshape(3, 3)
    assert (alike == alike[:, :1]).all()
    assert len(set(result.token_effects.effects.tolist())) == 4
    without = explainer.predictor.text_probabilities(["u u u and a dull cast a fine film"])[0]
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


def test_the_last_prefix_prediction_is_the_prediction(any_text):
    for text in TEXTS:
        result = any_text.explain_text(text)
        said = list(result.prediction.probabilities.values())
        assert result.prefixes.steps[-1] == pytest.approx(said, abs=1e-6)


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
    for text in TEXTS:
        result = any_text.explain_text(text)
        gates, said = result.gates, result.prediction.probabilities
        ratio = np.log(said[result.prediction.label] / said[gates.runner_up])
        assert gates.score == pytest.approx(ratio, abs=1e-4)
        assert gates.lstm + gates.bias + (gates.linear or 0) == pytest.approx(gates.score)
        ranked = sorted(said, key=said.get)
        assert [result.prediction.label, gates.runner_up] == ranked[:-3:-1]


def test_the_contributions_of_all_units_add_up_to_the_lstm_part(any_text, monkeypatch):
    monkeypatch.setattr(explain, "NUM_UNITS", 1000)
    gates = any_text.explain_text(TEXTS[0]).gates
    settings = any_text.config.model
    assert len(gates.units) == settings.units * (2 if settings.bidirectional else 1)
    assert sum(unit.contribution for unit in gates.units) == pytest.approx(gates.lstm, abs=1e-5)
    sizes = [abs(unit.contribution) for unit in gates.units]
    assert sizes == sorted(sizes, reverse=True)


def test_the_linear_part_is_that_of_the_linear_model(explainer):
    result = explainer.explain_text(TEXTS[1])
    weights = weights_of(explainer)
    sign = 1 if result.prediction.label == LABELS[1] else -1
    expected = sign * float(reference.linear(ids_of(explainer, TEXTS[1]), weights)[0])
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


# On a terminal


def shown(result, width=80, colour=False):
    """The rendered lines as one string."""
    lines = render_lines(result, width, colour)
    return "\n".join("".join(piece.text for piece in line) for line in lines)


def marked(result):
    """The line of the marked text."""
    return list(render_lines(result, 80, True))[3]


@pytest.mark.parametrize("text", [TEXT, *ODD])
def test_the_text_is_shown_as_written(text, explainer):
    result = explainer.explain_text(text)
    assert "".join(piece.text for piece in marked(result)) == text


@relaxed
@given(ANY_TEXT)
@example("İ" * 3)
@example("e\u0301\u0301 \u0301")
def test_any_text_keeps_its_spelling(explainer, text):
    try:
        result = explainer.explain_text(text)
    except LstmError:
        return
    if result.truncated_span is None:
        assert "".join(piece.text for piece in marked(result)) == text
    render_html.render_page(result).encode("utf-8")
    json.dumps(result.to_dict())


def test_tokens_for_and_against_have_different_styles(explainer):
    result = explainer.explain_text(TEXT)
    styles = {piece.text: piece.style for piece in marked(result)}
    strongest = np.abs(result.token_effects.effects).max()
    for token, effect in zip(result.tokens, result.token_effects.effects, strict=True):
        if abs(effect) == strongest:
            assert styles[token.text] == f"{'for' if effect > 0 else 'against'}4"
    assert render_terminal.effect_style(0.01) == ""
    assert render_terminal.effect_style(0.0) == ""
    assert render_terminal.effect_style(-0.3) == "against2"


def test_without_colour_signed_numbers_stand_in_the_text(explainer):
    result = explainer.explain_text(TEXT)
    place = int(np.abs(result.token_effects.effects).argmax())
    effect = result.token_effects.effects[place]
    expected = f"{result.tokens[place].text}[{effect:+.{1 if abs(effect) >= 1 else 2}f}]"
    assert expected in shown(result)
    assert "[+" not in "".join(piece.text for piece in marked(result))


def printed(result, width, **settings):
    out = io.StringIO()
    made = Console(file=out, width=width, markup=False, highlight=False, emoji=False, **settings)
    output._stdout.cache_clear()
    original, output._stdout = output._stdout, lambda: made
    try:
        output.print_styled(render_lines(result, output.width(), output.has_colour()))
    finally:
        output._stdout = original
    return out.getvalue()


def test_a_narrow_terminal_wraps(explainer, of_images, digit):
    for result in (explainer.explain_text(TEXT), of_images.explain_image(digit)):
        assert max(map(len, printed(result, 34).splitlines())) <= 34


def test_colours_are_seen_on_a_terminal_that_has_them(explainer):
    result = explainer.explain_text(TEXT)
    settings = {"force_terminal": True, "color_system": "truecolor"}
    assert "\x1b[" in printed(result, 80, **settings)
    quiet = printed(result, 80, no_color=True, **settings)
    assert "[+" in quiet or "[-" in quiet


def test_control_characters_of_a_text_never_reach_the_terminal(explainer):
    result = explainer.explain_text("\x1b[31mfine\x07 film\u202e dull\x9b2J\nnot fine")
    out = printed(result, 80)
    assert not {*"\x1b\x07\x9b\u202e"} & {*out}
    assert "\nnot" in out


def with_probabilities(result, *values, window=1):
    """The result with other probabilities of its class: of the empty text and each token."""
    start, *steps = [[p, 1 - p] if result.class_index == 0 else [1 - p, p] for p in values]
    changed = prefixes.summarize(np.array(start), np.array(steps), result.class_index, window)
    return replace(result, prefixes=changed)


@pytest.mark.parametrize(
    ("probabilities", "parts"),
    [
        # In the order of the text.
        ((0.5, 0.9, 0.2, 0.3, 0.8), ("falls", "'a' (token 2)", "90% to 20%",
                                     "rises", "'film' (token 4)", "30% to 80%")),
        ((0.5, 0.4, 0.7, 0.7, 0.6), ("rises", "'a' (token 2)", "40% to 70%",
                                     "falls", "'not' (token 1)", "50% to 40%")),
        ((0.5, 0.9, 0.9, 0.9, 0.89), ("rises", "'not' (token 1)", "50% to 90%")),
        ((0.9, 0.91, 0.9, 0.9, 0.92), ("hardly changes", "90%", "92.0%")),
        ((0.9, 0.9, 0.9, 0.9, 0.9), ("hardly changes", "90%")),
    ],
)  # fmt: skip
def test_all_outputs_name_the_largest_swings(probabilities, parts, explainer):
    result = with_probabilities(explainer.explain_text("not a fine film"), *probabilities)
    sentence = summary.describe_swings(result)
    for part in parts:
        assert part in sentence
    assert ("falls" in sentence) == ("falls" in parts)
    assert ("rises" in sentence) == ("rises" in parts)
    assert sentence in shown(result)
    assert sentence in unescape(render_html.render_page(result))


def test_swings_of_a_long_text_name_the_tokens_of_a_window(explainer):
    result = explainer.explain_text("not a fine film")
    result = with_probabilities(result, 0.5, 0.4, 0.4, 0.9, 0.9, window=2)
    assert "'fine' to 'film' (tokens 3 to 4), from 40% to 90%" in summary.describe_swings(result)


def test_swings_of_an_image_name_rows(of_images, digit):
    result = of_images.explain_image(digit)
    steps = np.full((8, len(result.labels)), 0.1)
    steps[4:, result.class_index] = 0.9
    result = replace(result, prefixes=prefixes.summarize(None, steps, result.class_index))
    assert "rises most at row 5, from 10% to 90%" in summary.describe_swings(result)
    assert "from row 5 on" in summary.describe_decision(result)


@pytest.mark.parametrize(
    ("probabilities", "part"),
    [
        ((0.4, 0.4, 0.4, 0.4, 0.9), "from 'film' (token 4) on"),
        ((0.9, 0.9, 0.9, 0.9, 0.9), "from the start"),
        ((0.9, 0.9, 0.9, 0.9, 0.4), "threshold"),
    ],
)
def test_the_decision_names_the_step(probabilities, part, explainer):
    result = with_probabilities(explainer.explain_text("not a fine film"), *probabilities)
    assert part in summary.describe_decision(result)
    assert summary.describe_decision(result) in shown(result)


def test_gates_are_a_heat_map_where_colours_are_seen(explainer):
    result = explainer.explain_text(TEXT)
    gate = result.gates.units[0].forget_gate
    line = next(x for x in render_lines(result, 80, True) if x[0].text.strip() == "forget")
    assert [piece.style for piece in line[1:]] == [f"heat{min(7, int(8 * v))}" for v in gate]
    line = next(x for x in render_lines(result, 80, False) if x[0].text.strip() == "forget")
    assert line[1].text == render_terminal.sparkline(gate, 80)


def test_a_sparkline_fits_into_its_columns():
    assert render_terminal.sparkline(np.array([0.0, 0.5, 1.0]), 10) == "▁▅█"
    assert render_terminal.sparkline(np.repeat([0.0, 1.0], 50), 4) == "▁▁██"
    assert len(render_terminal.sparkline(np.linspace(0, 1, 33), 10)) == 10


# Page, picture and JSON


class _Words(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.tags, self.inside = "", [], False

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside |= dict(attributes).get("class") == "text"

    def handle_endtag(self, tag):
        if tag == "div":
            self.inside = False

    def handle_data(self, data):
        self.found += data if self.inside else ""


def text_of(html):
    parser = _Words()
    parser.feed(html)
    return parser.found


@pytest.mark.parametrize(
    "text", [TEXT, "<script>alert(1)</script> fine", "a <b>&amp; \"fine' film"]
)
def test_a_page_shows_the_text_and_runs_no_script_of_it(text, explainer):
    html = render_html.render_page(explainer.explain_text(text))
    assert text_of(html) == text
    parser = _Words()
    parser.feed(html)
    assert parser.tags.count("script") == 1
    assert "b" not in parser.tags[: parser.tags.index("h2")]
    assert "<script>alert" not in html


def test_labels_and_names_are_escaped_on_a_page(tmp_path, digit):
    folder = tmp_path / "runs" / "demo" / "<i>x"
    run = make_text_run(folder, labels=("<i>bad", "<i>good"))
    assert "<i>" not in render_html.render_page(Explainer.load(run).explain_text("fine"))
    images = Explainer.load(make_image_run(tmp_path / "runs" / "digits" / "one"))
    assert "<i>" not in render_html.render_page(images.explain_image(digit, "<i>.png"))


def test_a_page_loads_nothing(explainer, of_images, digit):
    for result in (explainer.explain_text(TEXT), of_images.explain_image(digit)):
        html = render_html.render_page(result)
        assert "default-src 'none'" in html
        for way in ("http:", "https:", "src=", "href=", "url(", "@import", "fetch("):
            assert way not in html


def test_a_page_has_no_control_characters(explainer):
    html = render_html.render_page(explainer.explain_text("fine\udc80\x1b film\u202e"))
    assert text_of(html) == "fine   film "


@pytest.mark.parametrize("name", ["words.png", "words.svg"])
def test_a_picture_is_drawn_of_texts_and_images(name, tmp_path, explainer, of_images, digit):
    texts = ["好电影 $fine$ film\n\n\x1b " + "fine " * 20] + ["fine"] * name.endswith("png")
    for result in (*map(explainer.explain_text, texts), of_images.explain_image(digit)):
        render_image.draw(result, tmp_path / name)
        content = (tmp_path / name).read_bytes()
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
        if name.endswith("png"):
            with Image.open(tmp_path / name) as image:
                assert min(image.size) > 300


def test_json_holds_everything(explainer, of_images, digit):
    result = json.loads(json.dumps(explainer.explain_text(TEXT).to_dict()))
    assert list(result) == [
        "kind", "run", "labels", "prediction", "prefixes", "gates", "text", "tokens",
        "truncated_span", "token_effects",
    ]  # fmt: skip
    num = len(result["tokens"])
    assert list(result["tokens"][0]) == ["text", "start", "end", "known"]
    assert list(result["token_effects"]) == ["effects", "occluded_probabilities", "window"]
    assert list(result["prefixes"]) == ["start", "steps", "window", "decision_step", "swings"]
    swings = result["prefixes"]["swings"]
    assert list(swings) == ["drop", "rise"]
    assert {tuple(swing) for swing in swings.values() if swing} == {("step", "before", "after")}
    assert len(result["prefixes"]["steps"]) == len(result["gates"]["linear_steps"]) == num
    assert list(result["gates"]["units"][0]) == [
        "direction", "index", "contribution", "memory", "input_gate", "forget_gate", "output_gate",
        "cell", "hidden",
    ]  # fmt: skip
    assert all(len(unit["cell"]) == num for unit in result["gates"]["units"])
    image = json.loads(json.dumps(of_images.explain_image(digit, "d.png").to_dict()))
    assert (image["kind"], image["name"]) == ("image", "d.png")
    assert image["image"] == digit.tolist()


# The command


@pytest.fixture
def lstm(monkeypatch, capfd, tmp_path):
    """Run `lstm explain` in this process, on the runs of this test."""
    make_text_run(tmp_path / "runs" / "demo" / "tiny")
    make_image_run(tmp_path / "runs" / "digits" / "tiny")

    def run(*arguments):
        output._stdout.cache_clear()
        runs_dir = ("--runs-dir", str(tmp_path / "runs"))
        monkeypatch.setattr(sys, "argv", ["lstm", "explain", *map(str, arguments), *runs_dir])
        code = cli._run()
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_command_writes_signed_numbers_without_colour(lstm):
    code, out, err = lstm(TEXT)
    assert code == 0
    assert "Run: demo/tiny" in err
    assert "Probability of" in out
    assert "\x1b" not in out
    assert "[+" in out or "[-" in out


def test_the_command_reads_the_pipe(lstm, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a fine\xff film\n")))
    code, out, _ = lstm("-", "--format", "json")
    assert code == 0
    assert json.loads(out)["text"] == "a fine\ufffd film"


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.json", b'{"kind"'), ("a.html", b"<!doctype"), ("a.png", b"\x89PNG"), ("a.svg", b"<?xml")],
)
def test_the_suffix_of_the_file_sets_the_format(name, start, lstm, tmp_path):
    path = tmp_path / "new" / name
    assert lstm("a fine film", "--out", path)[:2] == (0, "")
    assert path.read_bytes().startswith(start)


def test_json_and_pages_go_to_stdout_too(lstm):
    assert json.loads(lstm("fine", "--format", "json")[1])["kind"] == "text"
    assert lstm("fine", "--format", "html")[1].endswith("</html>\n")
    assert json.loads(lstm("fine \udc80", "--format", "json")[1])["text"] == "fine \udc80"


def test_the_command_explains_an_image(lstm, tmp_path, digit):
    path = tmp_path / "digit.png"
    Image.fromarray(digit).save(path)
    code, out, _ = lstm(path, "--run", "digits")
    assert code == 0
    assert "row" in out
    assert json.loads(lstm(path, "--run", "digits", "--format", "json")[1])["name"] == "digit.png"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([""], 2, "no word"),
        (["fine", "--format", "png"], 2, "--out"),
        (["fine", "--format", "png", "--out", "a.jpg"], 2, ".png or .svg"),
        (["fine", "--out", "a.txt"], 2, ".json"),
        (["fine", "--format", "gif"], 2, "gif"),
        (["fine", "--out", "/dev/null/a.json"], 1, "Name another file with --out"),
        (["fine", "--out", "/dev/null/a.png"], 1, "Name another file with --out"),
        (["fine film", "--run", "digits"], 1, "There is no image"),
        (["fine", "--run", "nothing"], 1, "no run 'nothing'"),
        ([], 2, "TEXT"),
    ],
)
def test_a_wrong_argument_is_named(arguments, code, message, lstm):
    found, out, err = lstm(*arguments)
    assert (found, out) == (code, "")
    assert message in " ".join(err.split())


def test_an_image_for_a_run_that_reads_texts_is_named(lstm, tmp_path, digit):
    path = tmp_path / "digit.png"
    Image.fromarray(digit).save(path)
    code, _, err = lstm(path, "--run", "demo")
    assert code == 2
    assert "is an image" in err
    assert "--run" in err


WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "onnx", "sklearn", "scipy", "matplotlib"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from lstm_cli.cli import main
sys.argv = ["lstm", "explain", "a fine film", "--runs-dir", sys.argv[1], "--format", sys.argv[2]]
main()
"""


@pytest.mark.parametrize("kind", ["auto", "html"])
def test_explaining_needs_neither_tensorflow_nor_keras(kind, tmp_path):
    make_text_run(tmp_path / "runs" / "demo" / "tiny")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path / "runs"), kind],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# Whether the effects find the decisive token

FEW = {
    "data.demo_train": 2000,
    "data.demo_test": 200,
    "embedding.dim": 16,
    "model.units": 16,
    "train.epochs": 10,
    "train.batch_size": 32,
    "train.learning_rate": 0.01,
}


def test_the_benchmark_ranks_the_decisive_token(explainer):
    ids = ids_of(explainer, TEXTS[0])
    effects = measured._effects(explainer.predictor, TEXTS[0], "mask")[1].effects
    spans = token_spans(TEXTS[0])
    order = np.argsort(-effects, kind="stable")
    for rank, place in ((1, order[0]), (len(ids), order[-1])):
        review = demo.Example(TEXTS[0], 0, spans[place], "plain")
        assert measured._place(explainer.predictor, review, "mask").rank == rank


def test_tokens_of_the_same_effect_share_the_lowest_rank(explainer):
    review = demo.Example("zebra zebra zebra", 0, (6, 11), "plain")
    assert measured._place(explainer.predictor, review, "mask").rank == 3


def test_the_decisive_token_has_the_largest_effect_where_sentences_are_few(monkeypatch):
    monkeypatch.setattr(artifacts, "_draw", lambda *_: [])
    some = {
        "affirmation": demo_grammar.CLAIMS[:1],
        "negation": demo_grammar.CLAIMS[:1],
        "agreement": demo_grammar.REPORTS[-1:],
        "dissent": demo_grammar.REPORTS[-1:],
        "contrast": demo_grammar.CONTRASTS[1:2],
        "plain": demo_grammar.PLAIN[:1],
    }
    monkeypatch.setattr(demo_grammar, "VERDICTS", some)
    monkeypatch.setattr(demo, "NUM_FILLERS", (0,))
    monkeypatch.setattr(demo, "ASIDE_SHARE", 0)
    run = train.train(load_preset("demo", FEW))
    found = measured._decisive(Predictor.load(run), measured._test_reviews(run))["mask"]
    # 0.995 to 1 with seeds 0, 1, 2.
    assert found["all"]["first"] > 0.9
    assert found["all"]["turns"] > 0.95


@pytest.mark.slow
def test_the_decisive_token_has_the_largest_effect(tmp_path):
    settings = argparse.Namespace(demo_run="", quick=False)
    (run,) = measured._demo_runs(settings, tmp_path)
    assert run.read_json(runs.METRICS)["test"]["accuracy"] >= 0.98
    found = measured._decisive(Predictor.load(run), measured._test_reviews(run))["mask"]
    assert found["all"]["num"] == 1000
    assert found["all"]["first"] >= 0.9
    assert found["all"]["turns"] >= 0.98
    for form in ("negation", "contrast"):
        assert found[form]["first"] >= 0.9

"""Language models without Keras: probabilities, generated texts, and the surprise of words."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
from fixtures_errors import refused
from fixtures_runs import TEXTS, make_language_run, make_text_run

import lstm_cli
from lstm_cli.errors import ExitCode
from lstm_cli.models import lstm_equations
from lstm_cli.prediction.generation import Sampling, generate, unknown_words
from lstm_cli.prediction.language_model import WordPredictor, as_text
from lstm_cli.prediction.surprise import END, Totals, score_text, window_nats
from lstm_cli.runs import directory as runs
from lstm_cli.text.token_ids import PAD_ID, UNKNOWN_ID

KINDS = {
    "both": {"embedding__bigram_buckets": 50},
    "forward": {"model__bidirectional": False, "model__layers": 2, "embedding__bigram_buckets": 0},
    "peephole": {"model__cell": "peephole", "language__tie_embeddings": False},
}


@pytest.fixture(scope="module", params=KINDS)
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "demo" / request.param
    return lstm_cli.load_language_model(make_language_run(path, **KINDS[request.param]))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "demo" / "words"
    return lstm_cli.load_language_model(make_language_run(path, **KINDS["both"]))


def with_bias(run, **biases):
    """Change the output biases of words, so that the model prefers them."""
    arrays = safetensors.numpy.load(run.file(runs.WEIGHTS).read_bytes())
    words = WordPredictor.load(run).tokenizer.words
    for word, bias in biases.items():
        arrays["next_bias/embeddings"][words.index(f"[{word}]" if word.isupper() else word)] = bias
    run.write_bytes(runs.WEIGHTS, safetensors.numpy.save(arrays))
    run.write_manifest()
    return WordPredictor.load(run)


def test_step_by_step_is_the_same_as_in_one_piece(model):
    ids = as_text(model.encode(TEXTS[0]))
    for direction in model.directions:
        order = ids if direction == "forward" else ids[::-1]
        whole, _ = model.read(order, model.start(direction), direction)
        assert np.exp(whole).sum(axis=1) == pytest.approx(1, abs=1e-5)
        state = model.start(direction)
        for word, expected in zip(order.tolist(), whole, strict=True):
            found, state = model.read([word], state, direction)
            assert found[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_no_direction_reads_what_it_predicts(both, direction):
    ids = as_text(both.encode(TEXTS[0]))
    changed = ids.copy()
    changed[4] = 2 + (ids[4] - 1) % 5
    changes = window_nats(both, ids, direction) != window_nats(both, changed, direction)
    position = np.arange(1, len(ids)) if direction == "forward" else np.arange(len(ids) - 1)
    is_later = position > 4 if direction == "forward" else position < 4
    assert not changes[~is_later & (position != 4)].any()
    assert changes[is_later].any()


# Generating


def test_the_same_seed_gives_the_same_text(model):
    first = generate(model, "a fine", seed=3)
    assert generate(model, "a fine", seed=3) == first
    assert first.text.startswith("a fine")
    others = {generate(model, "a fine", seed=3, index=index).text for index in range(5)}
    assert len(others) > 1
    assert generate(model, "a fine", seed=4) != first


def test_temperature_0_takes_the_most_probable_word(model):
    greedy = generate(model, "a", num_tokens=6, sampling=Sampling(temperature=0))
    assert generate(model, "a", num_tokens=6, sampling=Sampling(top_k=1), seed=9) == greedy
    assert generate(model, "a", num_tokens=6, sampling=Sampling(top_p=1e-9), seed=9) == greedy
    ids = [PAD_ID, *model.encode("a").tolist()]
    for token, nats in zip(greedy.tokens, greedy.nats, strict=True):
        (found,) = model.read(ids, model.start(), "forward")[0][-1:]
        assert nats == pytest.approx(-found.max() if found.argmax() != UNKNOWN_ID else nats)
        found[UNKNOWN_ID] = -np.inf
        assert model.tokenizer.words[found.argmax()] == token
        ids.append(int(found.argmax()))


def test_words_are_drawn_by_their_probability():
    log_probabilities = np.log(np.array([0.1, 0.4, 0.3, 0.2], np.float32))
    rng = np.random.default_rng(0)

    def shares(**settings):
        drawn = [Sampling(**settings).draw(log_probabilities, rng) for _ in range(4000)]
        return np.bincount(drawn, minlength=4) / len(drawn)

    # The second is [UNK], which is never drawn.
    assert shares() == pytest.approx(np.array([1, 0, 3, 2]) / 6, abs=0.03)
    assert shares(temperature=0.5) == pytest.approx(np.array([1, 0, 9, 4]) / 14, abs=0.03)
    assert shares(top_k=2) == pytest.approx(np.array([0, 0, 3, 2]) / 5, abs=0.03)
    assert shares(top_p=0.6) == pytest.approx(np.array([0, 0, 3, 2]) / 5, abs=0.03)


def test_the_model_may_end_the_text_and_never_writes_unknown_words(tmp_path):
    run = make_language_run(tmp_path / "demo" / "words")
    ended = generate(with_bias(run, PAD=50), "a film")
    assert (ended.text, ended.tokens, ended.is_complete) == ("a film", (), True)
    found = generate(with_bias(run, PAD=-50, UNK=40, fine=30), "a film", num_tokens=4)
    assert (found.text, found.is_complete) == ("a film fine fine fine fine", False)


def test_each_word_costs_one_step(both, monkeypatch):
    steps = []
    step = lstm_equations._step
    monkeypatch.setattr(lstm_equations, "_step", lambda *args: steps.append(1) or step(*args))
    generated = generate(both, "a fine film", num_tokens=7, seed=1)
    assert len(steps) == 1 + 3 + len(generated.tokens)


def test_the_backward_direction_writes_what_stands_before(both):
    found = generate(both, "dull moment", num_tokens=5, direction="backward")
    assert found.text.endswith("dull moment")
    assert len(found.tokens) == 5
    again = both.generate("dull moment", num_tokens=5, direction="backward")
    assert again == found


def test_what_cannot_be_done_is_refused(tmp_path, both):
    one_way = WordPredictor.load(make_language_run(tmp_path / "a" / "b", **KINDS["forward"]))
    call = generate
    message = refused(call, one_way, "a", direction="backward", code=ExitCode.USAGE).message
    assert "forward only" in message
    for direction in ("back", None, 1, ["backward"]):
        for wrong in (lambda d: call(both, "a", direction=d), both.start):
            message = refused(wrong, direction, code=ExitCode.USAGE).message
            assert "'forward' or 'backward'" in message
    message = refused(call, both, "Xyzzy plugh", code=ExitCode.USAGE).message
    assert "xyzzy, plugh" in message
    assert unknown_words(both, "a xyzzy film, xyzzy plugh") == ["xyzzy", "plugh"]
    for settings in (
        {"temperature": -1},
        {"temperature": "hot"},
        {"temperature": True},
        {"top_k": 2.5},
        {"top_p": [0.5]},
        {"temperature": float("nan")},
        {"top_k": 0},
        {"top_p": 0},
    ):
        refused(Sampling, **settings, code=ExitCode.USAGE)
    refused(call, both, num_tokens=0, code=ExitCode.USAGE)
    refused(call, both, seed=-1, code=ExitCode.USAGE)
    for wrong in ({"num_tokens": "9"}, {"seed": 1.5}, {"index": -1}, {"prompt": ["a"]}):
        refused(call, both, **wrong, code=ExitCode.USAGE)
    for wrong in (None, b"a", ["a", "film"], 3):
        refused(both.score, wrong, code=ExitCode.USAGE)
    classifier = make_text_run(tmp_path / "demo" / "classes")
    assert "pretrain" in refused(WordPredictor.load, classifier, code=ExitCode.USAGE).hint


# Surprise


def test_the_surprise_of_words_adds_up_to_the_loss(model):
    score = score_text(model, "A fine xyzzy film")
    assert [token.token for token in score.tokens] == ["a", "fine", "xyzzy", "film", END]
    assert [token.known for token in score.tokens] == [True, True, False, True, True]
    ids = as_text(model.encode("a fine xyzzy film"))
    for direction in model.directions:
        expected = window_nats(model, ids, direction).mean()
        assert score.losses[direction] == pytest.approx(expected)
    nats = np.array([token.nats for token in score.tokens])
    assert score.perplexity == pytest.approx(np.exp(nats.mean()))
    assert [t.probability for t in score.tokens] == pytest.approx(np.exp(-nats))
    for token in score.tokens:
        if token.known:
            assert (token.rank == 1) == (token.expected == token.token)


def test_the_surprise_does_not_depend_on_the_parts_that_are_read(both, monkeypatch):
    whole = score_text(both, TEXTS[0])
    monkeypatch.setattr("lstm_cli.prediction.language_model._STEPS", 2)
    parts = score_text(both, TEXTS[0])
    assert parts.losses == pytest.approx(whole.losses)


def test_totals_count_words_not_texts(both):
    totals = Totals()
    scores = [score_text(both, text) for text in (TEXTS[0], "fine", "")]
    for score in scores:
        totals.add(score)
    words = [score.num_words for score in scores]
    expected = np.average([score.losses["backward"] for score in scores], weights=words)
    found = totals.to_dict()
    assert (found["num_words"], words[1:]) == (sum(words), [2, 1])
    assert found["backward"]["loss"] == pytest.approx(expected)
    assert f"{sum(words)} words" in totals.describe()

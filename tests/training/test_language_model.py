"""The language model: no access to the target, an unbiased loss, and learning.

Everything here imports Keras.
"""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from fixtures_corpora import corpus_of_ids
from fixtures_runs import text_config
from keras import ops

from lstm_cli.models import classifier, language_model
from lstm_cli.runs import validate
from lstm_cli.text import lm_windows
from lstm_cli.text.lm_windows import Windows
from lstm_cli.training.objectives.language_model import LanguageModelObjective

VOCAB = 30
DRAWN = np.arange(4, dtype=np.int32)


def config(**settings):
    chosen = {"language__window": 6, "language__negatives": 8, "embedding__bigram_buckets": 50}
    return text_config(**{**chosen, "embedding__bigram_dim": 3, **settings})


def built(settings, seed=0):
    keras.utils.set_random_seed(seed)
    return language_model.build_language_model(settings, VOCAB)


def states_of(model, tokens):
    """States before the softmax by direction, `[batch, length, dim]`."""
    names = [
        n for n in ("forward", "backward") if f"next_{n}/kernel" in classifier.get_weights(model)
    ]
    layers = [model.get_layer(f"next_{name}").output for name in names]
    found = keras.Model(model.get_layer("tokens").output, layers)(tokens)
    found = found if len(names) > 1 else [found]
    return {name: np.asarray(states) for name, states in zip(names, found, strict=True)}


@pytest.mark.parametrize("at", range(7))
def test_no_direction_reads_the_word_to_predict(at):
    model = built(config())
    tokens = np.random.default_rng(0).integers(2, VOCAB, (1, 7)).astype(np.int32)
    changed = tokens.copy()
    changed[0, at] = 2 + (tokens[0, at] - 1) % (VOCAB - 2)
    before, after = states_of(model, tokens), states_of(model, changed)
    changes = {k: (before[k] != after[k]).any(axis=-1)[0] for k in before}
    # Forward: position t has read words 0 to t and predicts word t + 1.
    assert not changes["forward"][:at].any()
    assert at > 5 or changes["forward"][at]
    # Backward: position t has read words 6 to t + 1 and predicts word t.
    assert not changes["backward"][at:].any()
    assert at == 0 or changes["backward"][at - 1]


def test_the_backward_direction_also_reads_bigrams():
    model = built(config())
    tokens = np.arange(2, 9, dtype=np.int32)[None]
    before = states_of(model, tokens)["backward"]
    bigrams = model.get_layer("bigrams")
    bigrams.set_weights([bigrams.get_weights()[0] + 1.0])
    after = states_of(model, tokens)["backward"]
    # The last word has no next word, so it has no bigram.
    assert (before[0, -1] == after[0, -1]).all()
    assert (before[0, -2] != after[0, -2]).any()


def test_arrays_have_the_names_of_the_classifier():
    settings = config()
    mine = classifier.get_weights(built(settings))
    keras.utils.set_random_seed(0)
    theirs = classifier.get_weights(classifier.build_classifier(settings, 2, VOCAB, None))
    shared = {name: array.shape for name, array in mine.items() if name in theirs}
    assert shared == {n: a.shape for n, a in theirs.items() if not n.startswith("head")}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"language__tie_embeddings": False},
        {"embedding__bigram_buckets": 0},
        {"embedding__region_widths": (3,)},
        {"model__bidirectional": False, "model__layers": 2},
        {"model__layers": 2},
        {"model__cell": "peephole"},
    ],
)
def test_validation_expects_the_arrays_of_the_model(settings):
    chosen = config(**settings)
    built_ = {name: array.shape for name, array in classifier.get_weights(built(chosen)).items()}
    assert validate.language_shapes(chosen, VOCAB) == built_


def softmax_losses(states, vectors, biases, targets):
    logits = states @ vectors.T + biases
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(targets)), targets]


def test_the_estimate_of_the_softmax_sum_is_unbiased():
    rng = np.random.default_rng(0)
    states, vectors = rng.normal(0, 1, (3, 2)), rng.normal(0, 1, (4, 2))
    biases, targets = rng.normal(0, 1, 4), np.array([0, 3, 1])
    probabilities = np.array([0.4, 0.3, 0.2, 0.1])
    sums = np.zeros(3)
    # All pairs of samples, weighted by their probability.
    for pair in itertools.product(range(4), repeat=2):
        ids = np.array(pair)
        losses = language_model.sampled_softmax_losses(
            states.astype(np.float32),
            (vectors[targets].astype(np.float32), biases[targets].astype(np.float32)),
            (vectors[ids].astype(np.float32), biases[ids].astype(np.float32)),
            (targets, ids),
            np.log(2 * probabilities[ids]).astype(np.float32),
        )
        right = (states * vectors[targets]).sum(axis=1) + biases[targets]
        sums += probabilities[ids].prod() * np.exp(np.asarray(losses) + right)
    logits = states @ vectors.T + biases
    assert np.allclose(sums, np.exp(logits).sum(axis=1), rtol=1e-5)


def test_with_many_samples_the_loss_is_that_of_the_full_softmax():
    rng = np.random.default_rng(1)
    states, vectors = rng.normal(0, 1, (5, 3)), rng.normal(0, 1, (4, 3))
    biases, targets = rng.normal(0, 1, 4), np.array([0, 1, 2, 3, 0])
    frequencies = np.array([0.4, 0.3, 0.2, 0.1])
    ids, log_expected_counts = lm_windows.sample_negatives(frequencies, 100_000, 0, 0, 0)
    losses = language_model.sampled_softmax_losses(
        states.astype(np.float32),
        (vectors[targets].astype(np.float32), biases[targets].astype(np.float32)),
        (vectors[ids].astype(np.float32), biases[ids].astype(np.float32)),
        (targets, ids),
        log_expected_counts,
    )
    assert np.allclose(losses, softmax_losses(states, vectors, biases, targets), atol=0.02)


def test_a_sample_that_equals_the_target_does_not_count():
    ones = np.ones((1, 1), np.float32)
    zero = np.zeros(1, np.float32)
    loss = language_model.sampled_softmax_losses(
        ones, (ones, zero), (ones, zero), (np.array([3]), np.array([3])), zero
    )
    assert float(np.asarray(ops.sum(loss))) == pytest.approx(0.0)


@pytest.mark.parametrize("both", [True, False])
def test_the_score_uses_the_full_softmax(both, monkeypatch):
    monkeypatch.setattr(language_model, "_SCORED_ROWS", 5)
    monkeypatch.setattr(language_model, "_SCORED_WINDOWS", 2)
    model = built(config(model__bidirectional=both))
    ids = np.random.default_rng(0).integers(0, VOCAB, 22).astype(np.uint16)
    windows = Windows(ids, 6)
    tokens = windows.gather(np.arange(3))
    weights = classifier.get_weights(model)
    words, biases = weights["embedding/embeddings"], weights["next_bias/embeddings"][:, 0]
    found = language_model.score_language_model(model, windows)
    assert list(found.losses) == ["forward", "backward"][: 1 + both]
    targets = {"forward": tokens[:, 1:], "backward": tokens[:, :-1]}
    for name, states in states_of(model, tokens).items():
        losses = softmax_losses(states.reshape(-1, 4), words, biases, targets[name].reshape(-1))
        assert found.losses[name] == pytest.approx(losses.mean(), abs=1e-5)
    assert found.num_words == 18


def test_an_untrained_model_predicts_by_frequency():
    model = built(config())
    frequencies = np.arange(1, VOCAB + 1) / np.arange(1, VOCAB + 1).sum()
    language_model.init_output_bias(model, frequencies)
    for name in ("next_forward", "next_backward"):
        layer = model.get_layer(name)
        layer.set_weights([np.zeros_like(array) for array in layer.get_weights()])
    windows = Windows(np.arange(13, dtype=np.uint16), 6)
    expected = -np.log(frequencies[1:13]).mean()
    assert language_model.score_language_model(model, windows).losses["forward"] == pytest.approx(
        expected, abs=1e-5
    )


def test_training_beats_the_unigram_model():
    rng = np.random.default_rng(0)
    # Each word has one possible next word, so neighbours determine it.
    texts = [np.roll(np.arange(2, 10), -int(k)) for k in rng.integers(0, 8, 120)]
    train, validation = lm_windows.hold_out([corpus_of_ids(texts)], 0.1, 0)
    settings = config(train__batch_size=8, train__learning_rate=0.03, language__negatives=16)
    objective = LanguageModelObjective(settings, train, validation, VOCAB)
    model = built(settings)
    language_model.init_output_bias(model, objective.frequencies)
    language_model.compile_language_model(model, settings.train)
    losses = []
    for epoch in range(6):
        results = [
            objective.train_step(model, *batch)
            for batch in objective.batches(epoch, range(objective.num_steps))
        ]
        losses.append(np.mean([result.loss for result in results]))
    assert losses[-1] < losses[0] / 2
    score = language_model.score_language_model(model, objective.held_out)
    assert score.to_dict()["perplexity"] < objective.unigram_perplexity / 2
    assert score.losses["forward"] < np.log(objective.unigram_perplexity)
    assert score.losses["backward"] < np.log(objective.unigram_perplexity)
